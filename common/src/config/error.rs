//! What can be wrong with a configuration. All problems of one start are collected, so that an operator
//! mends them in one go; the text of a secret never appears in one.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An environment variable, by name.
    Variable(String),
    /// The configuration file.
    File(PathBuf),
    /// A file that a `*_FILE` variable names, or a credential handed over by systemd.
    SecretFile { variable: String, path: PathBuf },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Variable(name) => write!(f, "variable {name}"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::SecretFile { variable, path } => write!(f, "{variable} from {}", path.display()),
        }
    }
}

/// One thing that is wrong, said so that it can be mended without reading the documentation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A known key with a value that is not allowed. `value` is `***` for a secret.
    #[error("{key} = {value} ({origin}): allowed: {allowed}")]
    BadValue { key: String, value: String, allowed: String, origin: Origin },
    /// A key nobody reads.
    #[error("unknown key {key} ({origin}){}; allowed: {}", suggest(.suggestion), .allowed.join(", "))]
    UnknownKey { key: String, origin: Origin, allowed: Vec<String>, suggestion: Option<String> },
    /// The file is no TOML. Lines are not quoted: one of them may hold a secret.
    #[error("{}, line {line}: {message}", .path.display())]
    Syntax { path: PathBuf, line: usize, message: String },
    /// A file that is named but cannot be read.
    #[error("{origin}: cannot be read: {why}")]
    Unreadable { origin: Origin, why: String },
    /// `NAME` and `NAME_FILE` are both set, and nothing says which one is meant.
    #[error("{name} and {name}_FILE are both set; allowed: one of them")]
    SetTwice { name: String },
    /// One entry of `[[projects]]` is not usable; `place` says which, counted from 1.
    #[error("{place}: {why}")]
    Project { place: String, why: String },
    /// Two values that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration cannot be used:{}", lines(.problems))]
pub struct ConfigError {
    /// In the order in which they were found.
    pub problems: Vec<Problem>,
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("\n  {p}")).collect()
}

fn suggest(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!(": did you mean {s}?")).unwrap_or_default()
}

/// The candidate that is most like `given`, if it is like enough to be a slip of the pen.
pub fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|c| (distance(given, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (cb, pair) in b.iter().zip(row.windows(2)) {
            let (diagonal, above) = match pair {
                [d, u] => (*d, *u),
                _ => continue,
            };
            left = (diagonal + usize::from(ca != *cb)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, d) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn only_a_slip_of_the_pen_is_suggested() {
        let keys = ["max_concurrency", "poll_interval_s", "name"];
        assert_eq!(nearest("max_concurency", keys), Some("max_concurrency"));
        assert_eq!(nearest("colour", keys), None);
    }
}

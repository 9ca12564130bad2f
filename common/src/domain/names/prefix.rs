//! The prefix of a project's work item ids.

use super::slug::{Letters, letters};
use super::{BadName, stored_as_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest prefix in bytes.
const PREFIX_MAX: usize = 12;
const PREFIX_RULE: &str = "1 to 12 characters A-Z and 0-9, a letter first";

/// The prefix of a project's ids, e.g. `ET`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdPrefix(String);

impl IdPrefix {
    /// The prefix made of a tracker's project identifier, which may hold blanks, slashes and any alphabet: letters
    /// are transliterated and upper-cased, the rest is dropped, a leading digit gets a `P` before it.
    ///
    /// # Errors
    /// Nothing usable is left.
    pub fn from_identifier(identifier: &str) -> Result<IdPrefix, BadName> {
        let mut out = String::new();
        for c in identifier.chars().take(200).flat_map(char::to_lowercase) {
            match letters(c) {
                Letters::Ascii(c) => out.push(c.to_ascii_uppercase()),
                Letters::Text(text) => out.push_str(&text.to_ascii_uppercase()),
                Letters::Gap | Letters::Nothing => {}
            }
        }
        if out.starts_with(|c: char| c.is_ascii_digit()) {
            out.insert(0, 'P');
        }
        out.truncate(PREFIX_MAX);
        if out.is_empty() { Err(BadName::new("id prefix", identifier, PREFIX_RULE)) } else { Ok(IdPrefix(out)) }
    }

    /// The text, e.g. `ET`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdPrefix {
    type Err = BadName;
    fn from_str(s: &str) -> Result<Self, BadName> {
        let fits = (1..=PREFIX_MAX).contains(&s.len())
            && s.starts_with(|c: char| c.is_ascii_uppercase())
            && s.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if fits { Ok(IdPrefix(s.to_owned())) } else { Err(BadName::new("id prefix", s, PREFIX_RULE)) }
    }
}

impl fmt::Display for IdPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
stored_as_text!(IdPrefix);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_become_prefixes() {
        let rows = [
            ("ET", "ET"),
            ("et", "ET"),
            ("My Team/Ops", "MYTEAMOPS"),
            ("Проект Я", "PROEKTYA"),
            ("2024-web", "P2024WEB"),
            ("a_very_long_identifier", "AVERYLONGIDE"),
            ("Ünï", "UENI"),
        ];
        for (given, want) in rows {
            assert_eq!(IdPrefix::from_identifier(given).unwrap().as_str(), want, "{given}");
        }
        for bad in ["", " / ", "日本", "--"] {
            assert!(IdPrefix::from_identifier(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn prefixes_are_validated() {
        assert_eq!("A1".parse::<IdPrefix>().unwrap().to_string(), "A1");
        for bad in ["", "a", "1A", "A-B", "A/B", "Я", "ABCDEFGHIJKLM", "A\n"] {
            assert!(bad.parse::<IdPrefix>().is_err(), "{bad}");
        }
    }
}

//! Where the block begins and ends, and which of its lines belong to a key.

use super::FrontMatterError;
use super::value;

const MARK: &str = "---";
/// Languages of a code fence that may hold a front matter.
const FENCE_LANGUAGES: [&str; 6] = ["", "yaml", "yml", "markdown", "md", "text"];
/// Those that may hold it without its `---` lines.
const YAML: [&str; 2] = ["yaml", "yml"];

/// The lines of a front matter.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Block {
    lines: Vec<String>,
}

/// A fence that was opened: its character and how many of them.
#[derive(Clone, Copy)]
struct Fence {
    mark: char,
    length: usize,
}

/// The first block of a text, what follows it, and whether it stands in a code fence.
pub(super) fn first(text: &str) -> Result<(Block, &str, bool), FrontMatterError> {
    let (opening, headed) = skip_to_opening(text);
    let (line, rest) = next_line(opening);
    let (block, rest, fenced) = if let Some((fence, language)) = opened(line) {
        let (block, rest) = in_fence(rest, fence, &language)?;
        (block, rest, true)
    } else if line.trim_end() == MARK {
        let (block, rest) = until(rest, |line| line.trim_end() == MARK).ok_or(FrontMatterError::Unclosed)?;
        (block, rest, false)
    } else {
        return Err(FrontMatterError::Missing);
    };
    // Below a heading, a `---` line may as well be a rule between paragraphs.
    if headed && !block.begins_with_a_key() {
        return Err(FrontMatterError::Missing);
    }
    Ok((block, rest, fenced))
}

/// Past blank lines and at most one heading.
fn skip_to_opening(text: &str) -> (&str, bool) {
    let text = skip_blank(text);
    let (line, rest) = next_line(text);
    let marks = line.chars().take_while(|c| *c == '#').count();
    let is_heading = (1..=6).contains(&marks) && line.chars().nth(marks).is_none_or(char::is_whitespace);
    if is_heading { (skip_blank(rest), true) } else { (text, false) }
}

/// The block inside a fence at the top: between `---` lines, or the whole of one that says it is YAML. What follows the
/// block inside the fence is text, like what follows the fence.
fn in_fence<'a>(text: &'a str, fence: Fence, language: &str) -> Result<(Block, &'a str), FrontMatterError> {
    let inner = skip_blank(text);
    let (line, rest) = next_line(inner);
    if line.trim_end() != MARK {
        let yaml = YAML.contains(&language);
        return if yaml {
            until(text, |line| fence.closed_by(line)).ok_or(FrontMatterError::Unclosed)
        } else {
            Err(FrontMatterError::Missing)
        };
    }
    let ends = |line: &str| line.trim_end() == MARK || fence.closed_by(line);
    let (block, rest) = until(rest, ends).ok_or(FrontMatterError::Unclosed)?;
    let (line, after) = next_line(skip_blank(rest));
    Ok((block, if fence.closed_by(line) { after } else { rest }))
}

fn opened(line: &str) -> Option<(Fence, String)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let language = line.trim_start_matches(mark).trim().to_ascii_lowercase();
    (length >= 3 && FENCE_LANGUAGES.contains(&language.as_str())).then_some((Fence { mark, length }, language))
}

impl Fence {
    fn closed_by(self, line: &str) -> bool {
        let line = line.trim();
        line.chars().all(|c| c == self.mark) && line.chars().count() >= self.length
    }
}

/// The lines up to the one that ends them, and what follows that.
fn until(text: &str, ends: impl Fn(&str) -> bool) -> Option<(Block, &str)> {
    let (mut lines, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (line, after) = next_line(rest);
        if ends(line) {
            return Some((Block { lines }, after));
        }
        lines.push(line.to_owned());
        rest = after;
    }
    None
}

fn next_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

fn skip_blank(mut text: &str) -> &str {
    while let (line, rest) = next_line(text)
        && line.trim().is_empty()
        && !text.is_empty()
    {
        text = rest;
    }
    text
}

impl Block {
    /// The values of every line at the top level that begins with this key, in their order.
    pub fn deciding(&self, key: &str) -> Vec<String> {
        self.of_key(key).map(|(at, value)| value::deciding(value, &self.below(at))).collect()
    }

    /// The whole text of the first such line.
    pub fn text(&self, key: &str) -> Option<String> {
        let (at, value) = self.of_key(key).next()?;
        Some(value::text(value, &self.paragraph(at)))
    }

    fn begins_with_a_key(&self) -> bool {
        self.lines.iter().find(|line| !line.trim().is_empty()).is_some_and(|line| value::key_of(line.trim()).is_some())
    }

    fn of_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let top = self.lines.iter().find(|line| !line.trim().is_empty()).map_or(0, |line| indent(line));
        let mut code: Option<Fence> = None;
        self.lines.iter().enumerate().filter_map(move |(at, line)| {
            let is_code = code.is_some();
            code = match code {
                Some(fence) if fence.closed_by(line) => None,
                Some(fence) => Some(fence),
                None => code_begins(line.trim_start()),
            };
            if is_code || indent(line) > top {
                return None;
            }
            value::of_key(line.trim_start(), key).map(|value| (at, value))
        })
    }

    /// The lines below that are indented deeper, or blank.
    fn below(&self, at: usize) -> Vec<&str> {
        let own = self.lines.get(at).map_or(0, |line| indent(line));
        self.rest(at).take_while(|line| line.trim().is_empty() || indent(line) > own).collect()
    }

    /// The lines below up to the next key.
    fn paragraph(&self, at: usize) -> Vec<&str> {
        let own = self.lines.get(at).map_or(0, |line| indent(line));
        self.rest(at).take_while(|line| indent(line) > own || value::key_of(line.trim_start()).is_none()).collect()
    }

    fn rest(&self, at: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(at.saturating_add(1)).map(String::as_str)
    }
}

fn code_begins(line: &str) -> Option<Fence> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    (length >= 3).then_some(Fence { mark, length })
}

fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).count()
}

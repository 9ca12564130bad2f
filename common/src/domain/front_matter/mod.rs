//! The front matter of an agent's report: the only part of it that decides anything. A key that decides is found by
//! its own line; the rest of the block is text, so no reason, however it is written, makes a verdict unreadable. The
//! text below the block, quotes and code blocks are never searched.

mod block;
mod value;

use block::Block;

/// Why there are no values to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontMatterError {
    #[error("the file does not begin with a '---' line")]
    Missing,
    #[error("the front matter is not closed by a second '---' line")]
    Unclosed,
    #[error("no '{key}:' line in the front matter")]
    NoLine { key: &'static str },
    #[error("the front matter has two different '{key}:' lines: '{first}' and '{second}'")]
    Ambiguous { key: &'static str, first: String, second: String },
}

/// The block at the top of a report, and the text below it.
#[derive(Debug, Clone, PartialEq)]
pub struct FrontMatter {
    block: Block,
    /// A second block right below one that stood in a code fence: the fence may have been an example.
    rival: Option<Block>,
    body: String,
}

impl FrontMatter {
    /// The value of a key that decides: one line of its own at the top level, without quotes, emphasis, a comment or a
    /// full stop around it.
    ///
    /// # Errors
    /// There is no such line, or there are two that do not say the same.
    pub fn deciding(&self, key: &'static str) -> Result<String, FrontMatterError> {
        let mut found = [Some(&self.block), self.rival.as_ref()].into_iter().flatten().flat_map(|b| b.deciding(key));
        let first = found.next().ok_or(FrontMatterError::NoLine { key })?;
        match found.find(|other| !value::same(other, &first)) {
            Some(second) => Err(FrontMatterError::Ambiguous { key, first: short(&first), second: short(&second) }),
            None => Ok(first),
        }
    }

    /// The text of a key, all its lines; for people.
    pub fn text(&self, key: &str) -> Option<String> {
        self.block.text(key).filter(|text| !text.is_empty())
    }

    /// What follows the block. For people; no decision may rest on it.
    pub fn body(&self) -> &str {
        &self.body
    }
}

/// Finds the block between two `---` lines at the top of the file. Before it, blank lines and one heading are fine; it
/// may stand in a code fence.
///
/// # Errors
/// There is no such block, or it has no end.
pub fn parse(text: &str) -> Result<FrontMatter, FrontMatterError> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let (block, rest, fenced) = block::first(&text)?;
    let rival = if fenced { block::first(rest).ok().map(|(rival, _, _)| rival) } else { None };
    Ok(FrontMatter { block, rival, body: rest.to_owned() })
}

/// Whether two values of a key that decides say the same.
pub fn same(value: &str, other: &str) -> bool {
    value::same(value, other)
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;

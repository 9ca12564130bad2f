//! What people write in Plane, as Markdown: for the agents, who are to get all of it, and for the reader of commands, who
//! is to see what a person sees. Plane sends HTML, and nothing in it is to be trusted: [`tree`] reads a bounded part of
//! it into a bounded tree, [`markdown`] writes that down. Neither knows of work items or services.

mod inline;
mod markdown;
mod table;
#[cfg(test)]
mod tests;
mod tree;

use tree::Tree;

/// Something shown in a text that is not text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// For people; may be empty.
    pub name: String,
    /// As it stands in the text: a URL, or the id of a file that Plane keeps.
    pub address: String,
}

/// A text with what is shown in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Markdown.
    pub text: String,
    pub pictures: Vec<Picture>,
}

/// Everything that `html` shows; `name_of` names the people who are mentioned by their ids.
pub fn page(html: &str, name_of: &dyn Fn(&str) -> Option<String>) -> Page {
    markdown::write(&Tree::of(html), markdown::Wanted { emphasis: true, name_of })
}

/// The words of a comment, without what only stresses them: a command in bold letters is one.
pub fn words(html: &str, name_of: &dyn Fn(&str) -> Option<String>) -> String {
    markdown::write(&Tree::of(html), markdown::Wanted { emphasis: false, name_of }).text
}

/// For those whom nobody can name now.
pub fn nobody(_: &str) -> Option<String> {
    None
}

/// The ids of the people who are mentioned.
pub fn mentioned(html: &str) -> Vec<String> {
    Tree::of(html).mentioned()
}

/// The beginning of a text of more than `chars` characters, and a word that there is more.
pub fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}\n\n(cut here: the work item has more)", text.get(..at).unwrap_or_default()),
    }
}

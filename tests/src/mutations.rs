//! The hand-made mutations of `tests/mutations/list.toml`: read, and checked against the source.

use serde::Deserialize;
use std::path::Path;

/// One rule, the change that breaks it, and the test that notices.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    /// The section of docs/TESTING.md.
    pub section: u8,
    pub rule: String,
    /// The file that is changed, from the top of the checkout.
    pub file: String,
    /// What is changed, in words.
    pub change: String,
    /// Text that is there exactly once, and what is put in its place.
    pub find: String,
    pub put: String,
    /// Where the test is: `common`, `api`, `worker` (unit tests) or `e2e`.
    pub place: String,
    /// The test's name as cargo prints it.
    pub test: String,
    /// Nobody has seen the test die of it yet.
    #[serde(default)]
    pub untried: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

impl Mutation {
    /// The changed text of its file.
    ///
    /// # Errors
    /// A sentence, where the entry is stale.
    pub fn applied(&self, root: &Path) -> Result<String, String> {
        let source = std::fs::read_to_string(root.join(&self.file)).map_err(|e| format!("{}: {e}", self.file))?;
        match source.matches(&self.find).count() {
            1 if self.find != self.put => Ok(source.replacen(&self.find, &self.put, 1)),
            1 => Err(format!("{}: nothing is changed: {}", self.file, self.change)),
            n => Err(format!("{}: what is to be changed is there {n} times: {}", self.file, self.find)),
        }
    }
}

/// All of them. Panics on a file that cannot be read: it is part of the checkout.
pub fn all(root: &Path) -> Vec<Mutation> {
    let text = std::fs::read_to_string(root.join("tests/mutations/list.toml")).expect("tests/mutations/list.toml");
    toml::from_str::<List>(&text).unwrap_or_else(|e| panic!("tests/mutations/list.toml: {e}")).mutation
}

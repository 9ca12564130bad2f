//! Tests of the whole reading: file and environment in, configuration or problems out.

mod general;
mod projects;
mod secrets;

use super::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An environment.
fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A configuration file in a folder of its own.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(text: &str) -> File {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orch.toml");
        std::fs::write(&path, text).unwrap();
        File { _folder: folder, path }
    }

    fn beside(&self, name: &str, text: &str) -> String {
        let path = self.path.with_file_name(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn load(text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    Config::load(Some(&File::new(text).path), &env(pairs))
}

/// The problems as a person reads them, without the file's folder.
fn problems(text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
    let file = File::new(text);
    let error = Config::load(Some(&file.path), &env(pairs)).unwrap_err();
    let folder = file.path.parent().map(Path::to_str).unwrap().unwrap();
    error.problems.iter().map(|p| p.to_string().replace(&format!("{folder}/"), "")).collect()
}

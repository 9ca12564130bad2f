//! The operator's own texts: a folder of templates by the messages' names.

use orch_common::config::{Config, nearest};
use orch_common::domain::messages::{BadTemplate, Locale, Message};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// No text is anywhere near.
const LARGEST: u64 = 64 * 1024;
/// How the files' names end; others in the folder are somebody's notes.
const ENDING: &str = "txt";

/// Why the texts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("worker.templates_dir: {path}: {why}", path = path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("worker.templates_dir: {0}{hint}", hint = hint(.0))]
    Bad(#[from] BadTemplate),
}

/// A slip of the pen is named.
fn hint(bad: &BadTemplate) -> String {
    let BadTemplate::UnknownName { name, .. } = bad else { return String::new() };
    let near = nearest(name, Message::ALL_NAMES.iter().copied());
    near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default()
}

/// The language of the texts.
pub fn locale(config: &Config) -> Locale {
    match config.worker.locale {
        orch_common::config::Locale::En => Locale::En,
        orch_common::config::Locale::Ru => Locale::Ru,
    }
}

/// The folder's templates, by the names of their messages.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn read(folder: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let unreadable = |path: &Path, why: String| TemplateError::Unreadable { path: path.to_owned(), why };
    let failed = |e: io::Error| unreadable(folder, e.to_string());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            continue;
        }
        // The operator's own: a link is followed.
        let text = read_at_most(&path).map_err(|e| unreadable(&path, e.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| unreadable(&path, "it is not UTF-8".into()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        found.insert(name, text);
    }
    Ok(found)
}

fn read_at_most(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {LARGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Rules;

    fn rules(folder: &Path) -> Result<Rules, TemplateError> {
        let mut config = Config::default();
        config.worker.templates_dir = Some(folder.to_owned());
        Rules::new(config)
    }

    #[test]
    fn texts_of_the_folder_take_the_place_of_the_built_in_ones() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("resumed.txt"), "Weiter geht es.\n").unwrap();
        fs::write(folder.path().join("README.md"), "{{ these are notes").unwrap();
        let rules = rules(folder.path()).unwrap();
        assert_eq!(rules.catalogue.render(&Message::Resumed), "Weiter geht es.");
        assert!(rules.catalogue.render(&Message::Paused).starts_with("Paused"));
    }

    #[test]
    fn what_is_wrong_with_them_is_said_with_the_file_and_the_nearest_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resumd.txt");
        fs::write(&path, "x").unwrap();
        let said = rules(folder.path()).err().unwrap().to_string();
        assert!(said.contains("no message 'resumd'") && said.ends_with("(did you mean resumed?)"), "{said}");
        fs::write(&path, b"\xff").unwrap();
        let said = rules(folder.path()).err().unwrap().to_string();
        assert!(said.contains("resumd.txt: it is not UTF-8"), "{said}");
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("approved.txt"), "{{ reason }}").unwrap();
        let said = rules(folder.path()).err().unwrap().to_string();
        assert!(said.contains("'approved' cannot be used: unknown variable reason; its variables: to"), "{said}");
        let said = rules(&folder.path().join("none")).err().unwrap().to_string();
        assert!(said.contains("none: No such file"), "{said}");
    }
}

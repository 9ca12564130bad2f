//! Where values are looked for, in this order: the variable, its `*_FILE`, a systemd credential (for an operator: where
//! systemd takes it from), the file, the default. What is wrong is collected, never returned early.

use super::credentials::{self, Stores};
use super::declare::{Section, SettingDoc};
use super::error::{Origin, Problem, nearest};
use super::value::Setting;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The environment and the file, and what was found wrong with them so far.
pub(super) struct Source<'a> {
    env: &'a BTreeMap<String, String>,
    file: Option<(&'a Path, &'a toml::Table)>,
    /// Folders in which the services' credentials lie, where an operator's program looks for them.
    stores: &'a Stores,
    secret_in_file: bool,
    /// Reasons not to start.
    pub problems: Vec<Problem>,
    /// Things an operator should hear about.
    pub warnings: Vec<String>,
    /// A folder of credentials that this user may not read.
    pub hidden: Option<PathBuf>,
}

impl<'a> Source<'a> {
    pub fn new(
        env: &'a BTreeMap<String, String>,
        file: Option<(&'a Path, &'a toml::Table)>,
        stores: &'a Stores,
    ) -> Self {
        let (problems, warnings) = (Vec::new(), Vec::new());
        Source { env, file, stores, secret_in_file: false, problems, warnings, hidden: None }
    }

    /// The value of one setting, or its default where nothing (or nothing usable) is set.
    pub fn setting<T: Setting>(&mut self, doc: &SettingDoc, default: T, rule: fn(&T::Item) -> bool) -> T {
        let allowed = |value: Option<T>| value.filter(|v| v.obeys(rule));
        if let Some((text, origin)) = self.text_of(doc) {
            return match allowed(T::from_text(&text)) {
                Some(value) => value,
                None if T::LENIENT => {
                    let found = bad_value(doc, &text, origin);
                    self.warnings.push(format!("{found}; the default {} is used", doc.default));
                    default
                }
                None => self.refuse(bad_value(doc, &text, origin), default),
            };
        }
        let Some((path, value)) = self.file.and_then(|(path, table)| Some((path, lookup(table, doc)?))) else {
            return default;
        };
        self.secret_in_file |= doc.secret;
        match allowed(T::from_toml(value)) {
            Some(value) => value,
            None => self.refuse(bad_value(doc, &shown(value), Origin::File(path.to_owned())), default),
        }
    }

    /// A variable's value; blank counts as not set.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.env.get(name).map(String::as_str).filter(|text| !text.trim().is_empty())
    }

    fn refuse<T>(&mut self, problem: Problem, default: T) -> T {
        self.problems.push(problem);
        default
    }

    /// The text for a setting from outside the file.
    fn text_of(&mut self, doc: &SettingDoc) -> Option<(String, Origin)> {
        let direct = self.variable(doc.env);
        if !doc.secret {
            return direct.map(|text| (text.to_owned(), Origin::Variable(doc.env.to_owned())));
        }
        let file_variable = format!("{}_FILE", doc.env);
        match (direct, self.variable(&file_variable)) {
            (Some(_), Some(_)) => {
                self.problems.push(Problem::SetTwice { name: doc.env.to_owned() });
                None
            }
            (Some(text), None) => Some((text.to_owned(), Origin::Variable(doc.env.to_owned()))),
            (None, Some(path)) => self.secret_file(file_variable, PathBuf::from(path)),
            (None, None) => {
                let name = credential_name(doc.env);
                let own = self.variable("CREDENTIALS_DIRECTORY").map(|folder| Path::new(folder).join(&name));
                if let Some(path) = own.filter(|path| path.exists()) {
                    return self.secret_file("CREDENTIALS_DIRECTORY".to_owned(), path);
                }
                match self.stored(&name) {
                    Some(path) => self.secret_file("LoadCredential".to_owned(), path),
                    None => self.encrypted(&name),
                }
            }
        }
    }

    /// The file from which systemd would give the services a credential.
    fn stored(&mut self, name: &str) -> Option<PathBuf> {
        for store in &self.stores.plain {
            let path = store.join(format!("orch.{name}"));
            match std::fs::File::open(&path) {
                Ok(_) => return Some(path),
                Err(error) if error.kind() == ErrorKind::PermissionDenied => self.hidden = Some(store.clone()),
                Err(_) => {}
            }
        }
        None
    }

    /// A credential that lies encrypted (`LoadCredentialEncrypted=`): its key is the machine's, and systemd's own tool has it. One
    /// that cannot be decrypted does not keep an operator from looking; it is said.
    fn encrypted(&mut self, name: &str) -> Option<(String, Origin)> {
        for store in &self.stores.encrypted {
            let path = store.join(format!("orch.{name}"));
            match std::fs::File::open(&path) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    self.hidden = Some(store.clone());
                    continue;
                }
                Err(_) => continue,
            }
            match credentials::decrypt(&self.stores.decrypts, name, &path) {
                Ok(text) => {
                    let origin = Origin::SecretFile { variable: "LoadCredentialEncrypted".to_owned(), path };
                    return Some((text.trim().to_owned(), origin));
                }
                Err(why) => {
                    let path = path.display();
                    self.warnings
                        .push(format!("{path} cannot be decrypted, and its secret counts as not set here: {why}"));
                }
            }
        }
        None
    }

    fn secret_file(&mut self, variable: String, path: PathBuf) -> Option<(String, Origin)> {
        let read = std::fs::read_to_string(&path);
        let origin = Origin::SecretFile { variable, path };
        match read {
            Ok(text) => Some((text.trim().to_owned(), origin)),
            Err(error) => {
                self.problems.push(Problem::Unreadable { origin, why: error.to_string() });
                None
            }
        }
    }

    /// Refuses tables and keys of the file that nobody reads. `lists` are further top-level names.
    pub fn refuse_unknown_keys(&mut self, sections: &[Section], lists: &[&str]) {
        let Some((path, table)) = self.file else { return };
        let names: Vec<&str> = sections.iter().map(|s| s.name).chain(lists.iter().copied()).collect();
        for (name, value) in table {
            match (sections.iter().find(|s| s.name == name), value.as_table()) {
                (Some(section), Some(keys)) => self.refuse_unknown_in(path, section, keys),
                (Some(_), None) => self.problems.push(Problem::BadValue {
                    key: name.clone(),
                    value: value.type_str().to_owned(),
                    allowed: format!("a table, [{name}]"),
                    origin: Origin::File(path.to_owned()),
                }),
                (None, _) if lists.contains(&name.as_str()) => {}
                (None, _) => self.problems.push(unknown_key(name, name, &names, path)),
            }
        }
    }

    fn refuse_unknown_in(&mut self, path: &Path, section: &Section, keys: &toml::Table) {
        let known: Vec<&str> = section.settings.iter().map(|s| s.key).collect();
        for key in keys.keys().filter(|key| !known.contains(&key.as_str())) {
            self.problems.push(unknown_key(&format!("{}.{key}", section.name), key, &known, path));
        }
    }

    /// Warns about a file that holds a secret and that everybody on the machine may read.
    pub fn warn_open_file(&mut self) {
        let Some((path, _)) = self.file.filter(|_| self.secret_in_file) else { return };
        if std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o004 != 0) {
            self.warnings.push(format!("{} holds a secret and is readable by everybody: chmod o-r", path.display()));
        }
    }

    /// Warns about `ORCH_*` variables that nobody reads.
    pub fn warn_unknown_variables(&mut self, sections: &[Section], others: &[&str]) {
        let settings = || sections.iter().flat_map(|s| s.settings);
        let known: Vec<&str> = settings().map(|s| s.env).chain(others.iter().copied()).collect();
        let is_file = |name: &str| settings().any(|s| s.secret && name.strip_suffix("_FILE") == Some(s.env));
        for name in self.env.keys().filter(|n| n.starts_with("ORCH_")) {
            if known.contains(&name.as_str()) || is_file(name) {
                continue;
            }
            let hint = nearest(name, known.iter().copied()).map(|k| format!(", did you mean {k}?")).unwrap_or_default();
            self.warnings.push(format!("unknown variable {name}{hint}"));
        }
    }
}

/// `ORCH_PLANE_API_TOKEN` -> `plane_api_token`.
pub(super) fn credential_name(env: &str) -> String {
    env.trim_start_matches("ORCH_").to_ascii_lowercase()
}

fn lookup<'t>(table: &'t toml::Table, doc: &SettingDoc) -> Option<&'t toml::Value> {
    table.get(doc.section)?.as_table()?.get(doc.key)
}

fn bad_value(doc: &SettingDoc, value: &str, origin: Origin) -> Problem {
    let shown = if doc.secret { "***".to_owned() } else { without_user(value).chars().take(120).collect() };
    Problem::BadValue {
        key: format!("{}.{}", doc.section, doc.key),
        value: shown,
        allowed: doc.allowed.to_owned(),
        origin,
    }
}

/// An address without what stands before `@`: somebody may have put a password there.
fn without_user(text: &str) -> String {
    match text.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://***@{host}"),
        Some((_, None)) | None => text.to_owned(),
    }
}

fn unknown_key(key: &str, given: &str, known: &[&str], path: &Path) -> Problem {
    Problem::UnknownKey {
        key: key.to_owned(),
        origin: Origin::File(path.to_owned()),
        allowed: known.iter().map(|k| (*k).to_owned()).collect(),
        suggestion: nearest(given, known.iter().copied()).map(str::to_owned),
    }
}

/// A value of the file as a person wrote it, near enough.
fn shown(value: &toml::Value) -> String {
    value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string())
}

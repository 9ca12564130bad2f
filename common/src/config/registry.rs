//! The registry of projects: reads the entries of the file, refuses what is unusable or double, finds a project
//! by what a webhook says.

use super::error::{Problem, nearest};
use super::projects::{CommandLine, Project, StartRule};
use crate::domain::checks::OWN_CONTEXT_PREFIX;
use crate::domain::gate::Gate;
use crate::domain::names::IdPrefix;
use crate::domain::pipeline::Pipeline;
use crate::domain::stage::Stage;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use std::collections::BTreeSet;

/// All projects, each Plane project and each repository at most once.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Projects(Vec<Project>);

impl Projects {
    /// Reads `[[projects]]`; every unusable entry becomes a problem. `owner` completes a repository that is
    /// named without one.
    pub(super) fn read(list: &toml::Value, owner: Option<&str>, problems: &mut Vec<Problem>) -> Projects {
        let Some(entries) = list.as_array() else {
            problems.push(Problem::Project {
                place: "projects".to_owned(),
                why: format!("{}: allowed: a list of tables, [[projects]]", list.type_str()),
            });
            return Projects::default();
        };
        let mut usable = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let mut faults = Faults::default();
            let project = read_project(entry, owner, &mut faults);
            if faults.0.is_empty() {
                usable.extend(project);
            }
            problems.extend(faults.0.into_iter().map(|why| Problem::Project { place: place(index, entry), why }));
        }
        problems.extend(doubles(&usable));
        Projects(usable)
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Project> {
        self.0.iter()
    }

    /// No webhook will be of interest.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The project of a Plane project id.
    pub fn by_plane(&self, plane_project: &str) -> Option<&Project> {
        self.iter().find(|p| p.plane_project.eq_ignore_ascii_case(plane_project))
    }

    /// The project of a repository, `owner/name`.
    pub fn by_repo(&self, full_name: &str) -> Option<&Project> {
        self.iter().find(|p| p.repo.eq_ignore_ascii_case(full_name))
    }

    /// The project whose work items begin with `prefix`.
    pub fn by_prefix(&self, prefix: &str) -> Option<&Project> {
        self.iter().find(|p| p.id_prefix.eq_ignore_ascii_case(prefix))
    }
}

/// `projects[2] (ET)`, counted from 1.
fn place(index: usize, entry: &toml::Value) -> String {
    let prefix = entry.get("id_prefix").and_then(toml::Value::as_str);
    format!("projects[{}]{}", index + 1, prefix.map(|p| format!(" ({p})")).unwrap_or_default())
}

/// What is wrong with an entry, all of it.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn require(&mut self, holds: bool, key: &str, value: &str, allowed: &str) {
        if !holds {
            self.0.push(bad(key, value, allowed));
        }
    }
}

/// Every use of a key that only one project may have, but for the first.
fn doubles(projects: &[Project]) -> Vec<Problem> {
    let mut found = Vec::new();
    for (what, key) in [
        ("plane_project", (|p| p.plane_project.to_lowercase()) as fn(&Project) -> String),
        ("repo", |p| p.repo.to_lowercase()),
        ("id_prefix", |p| p.id_prefix.to_lowercase()),
    ] {
        let mut seen = BTreeSet::new();
        for double in projects.iter().filter(|p| !seen.insert(key(p))) {
            let why = format!("{what} = {} is used twice; allowed: once", key(double));
            found.push(Problem::Project { place: format!("projects ({})", double.id_prefix), why });
        }
    }
    found
}

/// The project as far as its values can be read; usable where no fault was found.
fn read_project(entry: &toml::Value, owner: Option<&str>, faults: &mut Faults) -> Option<Project> {
    let Some(table) = entry.as_table() else {
        faults.0.push(format!("{}: allowed: a table", entry.type_str()));
        return None;
    };
    let readable = readable(table, faults);
    let mut project = Project::deserialize(toml::Value::Table(readable)).ok()?;
    match uuid::Uuid::parse_str(&project.plane_project) {
        Ok(uuid) => project.plane_project = uuid.to_string(),
        Err(_) => faults.require(false, "plane_project", &project.plane_project, "a UUID"),
    }
    match owner {
        _ if project.repo.contains('/') => check_repo(&project.repo, faults),
        Some(owner) => {
            project.repo = format!("{owner}/{}", project.repo);
            check_repo(&project.repo, faults);
        }
        None => {
            faults.require(false, "repo", &project.repo, "owner/name, or a name alone where gitea.owner is set");
        }
    }
    check_names(&project, faults);
    check_rules(&project, faults);
    check_limits(&project, faults);
    Some(project)
}

/// The values that can be read; a placeholder for each needed key that has none, so that one fault hides no other.
fn readable(table: &toml::Table, faults: &mut Faults) -> toml::Table {
    let needed = [("plane_project", uuid::Uuid::nil().to_string()), ("repo", "a/b".into()), ("id_prefix", "A".into())];
    let sound: toml::Table = needed.iter().map(|(key, text)| ((*key).to_owned(), text.clone().into())).collect();
    let mut readable = sound.clone();
    for (key, value) in table {
        let alone = || {
            let mut alone = sound.clone();
            alone.insert(key.clone(), value.clone());
            Project::deserialize(toml::Value::Table(alone)).map_err(|error| in_one_line(&error))
        };
        match known_key(key).and_then(|()| secret_env(key, value)).and_then(|()| alone()) {
            Ok(_) => drop(readable.insert(key.clone(), value.clone())),
            Err(why) => faults.0.push(why),
        }
    }
    let missing = needed.iter().map(|(key, _)| *key).filter(|key| !table.contains_key(*key));
    faults.0.extend(missing.map(|key| format!("missing field `{key}`")));
    readable
}

fn check_repo(repo: &str, faults: &mut Faults) {
    let fine = repo.split_once('/').is_some_and(|(owner, name)| is_repo_part(owner) && is_repo_part(name));
    faults.require(fine, "repo", repo, "owner/name of letters, digits, -, _ and .");
}

fn check_names(p: &Project, faults: &mut Faults) {
    if !is_prefix(&p.id_prefix) {
        let allowed = "1 to 24 letters, digits, - and _, the first a letter";
        faults.require(false, "id_prefix", &p.id_prefix, allowed);
    } else if let Err(error) = IdPrefix::from_identifier(&p.id_prefix) {
        faults.0.push(format!("id_prefix: {error}"));
    }
    faults.require(is_branch(&p.default_branch), "default_branch", &p.default_branch, "a git branch name");
    for id in &p.approvers {
        faults.require(uuid::Uuid::parse_str(id).is_ok(), "approvers", id, "Plane user ids (UUIDs)");
    }
    for name in &p.reviewers {
        let login = name.strip_prefix("team:").unwrap_or(name);
        let allowed = "logins at the forge, or team:NAME";
        faults.require(is_repo_part(login), "reviewers", name, allowed);
    }
    for check in &p.required_checks {
        let fine = !blank(check) && check.chars().count() <= 255 && !check.starts_with(OWN_CONTEXT_PREFIX);
        faults.require(fine, "required_checks", check, "names or patterns of contexts, none of Orch's own (orch/...)");
    }
    for name in p.env.keys() {
        faults.require(is_variable(name), "env", name, "names of letters, digits and _ that do not begin with ORCH_");
    }
    for name in p.artifacts.all() {
        faults.require(is_file_name(name), "artifacts", name, "plain file names");
    }
    for path in &p.protected_paths {
        faults.require(is_inside(path), "protected_paths", path, "paths inside the repository");
    }
    for path in &p.test_caches {
        faults.require(
            is_cache(path),
            "test_caches",
            path,
            "relative paths of folders, without ., .. and .git, at most 200 bytes",
        );
    }
    for model in p.models.values() {
        faults.require(!blank(model) && !model.starts_with('-'), "models", model, "a model's name or alias");
    }
}

fn check_rules(p: &Project, faults: &mut Faults) {
    let command = p.test_command.as_ref();
    let runnable = command.is_none_or(|c| match c {
        CommandLine::Shell(text) => !blank(text),
        CommandLine::Program(argv) => argv.first().is_some_and(|program| !blank(program)),
    });
    faults.require(runnable, "test_command", "", "a command line as text, or a list of a program and its arguments");
    let start = match &p.start {
        StartRule::Created => "-",
        StartRule::Label(name) | StartRule::State(name) => name,
    };
    faults.require(!blank(start), "start", start, "\"created\", { label = \"...\" } or { state = \"...\" }");
    for name in p.states.values().chain(p.commands_by_state.values().flat_map(|names| names.as_slice())) {
        faults.require(!blank(name) && name.chars().count() <= 255, "states", name, "names of 1 to 255 characters");
    }
    for (key, gate, allowed) in [
        ("development_gate", p.development_gate, &[Gate::TestsLocal, Gate::CiGreen][..]),
        ("review_gate", p.review_gate, &[Gate::ReviewerVerdict, Gate::ReviewApproved]),
        ("deploy_gate", p.deploy_gate, &[Gate::PrMerged]),
    ] {
        let Some(gate) = gate else { continue };
        let names = allowed.iter().map(|g| g.as_str()).collect::<Vec<_>>().join(", ");
        faults.require(allowed.contains(&gate), key, gate.as_str(), &names);
        faults.require(p.pipeline.is_none(), key, gate.as_str(), "not beside pipeline, which names its gates itself");
    }
    if let Some(steps) = &p.pipeline {
        let stages: Vec<Stage> = steps.iter().map(|step| step.stage).collect();
        let shown = stages.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", ");
        let ends = stages.first() == Some(&Stage::Created) && !stages.contains(&Stage::Done);
        let ordered = stages.iter().zip(stages.iter().skip(1)).all(|(a, b)| a < b);
        let allowed = "stages in the order of the default pipeline, created first, each once, done left out";
        let fine = ends && ordered && stages.len() > 1;
        faults.require(fine, "pipeline", &shown, allowed);
        if let Some(error) = Pipeline::new(steps.clone()).err().filter(|_| fine) {
            faults.0.push(format!("pipeline: {error}"));
        }
    }
}

fn check_limits(p: &Project, faults: &mut Faults) {
    let week = |s: &u64| (1..=604_800).contains(s);
    let limits = &p.limits;
    let seconds = limits.agent_timeout_s.iter().chain(limits.timeout_overrides.values()).chain([&p.test_timeout_s]);
    for s in seconds {
        faults.require(week(s), "a time limit", &s.to_string(), "1 to 604800 seconds");
    }
    if let Some(cap) = limits.role_run_cap {
        faults.require((1..=100).contains(&cap), "limits.role_run_cap", &cap.to_string(), "1 to 100");
    }
    let b = &p.budget;
    for usd in [b.run_usd, b.task_usd, b.usd_per_day].into_iter().flatten() {
        faults.require((0.01..=1_000_000.0).contains(&usd), "budget", &usd.to_string(), "0.01 to 1000000 US dollars");
    }
    for count in [b.run_turns, b.task_runs].into_iter().flatten() {
        faults.require((1..=100_000).contains(&count), "budget", &count.to_string(), "1 to 100000");
    }
    for tokens in [b.run_tokens, b.task_tokens, b.tokens_per_day].into_iter().flatten() {
        let sane = (1..=1_000_000_000_000).contains(&tokens);
        faults.require(sane, "budget", &tokens.to_string(), "1 to 1000000000000 tokens");
    }
}

fn bad(key: &str, value: &str, allowed: &str) -> String {
    let shown: String = value.chars().take(120).collect();
    format!("{key} = {shown:?}: allowed: {allowed}")
}

fn blank(text: &str) -> bool {
    text.trim().is_empty() || text.chars().any(char::is_control)
}

/// The name of an owner or of a repository at the forge; safe as one part of a path.
pub(super) fn is_repo_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 100 && !text.starts_with(['-', '.']) && text.chars().all(plain)
}

fn is_prefix(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.len() <= 24 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(plain)
}

/// The rules of `git check-ref-format`, a little stricter.
fn is_branch(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+');
    let part = |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock");
    text.len() <= 200
        && text.chars().all(plain)
        && !text.contains("..")
        && !text.ends_with('.')
        && text.split('/').all(part)
}

fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(plain)
        && !name.starts_with("ORCH_")
}

fn is_file_name(name: &str) -> bool {
    !blank(name) && !name.contains(['/', '\\']) && !name.starts_with(['.', '-'])
}

fn is_inside(path: &str) -> bool {
    !blank(path) && !path.starts_with(['/', '-']) && path.split('/').all(|part| part != "..")
}

/// A path that is spelt in one way only, and leads to no part of git's own folder.
fn is_cache(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !matches!(part.to_lowercase().as_str(), "." | ".." | ".git");
    !blank(path) && path.len() <= 200 && !path.contains('\\') && path.split('/').all(part)
}

/// serde's message and the place, without the line breaks it is laid out with.
pub(super) fn in_one_line(error: &toml::de::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Refuses an `env` of another shape before serde can quote what it found there.
fn secret_env(key: &str, value: &toml::Value) -> Result<(), String> {
    let texts = value.as_table().is_some_and(|table| table.values().all(toml::Value::is_str));
    if key != "env" || texts {
        return Ok(());
    }
    Err(bad(key, "***", "a table of texts, e.g. { RUST_LOG = \"info\" }"))
}

/// Refuses a key that [`Project`] has not, with the one that was perhaps meant.
fn known_key(key: &str) -> Result<(), String> {
    let known = project_keys();
    if known.contains(&key) {
        return Ok(());
    }
    let hint = nearest(key, known.iter().copied()).map(|k| format!(": did you mean {k}?")).unwrap_or_default();
    Err(format!("unknown key {key}{hint}; allowed: {}", known.join(", ")))
}

/// The keys of [`Project`], as serde knows them.
pub(super) fn project_keys() -> &'static [&'static str] {
    let mut keys: &'static [&'static str] = &[];
    // The reading itself fails, by intent: all that is wanted is the list it was asked with.
    let refused = Project::deserialize(FieldNames(&mut keys));
    debug_assert!(refused.is_err());
    keys
}

/// A deserializer that only notes which fields a struct asks for.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("noted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

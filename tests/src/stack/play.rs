//! What the scripted agent does in a test: every role does its work well unless the test says otherwise.

use orch_common::domain::stage::Role;
use orch_worker::ctl::scripted::{Deed, Script};
use std::path::Path;

/// What each role does at its first, second ... run for a work item; the last step repeats.
#[derive(Debug, Clone)]
pub struct Play(Script);

impl Default for Play {
    fn default() -> Self {
        let roles = [
            (Role::Analyst, analyses()),
            (Role::Architect, decides()),
            (Role::Developer, develops("done")),
            (Role::Reviewer, approves()),
            (Role::Tester, passes()),
            (Role::Deployer, deploys()),
        ];
        let roles = roles.into_iter().map(|(role, deeds)| (role, vec![deeds])).collect();
        Play(Script { roles })
    }
}

impl Play {
    /// The role does these steps instead.
    pub fn role(mut self, role: Role, steps: impl IntoIterator<Item = Vec<Deed>>) -> Self {
        self.0.roles.insert(role, steps.into_iter().collect());
        self
    }

    pub(super) fn write(&self, path: &Path) {
        let text = serde_json::to_vec_pretty(&self.0).expect("a script is JSON");
        // Agents may be reading it: they see the old one or the new one.
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).expect("the script can be written");
        std::fs::rename(&fresh, path).expect("the script can be replaced");
    }
}

/// One deed before others.
pub fn first(deed: Deed, then: Vec<Deed>) -> Vec<Deed> {
    std::iter::once(deed).chain(then).collect()
}

/// Does nothing until the file is there, then the rest.
pub fn after(signal: &Path, then: Vec<Deed>) -> Vec<Deed> {
    first(Deed::Until(signal.to_owned()), then)
}

pub fn write(path: &str, text: &str) -> Deed {
    Deed::Write { path: path.to_owned(), text: text.to_owned() }
}

pub fn commit(message: &str) -> Deed {
    Deed::Commit(message.to_owned())
}

/// A line more in a file: a run that repeats its words has worked all the same.
fn worked_at(folder: &str) -> Deed {
    Deed::Shell(format!("date +%s.%N >> {folder}/worked-at.txt"))
}

/// All documents of an analysis.
pub fn analyses() -> Vec<Deed> {
    let mut deeds: Vec<Deed> = ["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.md"]
        .iter()
        .map(|name| write(&format!("{{dir}}/{name}"), &format!("# {name} of {{key}}\n")))
        .collect();
    deeds.push(Deed::Shell("rm -f {dir}/01-questions.md {dir}/10-conflict.md".into()));
    deeds.push(worked_at("{dir}"));
    deeds.push(commit("{key}: analysis"));
    deeds
}

/// Questions, and no documents.
pub fn asks(question: &str) -> Vec<Deed> {
    vec![write("{dir}/01-questions.md", question), commit("{key}: questions")]
}

pub fn decides() -> Vec<Deed> {
    let decision = write("{dir}/06-adr.md", "# Decision\n\nThe simplest thing.\n");
    vec![decision, worked_at("{dir}"), commit("{key}: architecture")]
}

/// Reports that the requirements contradict each other.
pub fn finds_conflict(text: &str) -> Vec<Deed> {
    vec![write("{dir}/10-conflict.md", text), commit("{key}: conflict")]
}

/// Leaves `text` as the feature, uncommitted: that is committed for it. The project's tests are red where it says so.
pub fn develops(text: &str) -> Vec<Deed> {
    vec![Deed::Say("I write the code.".into()), write("feature.txt", &format!("{text}\n")), worked_at(".")]
}

pub fn approves() -> Vec<Deed> {
    vec![write("{dir}/12-review.md", "---\nverdict: APPROVED\n---\n\nGood.\n"), commit("{key}: review")]
}

pub fn wants_changes(reason: &str) -> Vec<Deed> {
    let text = format!("---\nverdict: REQUEST_CHANGES\nreason: {reason}\n---\n\nverdict: APPROVED is not meant.\n");
    vec![write("{dir}/12-review.md", &text), commit("{key}: review")]
}

pub fn passes() -> Vec<Deed> {
    vec![write("{dir}/13-test-report.md", "---\nresult: PASS\n---\n\nAll green.\n"), commit("{key}: test report")]
}

pub fn fails(reason: &str) -> Vec<Deed> {
    let text = format!("---\nresult: FAIL\nreason: {reason}\n---\n\nNot yet.\n");
    vec![write("{dir}/13-test-report.md", &text), commit("{key}: test report")]
}

pub fn deploys() -> Vec<Deed> {
    vec![write("{dir}/14-deploy.md", "# Release\n"), commit("{key}: release notes")]
}

/// Answers of the model with so many input tokens each, every `every_ms`; for ever where `times` is none.
pub fn answers(input: u64, every_ms: u64, times: Option<u32>) -> Deed {
    let usage = serde_json::json!({ "input_tokens": input, "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0, "output_tokens": 1 });
    Deed::Answers { model: "claude-opus-5-5".into(), usage, every_ms, times }
}

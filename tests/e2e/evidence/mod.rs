//! What gates judge: the published commit, read under the project's own names, and the record of it.

mod bound;
mod commit;
mod names;
mod record;

use orch_common::store::gates::{self, GateResult};
use orch_tests::stack::{Stack, git};
use std::path::Path;
use std::process::Command;

/// The evaluations of a gate, oldest first.
fn evaluations(stack: &Stack, item: &str, gate: &str) -> Vec<GateResult> {
    let id = stack.task(item).expect("a task").id;
    let rows = stack.read(move |c| gates::of_task(c, id));
    rows.into_iter().filter(|row| row.gate.as_str() == gate).collect()
}

/// What a stranger finds who clones the forge, checks the commit out and runs the line.
fn green_in_a_clean_clone(stack: &Stack, commit: &str, line: &str) -> bool {
    let clone = tempfile::tempdir().expect("a folder");
    git(clone.path(), &["clone", "--quiet", "--no-checkout", &stack.scene.forge.to_string_lossy(), "."]);
    git(clone.path(), &["checkout", "--quiet", "--detach", commit]);
    let run = |dir: &Path| Command::new("sh").args(["-c", line]).current_dir(dir).output();
    run(clone.path()).expect("a shell").status.success()
}

/// Every outcome of the tests is that of the commit at the forge; how many passed and failed.
fn tests_say_what_the_commit_says(stack: &Stack, item: &str, line: &str) -> (usize, usize) {
    let rows = evaluations(stack, item, "tests_local");
    for row in &rows {
        let commit = row.head.as_deref().expect("a commit");
        let wanted = if green_in_a_clean_clone(stack, commit, line) { "pass" } else { "fail" };
        assert_eq!(row.outcome.as_str(), wanted, "at {commit}: {rows:?}");
    }
    let of = |outcome: &str| rows.iter().filter(|row| row.outcome.as_str() == outcome).count();
    (of("pass"), of("fail"))
}

//! The row of a real run of the tests: what was judged, by what, how it ended and what it said.

use super::evaluations;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::gates::GateResult;
use orch_tests::stack::play::develops;
use orch_tests::stack::{Play, Stack, git, programs};
use sha2::{Digest, Sha256};
use std::process::Command;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The output is longer than what the log of a run holds: the hash is of all of it.
const TESTS: &str = "cat feature.txt; head -c 5000000 /dev/zero | tr '\\0' 'x'; grep -q green feature.txt || exit 7";

fn output(feature: &str) -> Vec<u8> {
    [feature.as_bytes(), &vec![b'x'; 5_000_000]].concat()
}

#[test]
fn a_run_of_the_tests_is_recorded_with_what_it_was_made_on_and_what_it_said() {
    let play = Play::default().role(Role::Developer, [develops("red"), develops("green")]);
    let stack = Stack::builder().play(play).project("test_command", TESTS).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();

    let rows = evaluations(&stack, &item, "tests_local");
    let ends: Vec<_> = rows.iter().map(|row| (row.outcome.as_str(), row.exit_code)).collect();
    assert_eq!(ends, [("fail", Some(7)), ("pass", Some(0))]);
    for (row, feature) in rows.iter().zip(["red\n", "green\n"]) {
        let commit = row.head.as_deref().unwrap();
        let at_forge = |what: &str| git(&stack.scene.forge, &["rev-parse", &format!("{commit}{what}")]);
        assert_eq!(git(&stack.scene.forge, &["show", &format!("{commit}:feature.txt")]), feature.trim());
        git(&stack.scene.forge, &["merge-base", "--is-ancestor", commit, &task.branch]);
        assert_eq!(row.tree.as_deref(), Some(at_forge("^{tree}").as_str()));
        assert_eq!(row.command.as_deref(), Some(TESTS));
        assert_eq!(row.output_sha256.as_deref(), Some(sha256(&output(feature)).as_str()), "{feature}");
        assert!(row.duration_ms.is_some_and(|ms| (1..120_000).contains(&ms)), "{row:?}");
        assert!(row.job_id.is_some() && row.at >= task.created_at);
    }
    // A gate that reads files has a commit and a tree, and nothing of a command.
    let review: &GateResult = &evaluations(&stack, &item, "reviewer_verdict")[0];
    assert!(review.head.is_some() && review.tree.is_some());
    assert_eq!(
        (&review.command, review.exit_code, review.duration_ms, &review.output_sha256),
        (&None, None, None, &None)
    );
    shown(&stack, &rows);
}

/// People find the same by `orchctl tasks show`.
fn shown(stack: &Stack, rows: &[GateResult]) {
    let show = |more: &[&str]| {
        let mut command = Command::new(programs().join("orchctl"));
        let output =
            command.args(["--config".as_ref(), stack.scene.config.as_os_str()]).args(["tasks", "show", "ET-001"]);
        let output = output.args(more).output().expect("orchctl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let whole: serde_json::Value = serde_json::from_str(&show(&["--json"])).expect("JSON");
    let gates: Vec<_> = whole["gates"].as_array().unwrap().iter().filter(|g| g["gate"] == "tests_local").collect();
    assert_eq!(gates.len(), rows.len());
    let text = show(&[]);
    for (shown, row) in gates.iter().zip(rows) {
        for (key, value) in [("head", &row.head), ("tree", &row.tree), ("output_sha256", &row.output_sha256)] {
            let value = value.as_deref().unwrap();
            assert_eq!(shown[key], value);
            assert!(text.contains(&value[..10]), "{key}: {text}");
        }
        assert_eq!((&shown["command"], &shown["exit_code"]), (&row.command.clone().into(), &row.exit_code.into()));
    }
}

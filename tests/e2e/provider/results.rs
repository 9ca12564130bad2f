//! What a run's last records say, however the process behaved.

use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{decides, develops, first};
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;

const INIT: &str =
    r#"{"type":"system","subtype":"init","session_id":"5f0c1d7e-0000-4000-8000-000000000001","model":"m"}"#;

/// Writes the feature and then says these records, as they are.
fn records(stack_root: &std::path::Path, name: &str, lines: &str, code: u8) -> Vec<Deed> {
    let log = stack_root.join(name);
    std::fs::write(&log, lines).unwrap();
    let mut deeds = develops("done");
    deeds.push(Deed::Replay { log, code });
    deeds
}

#[test]
fn a_success_with_half_a_character_and_a_spurious_result_is_paid_once() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "\u{1b}[2K{INIT}\r\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done \\ud82d\",\"num_turns\":4,\
         \"total_cost_usd\":0.5,\"usage\":{{\"input_tokens\":700,\"output_tokens\":20}}}}{{\"type\":\"result\",\"subtype\":\"success\",\
         \"is_error\":false,\"result\":\"\",\"num_turns\":0,\"total_cost_usd\":0}}\n"
    );
    let play = Play::default().role(Role::Developer, [records(folder.path(), "log", &lines, 0)]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let runs: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((runs[0].outcome, runs[0].turns, runs[0].input_tokens), (Some(RunOutcome::Success), 4, 700));
    assert!((runs[0].cost_usd - 0.5).abs() < 1e-9, "{:?}", runs[0]);
}

#[test]
fn a_result_whose_process_stays_counts_once_at_its_price() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "{INIT}\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\",\"num_turns\":4,\"total_cost_usd\":0.5}}\n"
    );
    std::fs::write(folder.path().join("log"), lines).unwrap();
    let stays = format!("cat {}/log >> /proc/$PPID/fd/1; sleep 60", folder.path().display());
    let mut deeds = develops("done");
    deeds.push(Deed::Shell(stays));
    let stack =
        Stack::builder().play(Play::default().role(Role::Developer, [deeds])).set("agent.result_linger_s", 1).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let runs: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0].outcome, Some(RunOutcome::Success));
    assert!((runs[0].cost_usd - 0.5).abs() < 1e-9);
}

#[test]
fn a_refusal_is_told_with_what_helps_and_not_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    for (n, (code, is_error)) in [(0, false), (1, true)].into_iter().enumerate() {
        let lines = format!(
            "{INIT}\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":{is_error},\"result\":\"\",\"stop_reason\":\"refusal\",\"num_turns\":1}}\n"
        );
        let refuses = records(folder.path(), &format!("log{n}"), &lines, code);
        let stack = Stack::builder().play(Play::default().role(Role::Developer, [refuses])).start();
        let item = stack.approved("Login");
        stack.wait_task(&item, Stage::Development, TaskState::Blocked);
        stack.settle();
        let runs: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
        assert_eq!((runs.len(), runs[0].outcome), (1, Some(RunOutcome::Refused)), "{runs:?}");
        let told = stack.plane().comments_of(&item).join("\n");
        assert!(
            told.contains("the model refused") && told.contains("Change the description") && told.contains(":retry:"),
            "{told}"
        );
        assert!(!told.contains("failed for good"), "{told}");
        stack.change_play(&Play::default());
        stack.plane().comment(&item, "<p>:retry:</p>");
        stack.wait_task(&item, Stage::Done, TaskState::Done);
    }
}

#[test]
fn refused_tools_are_told_where_the_gate_fails_and_not_where_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let lines = format!(
        "{INIT}\n{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"I was not allowed to.\",\"num_turns\":1,\
         \"permission_denials\":[{{\"tool_name\":\"Bash\"}},{{\"tool_name\":\"Bash\"}},{{\"tool_name\":\"WebFetch\"}}]}}\n"
    );
    let log = folder.path().join("denied");
    std::fs::write(&log, &lines).unwrap();
    let denied = first(Deed::Say("I try.".into()), vec![Deed::Replay { log, code: 0 }]);
    let fine = records(folder.path(), "fine", &lines, 0);
    let play = Play::default().role(Role::Developer, [fine]).role(Role::Architect, [denied, decides()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "gate failed");
    stack.settle();
    let told = stack.plane().comments_of(&item).join("\n");
    assert!(told.contains("refused tools: Bash (2), WebFetch (1)"), "{told}");
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let told = stack.plane().comments_of(&item).join("\n");
    assert_eq!(told.matches("refused tools").count(), 1, "the developer's gate passed: {told}");
}

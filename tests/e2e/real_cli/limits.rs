//! Limits that the run itself comes to: the same run would come to them again, so the task waits for a person.

use super::{Case, Setting, install, outcomes};
use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::model_api::{Answer, Message, ModelApi};
use serde_json::json;

/// The CLI's own limit ends the run, or the worker that counts along, whichever sees it first; `ends` are the outcomes
/// that may be. People are told which budget it was, with its figures.
fn is_blocked(case: &Case, ends: &[&str], figures: &str) {
    let task = case.stack.wait_task(&case.item, Stage::Analysis, TaskState::Blocked);
    case.stack.settle();
    let runs = case.stack.runs(&case.item);
    let found = outcomes(&runs);
    assert!(found.len() == 1 && ends.contains(&found[0]), "{found:?}: {:?}", runs[0].error);
    assert!(task.state_reason.as_deref().is_some_and(|reason| reason.contains(figures)), "{:?}", task.state_reason);
    let job = case.stack.agent_job(&case.item);
    assert!(!matches!(job.status, JobStatus::Queued | JobStatus::Running | JobStatus::Done), "{job:?}");
    assert_eq!(job.attempts, 1, "{job:?}");
    assert!(runs[0].cost_usd > 0.0 && runs[0].input_tokens > 0, "what was used up is recorded");
    case.stack.wait_said(&case.item, "blocked");
}

/// An agent that never comes to an end.
fn endless() -> ModelApi {
    ModelApi::saying([Message::default().tool("Bash", json!({ "command": "true" })).tokens(100_000, 1000).say()])
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_run_that_has_used_its_turns_blocks_the_task() {
    let Some(cli) = install::fetched() else { return };
    let case = Setting::quick().set("budget.run_turns", 2).start(&cli, endless());
    is_blocked(&case, &["unrepeatable"], "turns of one run, 3 of 2");
    assert_eq!(case.api.calls().len(), 2);
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_run_that_has_used_its_money_blocks_the_task() {
    let Some(cli) = install::fetched() else { return };
    let case = Setting::quick().set("budget.run_usd", 0.5).start(&cli, endless());
    is_blocked(&case, &["unrepeatable", "stopped"], "cost of one run, $");
    assert!(case.stack.runs(&case.item)[0].cost_usd >= 0.5);
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_prompt_that_is_too_long() {
    let Some(cli) = install::fetched() else { return };
    let refusal = Answer::refuse(400, "invalid_request_error", "prompt is too long: 212000 tokens > 200000 maximum");
    let case = Setting::quick().start(&cli, ModelApi::saying([refusal]));
    let task = case.stack.wait_task(&case.item, Stage::Analysis, TaskState::Blocked);
    assert!(task.state_reason.is_some_and(|r| r.contains("too long")));
    assert_eq!(outcomes(&case.stack.runs(&case.item)), ["unrepeatable"]);
}

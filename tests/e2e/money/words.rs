//! What a person is told who wants an agent to start while a budget is used up.

use super::blocked;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{answers, asks, develops, first};
use orch_tests::stack::{Play, Stack, WORKER};
use orch_worker::ctl::scripted::Deed;

#[test]
fn a_retry_on_a_used_up_budget_is_answered_with_the_figure_until_it_is_raised() {
    let burns = vec![answers(300_000, 1_000, None)];
    let play = Play::default().role(Role::Developer, [burns, develops("done")]);
    let mut stack = Stack::builder().play(play).set("budget.task_usd", 1.0).start();
    let item = stack.approved("Login");
    blocked(&stack, &item);
    let version = stack.task(&item).unwrap().stage_version;

    stack.plane().comment(&item, "<p>:retry:</p>");
    let said = stack.wait_said(&item, "budget used up");
    stack.settle();
    assert!(said.contains("of $1.00") && said.contains("task_usd") && said.contains("write :retry: again"), "{said}");
    let task = stack.task(&item).unwrap();
    assert_eq!((task.state, task.stage_version), (TaskState::Blocked, version), "it stays as it is");
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1);
    assert!(!stack.comments(&item).contains(&"retrying".to_owned()), "{:?}", stack.comments(&item));
    let refused = stack.ctl_fails(&["tasks", "retry", "ET-001"]);
    assert!(refused.contains("of $1.00") && refused.contains("task_usd"), "{refused}");

    stack.stop_worker(WORKER);
    stack.set("budget.task_usd", 100.0);
    stack.start_worker(WORKER);
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn other_words_that_would_start_an_agent_are_answered_alike() {
    let told = Deed::Costs { usd: 1.2, usage: serde_json::json!({ "input_tokens": 300_000, "output_tokens": 5 }) };
    let play = Play::default().role(Role::Analyst, [first(told, asks("Which colour?"))]);
    let stack = Stack::builder().play(play).set("budget.task_usd", 1.0).start();
    let (item, _) = stack.plane().create_item("Paint it", "", &[]);
    stack.wait_task(&item, Stage::Analysis, TaskState::NeedsInput);
    stack.settle();
    for words in ["Blue, please.", ":retry:", ":rejected: no"] {
        let before = stack.comments(&item).len();
        stack.plane().comment(&item, &format!("<p>{words}</p>"));
        stack.settle();
        assert_eq!(stack.comments(&item)[before..], ["budget used up"], "{words}");
        let task = stack.task(&item).unwrap();
        assert_eq!((task.stage, task.state), (Stage::Analysis, TaskState::NeedsInput), "{words}");
    }
    assert_eq!(stack.agents_begun(&item, Role::Analyst), 1);
    stack.plane().comment(&item, "<p>:cancel:</p>");
    stack.wait_task(&item, Stage::Analysis, TaskState::Cancelled);
}

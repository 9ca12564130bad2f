//! A budget ends a run while it goes on, and blocks the task with the figure.

use super::{PER_MILLION, blocked, estimated, runs_of};
use orch_common::domain::run::{RunOutcome, StopReason};
use orch_common::domain::stage::{Role, TaskState};
use orch_tests::stack::play::{answers, develops, first};
use orch_tests::stack::{Builder, Play, Stack, WORKER};
use orch_worker::ctl::scripted::Deed;

/// A developer that answers for ever: 100,000 tokens, some 40 cents, every second.
fn burning(builder: Builder) -> Stack {
    let play = Play::default().role(Role::Developer, [vec![answers(100_000, 1_000, None)]]);
    builder.play(play).start()
}

/// A developer that loops until its time limit, twice: 1.9 M tokens that no result ever told of.
#[test]
fn runs_that_loop_until_their_time_limit_are_on_the_books_and_the_task_stops() {
    let loops = || vec![answers(1_900_000, 1, Some(1)), Deed::Until("/nonexistent/never".into())];
    let play = Play::default().role(Role::Developer, [loops(), loops(), loops()]);
    let timeouts = toml::toml! { developer = 12 };
    let builder = Stack::builder().play(play).set("agent.timeout_overrides", timeouts).set("budget.task_usd", 10.0);
    let stack = builder.start();
    let item = stack.approved("Login");
    let reason = blocked(&stack, &item);
    let runs = runs_of(&stack, &item, Role::Developer);
    assert_eq!(runs.len(), 2, "{runs:?}");
    runs.iter().for_each(estimated);
    assert_eq!(runs[0].input_tokens, 1_900_000);
    assert_eq!((runs[0].exit_code, runs[0].outcome), (Some(-9), Some(RunOutcome::Permanent)), "its time limit");
    assert_eq!(runs[1].outcome, Some(RunOutcome::Stopped), "the second reached the budget");
    assert!(reason.contains("cost of the task") && reason.contains("of $10.00"), "{reason}");
    assert!(stack.said(&item, "blocked").contains("task_usd"));
}

#[test]
fn a_run_that_reaches_its_budget_is_ended_within_an_answer() {
    let stack = burning(Stack::builder().set("budget.run_usd", 2.0).with_telegram());
    let item = stack.approved("Login");
    let reason = blocked(&stack, &item);
    let [run] = &runs_of(&stack, &item, Role::Developer)[..] else { panic!("one run: {:?}", stack.runs(&item)) };
    estimated(run);
    // Five answers are $2.00. On a loaded machine the signal takes its time: a second one may have come meanwhile.
    assert!(run.cost_usd >= 2.0 && run.cost_usd <= 2.0 + 3.0 * 0.1 * PER_MILLION, "{run:?}");
    assert_eq!((run.outcome, run.stop, run.counts), (Some(RunOutcome::Stopped), Some(StopReason::Budget), false));
    assert!(run.budget_stop.as_deref().is_some_and(|stop| stop.contains("run_usd")), "{run:?}");
    assert!(reason.contains("cost of one run") && reason.contains("of $2.00"), "{reason}");
    assert_eq!(stack.told().last().map(String::as_str), Some("blocked"));
    assert_eq!(stack.get("/queue").unwrap()["resilience"]["breaker"]["consecutive_transient"], 0);
}

#[test]
fn budgets_in_tokens_and_of_the_project_and_the_day_end_a_run_as_well() {
    let project = |key: &str, value: i64| {
        let mut table = toml::Table::new();
        table.insert(key.into(), value.into());
        Stack::builder().project("budget", table)
    };
    for (builder, which) in [
        (Stack::builder().set("budget.run_tokens", 250_000), "tokens of one run"),
        (project("task_tokens", 250_000), "tokens of the task"),
        (project("tokens_per_day", 250_000), "tokens of the project today"),
        (Stack::builder().set("budget.day_tokens", 250_000), "tokens of all projects today"),
        (Stack::builder().set("budget.day_usd", 1.0), "cost of all projects today"),
    ] {
        let stack = burning(builder);
        let item = stack.approved("Login");
        let reason = blocked(&stack, &item);
        assert!(reason.contains(which), "{which}: {reason}");
        let runs = runs_of(&stack, &item, Role::Developer);
        assert_eq!(runs.last().and_then(|run| run.stop), Some(StopReason::Budget), "{which}: {runs:?}");
        assert!(runs[0].input_tokens <= 700_000, "{which}: {runs:?}");
    }
}

#[test]
fn a_run_that_was_adopted_is_counted_from_the_beginning_of_its_log() {
    let mut stack = Stack::builder().without_worker().set("budget.run_usd", 2.0).start();
    let go = stack.signal("go");
    // One more answer and no further one: only together with what came before the restart it is too much.
    let then = vec![Deed::Until(go), answers(300_000, 1, Some(1)), Deed::Until("/nonexistent/never".into())];
    stack.change_play(&Play::default().role(Role::Developer, [first(answers(300_000, 1, Some(1)), then)]));
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Developer);
    stack.kill_worker(WORKER);
    stack.give("go");
    stack.start_worker(WORKER);
    let reason = blocked(&stack, &item);
    let [run] = &runs_of(&stack, &item, Role::Developer)[..] else { panic!("one run") };
    assert_eq!(run.input_tokens, 600_000, "{run:?}");
    assert!(reason.contains("cost of one run"), "{reason}");
    assert_eq!(run.stop, Some(StopReason::Budget));
}

#[test]
fn a_run_within_its_budgets_is_let_alone() {
    let play = Play::default().role(Role::Developer, [first(answers(100_000, 700, Some(3)), develops("done"))]);
    let stack = Stack::builder().play(play).set("budget.run_usd", 5.0).set("budget.task_tokens", 10_000_000).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, orch_common::domain::stage::Stage::Done, TaskState::Done);
    stack.settle();
    let [run] = &runs_of(&stack, &item, Role::Developer)[..] else { panic!("one run") };
    assert_eq!((run.outcome, run.estimated, run.input_tokens), (Some(RunOutcome::Success), false, 300_000));
}

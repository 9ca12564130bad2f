//! Money that cannot hide: what runs without a result cost, and budgets that end a run while it goes on.

mod books;
mod limits;
mod words;

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::runs::Run;
use orch_tests::stack::Stack;

/// US dollars of a million input tokens of `claude-opus-5-5`, the model of the scripted answers.
const PER_MILLION: f64 = 4.0;

/// The runs of a role, the oldest first.
fn runs_of(stack: &Stack, item: &str, role: Role) -> Vec<Run> {
    stack.runs(item).into_iter().filter(|run| run.role == role).collect()
}

fn blocked(stack: &Stack, item: &str) -> String {
    let task = stack.wait_task(item, Stage::Development, TaskState::Blocked);
    stack.settle();
    task.state_reason.unwrap_or_default()
}

/// The input tokens are on the books, and at the table's price.
#[track_caller]
fn estimated(run: &Run) {
    assert!(run.estimated && !run.unpriced && run.input_tokens > 0, "{run:?}");
    let million = run.input_tokens as f64 / 1e6;
    // One or two tokens of output an answer.
    assert!((run.cost_usd - PER_MILLION * million).abs() < 0.01, "{run:?}");
}

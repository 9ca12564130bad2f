//! A person's word while a budget is used up.

use super::*;
use crate::domain::budget::{BudgetStop, Limit};

const STOP: BudgetStop = BudgetStop { which: Limit::TaskUsd, limit: 5.0, spent: 5.25 };

fn broke(mut given: Given) -> Given {
    given.history.budget = Some(STOP);
    given
}

#[test]
fn a_word_that_would_start_an_agent_is_answered_with_the_figure() {
    let reject = Command::Reject { reason: "no".into() };
    let answer = Trigger::Answer { text: "Blue".into(), actor: "p".into() };
    let rows = [
        (at(Stage::Development, says(Command::Retry)).state(TaskState::Blocked), Some(Command::Retry)),
        (at(Stage::Review, says(reject.clone())), Some(reject)),
        (at(Stage::Analysis, says(Command::Approve)).finds(GateOutcome::Pass), Some(Command::Approve)),
        (at(Stage::Testing, says(Command::Resume)).state(TaskState::Paused), Some(Command::Resume)),
        (at(Stage::Analysis, answer).state(TaskState::NeedsInput), None),
    ];
    for (mut given, command) in rows {
        given.state_reason = Some("as it was".into());
        assert!(given.change().start.is_some(), "{given:?}");
        let change = broke(given.clone()).change();
        let expected = Change {
            state_reason: given.state_reason.clone(),
            outward: vec![comment(Message::used_up(command, &STOP))],
            reason: change.reason.clone(),
            ..to(given.stage, given.state)
        };
        assert_eq!(change, expected, "{given:?}");
        assert!(change.reason.contains("$5.25 of $5.00") && change.reason.contains("task_usd"), "{}", change.reason);
    }
}

#[test]
fn what_starts_nobody_is_taken_all_the_same() {
    for command in [Command::Pause, Command::Cancel] {
        let given = at(Stage::Development, says(command));
        assert_eq!(broke(given.clone()).change(), given.change());
    }
    let last = at(Stage::Deploy, says(Command::Approve)).finds(GateOutcome::Pass);
    assert_eq!(broke(last).change().stage, Stage::Done);
    // What no person said is refused where the agent would be prepared, and blocks.
    let ended = at(Stage::Development, Trigger::AgentEnded { role: Role::Developer, log: LOG.into() });
    assert!(broke(ended.finds(GateOutcome::Pass)).change().start.is_some());
}

//! Rows that begin with a person's word, in every state and at every stage.

use super::*;
use {Role as R, Stage as S, TaskState as T};

const OPEN: [TaskState; 5] = [T::Active, T::WaitingApproval, T::NeedsInput, T::Paused, T::Blocked];
const WORKED: [Stage; 6] = [S::Analysis, S::Architecture, S::Development, S::Review, S::Testing, S::Deploy];

fn worker(stage: Stage) -> Role {
    policy().pipeline.works_in(stage).unwrap()
}

/// What every word of a person does beside its own effect.
fn word(stage: Stage, state: TaskState) -> Change {
    Change { reset_cap: true, drop_jobs: true, ..to(stage, state) }
}

/// A refused command changes nothing and says why.
#[track_caller]
fn refused(given: &Given, command: &Command) {
    let change = given.change();
    let state_reason = given.state_reason.clone();
    let outward = change.outward.clone();
    let expected = Change { state_reason, outward, reason: change.reason.clone(), ..to(given.stage, given.state) };
    assert_eq!(change, expected, "{given:?}");
    match change.outward.as_slice() {
        [Outward::Comment(Message::Refused { command: said, why })] => {
            assert!(said == command && !why.is_empty(), "{said:?} {why}");
        }
        other => panic!("not a refusal: {other:?}"),
    }
}

#[test]
fn approved_moves_on_from_every_stage_whose_gate_passes() {
    for stage in WORKED {
        for state in OPEN.into_iter().filter(|s| *s != T::Paused) {
            let change = at(stage, says(Command::Approve)).state(state).finds(GateOutcome::Pass).change();
            let next = policy().pipeline.next(stage).unwrap();
            let role = policy().pipeline.started_by_leaving(stage);
            let end = if next == S::Done { T::Done } else { T::Active };
            assert_eq!((change.stage, change.state), (next, end), "{stage} {state}");
            assert_eq!(change.start, role.map(|role| Start { role, brief: Brief::First }));
            assert_eq!(change.approved, stage == S::Analysis, "{stage}");
            assert!(change.reset_cap);
            assert_eq!(
                change.outward.first(),
                Some(&comment(Message::Approved { to: next, role: change.start.as_ref().map(|s| s.role) }))
            );
            assert_eq!(change.outward.get(1), Some(&success(stage)));
            assert!(matches!(change.outward.last(), Some(Outward::Chat(_))));
        }
    }
}

#[test]
fn approved_at_a_stage_whose_gate_does_not_pass_says_why_not() {
    let command = Command::Approve;
    for stage in WORKED {
        for outcome in [GateOutcome::Fail(missing("x.md")), GateOutcome::Waiting(Waiting::Merge)] {
            let gate = policy().pipeline.gate(stage).or(Some(Gate::PrMerged));
            let mut given = at(stage, says(command.clone())).state(T::Blocked).gate(gate).finds(outcome);
            given.state_reason = Some("the developer has run 3 times".into());
            refused(&given, &command);
        }
    }
    refused(&at(S::Created, says(command.clone())), &command);
    refused(&at(S::Review, says(command.clone())).state(T::Paused), &command);
    refused(&at(S::Review, says(command.clone())).finds(GateOutcome::Pass).busy(), &command);
    refused(&at(S::Review, says(command.clone())).busy(), &command);
}

#[test]
fn a_word_at_the_merge_tries_the_merge_and_no_deployer_works_twice() {
    let said = Some(format!("{HEAD}:waiting:merge:draft"));
    let waits = |command: Command| {
        let given = at(S::Deploy, says(command)).merges().gate(Some(Gate::PrMerged));
        Given { said: said.clone(), ..given }
    };
    let retry = || waits(Command::Retry);
    assert!(needs_finding(&retry().task(), &retry().trigger), "the merge is looked at");
    let change = retry().held(Hold::Archived).change();
    assert_eq!((change.stage, change.state, change.start, change.reset_cap), (S::Deploy, T::Active, None, true));
    assert_eq!(change.outward, [comment(Message::MergeWaits { why: Hold::Archived })], "the person is answered");
    assert_eq!(retry().held(Hold::Draft).change().outward, [comment(Message::MergeWaits { why: Hold::Draft })]);
    assert_eq!(retry().finds(GateOutcome::Pass).change().state, T::Done);
    let moved = FailReason::BaseMoved { base: "main".into(), files: vec!["a.rs".into()] };
    for command in [Command::Retry, Command::Approve] {
        let change = waits(command).fails(moved.clone()).runs(R::Developer, 9).change();
        assert_eq!((change.stage, change.state, change.reset_cap), (S::Development, T::Active, true));
    }
    let approve = waits(Command::Approve).held(Hold::Archived).change();
    assert!(
        matches!(approve.outward.as_slice(), [Outward::Comment(Message::Refused { why, .. })] if why.contains("archived")),
        "{approve:?}"
    );
    let resume = waits(Command::Resume).state(T::Paused).held(Hold::Draft).change();
    assert_eq!((resume.stage, resume.state, resume.start), (S::Deploy, T::Active, None));
    // Before the deployer has worked it is the deployer who tries again.
    let early = Given { said: None, ..waits(Command::Retry) };
    assert_eq!(early.change().start, start(R::Deployer, Brief::Again { found: String::new() }));
    ended(&at(S::Done, says(Command::Retry)).state(T::Done), &Command::Retry);
}

#[test]
fn rejected_goes_back_to_the_work_before() {
    let rows = [
        (S::Analysis, S::Analysis),
        (S::Architecture, S::Analysis),
        (S::Development, S::Architecture),
        (S::Review, S::Development),
        (S::Testing, S::Review),
        (S::Deploy, S::Testing),
    ];
    for (stage, place) in rows {
        for state in OPEN {
            let said = Message::RejectedBack { to: place, reason: "wrong".into() };
            let expected = Change {
                unapproved: place == S::Analysis,
                new_round: place == stage,
                start: start(worker(place), Brief::Rejected { reason: "wrong".into() }),
                outward: vec![comment(said.clone()), chat(said)],
                ..word(place, T::Active)
            };
            let given = at(stage, says(reject("wrong"))).state(state);
            let running = Change { stop_agent: true, ..expected.clone() };
            check(vec![
                (stage.as_str(), given.clone(), Want::Change(expected)),
                ("the agent at work is stopped", given.agent_running(), Want::Change(running)),
            ]);
        }
    }
    refused(&at(S::Created, says(reject("x"))), &reject("x"));
    ended(&at(S::Done, says(reject("x"))).state(T::Done), &reject("x"));
}

#[test]
fn rejected_at_the_first_work_of_a_pipeline_stays_there() {
    let steps = [
        (S::Created, None, Some(R::Developer)),
        (S::Development, Some(Gate::TestsLocal), Some(R::Reviewer)),
        (S::Review, Some(Gate::ReviewerVerdict), None),
    ];
    let change = at(S::Development, says(reject("no"))).steps(&steps).change();
    assert_eq!((change.stage, change.start.map(|s| s.role)), (S::Development, Some(R::Developer)));
    let change = at(S::Review, says(reject("no"))).steps(&steps).change();
    assert_eq!((change.stage, change.start.map(|s| s.role)), (S::Development, Some(R::Developer)));
}

#[test]
fn an_answer_counts_only_while_questions_are_open() {
    let answer = |text: &str| Trigger::Answer { text: text.into(), actor: "ann".into() };
    let taken = |text: String| {
        Want::Change(Change {
            unapproved: true,
            start: start(R::Analyst, Brief::Answered { text }),
            outward: vec![comment(Message::AnswerTaken)],
            ..word(S::Analysis, T::Active)
        })
    };
    let mut rows = vec![
        (
            "the analyst goes on with it",
            at(S::Analysis, answer("by mail")).state(T::NeedsInput),
            taken("by mail".into()),
        ),
        (
            "its first 500 characters",
            at(S::Analysis, answer(&"ж".repeat(900))).state(T::NeedsInput),
            taken("ж".repeat(500)),
        ),
    ];
    for stage in WORKED {
        for state in T::ALL.iter().filter(|s| **s != T::NeedsInput) {
            rows.push(("no questions", at(stage, answer("by mail")).state(*state), Want::Nothing));
        }
    }
    check(rows);
}

#[test]
fn retry_starts_the_role_of_the_stage_again() {
    for stage in WORKED {
        for state in [T::Active, T::WaitingApproval, T::NeedsInput, T::Blocked] {
            let role = worker(stage);
            let expected = Change {
                unapproved: stage == S::Analysis,
                start: start(role, Brief::Again { found: String::new() }),
                outward: vec![comment(Message::Retrying { role, stage })],
                ..word(stage, T::Active)
            };
            let given = at(stage, says(Command::Retry)).state(state);
            check(vec![
                (stage.as_str(), given.clone(), Want::Change(expected.clone())),
                ("what was queued gives way", given.busy(), Want::Change(expected)),
            ]);
        }
        refused(&at(stage, says(Command::Retry)).state(T::Paused), &Command::Retry);
        refused(&at(stage, says(Command::Retry)).agent_running(), &Command::Retry);
    }
    refused(&at(S::Created, says(Command::Retry)), &Command::Retry);
}

#[test]
fn pause_lets_the_running_agent_end_and_starts_nothing() {
    for stage in S::ALL.iter().filter(|s| **s != S::Done) {
        for state in OPEN.into_iter().filter(|s| *s != T::Paused) {
            let expected = Change { outward: vec![comment(Message::Paused)], ..word(*stage, T::Paused) };
            let given = at(*stage, says(Command::Pause)).state(state);
            check(vec![
                (state.as_str(), given.clone(), Want::Change(expected.clone())),
                (
                    "with an agent at work",
                    given.agent_running(),
                    Want::Change(Change { outward: vec![comment(Message::PausedAtWork)], ..expected }),
                ),
            ]);
        }
        refused(&at(*stage, says(Command::Pause)).state(T::Paused), &Command::Pause);
    }
}

#[test]
fn resume_goes_on_where_it_stopped() {
    let paused = |stage| at(stage, says(Command::Resume)).state(T::Paused);
    let resumed = |stage, state, role: Option<Role>| {
        Want::Change(Change {
            unapproved: stage == S::Analysis && role.is_some(),
            start: role.map(|role| Start { role, brief: Brief::Again { found: String::new() } }),
            outward: vec![comment(Message::Resumed)],
            ..word(stage, state)
        })
    };
    let on = Change {
        reset_cap: true,
        drop_jobs: true,
        start: start(R::Tester, Brief::First),
        outward: vec![
            comment(Message::Resumed),
            success(S::Review),
            Outward::Pull,
            comment(moved(S::Review, S::Testing, R::Tester)),
            chat(moved(S::Review, S::Testing, R::Tester)),
        ],
        ..to(S::Testing, T::Active)
    };
    let mut rows = vec![
        ("the agent was let work on", paused(S::Review).agent_running(), resumed(S::Review, T::Active, None)),
        ("its gate passes", paused(S::Review).finds(GateOutcome::Pass), Want::Change(on)),
        (
            "approval is still wanted",
            paused(S::Analysis).finds(GateOutcome::Waiting(Waiting::Approval)),
            resumed(S::Analysis, T::WaitingApproval, None),
        ),
        ("created", paused(S::Created), resumed(S::Created, T::Active, None)),
    ];
    for stage in WORKED {
        let again = || resumed(stage, T::Active, Some(worker(stage)));
        rows.push(("its gate fails", paused(stage).fails(missing("x.md")), again()));
        rows.push(("nobody looked", paused(stage), again()));
    }
    check(rows);
    for state in [T::Active, T::WaitingApproval, T::NeedsInput, T::Blocked] {
        refused(&at(S::Review, says(Command::Resume)).state(state), &Command::Resume);
    }
}

#[test]
fn cancel_ends_the_task_from_every_state() {
    for stage in S::ALL.iter().filter(|s| **s != S::Done) {
        for state in OPEN {
            let by = |via| Trigger::Command { command: Command::Cancel, actor: "ann".into(), via };
            let silent = Change { outward: vec![Outward::GiveUpPull], ..word(*stage, T::Cancelled) };
            let told = Change { outward: vec![comment(Message::Cancelled), Outward::GiveUpPull], ..silent.clone() };
            let stopped = Change { stop_agent: true, ..told.clone() };
            let deleted = Trigger::Deleted { actor: "ann".into(), archived: false };
            check(vec![
                ("comment", at(*stage, by(Via::Comment)).state(state), Want::Change(told.clone())),
                ("operator", at(*stage, by(Via::Operator)).state(state), Want::Change(told)),
                ("state", at(*stage, by(Via::State)).state(state), Want::Change(silent.clone())),
                ("agent", at(*stage, by(Via::Comment)).state(state).agent_running(), Want::Change(stopped)),
                ("deleted", at(*stage, deleted.clone()).state(state), Want::Change(silent.clone())),
                (
                    "deleted while an agent works",
                    at(*stage, deleted).state(state).agent_running(),
                    Want::Change(Change { stop_agent: true, ..silent }),
                ),
            ]);
        }
    }
}

#[test]
fn a_mapped_state_is_the_same_as_the_command() {
    for command in [Command::Approve, Command::Retry, Command::Pause, reject("no")] {
        for stage in WORKED {
            let by = |via| {
                let trigger = Trigger::Command { command: command.clone(), actor: "ann".into(), via };
                at(stage, trigger).finds(GateOutcome::Pass).decide()
            };
            assert_eq!(by(Via::State), by(Via::Comment), "{command:?} at {stage}");
            assert_eq!(by(Via::Operator), by(Via::Comment), "{command:?} at {stage}");
        }
    }
}

/// Nothing changes, and who spoke is told how the task ended.
#[track_caller]
fn ended(given: &Given, command: &Command) {
    let change = given.change();
    let outward = vec![comment(Message::Ended { command: command.clone(), state: given.state })];
    let reason = format!("{} refused: the task is {}", command.word(), given.state);
    let state_reason = given.state_reason.clone();
    assert_eq!(change, Change { outward, reason, state_reason, ..to(given.stage, given.state) }, "{given:?}");
}

#[test]
fn after_the_end_whoever_commands_is_answered() {
    let commands = [Command::Approve, reject("x"), Command::Retry, Command::Pause, Command::Resume, Command::Cancel];
    for (stage, state) in [(S::Done, T::Done), (S::Review, T::Cancelled), (S::Created, T::Cancelled)] {
        for command in commands.iter().filter(|c| state == T::Done || **c != Command::Retry) {
            let mut given = at(stage, says(command.clone())).state(state).finds(GateOutcome::Pass);
            given.state_reason = Some("a person cancelled it".into());
            ended(&given, command);
        }
        // Who moves the card to where ended work lies says nothing new.
        let moved = Trigger::Command { command: Command::Cancel, actor: "ann".into(), via: Via::State };
        check(vec![("moved there", at(stage, moved).state(state), Want::Nothing)]);
        let triggers = [
            Trigger::Deleted { actor: "ann".into(), archived: false },
            Trigger::Answer { text: "x".into(), actor: "ann".into() },
            Trigger::Appeared { actor: "ann".into() },
        ];
        for trigger in triggers {
            check(vec![("ended", at(stage, trigger).state(state).finds(GateOutcome::Pass), Want::Nothing)]);
        }
    }
}

#[test]
fn a_retry_opens_a_cancelled_task_again() {
    for stage in WORKED {
        let role = worker(stage);
        let message = Message::Reopened { role, stage };
        let expected = Change {
            unapproved: stage == S::Analysis,
            start: start(role, Brief::Again { found: String::new() }),
            outward: vec![Outward::ReopenPull, comment(message.clone()), chat(message)],
            ..word(stage, T::Active)
        };
        for via in [Via::Comment, Via::State, Via::Operator] {
            let trigger = Trigger::Command { command: Command::Retry, actor: "ann".into(), via };
            let given = at(stage, trigger).state(T::Cancelled);
            let dying = Change { stop_agent: true, ..expected.clone() };
            check(vec![
                (stage.as_str(), given.clone(), Want::Change(expected.clone())),
                ("the agent that is being stopped", given.agent_running(), Want::Change(dying)),
            ]);
        }
    }
    let begun = at(S::Created, says(Command::Retry)).state(T::Cancelled).change();
    assert_eq!((begun.stage, begun.state, begun.reset_cap), (S::Analysis, T::Active, true));
    assert_eq!(begun.start, start(R::Analyst, Brief::First));
    assert_eq!(begun.outward.first(), Some(&Outward::Branch));
    // The deployer has worked; only the merge is tried again.
    let waits = at(S::Deploy, says(Command::Retry)).merges().gate(Some(Gate::PrMerged)).state(T::Cancelled);
    let merges = Given { said: Some(format!("{HEAD}:waiting:merge:draft")), ..waits }.change();
    assert_eq!((merges.stage, merges.state, merges.start), (S::Deploy, T::Active, None));
}

#[test]
fn a_block_from_outside_the_pipeline_says_why_and_starts_nothing() {
    for stage in WORKED {
        for state in T::ALL {
            let (reason, task) = ("10 runs in 30 minutes", at(stage, Trigger::Look).state(*state).task());
            let decision = block(&task, &policy(), reason, Message::Blocked { reason: reason.into() });
            let Decision::Apply(change) = decision else {
                assert!(state.is_terminal() || *state == T::Paused, "{state}");
                continue;
            };
            assert!(!state.is_terminal() && *state != T::Paused, "{state}");
            assert_eq!((change.stage, change.state, &change.start), (stage, T::Blocked, &None));
            assert_eq!(change.state_reason.as_deref(), Some("10 runs in 30 minutes"));
            assert!(change.drop_jobs && !change.reset_cap);
            let said = Message::Blocked { reason: "10 runs in 30 minutes".into() };
            assert_eq!(change.outward, vec![comment(said.clone()), chat(said)]);
        }
    }
}

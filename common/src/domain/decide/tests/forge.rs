//! Rows that begin with the forge or the reconciler.

use super::*;
use {Role as R, Stage as S, TaskState as T};

fn rejected() -> ForgeEvent {
    ForgeEvent::ReviewRejected { reviewer: "bob".into(), reason: "no tests".into() }
}

fn all_events() -> Vec<Trigger> {
    let mut all: Vec<Trigger> = [
        ForgeEvent::Pushed,
        ForgeEvent::CiFinished,
        ForgeEvent::ReviewApproved,
        ForgeEvent::PullMerged,
        ForgeEvent::PullChanged,
        rejected(),
    ]
    .into_iter()
    .map(sees)
    .collect();
    all.push(Trigger::Look);
    all
}

fn moves(stage: Stage, next: Stage, role: Role) -> Want {
    Want::Change(Change {
        start: start(role, Brief::First),
        outward: vec![success(stage), Outward::Pull, comment(moved(stage, next, role)), chat(moved(stage, next, role))],
        ..to(next, T::Active)
    })
}

#[test]
fn the_gate_of_the_matching_stage_is_run() {
    let pass = |stage, what| at(stage, sees(what)).finds(GateOutcome::Pass);
    let review = || at(S::Review, Trigger::Look).gate(Some(Gate::ReviewApproved));
    let to_testing = || moves(S::Review, S::Testing, R::Tester);
    let done = || {
        let outward = vec![success(S::Deploy), Outward::Pull, comment(finished()), chat(finished())];
        Want::Change(Change { outward, ..to(S::Done, T::Done) })
    };
    check(vec![
        ("push", pass(S::Review, ForgeEvent::Pushed), to_testing()),
        (
            "CI success",
            pass(S::Development, ForgeEvent::CiFinished).gate(Some(Gate::CiGreen)),
            moves(S::Development, S::Review, R::Reviewer),
        ),
        (
            "CI success at development with local tests",
            pass(S::Development, ForgeEvent::CiFinished),
            moves(S::Development, S::Review, R::Reviewer),
        ),
        (
            "PR approved",
            Given { trigger: sees(ForgeEvent::ReviewApproved), ..review() }.finds(GateOutcome::Pass),
            to_testing(),
        ),
        ("PR merged", pass(S::Deploy, ForgeEvent::PullMerged).gate(Some(Gate::PrMerged)), done()),
        (
            "CI finished, where the merge waits",
            pass(S::Deploy, ForgeEvent::CiFinished).gate(Some(Gate::PrMerged)),
            done(),
        ),
        ("approved, the same", pass(S::Deploy, ForgeEvent::ReviewApproved).gate(Some(Gate::PrMerged)), done()),
        ("opened again", pass(S::Deploy, ForgeEvent::PullChanged).gate(Some(Gate::PrMerged)), done()),
        ("a changed title is not about tests", pass(S::Testing, ForgeEvent::PullChanged), Want::Nothing),
        ("the reconciler looks", review().finds(GateOutcome::Pass), to_testing()),
        ("CI finished says nothing about a review", pass(S::Review, ForgeEvent::CiFinished), Want::Nothing),
        ("an approving review is not about tests", pass(S::Testing, ForgeEvent::ReviewApproved), Want::Nothing),
        ("a merge is not about development", pass(S::Development, ForgeEvent::PullMerged), Want::Nothing),
        ("no gate: only the agent's end leaves", pass(S::Deploy, ForgeEvent::Pushed), Want::Nothing),
        ("created", pass(S::Created, ForgeEvent::Pushed), Want::Nothing),
    ]);
}

#[test]
fn changes_requested_go_back_to_development() {
    let back = |reason: &FailReason| {
        let message = Message::ReviewChanges { attempt: 3, cap: 3, reason: reason.to_string() };
        Want::Change(Change {
            start: start(R::Developer, rework("12-review.md", reason, 3)),
            outward: vec![
                failure(S::Review, reason),
                comment(message),
                chat(moved(S::Review, S::Development, R::Developer)),
            ],
            ..to(S::Development, T::Active)
        })
    };
    check(vec![(
        "push with a review that wants changes",
        at(S::Review, sees(ForgeEvent::Pushed)).fails(changes_wanted()).runs(R::Developer, 2),
        back(&changes_wanted()),
    )]);
}

#[test]
fn a_persons_request_for_changes_is_heard_at_every_stage_up_to_the_merge_and_counts_anew() {
    let reason = FailReason::PullRejected { reviewer: "bob".into(), reason: "no tests".into(), person: true };
    for (stage, role) in [(S::Review, R::Reviewer), (S::Testing, R::Tester), (S::Deploy, R::Deployer)] {
        for trigger in [sees(rejected()), sees(ForgeEvent::Pushed), Trigger::Look, ended(role)] {
            for gate in [None, Some(Gate::ReviewApproved)] {
                let given = at(stage, trigger.clone()).gate(gate).fails(reason.clone()).runs(R::Developer, 9);
                let change = given.change();
                assert_eq!(
                    (change.stage, change.state, change.reset_cap),
                    (S::Development, T::Active, true),
                    "{given:?}"
                );
                let brief = Brief::Rework { file: String::new(), reason: "bob: no tests".into(), attempt: 1, cap: 3 };
                assert_eq!(change.start, start(R::Developer, brief), "no pointer to a file that approves");
            }
        }
    }
    let gone = at(S::Review, sees(rejected())).finds(GateOutcome::Waiting(Waiting::Review)).change();
    assert_eq!(gone.stage, S::Review, "what no longer stands moves nothing");
}

#[test]
fn who_reviews_is_asked_at_the_forge_while_the_gate_waits_for_them() {
    let waits = || at(S::Review, ended(R::Reviewer)).gate(Some(Gate::ReviewApproved));
    let change = waits().finds(GateOutcome::Waiting(Waiting::Review)).change();
    let text = "waits for a review".to_owned();
    let pending = Outward::Status { stage: S::Review, state: StatusState::Pending, text };
    assert!(change.outward.ends_with(&[pending, Outward::AskReview]), "{:?}", change.outward);
    for on in [Waiting::PullMissing, Waiting::PullClosed, Waiting::PullMerged] {
        let change = waits().finds(GateOutcome::Waiting(on)).change();
        let said = Message::PullNotOpen { gate: Gate::ReviewApproved, pull: on };
        assert!(change.outward.contains(&comment(said)) && !change.outward.contains(&Outward::AskReview), "{on}");
    }
}

#[test]
fn red_tests_after_a_push_are_said_and_start_nobody() {
    let change = at(S::Development, sees(ForgeEvent::Pushed)).fails(red()).change();
    assert_eq!((change.stage, change.state, change.start), (S::Development, T::Active, None));
    let said = Message::GateFailed { gate: Gate::TestsLocal, reason: red() };
    assert_eq!(change.outward, vec![comment(said)]);
}

#[test]
fn while_a_job_of_the_task_is_under_way_events_are_only_recorded() {
    for stage in S::ALL {
        for trigger in all_events() {
            for outcome in [GateOutcome::Pass, GateOutcome::Fail(changes_wanted())] {
                let given = at(*stage, trigger.clone()).finds(outcome).end_ahead();
                assert!(matches!(given.decide(), Decision::Nothing { .. }), "{given:?}");
            }
        }
    }
}

#[test]
fn what_waits_for_a_person_is_left_to_that_person() {
    for state in [T::NeedsInput, T::Paused, T::Blocked, T::Cancelled, T::Done] {
        for trigger in all_events() {
            let given = at(S::Review, trigger).state(state).finds(GateOutcome::Pass);
            assert!(matches!(given.decide(), Decision::Nothing { .. }), "{given:?}");
        }
    }
}

#[test]
fn a_push_while_approval_is_wanted_asks_nobody_twice() {
    let waiting = at(S::Analysis, sees(ForgeEvent::Pushed)).state(T::WaitingApproval);
    check(vec![
        ("still complete", waiting.clone().finds(GateOutcome::Waiting(Waiting::Approval)), Want::Nothing),
        (
            "a file is gone",
            waiting.fails(missing("02-trz.md")),
            Want::Change(Change {
                said: Some(format!("{HEAD}:fail:missing_files:02-trz.md")),
                outward: vec![comment(Message::GateFailed {
                    gate: Gate::AnalysisApproved,
                    reason: missing("02-trz.md"),
                })],
                ..to(S::Analysis, T::WaitingApproval)
            }),
        ),
    ]);
}

#[test]
fn a_look_finds_the_analysis_that_a_person_completed() {
    let change = at(S::Analysis, Trigger::Look).finds(GateOutcome::Waiting(Waiting::Approval)).change();
    assert_eq!((change.stage, change.state), (S::Analysis, T::WaitingApproval));
    assert!(matches!(change.outward.as_slice(), [Outward::Comment(a), Outward::Chat(b)] if a == b));
}

#[test]
fn a_look_gives_a_task_back_the_reason_that_it_lost_and_says_nothing_again() {
    for (gate, outcome) in [
        (Gate::ReviewerVerdict, GateOutcome::Fail(FailReason::NotFound { file: "12-review.md".into() })),
        (Gate::ReviewApproved, GateOutcome::Waiting(Waiting::PullMissing)),
        (Gate::CiGreen, GateOutcome::Waiting(Waiting::Ci)),
    ] {
        let given = at(S::Review, Trigger::Look).gate(Some(gate)).finds(outcome);
        let told = given.change();
        let lost = TaskFacts { state_reason: None, said: told.said.clone(), ..given.task() };
        let look =
            |task: &TaskFacts| decide(task, &given.trigger, given.finding().as_ref(), &given.history, &given.policy);
        let Decision::Apply(back) = look(&lost) else { panic!("{gate}: it waits, and does not say for what") };
        assert!(back.state_reason.is_some(), "{gate}");
        assert_eq!((back.outward.as_slice(), &back.start, back.state), (&[][..], &None, T::Active), "{gate}");
        let known = TaskFacts { state_reason: back.state_reason.clone(), ..lost };
        assert!(matches!(look(&known), Decision::Nothing { .. }), "{gate}");
    }
}

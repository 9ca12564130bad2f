//! A stage is left after its role has worked there, and changed what it has to change; else on a person's approval.

use super::*;
use {Role as R, Stage as S, TaskState as T};

const WORKED: [(Stage, Role); 6] = [
    (S::Analysis, R::Analyst),
    (S::Architecture, R::Architect),
    (S::Development, R::Developer),
    (S::Review, R::Reviewer),
    (S::Testing, R::Tester),
    (S::Deploy, R::Deployer),
];

fn news() -> Vec<Trigger> {
    let events = [ForgeEvent::Pushed, ForgeEvent::CiFinished, ForgeEvent::ReviewApproved, ForgeEvent::PullMerged];
    events.into_iter().map(sees).chain([Trigger::Look]).collect()
}

fn moves(decision: &Decision, from: Stage) -> bool {
    matches!(decision, Decision::Apply(change) if change.stage != from)
}

#[test]
fn news_never_leave_a_stage_whose_role_has_not_worked() {
    for (stage, role) in WORKED {
        for trigger in news() {
            for gate in
                [Some(Gate::TestsLocal), Some(Gate::CiGreen), Some(Gate::ReviewApproved), Some(Gate::PrMerged), None]
            {
                let given = at(stage, trigger.clone()).gate(gate).finds(GateOutcome::Pass).unworked();
                assert!(!needs_finding(&given.task(), &given.trigger), "{trigger:?}: a look would be for nothing");
                let Decision::Apply(change) = given.decide() else { continue };
                assert_eq!((change.stage, change.state, &change.start), (stage, T::Blocked, &None), "{trigger:?}");
                let reason = change.state_reason.unwrap_or_default();
                assert!(reason.contains(role.as_str()) && reason.contains(stage.as_str()), "{reason}");
            }
        }
        let look = at(stage, Trigger::Look).unworked();
        assert_eq!(look.change().state, T::Blocked, "said, and a person's to mend: {stage}");
        let waiting = look.state(T::WaitingApproval).decide();
        assert!(matches!(waiting, Decision::Nothing { .. }), "{waiting:?}");
    }
}

#[test]
fn a_stage_passes_on_an_unchanged_branch_only_where_its_role_may_change_nothing() {
    use Changed::{Documents, Nothing, Work};
    // Role, the least that passes.
    let rows = [
        (R::Analyst, Documents),
        (R::Architect, Documents),
        (R::Developer, Work),
        (R::Reviewer, Nothing),
        (R::Tester, Nothing),
        (R::Deployer, Nothing),
    ];
    for (role, least) in rows {
        let stage = policy().pipeline.place_of(role).unwrap();
        for changed in [Nothing, Documents, Work] {
            for trigger in [ended(role), Trigger::Look] {
                let gate = Some(Gate::TestsLocal);
                let given = at(stage, trigger).gate(gate).finds(GateOutcome::Pass).changed(changed);
                assert_eq!(moves(&given.decide(), stage), changed >= least, "{role} {changed:?}");
            }
        }
    }
}

#[test]
fn an_empty_round_of_the_developer_is_done_again_and_blocked_at_the_cap_with_the_words() {
    for (changed, what) in
        [(Changed::Nothing, "changed nothing"), (Changed::Documents, "nothing but the work item's documents")]
    {
        for gate in [Some(Gate::TestsLocal), Some(Gate::CiGreen), None] {
            for outcome in [GateOutcome::Pass, GateOutcome::Waiting(Waiting::Ci)] {
                let given = at(S::Development, ended(R::Developer)).gate(gate).finds(outcome).changed(changed);
                let change = given.clone().runs(R::Developer, 1).change();
                let brief = Brief::NothingChanged { found: String::new(), attempt: 2, cap: 3 };
                let said = Message::NothingChanged { role: R::Developer, attempt: 2, cap: 3, found: String::new() };
                assert_eq!((change.stage, change.state, change.new_round), (S::Development, T::Active, true));
                assert_eq!(change.start, start(R::Developer, brief));
                assert!(change.outward.contains(&comment(said)), "{:?}", change.outward);
                assert!(!change.outward.contains(&Outward::Pull), "there is nothing to pull");
                assert!(change.reason.contains(what), "{}", change.reason);
                let capped = given.runs(R::Developer, 3).change();
                assert_eq!((capped.stage, capped.state, &capped.start), (S::Development, T::Blocked, &None));
                assert!(!capped.new_round);
                assert!(capped.state_reason.is_some_and(|r| r.contains(what)));
            }
        }
    }
}

#[test]
fn red_tests_of_an_empty_round_are_shown_with_it() {
    let given = at(S::Development, ended(R::Developer)).fails(red()).changed(Changed::Nothing).runs(R::Developer, 1);
    let change = given.change();
    let found = format!("{}\ntest login ... FAILED", red());
    assert_eq!(change.start, start(R::Developer, Brief::NothingChanged { found: found.clone(), attempt: 2, cap: 3 }));
    let said = Message::NothingChanged { role: R::Developer, attempt: 2, cap: 3, found };
    assert!(change.outward.contains(&comment(said)));
}

#[test]
fn other_failures_of_an_empty_round_have_their_own_rule() {
    let missing = at(S::Analysis, ended(R::Analyst)).fails(missing("01-brd.md")).changed(Changed::Nothing);
    assert!(matches!(missing.change().outward.as_slice(), [Outward::Comment(Message::NoArtifacts { .. })]));
    let conflict = at(S::Architecture, ended(R::Architect)).fails(conflict("no")).changed(Changed::Nothing);
    assert_eq!(conflict.change().stage, S::Analysis);
}

#[test]
fn an_analyst_who_left_everything_as_it_was_does_not_ask_for_an_approval() {
    let given = at(S::Analysis, ended(R::Analyst)).finds(GateOutcome::Waiting(Waiting::Approval));
    let change = given.clone().changed(Changed::Nothing).runs(R::Analyst, 1).change();
    assert_eq!((change.state, change.new_round), (T::Active, true));
    assert_eq!(change.start.map(|s| s.role), Some(R::Analyst));
    assert_eq!(given.changed(Changed::Documents).change().state, T::WaitingApproval);
}

#[test]
fn a_person_may_approve_what_nobody_worked_on() {
    for (stage, _) in WORKED {
        let given = at(stage, says(Command::Approve)).finds(GateOutcome::Pass).unworked().changed(Changed::Nothing);
        assert!(moves(&given.decide(), stage), "{stage}");
    }
}

#[test]
fn to_resume_is_no_approval() {
    let paused = || at(S::Development, says(Command::Resume)).state(T::Paused).finds(GateOutcome::Pass);
    assert_eq!(paused().change().stage, S::Review);
    for given in [paused().unworked(), paused().changed(Changed::Documents)] {
        let change = given.change();
        assert_eq!((change.stage, change.state), (S::Development, T::Active));
        assert_eq!(change.start, start(R::Developer, Brief::Again { found: String::new() }));
    }
    let waiting = at(S::Analysis, says(Command::Resume)).state(T::Paused).unworked();
    let change = waiting.finds(GateOutcome::Waiting(Waiting::Approval)).change();
    assert_eq!((change.state, change.start), (T::Active, start(R::Analyst, Brief::Again { found: String::new() })));
}

#[test]
fn a_word_that_waits_for_its_turn_swallows_no_end_and_no_news() {
    let rows = [
        at(S::Review, ended(R::Reviewer)).finds(GateOutcome::Pass),
        at(S::Review, ended(R::Reviewer)).fails(changes_wanted()),
        at(S::Testing, ended(R::Tester)).fails(report_fails()),
        at(S::Analysis, ended(R::Analyst)).finds(GateOutcome::Waiting(Waiting::Approval)),
        at(S::Review, Trigger::Look).finds(GateOutcome::Pass),
        at(S::Review, sees(ForgeEvent::Pushed)).fails(changes_wanted()),
    ];
    for given in rows {
        assert_eq!(given.clone().busy().change(), given.change(), "{given:?}");
    }
}

#[test]
fn an_approval_of_a_stage_that_was_left_meanwhile_is_refused_with_the_words() {
    let mut given = at(S::Testing, says(Command::Approve)).finds(GateOutcome::Pass);
    given.history.said_at = Some(S::Review);
    let change = given.change();
    assert_eq!((change.stage, change.state), (S::Testing, T::Active));
    let [Outward::Comment(Message::Refused { why, .. })] = change.outward.as_slice() else { panic!("{change:?}") };
    assert!(why.contains("review") && why.contains("testing"), "{why}");
    given.history.said_at = Some(S::Testing);
    assert_eq!(given.change().stage, S::Deploy);
}

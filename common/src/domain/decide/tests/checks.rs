//! Rows of CI: red work goes back, and what says nothing is told once, with a choice.

use super::*;
use {Role as R, Stage as S, TaskState as T};

fn ci(stage: Stage, trigger: Trigger) -> Given {
    at(stage, trigger).gate(Some(Gate::CiGreen))
}

fn silent_ones() -> [Waiting; 3] {
    [Waiting::CiSilent, Waiting::CiLate, Waiting::CiCancelled]
}

#[test]
fn red_checks_send_the_developer_back_whoever_looked_and_wherever_the_gate_is() {
    let brief = |attempt| Brief::ChecksFailed { checks: failed_checks(), attempt, cap: 3 };
    for stage in [S::Development, S::Review, S::Testing, S::Deploy] {
        let role = Pipeline::default().works_in(stage).unwrap();
        for trigger in [ended(role), sees(ForgeEvent::CiFinished), Trigger::Look] {
            let change = ci(stage, trigger).fails(ci_red()).runs(R::Developer, 1).change();
            assert_eq!((change.stage, change.state), (S::Development, T::Active), "{stage}");
            assert_eq!((change.start, change.new_round), (start(R::Developer, brief(2)), stage == S::Development));
            let list = vec!["build: Failing after 3s https://git.example/acme/shop/actions/runs/8/jobs/0".to_owned()];
            assert!(change.outward.contains(&comment(Message::ChecksFailed { attempt: 2, cap: 3, list })), "{stage}");
        }
    }
    let capped = ci(S::Development, Trigger::Look).fails(ci_red()).runs(R::Developer, 3).change();
    assert_eq!((capped.state, &capped.start), (T::Blocked, &None));
    let reason = "CI failed: build: Failing after 3s https://git.example/acme/shop/actions/runs/8/jobs/0".to_owned();
    let told = Message::RoleCapReached { role: R::Developer, cap: 3, reason };
    assert!(capped.outward.contains(&comment(told)), "{:?}", capped.outward);
}

#[test]
fn that_ci_says_nothing_is_told_once_with_a_choice() {
    for wait in silent_ones() {
        let given = ci(S::Development, Trigger::Look).finds(GateOutcome::Waiting(wait));
        let change = given.change();
        assert_eq!((change.stage, change.state, &change.start), (S::Development, T::Active, &None), "{wait}");
        assert_eq!(change.outward, [comment(Message::ChecksWait { wait, names: vec!["build".into()] })], "{wait}");
        let again = Given { said: change.said, ..given };
        assert!(matches!(again.decide(), Decision::Nothing { .. }), "{wait}: said twice");
        // That it runs after all is no news.
        for usual in [Waiting::Ci, Waiting::CiNone] {
            let runs = again.clone().finds(GateOutcome::Waiting(usual));
            assert!(matches!(runs.decide(), Decision::Nothing { .. }), "{wait} {usual}");
        }
    }
    let told = Some(format!("{HEAD}:waiting:ci_none"));
    let late = Given { said: told, ..ci(S::Development, Trigger::Look) }.finds(GateOutcome::Waiting(Waiting::CiSilent));
    assert!(matches!(late.decide(), Decision::Apply(_)), "that it waits was said, not that nothing comes");
    let other = Some("decaf:waiting:ci".to_owned());
    let new = Given { said: other, ..ci(S::Development, Trigger::Look) }.finds(GateOutcome::Waiting(Waiting::Ci));
    assert!(matches!(new.decide(), Decision::Apply(_)), "of another commit it was said");
}

#[test]
fn a_persons_word_goes_on_without_ci_where_ci_says_nothing() {
    let approve = |wait| ci(S::Development, says(Command::Approve)).finds(GateOutcome::Waiting(wait));
    for wait in silent_ones().into_iter().chain([Waiting::CiNone]) {
        let change = approve(wait).change();
        assert_eq!((change.stage, change.start, change.reset_cap), (S::Review, start(R::Reviewer, Brief::First), true));
    }
    let runs = approve(Waiting::Ci).change();
    assert_eq!((runs.stage, runs.start), (S::Development, None), "what runs is waited for");
    let red = ci(S::Development, says(Command::Approve)).fails(ci_red()).change();
    assert_eq!((red.stage, red.start), (S::Development, None), "red is no silence");
    let other =
        at(S::Deploy, says(Command::Approve)).gate(Some(Gate::PrMerged)).finds(GateOutcome::Waiting(Waiting::CiNone));
    assert_eq!(other.change().stage, S::Deploy, "only its own gate");
}

#[test]
fn another_try_is_told_what_the_gate_said_last() {
    let mut given = ci(S::Development, says(Command::Retry));
    given.history.last_failure = Some("CI failed: build".into());
    let found = "CI failed: build".to_owned();
    assert_eq!(given.change().start, start(R::Developer, Brief::Again { found: found.clone() }));
    given.trigger = says(Command::Resume);
    given.state = T::Paused;
    let resumed = given.fails(ci_red()).change();
    assert_eq!(resumed.start, start(R::Developer, Brief::Again { found }));
}

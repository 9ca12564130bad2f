//! The cap of a role: the third run is allowed, instead of a fourth the task is moved and blocked there.

use super::*;
use {Role as R, Stage as S, TaskState as T};

/// Every rework: who works again, where, and what is found.
fn reworks() -> Vec<(Given, Role, Stage)> {
    let rejected = FailReason::PullRejected { reviewer: "bob".into(), reason: "no".into(), person: false };
    vec![
        (at(S::Review, ended(R::Reviewer)).fails(changes_wanted()), R::Developer, S::Development),
        (at(S::Review, ended(R::Reviewer)).fails(rejected), R::Developer, S::Development),
        (at(S::Testing, ended(R::Tester)).fails(report_fails()), R::Developer, S::Development),
        (at(S::Development, ended(R::Developer)).fails(red()), R::Developer, S::Development),
        (at(S::Architecture, ended(R::Architect)).fails(conflict("no way")), R::Analyst, S::Analysis),
        (
            at(S::Review, sees(ForgeEvent::ReviewRejected { reviewer: "bob".into(), reason: "no".into() }))
                .fails(FailReason::PullRejected { reviewer: "bob".into(), reason: "no".into(), person: false }),
            R::Developer,
            S::Development,
        ),
        (at(S::Review, Trigger::Look).fails(changes_wanted()), R::Developer, S::Development),
    ]
}

#[test]
fn the_third_run_is_allowed_and_a_fourth_is_blocked_where_it_would_have_been() {
    for (given, role, place) in reworks() {
        for had in 0..3 {
            let change = given.clone().runs(role, had).change();
            assert_eq!((change.stage, change.state), (place, T::Active), "{had} runs: {given:?}");
            assert_eq!(change.start.as_ref().map(|s| s.role), Some(role), "{had} runs: {given:?}");
        }
        for had in [3, 4, u32::MAX] {
            let change = given.clone().runs(role, had).change();
            assert_eq!((change.stage, change.state, &change.start), (place, T::Blocked, &None), "{given:?}");
            assert!(change.state_reason.is_some_and(|r| r.contains(role.as_str())));
            assert!(!change.reset_cap);
            let [.., Outward::Comment(said), Outward::Chat(alert)] = change.outward.as_slice() else {
                panic!("a comment and an alert end the list: {:?}", change.outward)
            };
            assert_eq!(said, alert);
            assert!(matches!(said, Message::RoleCapReached { cap: 3, role: who, .. } if *who == role), "{said:?}");
            let promises = change.outward.iter().filter(|o| matches!(o, Outward::Comment(_))).count();
            assert_eq!(promises, 1, "nobody 'works on it now': {:?}", change.outward);
        }
    }
}

#[test]
fn a_conflict_at_the_cap_still_shows_its_first_500_characters() {
    let change =
        at(S::Architecture, ended(R::Architect)).fails(conflict(&"x".repeat(700))).runs(R::Analyst, 3).change();
    assert!(change.unapproved, "the analysis is not what was approved any more");
    let shown = change
        .outward
        .iter()
        .any(|o| matches!(o, Outward::Comment(Message::RoleCapReached { reason, .. }) if *reason == "x".repeat(500)));
    assert!(shown, "{:?}", change.outward);
}

#[test]
fn the_cap_is_the_projects_and_counts_each_role_apart() {
    let mut given = at(S::Review, ended(R::Reviewer)).fails(changes_wanted()).runs(R::Developer, 1);
    given.policy.role_run_cap = 1;
    assert_eq!(given.change().state, T::Blocked);
    given.policy.role_run_cap = 2;
    assert_eq!(given.change().state, T::Active);
    let others = at(S::Review, ended(R::Reviewer)).fails(changes_wanted()).runs(R::Reviewer, 9).runs(R::Analyst, 9);
    assert_eq!(others.change().state, T::Active);
}

#[test]
fn moving_on_is_held_to_the_cap_too_unless_a_person_says_so() {
    let passed = at(S::Development, ended(R::Developer)).finds(GateOutcome::Pass).runs(R::Reviewer, 3);
    let change = passed.change();
    assert_eq!((change.stage, change.state, &change.start), (S::Review, T::Blocked, &None));
    assert!(change.outward.contains(&success(S::Development)), "the gate did pass");
    let approved = Given { trigger: says(Command::Approve), ..passed };
    let change = approved.change();
    assert_eq!((change.stage, change.state), (S::Review, T::Active));
    assert!(change.reset_cap && change.start.is_some());
}

#[test]
fn a_person_is_never_held_to_the_cap() {
    let spent = |mut given: Given| {
        for role in R::ALL {
            given.history.runs.insert(*role, 9);
        }
        given
    };
    let rows = [
        spent(at(S::Development, says(Command::Retry)).state(T::Blocked)),
        spent(at(S::Review, says(reject("no")))),
        spent(at(S::Analysis, Trigger::Answer { text: "x".into(), actor: "ann".into() }).state(T::NeedsInput)),
        spent(at(S::Review, says(Command::Resume)).state(T::Paused).fails(changes_wanted())),
        spent(at(S::Review, says(Command::Approve)).state(T::Blocked).finds(GateOutcome::Pass)),
    ];
    for given in rows {
        let change = given.change();
        assert!(change.start.is_some() && change.reset_cap && change.state == T::Active, "{given:?}");
    }
}

//! What others changed after it was judged goes back to where it was judged first, whoever asks.

use super::*;
use {Role as R, Stage as S, TaskState as T};

fn gone(stage: Stage, gate: Gate) -> FailReason {
    FailReason::EvidenceGone { stage, gate, by: vec!["Hugo 02020202: backdoor.txt".into()] }
}

#[test]
fn whoever_asks_it_goes_back_to_the_first_stage_whose_evidence_is_gone() {
    let reason = gone(S::Development, Gate::TestsLocal);
    let message = Message::JudgedAnew {
        gate: Gate::TestsLocal,
        by: vec!["Hugo 02020202: backdoor.txt".into()],
        to: S::Development,
        role: R::Developer,
        attempt: 2,
        cap: 3,
    };
    for (stage, role) in [(S::Review, R::Reviewer), (S::Testing, R::Tester), (S::Deploy, R::Deployer)] {
        let by_itself = [ended(role), Trigger::Look, sees(ForgeEvent::Pushed)];
        for trigger in by_itself {
            // Also at a stage without a gate, and where its role changed nothing.
            for gate in [Some(Gate::TestsPassed), None] {
                let given = at(stage, trigger.clone()).gate(gate).fails(reason.clone()).runs(R::Developer, 1);
                let change = given.changed(Changed::Nothing).change();
                assert_eq!(
                    (change.stage, change.state, change.recheck),
                    (S::Development, T::Active, true),
                    "{trigger:?}"
                );
                let brief = change.start.as_ref().map(|start| (start.role, &start.brief));
                let by = vec!["Hugo 02020202: backdoor.txt".to_owned()];
                let want = Brief::JudgeAnew { gate: Gate::TestsLocal, by, attempt: 2, cap: 3 };
                assert_eq!(brief, Some((R::Developer, &want)), "{trigger:?}");
                assert!(change.outward.contains(&comment(message.clone())), "{:?}", change.outward);
                assert!(!change.reset_cap, "{trigger:?}: nobody spoke");
                assert!(!change.outward.iter().any(|o| matches!(o, Outward::Review(_))));
            }
        }
    }
}

#[test]
fn evidence_of_the_stage_itself_is_given_anew_by_its_own_role() {
    let reason = gone(S::Review, Gate::ReviewerVerdict);
    let change = at(S::Review, ended(R::Reviewer)).fails(reason.clone()).runs(R::Reviewer, 1).change();
    assert_eq!((change.stage, change.state, change.new_round), (S::Review, T::Active, true));
    assert_eq!(change.start.map(|start| start.role), Some(R::Reviewer));
    // From further on it is the reviewer's again, not the last stage's.
    let change = at(S::Deploy, Trigger::Look).fails(reason).change();
    assert_eq!((change.stage, change.start.map(|start| start.role)), (S::Review, Some(R::Reviewer)));
}

#[test]
fn a_round_of_others_changes_ends_at_the_cap_and_people_are_told_whose_they_were() {
    let reason = gone(S::Development, Gate::TestsLocal);
    let change = at(S::Deploy, ended(R::Deployer)).fails(reason).runs(R::Developer, 3).change();
    assert_eq!((change.stage, change.state, &change.start), (S::Development, T::Blocked, &None));
    let told = "Hugo 02020202: backdoor.txt".to_owned();
    let message = Message::RoleCapReached { role: R::Developer, cap: 3, reason: told };
    assert!(change.outward.contains(&comment(message)), "{:?}", change.outward);
    assert!(change.recheck, "who goes on later need change nothing either");
}

#[test]
fn a_persons_word_does_not_carry_on_what_nobody_judged() {
    let reason = gone(S::Development, Gate::TestsLocal);
    let approved = at(S::Testing, says(Command::Approve)).fails(reason.clone()).runs(R::Developer, 3).change();
    assert_eq!((approved.stage, approved.state), (S::Development, T::Active));
    assert_eq!(approved.start.as_ref().map(|start| start.role), Some(R::Developer));
    assert!(approved.reset_cap, "but the attempts count anew");
    let given = at(S::Testing, says(Command::Resume)).state(T::Paused).fails(reason);
    let resumed = given.runs(R::Developer, 3).change();
    assert_eq!((resumed.stage, resumed.start.map(|start| start.role)), (S::Development, Some(R::Developer)));
    assert_eq!(resumed.outward.first(), Some(&comment(Message::Resumed)));
    assert!(resumed.reset_cap && resumed.drop_jobs);
}

//! What people pushed cannot be joined with what a role committed.

use super::*;
use crate::domain::clash::Clash;
use {Role as R, Stage as S, TaskState as T};

fn clash(rewritten: bool) -> Clash {
    Clash {
        theirs: "b".repeat(40),
        ours: "a".repeat(40),
        their_commits: vec!["bbb Hugo: by hand".into()],
        our_commits: vec!["aaa orch developer: work".into()],
        files: if rewritten { Vec::new() } else { vec!["src/x.rs".into()] },
        rewritten,
    }
}

fn reason(rewritten: bool) -> FailReason {
    FailReason::BranchClash { clash: Box::new(clash(rewritten)) }
}

#[test]
fn the_role_at_work_joins_both_sides_whatever_the_gate_and_whoever_asked() {
    let triggers = [
        (S::Analysis, R::Analyst),
        (S::Architecture, R::Architect),
        (S::Development, R::Developer),
        (S::Review, R::Reviewer),
        (S::Testing, R::Tester),
        (S::Deploy, R::Deployer),
    ];
    for (stage, role) in triggers {
        let ended = Trigger::AgentEnded { role, log: LOG.into() };
        for trigger in [ended, Trigger::Look, Trigger::Forge { what: ForgeEvent::Pushed }] {
            for rewritten in [false, true] {
                let case = at(stage, trigger.clone()).fails(reason(rewritten)).runs(role, 1);
                let change = case.gate(None).change();
                let brief = Brief::BranchClash { clash: Box::new(clash(rewritten)), attempt: 2, cap: 3 };
                assert_eq!(change.start, Some(Start { role, brief }), "{stage} {trigger:?}");
                assert_eq!((change.stage, change.state, change.new_round), (stage, T::Active, true));
                let said = change.outward.iter().any(|o| match o {
                    Outward::Comment(Message::BranchRewritten { role: by, .. }) => rewritten && *by == role,
                    Outward::Comment(Message::BranchConflict { role: by, files, theirs, .. }) => {
                        !rewritten && *by == role && *files == ["src/x.rs"] && *theirs == "b".repeat(12)
                    }
                    _ => false,
                });
                assert!(said, "{:?}", change.outward);
            }
        }
    }
}

#[test]
fn a_role_that_has_had_its_runs_leaves_it_to_a_person_with_the_files() {
    let ended = Trigger::AgentEnded { role: R::Developer, log: LOG.into() };
    let change = at(S::Development, ended).fails(reason(false)).runs(R::Developer, 3).change();
    assert_eq!((change.state, change.start.clone()), (T::Blocked, None));
    let told = change
        .outward
        .iter()
        .any(|o| matches!(o, Outward::Comment(Message::RoleCapReached { reason, .. }) if reason.contains("src/x.rs")));
    assert!(told, "{:?}", change.outward);
}

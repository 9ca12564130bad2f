//! What is asked of an agent once more, and what people are told of tools that it was refused.

use super::*;
use {Role as R, Stage as S, TaskState as T};

#[test]
fn a_verdict_that_cannot_be_read_is_asked_for_once() {
    let rows = [(S::Review, R::Reviewer, "12-review.md"), (S::Testing, R::Tester, "13-test-report.md")];
    for (stage, role, file) in rows {
        let unread = FailReason::NoVerdict { file: file.into(), detail: "no line".into() };
        let missing = FailReason::NotFound { file: file.into() };
        for (reason, detail) in [(unread, "no line"), (missing, "the file is not there")] {
            // Also of a role that has had its runs: its work is done.
            let given = at(stage, ended(role)).fails(reason.clone()).runs(role, 3);
            let change = given.change();
            let brief = Brief::VerdictAsked { file: file.into(), detail: detail.into() };
            assert_eq!((change.stage, change.state, change.start), (stage, T::Active, start(role, brief)), "{reason}");
            assert_eq!(change.outward, [Outward::Pull], "{reason}: nobody is troubled");
            let again = given.asked().change();
            let asks = |start: Option<Start>| start.is_some_and(|s| matches!(s.brief, Brief::VerdictAsked { .. }));
            assert!(!asks(again.start) && !again.outward.is_empty(), "{reason}: asked twice");
            for trigger in [Trigger::Look, sees(ForgeEvent::Pushed)] {
                let looked = at(stage, trigger).fails(reason.clone()).change();
                assert!(!asks(looked.start), "{reason}: only the role's own end asks");
            }
        }
    }
    // The verdict was to go to the pull request, and there is none to go.
    let owes = at(S::Review, ended(R::Reviewer)).gate(Some(Gate::ReviewApproved)).reviewer_account();
    let owes = owes.finds(GateOutcome::Waiting(Waiting::Review));
    assert!(matches!(owes.change().start, Some(Start { brief: Brief::VerdictAsked { .. }, .. })));
    assert_eq!(owes.clone().asked().change().start, None);
    assert_eq!(owes.writes(true).change().start, None);
    for (stage, role) in [(S::Architecture, R::Architect), (S::Development, R::Developer)] {
        let other = at(stage, ended(role)).fails(FailReason::NotFound { file: "x.md".into() }).change();
        assert_eq!(other.start, None, "{role} gives no verdict");
    }
}

#[test]
fn refused_tools_are_told_where_the_gate_fails() {
    let denied = vec![Denial { tool: "Bash".into(), count: 2 }];
    let told = |given: Given| {
        let given = Given {
            history: History { ended: EndedRun { denied: denied.clone(), asked: true }, ..given.history.clone() },
            ..given
        };
        match given.decide() {
            Decision::Apply(change) => change
                .outward
                .iter()
                .filter(|o| matches!(o, Outward::Comment(Message::DeniedTools { list }) if *list == denied))
                .count(),
            Decision::Nothing { .. } | Decision::TryAgain { .. } => 0,
        }
    };
    let developer = || at(S::Development, ended(R::Developer));
    assert_eq!(told(developer().fails(red())), 1);
    assert_eq!(told(at(S::Analysis, ended(R::Analyst)).fails(missing("01-brd.md"))), 1);
    assert_eq!(told(at(S::Review, ended(R::Reviewer)).fails(FailReason::NotFound { file: "12-review.md".into() })), 1);
    assert_eq!(told(developer().finds(GateOutcome::Pass)), 0, "it did without");
    assert_eq!(told(at(S::Development, Trigger::Look).fails(red())), 0, "no run ended");
    assert!(
        !developer()
            .fails(red())
            .change()
            .outward
            .iter()
            .any(|o| matches!(o, Outward::Comment(Message::DeniedTools { .. })))
    );
}

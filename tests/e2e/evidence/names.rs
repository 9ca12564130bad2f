//! A project that calls its documents otherwise: every gate, every prompt and every reset goes by its names, and files
//! of the default names say nothing there.

use super::evaluations;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{analyses, commit, develops, fails, passes, wants_changes, write};
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;

/// The documents' own names, in the project's configuration.
fn own_names() -> toml::Table {
    toml::toml! {
        analysis = ["need.md", "plan.md"]
        questions = "ask.md"
        architecture = "design.md"
        conflict = "clash.md"
        review = ["opinion.md", "second.md"]
        test_report = "report.md"
    }
}

fn writes(files: &[(&str, &str)]) -> Vec<Deed> {
    let mut deeds: Vec<Deed> = files.iter().map(|(name, text)| write(&format!("{{dir}}/{name}"), text)).collect();
    deeds.push(commit("{key}: documents"));
    deeds
}

const YES: &str = "---\nverdict: APPROVED\n---\n\nGood.\n";
const NO: &str = "---\nverdict: REQUEST_CHANGES\nreason: no tests at all\n---\n";

#[test]
fn a_project_with_its_own_names_walks_by_them_and_by_no_other() {
    let play = Play::default()
        // The default names, with contents that would move the task, come first in each role.
        .role(
            Role::Analyst,
            [
                [analyses(), writes(&[("ask.md", "Which colour?"), ("need.md", "# need\n")])].concat(),
                writes(&[("need.md", "# need\n"), ("plan.md", "# plan\n")]),
                writes(&[("need.md", "# need, without a conflict\n")]),
            ],
        )
        .role(
            Role::Architect,
            [
                writes(&[
                    ("06-adr.md", "x"),
                    ("10-conflict.md", "x"),
                    ("clash.md", "Red and blue."),
                    ("design.md", "x"),
                ]),
                writes(&[("design.md", "# design\n"), ("10-conflict.md", "of a name that counts for nothing")]),
            ],
        )
        .role(Role::Developer, [develops("first"), develops("second"), develops("third")])
        .role(
            Role::Reviewer,
            [
                writes(&[("12-review.md", YES), ("opinion.md", NO)]),
                [wants_changes("of a name that counts for nothing"), writes(&[("opinion.md", YES)])].concat(),
                writes(&[("second.md", YES)]),
            ],
        )
        .role(
            Role::Tester,
            [
                [passes(), writes(&[("report.md", "---\nresult: FAIL\nreason: the button is grey\n---\n")])].concat(),
                [fails("of a name that counts for nothing"), writes(&[("report.md", "---\nresult: PASS\n---\n")])]
                    .concat(),
            ],
        );
    let stack = Stack::builder().play(play).project("artifacts", own_names()).start();
    let (item, _) = stack.plane().create_item("Paint it", "", &[]);
    stack.wait_task(&item, Stage::Analysis, TaskState::NeedsInput);
    assert!(stack.wait_said(&item, "questions").contains("Which colour?"));
    stack.plane().comment(&item, "<p>Blue.</p>");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.plane().comment(&item, "<p>:approved:</p>");
    assert!(stack.wait_said(&item, "conflict").contains("Red and blue."));
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();

    assert!(stack.said(&item, "changes wanted").contains("no tests at all"));
    assert!(stack.said(&item, "tests failed").contains("the button is grey"));
    let of = |gate| evaluations(&stack, &item, gate).into_iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>();
    assert_eq!(of("reviewer_verdict"), ["fail", "pass", "pass"]);
    assert_eq!(of("tests_passed"), ["fail", "pass"]);
    assert_eq!(of("architecture_done"), ["fail", "pass"]);
    for (role, names) in [
        (Role::Analyst, &["need.md", "plan.md", "ask.md"][..]),
        (Role::Architect, &["design.md", "clash.md"]),
        (Role::Reviewer, &["opinion.md"]),
        (Role::Tester, &["report.md"]),
    ] {
        let run = stack.runs(&item).into_iter().find(|run| run.role == role).unwrap();
        let prompt = stack.prompt(&run);
        assert!(names.iter().all(|name| prompt.contains(name)), "{role}: {prompt}");
        let default = ["01-brd", "01-questions", "06-adr", "10-conflict", "12-review", "13-test-report"];
        assert!(!default.iter().any(|name| prompt.contains(name)), "{role}: {prompt}");
    }
}

/// A reviewer or tester that writes nothing passes nothing on the words of an earlier round, whatever they are called.
#[test]
fn verdicts_of_an_earlier_round_are_gone_when_a_role_judges_again() {
    let never = vec![Deed::Until("/nonexistent/never".into())];
    let pass = "---\nresult: PASS\n---\n";
    for (role, gate, next, verdict, missing) in [
        (Role::Reviewer, "reviewer_verdict", Role::Tester, ("opinion.md", YES), "opinion.md"),
        (Role::Reviewer, "reviewer_verdict", Role::Tester, ("second.md", YES), "opinion.md"),
        (Role::Tester, "tests_passed", Role::Deployer, ("report.md", pass), "report.md"),
    ] {
        let play = Play::default()
            .role(Role::Analyst, [writes(&[("need.md", "x"), ("plan.md", "x")])])
            .role(Role::Architect, [writes(&[("design.md", "x")])])
            .role(Role::Reviewer, [writes(&[("opinion.md", YES)])])
            .role(role, [writes(&[verdict]), vec![Deed::Say("I look.".into())]])
            .role(next, [never.clone()]);
        let stack = Stack::builder().play(play).project("artifacts", own_names()).start();
        let item = stack.approved("Login");
        stack.wait_at_work(&item, next);
        stack.plane().comment(&item, "<p>:rejected: look again</p>");
        stack.wait("the second verdict", || evaluations(&stack, &item, gate).len() > 1);
        let rows = evaluations(&stack, &item, gate);
        assert_eq!((rows[0].outcome.as_str(), rows[1].outcome.as_str()), ("pass", "fail"), "{rows:?}");
        assert!(rows[1].reason.as_deref().is_some_and(|reason| reason.contains(missing)), "{rows:?}");
    }
}

//! The whole walk, with one rate limit and one round of changes on the way.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{approves, develops, wants_changes};
use orch_tests::stack::{Play, REPO, Stack, git};
use orch_worker::ctl::scripted::Deed;

fn names(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[test]
fn a_work_item_walks_to_done_and_everything_is_said_once() {
    let limited = vec![Deed::Say("I begin.".into()), Deed::ApiError(429)];
    let play = Play::default()
        .role(Role::Developer, [limited, develops("first"), develops("second")])
        .role(Role::Reviewer, [wants_changes("no tests"), approves()]);
    let stack = Stack::builder().play(play).with_telegram().start();
    let (item, _) = stack.plane().create_item("Add a login page", "<p>With a form.</p>", &[]);

    let task = stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    assert_eq!((task.key.as_str(), task.branch.as_str()), ("ET-001", "feature/ET-001-add-a-login-page"));
    stack.settle();
    assert_eq!(names(&stack.comments(&item)), ["started", "approval wanted"]);
    assert_eq!(stack.plane().state_of(&item), "In Review");

    stack.plane().comment(&item, "<p>:approved: looks good</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();

    assert_eq!(
        names(&stack.comments(&item)),
        [
            "started",
            "approval wanted",
            "approved", // and now in architecture
            "now in development",
            "now in review",
            "changes wanted",
            "now in review",
            "now in testing",
            "now in deploy",
            "done",
        ]
    );
    assert_eq!(
        names(&stack.our_states(&item)),
        [
            "In Progress", // analysis
            "In Review",   // waiting for approval
            "In Progress", // architecture, development
            "In Review",   // review
            "In Progress", // development again
            "In Review",   // review again
            "In Progress", // testing, deploy
            "Done",
        ]
    );
    let told = stack.told();
    assert_eq!(
        names(&told),
        [
            "now in analysis",
            "approval wanted",
            "now in architecture",
            "now in development",
            "now in review",
            "now in development",
            "now in review",
            "now in testing",
            "now in deploy",
            "done",
        ]
    );

    let ran: Vec<_> = stack.run_trail(&item);
    let ran: Vec<(Role, &str)> = ran.iter().map(|(role, outcome)| (*role, outcome.as_str())).collect();
    assert_eq!(
        ran,
        [
            (Role::Analyst, "success"),
            (Role::Architect, "success"),
            (Role::Developer, "transient"),
            (Role::Developer, "success"),
            (Role::Reviewer, "success"),
            (Role::Developer, "success"),
            (Role::Reviewer, "success"),
            (Role::Tester, "success"),
            (Role::Deployer, "success"),
        ]
    );
    let gates = stack.gates(&item);
    let gates: Vec<(&str, &str)> = gates.iter().map(|(gate, outcome)| (gate.as_str(), outcome.as_str())).collect();
    assert_eq!(
        gates,
        [
            ("analysis_approved", "waiting"),
            ("analysis_approved", "pass"),
            ("architecture_done", "pass"),
            ("tests_local", "pass"),
            ("reviewer_verdict", "fail"),
            ("tests_local", "pass"),
            ("reviewer_verdict", "pass"),
            ("tests_passed", "pass"),
        ]
    );

    // A session goes on only where the CLI has kept it, and the scripted agent keeps none: each run begins its own.
    let runs = stack.runs(&item);
    assert!(!runs[3].resumed && runs[3].session_id != runs[2].session_id, "{runs:?}");
    assert!(!runs[5].resumed && runs[5].session_id != runs[3].session_id, "{runs:?}");
    assert!(!runs[2].counts && runs[3].counts);

    let second = &stack.runs(&item)[5];
    let prompt = stack.prompt(second);
    assert!(prompt.contains("attempt 2 of 3") && prompt.contains("12-review.md"), "{prompt}");
    assert!(prompt.contains("no tests"), "{prompt}");

    // At the forge: one pull request with everything in it, never merged, a status per stage left.
    let pulls = stack.gitea().pulls(REPO);
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let pull = &pulls[0];
    assert_eq!((pull.branch.as_str(), pull.base.as_str(), pull.merged), (task.branch.as_str(), "main", false));
    assert_eq!(pull.title, "ET-001: Add a login page");
    let links = stack.plane().item(&item).links;
    assert!(matches!(links.as_slice(), [link] if link.title == "PR #1"), "{links:?}");
    let statuses = stack.statuses(&item);
    let statuses: Vec<(&str, &str)> = statuses.iter().map(|(c, s)| (c.as_str(), s.as_str())).collect();
    assert_eq!(
        statuses,
        [
            ("orch/analysis", "success"),
            ("orch/architecture", "success"),
            ("orch/development", "success"),
            ("orch/review", "failure"),
            ("orch/development", "success"),
            ("orch/review", "success"),
            ("orch/testing", "success"),
            ("orch/deploy", "success"),
        ]
    );
    let forge = &stack.scene.forge;
    assert_eq!(git(forge, &["show", &format!("{}:feature.txt", task.branch)]), "second");
    assert_eq!(git(forge, &["rev-list", "--count", "main"]), "1", "nothing was merged");
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);

    // Nothing but these writes was sent at all: each comment and each state by one request.
    let writes = stack.plane().requests().into_iter().filter(|r| r.method == "POST" && r.path.ends_with("/comments/"));
    assert_eq!(writes.count(), stack.comments(&item).len());
    assert!(stack.plane().delivery_answers().iter().all(|answer| *answer == Some(200)));
}

//! What ends: budgets, attempts, timeouts, patience - and what does not end because of it.

use orch_common::domain::job::JobStatus;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::Fault;
use orch_tests::stack::play::{after, develops};
use orch_tests::stack::{Play, REPO, Stack};
use orch_worker::ctl::scripted::Deed;

#[test]
fn a_budget_that_is_used_up_blocks_the_task() {
    let stack = Stack::builder().with_telegram().set("budget.task_runs", 2).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    stack.settle();
    let said = stack.said(&item, "blocked");
    assert!(said.contains("budget") && said.matches("The task is blocked").count() == 1, "{said}");
    assert!(task.state_reason.is_some_and(|r| r.contains("budget") && !r.contains('\n')));
    assert_eq!(stack.plane().state_of(&item), "Blocked");
    assert_eq!(stack.told().last().map(String::as_str), Some("blocked"));
    assert_eq!(stack.runs(&item).len(), 2);
    assert_eq!(stack.agent_job(&item).status, JobStatus::Cancelled);
}

#[test]
fn an_agent_that_fails_twice_fails_its_job_with_an_alert() {
    let broken = vec![Deed::Say("Hm.".into()), Deed::Exit(3)];
    let play = Play::default().role(Role::Developer, [broken]);
    let stack = Stack::builder().play(play).with_telegram().start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "job failed");
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 2);
    let job = stack.agent_job(&item);
    assert_eq!((job.status, job.attempts), (JobStatus::Failed, 2));
    assert_eq!(stack.told().iter().filter(|k| *k == "job failed").count(), 1);
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "job failed").count(), 1);
    assert_eq!(stack.get("/queue").unwrap()["resilience"]["breaker"]["consecutive_transient"], 0);

    // A person's retry takes it up again.
    stack.change_play(&Play::default());
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn an_agent_that_hangs_is_ended_by_its_timeout() {
    let never = after(std::path::Path::new("/nonexistent/never"), develops("never"));
    let play = Play::default().role(Role::Developer, [never, develops("done")]);
    let timeouts = toml::toml! { developer = 3 };
    let stack = Stack::builder().play(play).set("agent.timeout_overrides", timeouts).start();
    let item = stack.approved("Login");
    stack.wait("the second attempt", || stack.task(&item).is_some() && stack.agents_begun(&item, Role::Developer) == 2);
    let hung = stack.runs(&item).into_iter().find(|r| r.role == Role::Developer).unwrap();
    assert_eq!((hung.exit_code, hung.outcome, hung.counts), (Some(-9), Some(RunOutcome::Permanent), true));
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_test_command_whose_program_is_missing_blocks_at_once_and_charges_nobody() {
    let stack = Stack::builder().start();
    stack.give("no-tool");
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|r| r.contains("test_command")), "{task:?}");
    let said = stack.wait_said(&item, "blocked");
    assert!(said.contains("exit 127") && said.contains("Install it"), "{said}");
    std::fs::remove_file(stack.signal("no-tool")).unwrap();
    // The work is done; only the check is looked at again.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1, "nobody was charged");
    let tests: Vec<_> = stack.gates(&item).into_iter().filter(|(gate, _)| gate == "tests_local").collect();
    assert_eq!(tests, [("tests_local".into(), "infra".into()), ("tests_local".into(), "pass".into())]);
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "blocked").count(), 1);
}

#[test]
fn an_effect_that_fails_for_good_is_alerted_and_the_next_goes_out() {
    let mut stack = Stack::builder().without_worker().with_telegram().start();
    stack.plane().fail_when("POST", "/comments/", 1, Fault::status(400));
    stack.start_worker("w1");
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert_eq!(stack.comments(&item), ["approval wanted"], "the first was refused");
    assert_eq!(stack.our_states(&item), ["In Progress", "In Review"]);
    assert_eq!(stack.told().iter().filter(|k| *k == "job failed").count(), 1);
    assert_eq!(stack.jobs_with(JobStatus::Failed), 1);
}

#[test]
fn a_check_whose_webhook_was_lost_is_found_by_the_reconciler() {
    let stack = Stack::builder().project("development_gate", "ci_green").set("worker.reconcile_s", 2).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    let head = stack.task(&item).unwrap().head.unwrap();
    // Nobody listens there: what the forge says from now on is lost.
    stack.gitea().webhook_to("http://127.0.0.1:9/webhook/gitea");
    stack.gitea().ci(REPO, &head, "ci/test", "success");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(
        stack.comments(&item).iter().filter(|k| *k == "waiting").count(),
        1,
        "a look that finds nothing is silent"
    );
}

//! A usage limit with a known end.

use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::develops;
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn at_a_usage_limit_all_agents_wait_for_its_end_and_nobody_is_charged() {
    let stack = Stack::builder().with_telegram().start();
    let item = stack.analysed("Login");
    let reset = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(12);
    let reset_s = i64::try_from(reset.as_secs()).unwrap();
    let limited = vec![Deed::Say("I begin.".into()), Deed::UsageLimit(reset_s)];
    stack.change_play(&Play::default().role(Role::Developer, [limited, develops("done")]));
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait("the limit to be known", || stack.account().limit_until.is_some());
    assert_eq!(stack.account().limit_until, Some(reset_s * 1000));
    // Another task's agent waits too; its event and its effects do not.
    let (other, _) = stack.plane().create_item("Another", "", &[]);
    stack.wait_said(&other, "started");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.wait_task(&other, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();

    let limited = stack.runs(&item).into_iter().find(|r| r.outcome == Some(RunOutcome::UsageLimit)).unwrap();
    assert!(!limited.counts);
    let later = stack.runs(&item).into_iter().chain(stack.runs(&other)).filter(|r| r.started_at > limited.started_at);
    let early: Vec<_> = later.filter(|r| r.started_at < reset_s * 1000).collect();
    assert!(early.is_empty(), "{early:?}");
    let job = stack.jobs(&item).into_iter().find(|j| j.id == limited.job_id).unwrap();
    assert_eq!((job.attempts, job.transient_attempts), (1, 0));
    assert_eq!(stack.account().breaker.consecutive_transient, 0);
    assert_eq!(stack.told().iter().filter(|k| *k == "usage limit").count(), 1);
}

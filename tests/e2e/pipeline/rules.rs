//! What starts a task and what does not, and whose word counts.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::tasks;
use orch_tests::fakes::{FakePlane, Fault};
use orch_tests::stack::play::{after, analyses};
use orch_tests::stack::{LONG, Play, Stack};
use orch_worker::agent::RunDir;

fn tasks_there(stack: &Stack) -> usize {
    stack.read(|c| Ok(tasks::newest(c, 100)?.len()))
}

#[test]
fn only_people_move_a_task() {
    let stack = Stack::builder().start();
    let item = stack.analysed("Login");
    stack.settle();
    // Our own account, whatever it says, and whoever it says it is.
    stack.plane().comment_as(FakePlane::BOT, &item, "<p>:approved:</p>");
    stack.plane().comment_forged(FakePlane::BOT, FakePlane::HUMAN, &item, "<p>:approved:</p>");
    // An admin who puts the word into another's mouth.
    stack.plane().comment(&item, "<p>Looks fine.</p>");
    let theirs = stack.plane().item(&item).comments.into_iter().rfind(|c| c.actor == FakePlane::HUMAN).unwrap();
    stack.plane().edit_comment_as(FakePlane::ADMIN, &item, &theirs.id, "<p>:approved:</p>");
    // Talk about a command is no command.
    stack.plane().comment(&item, "<p>Should I write :approved: now?</p>");
    stack.settle();
    let task = stack.task(&item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Analysis, TaskState::WaitingApproval));
    assert_eq!(stack.comments(&item)[..2], ["started", "approval wanted"]);
    assert_eq!(stack.jobs(&item).iter().filter(|j| j.status == JobStatus::Failed).count(), 0);

    // The author's own second thought counts.
    stack.plane().edit_comment_as(FakePlane::HUMAN, &item, &theirs.id, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_label_starts_a_task_where_the_project_says_so() {
    let stack = Stack::builder().project("start", toml::toml! { label = "auto" }).start();
    let (plain, _) = stack.plane().create_item("By hand", "", &[]);
    let (labelled, _) = stack.plane().create_item("At once", "", &["auto"]);
    stack.wait_task(&labelled, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert!(stack.task(&plain).is_none());
    stack.plane().label_item(&plain, "other");
    stack.settle();
    assert!(stack.task(&plain).is_none());
    stack.plane().label_item(&plain, "auto");
    stack.wait_task(&plain, Stage::Analysis, TaskState::WaitingApproval);
    stack.plane().label_item(&plain, "auto");
    stack.settle();
    assert_eq!((tasks_there(&stack), stack.runs(&plain).len()), (2, 1));
}

#[test]
fn a_state_starts_a_task_where_the_project_says_so() {
    let stack = Stack::builder().project("start", toml::toml! { state = "todo" }).start();
    let (item, _) = stack.plane().create_item("Later", "", &[]);
    stack.settle();
    assert_eq!(tasks_there(&stack), 0);
    stack.plane().move_item(&item, "Todo");
    let task = stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    assert_eq!(task.title, "Later");
}

#[test]
fn an_unknown_project_is_ignored_and_the_log_says_so() {
    let other = "11111111-2222-4333-8444-555555555555";
    let stack = Stack::builder().project("plane_project", other).start();
    stack.plane().create_item("Nobody's", "", &[]);
    stack.settle();
    assert_eq!(tasks_there(&stack), 0);
    let api = stack.plane().delivery_answers();
    assert_eq!(api, [Some(200)]);
    let log = stack.api_log();
    assert!(log.lines().any(|line| line.contains("ignored") && line.contains(FakePlane::PROJECT)), "{log}");
}

#[test]
fn a_deleted_work_item_stops_its_agent() {
    let gone = std::path::Path::new("/nonexistent/never");
    let play = Play::default().role(Role::Analyst, [after(gone, analyses())]);
    let stack = Stack::builder().play(play).start();
    let (item, _) = stack.plane().create_item("Short-lived", "", &[]);
    let run = stack.wait_at_work(&item, Role::Analyst);
    stack.plane().delete_item_said(&item);
    stack.wait_task(&item, Stage::Analysis, TaskState::Cancelled);
    stack.wait("the agent to be stopped", || {
        !RunDir::at(stack.scene.runs.join(&run.dir)).read_agent().unwrap().unwrap().is_alive()
    });
    stack.wait("the job to end", || stack.agent_job(&item).status == JobStatus::Cancelled);
}

#[test]
fn a_chat_that_never_answers_delays_no_stage() {
    let stack = Stack::builder().with_telegram().start();
    stack.telegram().fail_next(10_000, Fault::Slow(LONG * 2));
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.wait("everything but the chat to be told", || {
        let mut waiting = stack.jobs(&item).into_iter().filter(|j| !j.status.is_finished());
        waiting.all(|j| j.payload.contains("\"effect\":\"telegram\""))
    });
    assert_eq!(stack.plane().state_of(&item), "Done");
    assert!(stack.jobs(&item).iter().any(|j| !j.status.is_finished()), "the chat is still waited for");
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);
}

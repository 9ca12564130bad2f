//! An agent never starts on half of the story: it waits for what people have written, says so where that cannot be had, and does
//! not work for an item that is gone.

use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::Fault;
use orch_tests::stack::play::{after, decides};
use orch_tests::stack::{Play, Stack};

/// The agent's start waits, at no charge.
fn waits_for_its_story(stack: &Stack, item: &str) -> bool {
    let waits = |why: &str| why.contains("the work item could not be read");
    stack.jobs(item).iter().any(|j| {
        j.kind == JobKind::Agent
            && j.status == JobStatus::Queued
            && j.attempts == 0
            && j.error.as_deref().is_some_and(waits)
    })
}

#[test]
fn an_agent_waits_for_the_whole_story_and_goes_on_without_it_after_minutes() {
    let approving = toml::toml! { approve = "Approved" };
    let stack = Stack::builder().with_telegram().project("commands_by_state", approving).start();
    stack.plane().add_state("Approved", "started");
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Architect, [after(&go, decides())]));
    let item = stack.analysed("Login");
    stack.settle();
    stack.plane().fail_when("GET", "/comments/", 1_000, Fault::status(500));
    stack.plane().comment(&item, "<p>Passwords need twelve letters.</p>");
    // A word would be read again before it acts, and wait for the thread as well.
    stack.plane().move_item(&item, "Approved");
    stack.wait("the architect's start to wait", || waits_for_its_story(&stack, &item));
    assert_eq!(stack.agents_begun(&item, Role::Architect), 0);
    stack.plane().heal();
    let run = stack.wait_at_work(&item, Role::Architect);
    assert!(stack.prompt(&run).contains("twelve letters"), "{}", stack.prompt(&run));

    // Half a story again, and this time for longer than anybody waits.
    stack.plane().fail_when("GET", "/comments/", 1_000, Fault::status(500));
    stack.plane().comment(&item, "<p>And a digit.</p>");
    stack.wait("the word to be heard", || stack.notes_of_events().iter().any(|n| n.contains("without a command")));
    stack.give("go");
    stack.wait("the developer's start to wait", || waits_for_its_story(&stack, &item));
    assert_eq!(stack.agents_begun(&item, Role::Developer), 0);
    stack.age_waits(11 * 60_000);
    stack.wait("the developer", || stack.runs(&item).iter().any(|r| r.role == Role::Developer));
    stack.plane().heal();
    let run = stack.runs(&item).into_iter().find(|r| r.role == Role::Developer).unwrap();
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let prompt = stack.prompt(&run);
    assert!(prompt.contains("The comments of the work item are missing") && prompt.contains("500"), "{prompt}");
    stack.settle();
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "story unread").count(), 1);
    assert_eq!(stack.told().iter().filter(|kind| *kind == "story unread").count(), 1);
    let charged = |j: &orch_common::store::jobs::Job| j.attempts > 1 || j.transient_attempts > 0;
    assert!(!stack.jobs(&item).iter().any(charged), "it cost nobody an attempt");
}

#[test]
fn nobody_works_for_an_item_that_is_deleted_or_archived() {
    let go = |stack: &Stack| stack.signal("go");
    let stack = Stack::builder().set("worker.max_concurrency", 4).start();
    stack.change_play(&Play::default().role(Role::Architect, [after(&go(&stack), decides())]));
    let items = ["Deleted", "Archived"].map(|title| stack.approved(title));
    for item in &items {
        stack.wait_at_work(item, Role::Architect);
    }
    // Plane tells of neither.
    stack.settle_effects();
    stack.plane().delete_item(&items[0]);
    stack.plane().archive_item(&items[1]);
    stack.give("go");
    for (item, how) in items.iter().zip(["deleted", "archived"]) {
        stack.wait_task(item, Stage::Development, TaskState::Cancelled);
        let task = stack.task(item).unwrap();
        assert_eq!(task.state_reason, Some(format!("the work item was {how}")));
        assert_eq!(stack.agents_begun(item, Role::Developer), 0, "{how}");
    }
}

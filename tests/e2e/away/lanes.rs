//! One destination's slowness holds nobody up who writes to another.

use orch_common::domain::effect::Destination;
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::jobs::{self, JobFilter};
use orch_tests::fakes::Fault;
use orch_tests::stack::{REPO, Stack};
use std::time::Duration;

/// Messages that wait for the chat.
fn waiting_for_the_chat(stack: &Stack) -> usize {
    let filter = JobFilter { kind: Some(JobKind::Effect), ..JobFilter::default() };
    let heads = stack.read(move |c| jobs::newest(c, filter, 1000));
    let is_to_chat = |id: i64| {
        let job = stack.read(move |c| jobs::get(c, id)).expect("a job");
        job.order_key.is_some_and(|key| key.ends_with(Destination::Telegram.as_str()))
    };
    heads.into_iter().filter(|j| j.finished_at.is_none() && is_to_chat(j.id)).count()
}

/// Two looks run the tests of their projects; a third and fourth are not worth the machine's time yet. Nobody else waits.
#[test]
fn looks_that_wait_for_places_at_the_tests_hold_no_other_look() {
    let stack = Stack::builder().set("worker.max_concurrency", 4).start();
    let titles = ["Login", "Logout", "Basket", "Search"];
    let items: Vec<String> = titles.iter().map(|title| stack.plane().create_item(title, "", &[]).0).collect();
    stack.give("hold-tests");
    for item in &items {
        stack.wait_task(item, Stage::Analysis, TaskState::WaitingApproval);
        stack.plane().comment(item, "<p>:approved:</p>");
    }
    for item in &items {
        stack.wait("the developer's end", || {
            stack.task(item).is_some_and(|t| t.stage == Stage::Development)
                && stack.run_trail(item).iter().any(|(role, outcome)| *role == Role::Developer && outcome == "success")
        });
    }
    stack.wait("two runs of the tests", || begun(&stack) >= 2);
    let another = stack.analysed("Another");
    assert!(items.iter().all(|item| stack.task(item).is_some_and(|t| t.stage == Stage::Development)));
    std::fs::remove_file(stack.signal("hold-tests")).unwrap();
    for item in &items {
        stack.wait_task(item, Stage::Done, TaskState::Done);
    }
    assert_eq!(stack.task(&another).unwrap().stage, Stage::Analysis);
}

/// Runs of the project's tests so far.
fn begun(stack: &Stack) -> usize {
    std::fs::read_to_string(stack.signal("tests-begun")).unwrap_or_default().lines().count()
}

#[test]
fn a_slow_chat_holds_neither_pull_requests_nor_cards_and_hears_all_in_fewer_messages() {
    let stack = Stack::builder().with_telegram().set("worker.max_concurrency", 4).start();
    // Each message is answered after a time in which whole walks are done.
    stack.telegram().fall_ill(Some(Fault::Slow(Duration::from_secs(25))));
    let titles = ["Login", "Logout", "Basket", "Search"];
    let items: Vec<String> = titles.iter().map(|title| stack.plane().create_item(title, "", &[]).0).collect();
    for item in &items {
        stack.wait_task(item, Stage::Analysis, TaskState::WaitingApproval);
        stack.plane().comment(item, "<p>:approved:</p>");
    }
    for item in &items {
        stack.wait_task(item, Stage::Done, TaskState::Done);
        stack.wait_state(item, "Done");
        stack.wait_said(item, "done");
        stack.wait("its pull request", || stack.pull(item).is_some());
        stack.wait("its link", || stack.plane().item(item).links.len() == 1);
    }
    let waiting = waiting_for_the_chat(&stack);
    assert!(waiting >= titles.len(), "the chat was slow all the while: {waiting}");
    assert_eq!(stack.gitea().pulls(REPO).len(), titles.len());

    stack.telegram().fall_ill(None);
    stack.settle();
    let (told, messages) = (stack.told(), stack.telegram().messages());
    assert!(told.iter().all(|kind| !kind.starts_with('?')), "{told:?}");
    assert_eq!(told.iter().filter(|kind| *kind == "done").count(), titles.len(), "each is told: {told:?}");
    assert!(messages.len() * 2 < told.len(), "{} messages for {} words", messages.len(), told.len());
    let done: Vec<_> = messages.iter().flat_map(|m| m.split("———")).filter(|m| m.contains("ET-001")).collect();
    assert!(done.last().is_some_and(|last| last.contains("is done:")), "in their order: {done:#?}");
}

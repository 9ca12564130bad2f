//! Whose word counts: what Plane tells of a comment is not always what its author wrote, and whoever is not heard is told
//! why.

use super::rig::{REPO, Rig};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::fakes::{FakePlane, Fault};
use orch_worker::clients::gitea::NewPull;
use std::time::{Duration, Instant};

const TOM: &str = FakePlane::HUMAN;
const APPROVER: &str = FakePlane::ADMIN;

/// A rig with one task.
async fn placed(project: &str, stage: Stage, state: TaskState) -> (Rig, String) {
    let rig = Rig::new(project).await;
    let (item, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    rig.arrives(&created).await;
    rig.place(stage, state).await;
    (rig, item)
}

/// The task has a branch and a pull request of its own.
async fn opened(rig: &Rig) {
    let branch = rig.task().await.unwrap().branch;
    rig.gitea.set_branch(REPO, &branch, &"b".repeat(40));
    let new = NewPull { branch: &branch, base: "main", title: "t", body: "" };
    let opened = rig.ctx.outside.gitea.clone().unwrap().create_pull(REPO, new).await.unwrap();
    rig.own_pull(opened.number).await;
}

/// What the thread was told since `before`.
fn told_since(rig: &Rig, item: &str, before: usize) -> Vec<String> {
    rig.plane.comments_of(item).split_off(before)
}

fn count(rig: &Rig, item: &str) -> usize {
    rig.plane.comments_of(item).len()
}

#[tokio::test]
async fn an_approval_put_into_anothers_mouth_is_nobodys_word() {
    let approvers = format!("approvers = [\"{APPROVER}\"]");
    // What is delivered of it: the new comment first, the change first, or nothing, and it is found by asking.
    for order in [&[0, 1][..], &[1, 0], &[]] {
        let (mut rig, item) = placed(&approvers, Stage::Analysis, TaskState::WaitingApproval).await;
        let told = rig.plane.comment_put_in_mouth(APPROVER, TOM, &item, "<p>:approved:</p>");
        let before = count(&rig, &item);
        for n in order {
            rig.arrives(&told[*n]).await;
        }
        rig.ask().await;
        rig.forget();
        rig.ask().await;
        assert!(rig.waiting(JobKind::Advance).await.is_empty(), "{order:?}");
        let answers = told_since(&rig, &item, before);
        assert_eq!(answers.len(), 1, "{order:?}: said once: {answers:?}");
        assert!(answers[0].contains("counts for nobody here"), "{answers:?}");
        // The approver's own word in a comment of their own counts.
        let own = rig.plane.comment_as(APPROVER, &item, "<p>:approved:</p>");
        rig.arrives(&own).await;
        assert_eq!(rig.waiting(JobKind::Advance).await, ["command approve"], "{order:?}");
    }
}

/// What was told is not what is there: the author has had second thoughts, or another has changed it since.
#[tokio::test]
async fn a_comment_is_read_again_before_it_acts() {
    let (rig, item) = placed("", Stage::Analysis, TaskState::WaitingApproval).await;
    let last = |rig: &Rig| rig.plane.item(&item).comments.last().unwrap().id.clone();
    // Another changes it after Plane has sent, and before the event is handled: Plane's own delivery says nothing of that.
    let told = rig.plane.comment(&item, "<p>:approved:</p>");
    rig.plane.edit_comment_as(APPROVER, &item, &last(&rig), "<p>:rejected: not yet</p>");
    rig.arrives(&told).await;
    assert!(rig.waiting(JobKind::Advance).await.is_empty() && rig.waiting(JobKind::Agent).await.is_empty());
    // Deleted: taken back.
    let told = rig.plane.comment(&item, "<p>:approved:</p>");
    rig.plane.delete_comment(&item, &last(&rig));
    rig.arrives(&told).await;
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
    // The author's own second thought is what counts, once.
    let told = rig.plane.comment(&item, "<p>:approved:</p>");
    let changed = rig.plane.edit_comment_as(TOM, &item, &last(&rig), "<p>:rejected: too <b>thin</b></p>");
    rig.arrives(&told).await;
    rig.arrives(&changed).await;
    assert_eq!(rig.waiting(JobKind::Agent).await, ["analyst"]);
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
    let payload = rig.jobs(JobKind::Agent).await.pop().unwrap().payload;
    assert!(payload.contains("too thin"), "{payload}");
}

#[tokio::test]
async fn a_word_that_cannot_be_read_again_waits_and_is_neither_lost_nor_acted_on() {
    let (rig, item) = placed("", Stage::Analysis, TaskState::WaitingApproval).await;
    let told = rig.plane.comment(&item, "<p>:approved:</p>");
    // Plane answers, but not this.
    rig.plane.fail_when("GET", "/comments/", 1_000, Fault::status(503));
    rig.take_in(&told).await;
    assert!(rig.one(JobKind::Event).await);
    assert!(rig.waiting(JobKind::Advance).await.is_empty(), "nothing is done unread");
    rig.plane.heal();
    let deadline = Instant::now() + Duration::from_secs(60);
    while rig.waiting(JobKind::Advance).await.is_empty() {
        assert!(Instant::now() < deadline, "the event was dropped");
        rig.settle().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(rig.waiting(JobKind::Advance).await, ["command approve"]);
}

#[tokio::test]
async fn answers_are_the_approvers_where_a_project_lists_them() {
    let approvers = format!("approvers = [\"{APPROVER}\"]");
    let (rig, item) = placed(&approvers, Stage::Analysis, TaskState::NeedsInput).await;
    let before = count(&rig, &item);
    for words in ["<p>Paint it black</p>", "<p>or red</p>"] {
        let told = rig.plane.comment_as(TOM, &item, words);
        rig.arrives(&told).await;
    }
    assert_eq!(rig.task().await.unwrap().state, TaskState::NeedsInput);
    let answers: Vec<_> =
        told_since(&rig, &item, before).into_iter().filter(|t| t.contains("only the project")).collect();
    assert_eq!(answers.len(), 1, "told once: {answers:?}");
    // The questions come again: told again.
    rig.place(Stage::Analysis, TaskState::NeedsInput).await;
    let told = rig.plane.comment_as(TOM, &item, "<p>blue</p>");
    let before = count(&rig, &item);
    rig.arrives(&told).await;
    assert_eq!(told_since(&rig, &item, before).len(), 1);
    let html = format!(
        "<p>as <mention-component entity_identifier=\"{TOM}\" entity_name=\"user_mention\"></mention-component> says: \
         <code>#000</code></p>"
    );
    let told = rig.plane.comment_as(APPROVER, &item, &html);
    rig.arrives(&told).await;
    assert_eq!(rig.waiting(JobKind::Agent).await, ["analyst"]);
    let payload = rig.jobs(JobKind::Agent).await.pop().unwrap().payload;
    assert!(payload.contains("as @hugo says: `#000`"), "{payload}");

    let everybody = format!("{approvers}\nanswers = \"everybody\"");
    let (rig, item) = placed(&everybody, Stage::Analysis, TaskState::NeedsInput).await;
    let told = rig.plane.comment_as(TOM, &item, "<p>Paint it black</p>");
    rig.arrives(&told).await;
    assert_eq!(rig.waiting(JobKind::Agent).await, ["analyst"]);
}

#[tokio::test]
async fn after_a_word_the_card_is_where_its_task_is() {
    for word in [":retry:", ":rejected: too thin"] {
        let (rig, item) = placed("", Stage::Architecture, TaskState::Active).await;
        // The situation stays the same, and somebody has moved the card meanwhile.
        let moved = rig.plane.move_item(&item, "Todo");
        rig.arrives(&moved).await;
        assert_eq!(rig.plane.state_of(&item), "Todo", "a move without a meaning is left alone");
        let told = rig.plane.comment(&item, &format!("<p>{word}</p>"));
        rig.arrives(&told).await;
        assert_eq!(rig.plane.state_of(&item), "In Progress", "{word}");
    }
}

#[tokio::test]
async fn after_the_end_people_are_answered() {
    for (state, word, says) in [
        (TaskState::Done, ":retry:", "needs a new work item"),
        (TaskState::Done, ":approved:", "needs a new work item"),
        (TaskState::Cancelled, ":approved:", ":retry: opens it again"),
        (TaskState::Cancelled, ":resume:", ":retry: opens it again"),
        (TaskState::Cancelled, ":pause:", ":retry: opens it again"),
    ] {
        let stage = if state == TaskState::Done { Stage::Done } else { Stage::Review };
        let (rig, item) = placed("", stage, state).await;
        let told = rig.plane.comment(&item, &format!("<p>{word}</p>"));
        let before = count(&rig, &item);
        rig.arrives(&told).await;
        rig.arrives(&told).await;
        let answers = told_since(&rig, &item, before);
        assert_eq!(answers.len(), 1, "{state} {word}: {answers:?}");
        assert!(answers[0].contains(says) && answers[0].contains(word), "{state} {word}: {answers:?}");
        assert_eq!(rig.task().await.unwrap().state, state);
        assert!(rig.waiting(JobKind::Agent).await.is_empty());
    }
}

#[tokio::test]
async fn a_cancelled_card_that_is_moved_back_opens_its_task_again() {
    for told in [true, false] {
        let (mut rig, item) = placed("", Stage::Review, TaskState::Active).await;
        opened(&rig).await;
        // Before the end: says nothing about it, however late it is told.
        let early = rig.plane.move_item(&item, "Backlog");
        rig.arrives(&early).await;
        let end = rig.plane.move_item(&item, "Cancelled");
        rig.arrives(&end).await;
        assert_eq!(rig.task().await.unwrap().state, TaskState::Cancelled);
        rig.arrives(&early).await;
        rig.ask().await;
        assert_eq!(rig.task().await.unwrap().state, TaskState::Cancelled);
        // Its pull request was closed with it, and opens again with it.
        let branch = rig.task().await.unwrap().branch;
        assert!(!rig.gitea.pull_of(REPO, &branch).unwrap().open, "told: {told}");
        let back = rig.plane.move_item(&item, "Todo");
        if told {
            rig.arrives(&back).await;
        }
        rig.ask().await;
        rig.forget();
        rig.ask().await;
        rig.arrives(&back).await;
        let task = rig.task().await.unwrap();
        assert_eq!((task.stage, task.state), (Stage::Review, TaskState::Active), "told: {told}");
        assert_eq!(rig.waiting(JobKind::Agent).await, ["reviewer"], "told: {told}");
        assert_eq!(rig.plane.state_of(&item), "In Review");
        assert!(rig.gitea.pull_of(REPO, &branch).unwrap().open, "told: {told}");
        let said = rig.plane.comments_of(&item).into_iter().filter(|t| t.contains("Opened again")).count();
        assert_eq!(said, 1);
    }
    // Told of late: a move from before the end, while our own move has not been made, ...
    let (mut rig, item) = placed("", Stage::Review, TaskState::Active).await;
    let early = rig.plane.move_item(&item, "Backlog");
    let end = rig.plane.comment(&item, "<p>:cancel:</p>");
    rig.take_in(&end).await;
    assert!(rig.one(JobKind::Event).await);
    assert_eq!(rig.plane.state_of(&item), "Backlog");
    rig.take_in(&early).await;
    rig.reconciler.round(&rig.ctx).await.unwrap();
    while rig.one(JobKind::Event).await {}
    assert_eq!(rig.task().await.unwrap().state, TaskState::Cancelled);
    rig.settle().await;
    // ... and one that was taken back.
    let back = rig.plane.move_item(&item, "Todo");
    rig.plane.move_item(&item, "Cancelled");
    rig.arrives(&back).await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::Cancelled);
    // Moved on among the ended ones, or by somebody who may not: it stays ended.
    let (rig, item) = placed(&format!("approvers = [\"{APPROVER}\"]"), Stage::Review, TaskState::Cancelled).await;
    let moved = rig.plane.move_item(&item, "Todo");
    let before = count(&rig, &item);
    rig.arrives(&moved).await;
    assert!(told_since(&rig, &item, before)[0].contains("approvers"));
    let done = rig.plane.move_item(&item, "Done");
    rig.arrives(&done).await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::Cancelled);
}

#[tokio::test]
async fn a_card_that_is_moved_to_done_too_early_is_answered_and_left_there() {
    for (state, says) in [
        (TaskState::WaitingApproval, "waits for :approved:"),
        (TaskState::NeedsInput, "waits for an answer"),
        (TaskState::Blocked, "is blocked until :retry:"),
    ] {
        let (mut rig, item) = placed("", Stage::Analysis, state).await;
        let before = count(&rig, &item);
        let moved = rig.plane.move_item(&item, "Done");
        rig.arrives(&moved).await;
        rig.ask().await;
        rig.arrives(&moved).await;
        let answers = told_since(&rig, &item, before);
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert!(answers[0].contains(says) && answers[0].contains("moved to Done"), "{answers:?}");
        assert_eq!((rig.plane.state_of(&item).as_str(), rig.task().await.unwrap().state), ("Done", state));
        let failed = rig.jobs(JobKind::Effect).await.into_iter().filter(|j| j.status == JobStatus::Failed).count();
        assert_eq!(failed, 0);
    }
}

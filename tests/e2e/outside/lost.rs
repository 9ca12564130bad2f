//! Lost webhooks: nothing is delivered, everything is found by asking; and deliveries that come all the same, before
//! or after, change nothing.

use super::rig::{REPO, Rig, now_ms};
use orch_common::domain::gate::{Gate, OutcomeKind};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::gates::{self, NewGateResult};
use orch_common::store::{Conn, cursors, tasks};
use orch_tests::fakes::{FakePlane, Fault};

/// A rig with one task that waits for an approval; its own comments are in the thread.
async fn waiting(project: &str) -> (Rig, String) {
    let rig = Rig::new(project).await;
    let (item, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    rig.arrives(&created).await;
    rig.place(Stage::Analysis, TaskState::WaitingApproval).await;
    (rig, item)
}

#[tokio::test]
async fn a_new_item_is_found_and_starts_once() {
    let mut rig = Rig::new("").await;
    let (item, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    assert_eq!(rig.ask().await, 1);
    let task = rig.task().await.expect("a task");
    assert_eq!((task.key.as_str(), task.stage, task.description.as_str()), ("ET-001", Stage::Analysis, "please"));
    assert_eq!(rig.trail().await, [format!("appeared {}", FakePlane::HUMAN)]);
    rig.forget();
    assert_eq!(rig.ask().await, 0);
    rig.arrives(&created).await;
    assert_eq!(rig.transitions().await.len(), 1);
    assert_eq!(rig.waiting(JobKind::Agent).await, ["analyst"]);
    assert_eq!(rig.plane.item(&item).comments.len(), 1);
}

#[tokio::test]
async fn items_from_before_the_first_round_start_nothing() {
    let rig = Rig::new("").await;
    let project = FakePlane::PROJECT;
    let (name, later) = (format!("plane:begin:{project}"), (now_ms() + 60_000).to_string());
    rig.store().write(move |c| cursors::put(c, &name, &later, 0)).await.unwrap();
    let mut rig = rig;
    rig.plane.create_item("Old", "", &[]);
    assert_eq!(rig.ask().await, 0);
    assert!(rig.task().await.is_none());
}

#[tokio::test]
async fn a_lost_approval_acts_once_in_any_order() {
    for late in [true, false] {
        let (mut rig, item) = waiting("").await;
        let said = rig.plane.comment(&item, "<p>:approved: fine</p>");
        if !late {
            rig.arrives(&said).await;
        }
        rig.ask().await;
        rig.forget();
        rig.ask().await;
        if late {
            rig.arrives(&said).await;
        }
        assert_eq!(rig.waiting(JobKind::Advance).await, ["command approve"], "late: {late}");
    }
}

#[tokio::test]
async fn a_lost_move_of_the_card_acts_once_in_any_order() {
    for late in [true, false] {
        let (mut rig, item) = waiting("commands_by_state = { approve = \"Done\" }").await;
        let moved = rig.plane.move_item(&item, "Done");
        if !late {
            rig.arrives(&moved).await;
        }
        rig.ask().await;
        rig.forget();
        rig.ask().await;
        if late {
            rig.arrives(&moved).await;
        }
        assert_eq!(rig.waiting(JobKind::Advance).await, ["command approve"], "late: {late}");
    }
}

#[tokio::test]
async fn own_moves_and_own_words_are_nobodys() {
    let (mut rig, item) = waiting("commands_by_state = { approve = \"In Progress\" }").await;
    rig.plane.comment_as(FakePlane::BOT, &item, "<p>:cancel:</p>");
    rig.forget();
    rig.ask().await;
    assert_eq!(rig.plane.state_of(&item), "In Progress", "moved there by the orchestrator itself");
    assert_eq!(rig.task().await.unwrap().state, TaskState::WaitingApproval);
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
}

#[tokio::test]
async fn an_answer_is_what_was_said_after_the_questions() {
    let (mut rig, item) = waiting("").await;
    rig.plane.comment(&item, "<p>by the way, hello</p>");
    rig.place(Stage::Analysis, TaskState::NeedsInput).await;
    let questions = rig.plane.comment_as(FakePlane::BOT, &item, "<p>Which greeting?</p>");
    drop(questions);
    rig.ask().await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::NeedsInput, "said before the questions");
    let answer = rig.plane.comment(&item, "<p>Say hello</p>");
    rig.ask().await;
    rig.arrives(&answer).await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::Active);
    let trail = rig.trail().await;
    assert_eq!(trail.iter().filter(|t| t.starts_with("answer")).count(), 1, "{trail:?}");
}

#[tokio::test]
async fn words_put_into_anothers_mouth_are_not_taken() {
    let (mut rig, item) = waiting("").await;
    rig.plane.comment(&item, "<p>hm</p>");
    let comment = rig.plane.item(&item).comments.last().unwrap().id.clone();
    rig.plane.edit_comment_as(FakePlane::ADMIN, &item, &comment, "<p>:approved:</p>");
    rig.ask().await;
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
}

#[tokio::test]
async fn only_approvers_and_they_are_answered_once() {
    let (mut rig, item) = waiting(&format!("approvers = [\"{}\"]", FakePlane::ADMIN)).await;
    let said = rig.plane.comment(&item, "<p>:approved:</p>");
    let before = rig.plane.item(&item).comments.len();
    rig.ask().await;
    rig.arrives(&said).await;
    assert_eq!(rig.plane.item(&item).comments.len(), before + 1);
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
    rig.plane.comment_as(FakePlane::ADMIN, &item, "<p>:approved:</p>");
    rig.ask().await;
    assert_eq!(rig.waiting(JobKind::Advance).await, ["command approve"]);
}

#[tokio::test]
async fn a_deleted_item_ends_its_task_but_a_restarting_plane_does_not() {
    let (mut rig, item) = waiting("").await;
    rig.ask().await;
    rig.plane.fail_when("GET", &format!("/work-items/{item}"), 2, Fault::status(404));
    rig.plane.fail_when("GET", "/projects/", 2, Fault::status(404));
    rig.ask().await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::WaitingApproval);
    rig.ask().await;
    assert_eq!(rig.task().await.unwrap().state, TaskState::WaitingApproval);
    rig.plane.delete_item(&item);
    for _ in 0..2 {
        rig.ask().await;
    }
    let task = rig.task().await.unwrap();
    assert_eq!((task.state, task.stage), (TaskState::Cancelled, Stage::Analysis));
}

#[tokio::test]
async fn a_failure_loses_nothing() {
    let mut rig = Rig::new("").await;
    rig.plane.create_item("Greet by name", "", &[]);
    rig.plane.fail_when("GET", "/activities/", 1, Fault::status(500));
    assert_eq!(rig.ask().await, 0);
    assert!(rig.task().await.is_none());
    assert_eq!(rig.ask().await, 1);
    assert!(rig.task().await.is_some());
}

#[tokio::test]
async fn merges_pushes_and_reviews_are_found_at_the_forge() {
    let (mut rig, _item) = waiting("deploy_gate = \"pr_merged\"").await;
    let task = rig.task().await.unwrap();
    let head = "b".repeat(40);
    rig.gitea.set_branch(REPO, &task.branch, &head);
    let (id, old) = (task.id, "a".repeat(40));
    rig.store().write(move |c| tasks::note_head(c, id, &old, 1)).await.unwrap();
    rig.ask().await;
    assert_eq!(rig.waiting(JobKind::Advance).await, ["forge pushed"]);

    rig.place(Stage::Review, TaskState::Active).await;
    let now = head.clone();
    rig.store().write(move |c| tasks::note_head(c, id, &now, 2)).await.unwrap();
    let gitea = rig.ctx.outside.gitea.clone().unwrap();
    let new = orch_worker::clients::gitea::NewPull { branch: &task.branch, base: "main", title: "t", body: "" };
    gitea.create_pull(REPO, new).await.unwrap();
    rig.own_pull(1).await;
    let review = rig.gitea.review(REPO, 1, "maria", "REQUEST_CHANGES", "no tests");
    rig.ask().await;
    rig.arrives(&review).await;
    let found = rig.waiting(JobKind::Advance).await;
    assert_eq!(found.iter().filter(|t| *t == "forge review_rejected").count(), 1, "{found:?}");

    rig.place(Stage::Deploy, TaskState::Active).await;
    let merged = rig.gitea.merge_as("maria", REPO, 1);
    rig.ask().await;
    rig.arrives(&merged).await;
    assert_eq!((rig.found("gitea:merged:").await, rig.waiting(JobKind::Advance).await.len()), (1, 1));
}

#[tokio::test]
async fn a_dismissed_review_is_not_taken_from_a_late_delivery() {
    let (rig, _item) = waiting("").await;
    let task = rig.place(Stage::Review, TaskState::Active).await;
    rig.gitea.set_branch(REPO, &task.branch, &"b".repeat(40));
    let gitea = rig.ctx.outside.gitea.clone().unwrap();
    let new = orch_worker::clients::gitea::NewPull { branch: &task.branch, base: "main", title: "t", body: "" };
    gitea.create_pull(REPO, new).await.unwrap();
    let review = rig.gitea.review(REPO, 1, "maria", "REQUEST_CHANGES", "no tests");
    rig.gitea.review(REPO, 1, "maria", "APPROVED", "fine now");
    rig.arrives(&review).await;
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
}

#[tokio::test]
async fn what_ci_says_is_found_once() {
    let (mut rig, _item) = waiting("development_gate = \"ci_green\"").await;
    let task = rig.place(Stage::Development, TaskState::Active).await;
    let head = "b".repeat(40);
    rig.gitea.set_branch(REPO, &task.branch, &head);
    let (id, sha) = (task.id, head.clone());
    rig.store().write(move |c| tasks::note_head(c, id, &sha, 1)).await.unwrap();
    rig.ask().await;
    rig.place(Stage::Development, TaskState::Active).await;
    rig.gitea.ci(REPO, &head, "build", "pending");
    rig.ask().await;
    assert_eq!(rig.found("gitea:ci:").await, 0);
    rig.gitea.ci(REPO, &head, "build", "success");
    for _ in 0..2 {
        rig.forget();
        rig.place(Stage::Development, TaskState::Active).await;
        rig.ask().await;
    }
    assert_eq!(rig.found("gitea:ci:").await, 1);
}

#[tokio::test]
async fn a_lost_command_after_the_end_is_found_and_quiet_ends_cost_one_call_a_round() {
    let (mut rig, item) = waiting("").await;
    rig.ask().await;
    rig.place(Stage::Analysis, TaskState::Cancelled).await;
    rig.plane.comment(&item, "<p>What a pity.</p>");
    let said = rig.plane.comment(&item, "<p>:retry: after all</p>");
    assert_eq!(rig.ask().await, 1);
    assert_eq!(rig.task().await.unwrap().state, TaskState::Active);
    assert_eq!(rig.waiting(JobKind::Agent).await, ["analyst"]);
    rig.forget();
    rig.ask().await;
    rig.arrives(&said).await;
    assert_eq!(rig.trail().await.iter().filter(|t| t.starts_with("retry")).count(), 1, "{:?}", rig.trail().await);

    rig.place(Stage::Done, TaskState::Done).await;
    let before = rig.plane.item(&item).comments.len();
    rig.plane.comment(&item, "<p>:approved:</p>");
    rig.ask().await;
    assert_eq!(rig.plane.item(&item).comments.len(), before + 2, "it is answered");
    rig.ask().await;
    assert_eq!(rig.plane.item(&item).comments.len(), before + 2, "once");
    // Nothing was touched since: the list of what changed, and no thread.
    rig.plane.forget_requests();
    rig.ask().await;
    let asked = rig.plane.requests();
    assert_eq!(asked.iter().filter(|r| r.path.contains(&item)).count(), 0, "{asked:?}");
}

#[tokio::test]
async fn a_commit_that_was_judged_is_not_looked_at_again() {
    let (mut rig, _) = waiting("").await;
    let task = rig.place(Stage::Development, TaskState::Active).await;
    rig.waits_for("red tests").await;
    let head = "a".repeat(40);
    let judged = move |outcome: OutcomeKind| {
        let head = head.clone();
        move |c: &mut Conn| {
            tasks::note_head(c, task.id, &head, now_ms())?;
            let result = NewGateResult {
                task_id: task.id,
                job_id: None,
                gate: Gate::TestsLocal,
                outcome,
                reason: None,
                head: head.clone(),
                tree: "c".repeat(40),
                command: None,
                exit_code: None,
                duration_ms: None,
                output_sha256: None,
                evidence: head.clone(),
                detail: None,
                at: now_ms(),
            };
            gates::record(c, &result)
        }
    };
    rig.store().write(judged(OutcomeKind::Fail)).await.unwrap();
    assert_eq!(rig.ask().await, 0);
    assert!(rig.waiting(JobKind::Advance).await.is_empty(), "its tests would be run again at every round");
    // Of this one nothing is known yet.
    rig.store().write(judged(OutcomeKind::Infra)).await.unwrap();
    assert_eq!(rig.ask().await, 1);
    assert_eq!(rig.waiting(JobKind::Advance).await, ["look"]);
}

/// What nobody could handle is said; a round that finds the same does not begin it again.
#[tokio::test]
async fn what_was_given_up_at_the_forge_is_not_begun_again_by_a_round() {
    let (mut rig, _item) = waiting("").await;
    let task = rig.place(Stage::Review, TaskState::Active).await;
    let (id, old, heads) = (task.id, "a".repeat(40), ["b", "c"].map(|digit| digit.repeat(40)));
    rig.gitea.set_branch(REPO, &task.branch, &old);
    let noted = old.clone();
    rig.store().write(move |c| tasks::note_head(c, id, &noted, 1)).await.unwrap();
    rig.gitea.set_branch(REPO, &task.branch, &heads[0]);
    let mut poison = rig.gitea.pushed("hugo", REPO, &task.branch, &old);
    poison.body = poison.body.replace("\"sender\"", "\"nobody\"");
    rig.arrives(&poison).await;
    assert_eq!(rig.found("failed:").await, 2, "people are told, in both places");
    for (head, found) in [(&heads[0], 0), (&heads[1], 1)] {
        rig.gitea.set_branch(REPO, &task.branch, head);
        rig.place(Stage::Review, TaskState::Active).await;
        rig.waits_for("the reviewer's answer").await;
        rig.ask().await;
        assert_eq!(rig.found("gitea:push:").await, found, "another push is another matter");
    }
}

//! The engine's table, row by row, by what really arrives: where the task stands, what is delivered, what follows.

use super::rig::{REPO, Rig};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::tasks;
use orch_tests::fakes::{Delivery, FakeGitea, FakePlane};
use orch_worker::clients::gitea::NewPull;

const HEAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// What somebody does.
enum Deed {
    Says(&'static str),
    BotSays(&'static str),
    Moves(&'static str),
    Pushes,
    BotPushes,
    Ci(&'static str, &'static str),
    Reviews(&'static str),
    Merges,
    Deletes,
}

/// A task with a branch, a head and a pull request.
async fn rig() -> (Rig, String) {
    rig_with("commands_by_state = { approve = \"Done\", retry = \"Todo\" }").await
}

async fn rig_with(project: &str) -> (Rig, String) {
    let rig = Rig::new(project).await;
    let (item, created) = rig.plane.create_item("Greet", "", &[]);
    rig.arrives(&created).await;
    let task = rig.task().await.unwrap();
    rig.gitea.set_branch(REPO, &task.branch, HEAD);
    let id = task.id;
    rig.store().write(move |c| tasks::note_head(c, id, HEAD, 1)).await.unwrap();
    let new = NewPull { branch: &task.branch, base: "main", title: "t", body: "" };
    let opened = rig.ctx.outside.gitea.clone().unwrap().create_pull(REPO, new).await.unwrap();
    rig.own_pull(opened.number).await;
    (rig, item)
}

fn delivery(rig: &Rig, item: &str, branch: &str, deed: &Deed) -> Delivery {
    match deed {
        Deed::Says(words) => rig.plane.comment(item, &format!("<p>{words}</p>")),
        Deed::BotSays(words) => rig.plane.comment_as(FakePlane::BOT, item, &format!("<p>{words}</p>")),
        Deed::Moves(state) => rig.plane.move_item(item, state),
        Deed::Pushes => rig.gitea.pushed("maria", REPO, branch, &"a".repeat(40)),
        Deed::BotPushes => rig.gitea.pushed(FakeGitea::BOT, REPO, branch, &"a".repeat(40)),
        Deed::Ci(context, state) => rig.gitea.ci(REPO, HEAD, context, state),
        Deed::Reviews(state) => rig.gitea.review(REPO, 1, "maria", state, "because"),
        Deed::Merges => rig.gitea.merge_as("maria", REPO, 1),
        Deed::Deletes => {
            let mut moved = rig.plane.move_item(item, "Backlog");
            let mut body: serde_json::Value = serde_json::from_str(&moved.body).unwrap();
            body["action"] = "deleted".into();
            moved.body = body.to_string();
            moved
        }
    }
}
/// Where the task stands, what is done, where it stands then, and whom that starts.
type Row = ((Stage, TaskState), Deed, (Stage, TaskState), &'static str);

#[tokio::test]
async fn every_row_that_begins_with_an_event() {
    use Deed::{BotPushes, BotSays, Ci, Deletes, Merges, Moves, Pushes, Reviews, Says};
    use Stage::{Analysis, Architecture, Deploy, Development, Review, Testing};
    use TaskState::{Active, Blocked, Cancelled, Done, NeedsInput, Paused, WaitingApproval};
    // Stage and state before; the deed; stage and state after; agent or look that waits.
    let table: [Row; 33] = [
        ((Analysis, WaitingApproval), Says(":approved:"), (Analysis, WaitingApproval), "command approve"),
        ((Analysis, WaitingApproval), Moves("Done"), (Analysis, WaitingApproval), "command approve"),
        ((Testing, Active), Says(":approved:"), (Testing, Active), "command approve"),
        ((Analysis, WaitingApproval), Says(":rejected: thin"), (Analysis, Active), "analyst"),
        ((Architecture, Active), Says(":rejected: thin"), (Analysis, Active), "analyst"),
        ((Review, Active), Says(":rejected: thin"), (Development, Active), "developer"),
        ((Deploy, Active), Says(":rejected: thin"), (Testing, Active), "tester"),
        ((Stage::Done, Done), Says(":rejected: thin"), (Stage::Done, Done), ""),
        ((Analysis, NeedsInput), Says("say hello"), (Analysis, Active), "analyst"),
        ((Analysis, WaitingApproval), Says("say hello"), (Analysis, WaitingApproval), ""),
        ((Development, Blocked), Says(":retry:"), (Development, Active), "developer"),
        ((Development, Blocked), Moves("Todo"), (Development, Active), "developer"),
        ((Review, Active), Says(":pause:"), (Review, Paused), ""),
        ((Review, Paused), Says(":retry:"), (Review, Paused), ""),
        ((Review, Paused), Says(":resume:"), (Review, Paused), "command resume"),
        ((Review, Active), Says(":cancel:"), (Review, Cancelled), ""),
        ((Review, Active), Moves("Cancelled"), (Review, Cancelled), ""),
        ((Review, Active), Deletes, (Review, Cancelled), ""),
        ((Review, Active), BotSays(":cancel:"), (Review, Active), ""),
        ((Review, Active), Says("&gt; :cancel:"), (Review, Active), ""),
        ((Review, Active), Says("please :cancel: it"), (Review, Active), ""),
        ((Development, Active), Pushes, (Development, Active), "forge pushed"),
        ((Development, Active), BotPushes, (Development, Active), ""),
        ((Development, Paused), Pushes, (Development, Paused), ""),
        ((Development, Active), Ci("build", "success"), (Development, Active), "forge ci_finished"),
        ((Development, Active), Ci("build", "pending"), (Development, Active), ""),
        ((Development, Active), Ci("orch/gate", "success"), (Development, Active), ""),
        ((Review, Active), Reviews("APPROVED"), (Review, Active), "forge review_approved"),
        ((Review, Active), Reviews("REQUEST_CHANGES"), (Review, Active), "forge review_rejected"),
        ((Review, Active), Reviews("COMMENT"), (Review, Active), ""),
        ((Deploy, Active), Merges, (Deploy, Active), "forge pull_merged"),
        ((Stage::Done, Done), Says(":approved:"), (Stage::Done, Done), ""),
        ((Stage::Done, Done), Merges, (Stage::Done, Done), ""),
    ];
    for (n, (before, deed, after, waits)) in table.into_iter().enumerate() {
        let (rig, item) = rig().await;
        let task = rig.place(before.0, before.1).await;
        let told = delivery(&rig, &item, &task.branch, &deed);
        rig.arrives(&told).await;
        let task = rig.task().await.unwrap();
        assert_eq!((task.stage, task.state), after, "row {n}");
        let mut waiting = rig.waiting(JobKind::Agent).await;
        waiting.extend(rig.waiting(JobKind::Advance).await);
        let expected: Vec<&str> = Some(waits).filter(|w| !w.is_empty()).into_iter().collect();
        assert_eq!(waiting, expected, "row {n}");
        // The same delivery again is the same deed.
        rig.arrives(&told).await;
        assert_eq!(
            (rig.task().await.unwrap().state, task.stage_version),
            (after.1, rig.task().await.unwrap().stage_version)
        );
    }
}

#[tokio::test]
async fn while_a_job_is_under_way_the_forge_is_only_heard() {
    let (rig, item) = rig().await;
    let task = rig.place(Stage::Development, TaskState::Blocked).await;
    rig.arrives(&delivery(&rig, &item, &task.branch, &Deed::Says(":retry:"))).await;
    for deed in [Deed::Pushes, Deed::Ci("build", "success"), Deed::Reviews("APPROVED")] {
        rig.arrives(&delivery(&rig, &item, &task.branch, &deed)).await;
    }
    assert!(rig.waiting(JobKind::Advance).await.is_empty());
    assert_eq!(rig.waiting(JobKind::Agent).await, ["developer"]);
}

#[tokio::test]
async fn a_review_counts_by_who_gives_it_and_by_the_gate() {
    // The gate of review; who reviews; what; the look that waits.
    let table = [
        ("reviewer_verdict", FakeGitea::REVIEWER, "APPROVED", ""),
        ("reviewer_verdict", FakeGitea::REVIEWER, "REQUEST_CHANGES", ""),
        ("reviewer_verdict", "maria", "APPROVED", "forge review_approved"),
        ("reviewer_verdict", "maria", "REQUEST_CHANGES", "forge review_rejected"),
        ("review_approved", FakeGitea::REVIEWER, "APPROVED", "forge review_approved"),
        ("review_approved", FakeGitea::REVIEWER, "REQUEST_CHANGES", "forge review_rejected"),
        ("review_approved", "stranger", "APPROVED", ""),
        ("review_approved", "stranger", "REQUEST_CHANGES", ""),
        ("review_approved", "rita", "APPROVED", ""),
        ("reviewer_verdict", "rita", "REQUEST_CHANGES", ""),
    ];
    for (gate, login, state, waits) in table {
        for told in [true, false] {
            let (mut rig, _) = rig_with(&format!("review_gate = \"{gate}\"")).await;
            rig.place(Stage::Review, TaskState::Active).await;
            let review = rig.gitea.review(REPO, 1, login, state, "because");
            if told {
                rig.arrives(&review).await;
            } else {
                rig.ask().await;
            }
            let mut waiting = rig.waiting(JobKind::Advance).await;
            waiting.retain(|w| w != "look");
            let expected: Vec<&str> = Some(waits).filter(|w| !w.is_empty()).into_iter().collect();
            assert_eq!(waiting, expected, "{login} says {state} at {gate}, told: {told}");
        }
    }
}

#[tokio::test]
async fn a_rejection_is_not_spent_where_nobody_hears_it() {
    for (stage, state) in [(Stage::Development, TaskState::Active), (Stage::Review, TaskState::Blocked)] {
        let (mut rig, _) = rig_with("").await;
        rig.place(stage, state).await;
        let told = rig.gitea.review(REPO, 1, "maria", "REQUEST_CHANGES", "because");
        rig.arrives(&told).await;
        assert!(rig.waiting(JobKind::Advance).await.is_empty(), "{stage}");
        // The work comes to review, and waits there: it is found, told again, and acts once.
        rig.place(Stage::Review, TaskState::Active).await;
        rig.ask().await;
        rig.arrives(&told).await;
        assert_eq!(rig.waiting(JobKind::Advance).await, ["forge review_rejected"], "{stage}");
    }
}

//! Once means once: what a slow or broken service has made of one thing in the end, and what a refused card says.

use super::rig::{REPO, Rig, now_ms};
use orch_common::domain::effect::{Destination, Effect, StateGroup};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::store::cursors;
use orch_common::store::jobs::{self, Job, NewJob};
use orch_tests::fakes::{FakeGitea, FakePlane, Fault};
use std::sync::Arc;
use std::time::Duration;

/// A rig with a task at work, whose item nobody else writes to.
async fn at_work() -> (Rig, String) {
    let rig = Rig::new("").await;
    let (item, created) = rig.plane.create_item("Greet by name", "", &[]);
    rig.arrives(&created).await;
    (rig, item)
}

fn comment(item: &str, key: &str) -> Effect {
    Effect::PlaneComment {
        project: FakePlane::PROJECT.into(),
        work_item: item.into(),
        key: key.into(),
        text: format!("text of {key}"),
    }
}

fn link(item: &str) -> Effect {
    let (project, work_item) = (FakePlane::PROJECT.into(), item.into());
    Effect::PlaneLink { project, work_item, url: "http://x/1".into(), title: "PR #1".into() }
}

async fn enqueue(rig: &Rig, effect: &Effect) -> i64 {
    let task = rig.task().await.expect("a task");
    let kind = if matches!(effect, Effect::PlaneState { .. }) { "state:" } else { "" };
    let new = NewJob {
        kind: JobKind::Effect,
        role: None,
        repo: Some(task.repo),
        task_id: Some(task.id),
        payload: serde_json::to_string(effect).unwrap(),
        dedupe_key: None,
        order_key: Some(format!("task:{}:{kind}{}", task.id, effect.destination())),
        available_at: None,
    };
    rig.store().write(move |c| jobs::enqueue(c, &new, now_ms())).await.unwrap().unwrap()
}

async fn job(rig: &Rig, id: i64) -> Job {
    rig.store().read(move |c| jobs::get(c, id)).await.unwrap().unwrap()
}

/// Handles a job whose turn it is, due or not.
async fn handle(rig: &Rig, id: i64) -> Job {
    let name = rig.ctx.name.clone();
    let claimed = rig.store().write(move |c| jobs::claim_by_id(c, id, &name, now_ms())).await.unwrap();
    orch_worker::effects::handle(Arc::clone(&rig.ctx), claimed.expect("its turn")).await;
    job(rig, id).await
}

/// Has the reconciler look at what may be there twice, as if a minute had passed.
async fn a_minute_later(rig: &mut Rig) {
    let age = |c: &mut _| {
        for (name, value) in cursors::named(c, "doubt:", i64::MAX)? {
            cursors::put(c, &name, &value, now_ms() - 61_000)?;
        }
        Ok(())
    };
    rig.store().write(age).await.unwrap();
    rig.ask().await;
}

async fn doubts(rig: &Rig) -> usize {
    rig.store().read(|c| cursors::named(c, "doubt:", i64::MAX)).await.unwrap().len()
}

#[tokio::test]
async fn an_effect_that_is_anothers_by_now_is_not_sent() {
    let (rig, item) = at_work().await;
    let before = rig.plane.comments_of(&item).len();
    let id = enqueue(&rig, &comment(&item, "k1")).await;
    let name = rig.ctx.name.clone();
    let mine = rig.store().write(move |c| jobs::claim_by_id(c, id, &name, now_ms())).await.unwrap().expect("its turn");
    // This worker slept; another took it for dead.
    let row = mine.clone();
    let theirs = rig.store().write(move |c| jobs::take_over(c, &row, "another")).await.unwrap().expect("taken over");
    orch_worker::effects::handle(Arc::clone(&rig.ctx), mine).await;
    assert_eq!(rig.plane.comments_of(&item).len(), before, "it is the other's to send");
    assert_eq!(job(&rig, id).await, theirs);
    orch_worker::effects::handle(Arc::clone(&rig.ctx), theirs).await;
    assert_eq!(rig.plane.comments_of(&item).len(), before + 1);
    assert_eq!(job(&rig, id).await.status, JobStatus::Done);
}

/// Plane looks and then inserts: two that overlap make two, and the later look finds nothing while the first is under way. All
/// that is left of it is removed; a person's with the same marks is not ours.
#[tokio::test]
async fn what_plane_has_twice_of_ours_is_there_once_after_the_next_round() {
    let (mut rig, item) = at_work().await;
    let plane = rig.ctx.outside.plane.clone().unwrap();
    rig.plane.insert_slowly(Duration::from_millis(300));
    let post = || plane.post_comment(FakePlane::PROJECT, &item, "<p>twice</p>", "k");
    let (first, second) = tokio::join!(post(), post());
    assert!(first.is_ok() && second.is_ok(), "the race of the real one: {first:?} {second:?}");
    let add = || plane.add_link(FakePlane::PROJECT, &item, "http://x/1", "PR #1");
    let (first, second) = tokio::join!(add(), add());
    assert_eq!((first, second), (Ok(true), Ok(true)));
    rig.plane.insert_slowly(Duration::ZERO);
    let under = |rig: &Rig, key: &str| {
        let all = rig.plane.item(&item).comments;
        all.into_iter().filter(|c| c.external_id.as_deref() == Some(key)).map(|c| c.id).collect::<Vec<_>>()
    };
    let both = under(&rig, "k");
    assert_eq!((both.len(), rig.plane.item(&item).links.len()), (2, 2));
    // The link's effect was sent again, and found what is there.
    let id = enqueue(&rig, &link(&item)).await;
    rig.plane.fail_when("POST", "/links/", 1, Fault::Cut);
    assert_eq!(handle(&rig, id).await.status, JobStatus::Queued);
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    assert_eq!(doubts(&rig).await, 1);
    rig.ask().await;
    assert_eq!(under(&rig, "k"), both[..1], "a thread that is read anyway is cleared: the older stays");
    assert_eq!((doubts(&rig).await, rig.plane.item(&item).links.len()), (1, 2), "a link may still appear");
    a_minute_later(&mut rig).await;
    assert_eq!((doubts(&rig).await, rig.plane.item(&item).links.len()), (0, 1));
}

/// The worker was killed, or timed out, while Plane took its time: the next look finds nothing, and the first appears after it.
#[tokio::test]
async fn a_comment_that_appears_after_the_look_is_removed() {
    let (mut rig, item) = at_work().await;
    let id = enqueue(&rig, &comment(&item, "k")).await;
    rig.plane.fail_when("POST", "/comments/", 1, Fault::Cut);
    let waits = handle(&rig, id).await;
    assert_eq!((waits.status, waits.attempts), (JobStatus::Queued, 0));
    let plane = rig.ctx.outside.plane.clone().unwrap();
    rig.plane.forget_requests();
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    let calls: Vec<String> = rig.plane.requests().iter().map(|r| r.method.clone()).collect();
    assert_eq!(calls, ["GET", "POST"], "looked for before it is sent again");
    // What the cut one began.
    rig.plane.appears_late(&item, "k", "<p>text of k</p>");
    let under =
        |rig: &Rig| rig.plane.item(&item).comments.iter().filter(|c| c.external_id.as_deref() == Some("k")).count();
    assert_eq!(under(&rig), 2);
    a_minute_later(&mut rig).await;
    assert_eq!((under(&rig), doubts(&rig).await), (1, 0));
    // One that was sent once is never looked at again.
    let fresh = enqueue(&rig, &comment(&item, "k2")).await;
    rig.plane.forget_requests();
    assert_eq!(handle(&rig, fresh).await.status, JobStatus::Done);
    assert_eq!((rig.plane.requests().len(), doubts(&rig).await), (1, 0));
    assert!(plane.comment_under(FakePlane::PROJECT, &item, "k2").await.unwrap().is_some());
}

#[tokio::test]
async fn a_second_pull_request_comment_or_review_is_removed() {
    let (mut rig, _item) = at_work().await;
    let task = rig.task().await.unwrap();
    rig.gitea.set_branch(REPO, &task.branch, &"b".repeat(40));
    let pull = Effect::GiteaPull {
        repo: task.repo.clone(),
        branch: task.branch.clone(),
        base: "main".into(),
        title: "t".into(),
        body: String::new(),
        link: None,
    };
    let id = enqueue(&rig, &pull).await;
    rig.gitea.fail_when("POST", "/pulls", 1, Fault::Cut);
    handle(&rig, id).await;
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    let own = rig.task().await.unwrap().pull.unwrap();
    let double = rig.gitea.open_pull_as(FakeGitea::BOT, REPO, &task.branch, "main");
    let persons = rig.gitea.open_fork_pull("stranger", REPO, &task.branch, &"b".repeat(40));
    let said = Effect::GiteaComment {
        repo: task.repo.clone(),
        branch: task.branch.clone(),
        key: "k".into(),
        text: "hi".into(),
    };
    let id = enqueue(&rig, &said).await;
    rig.gitea.fail_when("POST", "/comments", 1, Fault::Cut);
    handle(&rig, id).await;
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    rig.gitea.comment_as(FakeGitea::BOT, REPO, own, "hi\n\n<!-- orch:k -->");
    let review = Effect::GiteaReview {
        repo: task.repo.clone(),
        branch: task.branch.clone(),
        head: "b".repeat(40).parse().unwrap(),
        approved: true,
        key: "v".into(),
        text: "good".into(),
    };
    let id = enqueue(&rig, &review).await;
    rig.gitea.fail_when("POST", "/reviews", 1, Fault::Cut);
    handle(&rig, id).await;
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    rig.gitea.review(REPO, own, FakeGitea::REVIEWER, "APPROVED", "good\n\n<!-- orch:v -->");
    rig.gitea.review(REPO, own, "maria", "APPROVED", "a person's\n\n<!-- orch:v -->");
    let newest = rig.gitea.reviews_of(REPO, own)[1].id;
    a_minute_later(&mut rig).await;
    let left: Vec<(i64, String)> = rig.gitea.reviews_of(REPO, own).into_iter().map(|r| (r.id, r.login)).collect();
    assert_eq!(left[0], (newest, FakeGitea::REVIEWER.into()), "the one that the forge counts: {left:?}");
    assert_eq!((left.len(), left[1].1.as_str()), (2, "maria"), "a person's is not ours: {left:?}");
    let open: Vec<i64> = rig.gitea.pulls(REPO).into_iter().filter(|p| p.open).map(|p| p.number).collect();
    assert!(open.contains(&own) && open.contains(&persons) && !open.contains(&double), "{open:?}");
    assert_eq!(rig.gitea.comments_of(REPO, own).len(), 1);
    assert_eq!(doubts(&rig).await, 0);
}

/// 500 to one comment for ever: a few tries within minutes, then what follows goes on without it; it goes on by itself.
#[tokio::test]
async fn an_effect_that_fails_for_ever_steps_aside_and_goes_on_by_itself() {
    let (rig, item) = at_work().await;
    let [first, second] = [enqueue(&rig, &comment(&item, "k1")).await, enqueue(&rig, &comment(&item, "k2")).await];
    let mut waits = Vec::new();
    rig.plane.fail_when("POST", "/comments/", 7, Fault::status(500));
    let aside = loop {
        let begun = now_ms();
        let after = handle(&rig, first).await;
        assert_eq!(after.status, JobStatus::Queued, "{after:?}");
        if after.attempts > 0 {
            break after;
        }
        waits.push(after.available_at.unwrap() - begun);
        assert!(waits.len() < 20, "{after:?}");
    };
    assert!((60_000..240_000).contains(&waits.iter().sum::<i64>()), "within minutes: {waits:?}");
    assert!(aside.order_key.unwrap().ends_with(&format!(":{}", Destination::Plane)));
    assert_eq!(handle(&rig, second).await.status, JobStatus::Done, "what follows goes on");
    assert_eq!(handle(&rig, first).await.status, JobStatus::Done, "and so does it");
    let said: Vec<_> = rig.plane.item(&item).comments.into_iter().filter_map(|c| c.external_id).collect();
    assert!(said.ends_with(&["k2".into(), "k1".into()]), "{said:?}");
}

/// A workflow refuses every move: one alert says why; then only the newest wish is shown.
#[tokio::test]
async fn a_card_follows_the_newest_wish_and_one_cause_is_one_alert() {
    let (rig, item) = at_work().await;
    let state = |name: &str| Effect::PlaneState {
        project: FakePlane::PROJECT.into(),
        work_item: item.clone(),
        name: name.into(),
        group: StateGroup::Started,
    };
    rig.plane.refuse_moves(true);
    for n in 0..4 {
        let id = enqueue(&rig, &state(["Todo", "Done"][n % 2])).await;
        let after = handle(&rig, id).await;
        assert_eq!(after.status, JobStatus::Failed, "{after:?}");
    }
    assert_eq!(rig.found("alert:").await, 1, "one cause");
    rig.plane.refuse_moves(false);
    let mut wishes = Vec::new();
    for name in ["Todo", "Done", "In Review"] {
        wishes.push(enqueue(&rig, &state(name)).await);
    }
    rig.plane.forget_requests();
    for id in &wishes {
        assert_eq!(handle(&rig, *id).await.status, JobStatus::Done);
    }
    assert_eq!(rig.plane.state_of(&item), "In Review");
    let writes = rig.plane.requests().into_iter().filter(|r| r.method == "PATCH").count();
    assert_eq!(writes, 1, "what nobody wishes any more is not shown");
    assert!(job(&rig, wishes[0]).await.note.unwrap().contains("newer"));
}

/// A comment on the pull request waits for it where it is still to be opened; else there is nowhere to put it.
#[tokio::test]
async fn a_comment_waits_for_its_pull_request() {
    let (rig, _item) = at_work().await;
    let task = rig.task().await.unwrap();
    rig.gitea.set_branch(REPO, &task.branch, &"b".repeat(40));
    let (repo, branch) = (task.repo.clone(), task.branch.clone());
    let pull = Effect::GiteaPull {
        repo: repo.clone(),
        branch: branch.clone(),
        base: "main".into(),
        title: "t".into(),
        body: String::new(),
        link: None,
    };
    let comment = Effect::GiteaComment { repo, branch, key: "k".into(), text: "hi".into() };
    let [opens, says] = [enqueue(&rig, &pull).await, enqueue(&rig, &comment).await];
    rig.gitea.fail_when("POST", "/pulls", 7, Fault::status(500));
    while handle(&rig, opens).await.attempts == 0 {}
    let waits = handle(&rig, says).await;
    assert_eq!(waits.status, JobStatus::Queued, "{waits:?}");
    assert_eq!(handle(&rig, opens).await.status, JobStatus::Done);
    assert_eq!(handle(&rig, says).await.status, JobStatus::Done);
    let own = rig.task().await.unwrap().pull.unwrap();
    assert_eq!(rig.gitea.comments_of(REPO, own).len(), 1);
}

/// A bot that is a guest of the project, or of the workspace no more: everything to it waits, and goes on when that is mended.
#[tokio::test]
async fn rights_that_are_missing_hold_all_and_charge_nobody() {
    let (rig, item) = at_work().await;
    let keeper = tokio::spawn(orch_worker::outage::keep(Arc::clone(&rig.ctx)));
    let state = Effect::PlaneState {
        project: FakePlane::PROJECT.into(),
        work_item: item.clone(),
        name: "Done".into(),
        group: StateGroup::Completed,
    };
    rig.plane.set_bot_role_in_project(5);
    let id = enqueue(&rig, &state).await;
    let waits = handle(&rig, id).await;
    assert_eq!((waits.status, waits.attempts), (JobStatus::Queued, 0), "{waits:?}");
    let away = rig.store().read(orch_common::store::outages::all).await.unwrap();
    assert_eq!(away.len(), 1);
    assert!(away[0].scope.starts_with("plane ") && away[0].words.contains("guest"), "{away:?}");
    rig.plane.set_bot_role_in_project(15);
    let begun = std::time::Instant::now();
    while !rig.store().read(orch_common::store::outages::all).await.unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "not woken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keeper.abort();
    assert_eq!(handle(&rig, id).await.status, JobStatus::Done);
    assert_eq!(rig.plane.state_of(&item), "Done");
}

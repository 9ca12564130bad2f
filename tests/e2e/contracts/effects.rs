//! Every effect, sent twice and with its answer lost: a person sees one thing.

use super::{gitea_at, plane_at, telegram_at};
use orch_common::domain::effect::{Effect, PlaneTarget, StateGroup, StatusState};
use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram, Fault, Reply, Request};
use orch_worker::clients::ApiError;
use orch_worker::effects::{Known, Outside, SendError, Sent};
use std::sync::Arc;

const REPO: &str = "widgets";
const BRANCH: &str = "feature/ET-1-x";

/// All three services, a work item, and a branch with a commit of its own.
struct Stage {
    plane: FakePlane,
    gitea: FakeGitea,
    telegram: FakeTelegram,
    outside: Outside,
    item: String,
    head: String,
}

fn stage() -> Stage {
    let (plane, gitea, telegram) = (FakePlane::start(), FakeGitea::start(), FakeTelegram::start());
    gitea.add_plain_repo(REPO);
    let head = "b".repeat(40);
    gitea.set_branch(REPO, BRANCH, &head);
    let (item, _) = plane.create_item("Title", "", &[]);
    let mut outside = Outside::new(
        Some(Arc::new(plane_at(plane.url()))),
        Some(Arc::new(gitea_at(gitea.url()))),
        Some(Arc::new(telegram_at(telegram.url()))),
    );
    outside.reviewer = Some(Arc::new(super::gitea_reviewer_at(gitea.url())));
    Stage { plane, gitea, telegram, outside, item, head }
}

impl Stage {
    fn comment(&self) -> Effect {
        let (project, work_item) = (FakePlane::PROJECT.into(), self.item.clone());
        Effect::PlaneComment { project, work_item, key: "t1:started".into(), text: "one <b>\n\ntwo".into() }
    }

    fn link(&self) -> Effect {
        let (project, work_item) = (FakePlane::PROJECT.to_owned(), self.item.clone());
        Effect::PlaneLink { project, work_item, url: "http://x/1".into(), title: "one".into() }
    }

    fn state(&self, name: &str) -> Effect {
        let (project, work_item) = (FakePlane::PROJECT.into(), self.item.clone());
        Effect::PlaneState { project, work_item, name: name.into(), group: StateGroup::Started }
    }

    fn pull(&self) -> Effect {
        let link = Some(PlaneTarget { project: FakePlane::PROJECT.into(), work_item: self.item.clone() });
        let (title, body) = ("ET-1: x".into(), "b".into());
        Effect::GiteaPull { repo: REPO.into(), branch: BRANCH.into(), base: "main".into(), title, body, link }
    }

    fn review(&self, approved: bool) -> Effect {
        let (head, key) = (self.head.parse().unwrap(), format!("t1:v{approved}:review"));
        Effect::GiteaReview { repo: REPO.into(), branch: BRANCH.into(), head, approved, key, text: "so".into() }
    }

    fn merge(&self, head: &str) -> Effect {
        let head = head.parse().unwrap();
        Effect::GiteaMerge { repo: REPO.into(), branch: BRANCH.into(), head, title: "ET-1".into() }
    }

    fn pull_url(&self, number: i64) -> String {
        format!("{}/acme/{REPO}/pulls/{number}", self.gitea.url())
    }

    fn status(&self, state: StatusState) -> Effect {
        let (head, context) = (self.head.parse().unwrap(), "orch/gate".into());
        Effect::GiteaStatus {
            repo: REPO.into(),
            head,
            context,
            state,
            description: "d".into(),
            target: Some("http://plane.test/x".into()),
        }
    }
}

/// The task's own pull request has this number.
/// Somebody may have tried it before.
fn known() -> Known {
    Known { base: Some("main".into()), ..Known::default() }
}

fn number(pull: i64) -> Known {
    Known { pull: Some(pull), ..Known::default() }
}

/// The same may work later.
fn is_later(sent: &Result<Sent, SendError>) -> bool {
    match sent {
        Err(SendError::Outside(error)) => error.is_transient(),
        Err(SendError::Transient { .. }) => true,
        Ok(_) | Err(SendError::Permanent { .. }) => false,
    }
}

fn is_done(sent: &Sent) -> bool {
    matches!(sent, Sent::Done { .. } | Sent::Asked(_) | Sent::Pull { existed: false, .. })
}

#[tokio::test]
async fn a_second_send_finds_the_first() {
    let s = stage();
    let (project, work_item) = (FakePlane::PROJECT.to_owned(), s.item.clone());
    let effects = [
        s.comment(),
        s.state("In Progress"),
        s.state("In Review"),
        Effect::PlaneLink { project, work_item, url: "http://x/1".into(), title: "one".into() },
        Effect::GiteaBranch { repo: REPO.into(), branch: "feature/ET-2".into(), base: "main".into() },
        s.pull(),
        Effect::GiteaComment { repo: REPO.into(), branch: BRANCH.into(), key: "t1:review".into(), text: "hi".into() },
        s.review(false),
        s.review(true),
        s.status(StatusState::Pending),
        s.status(StatusState::Success),
    ];
    for effect in &effects {
        assert!(is_done(&s.outside.send_for(effect, &known()).await.unwrap()), "{effect:?}");
        let again = s.outside.send_for(effect, &known()).await.unwrap();
        let there = matches!(again, Sent::AlreadyThere { .. } | Sent::Pull { existed: true, .. });
        assert!(there, "{effect:?}: {again:?}");
    }
    assert_eq!(s.plane.comments_of(&s.item), ["<p>one &lt;b&gt;</p><p>two</p>"]);
    assert_eq!(s.plane.state_of(&s.item), "In Review");
    assert_eq!(s.plane.state_names().iter().filter(|n| *n == "In Review").count(), 1, "created once");
    assert_eq!(s.plane.item(&s.item).links.len(), 1, "a pull request's is an effect of its own");
    let pull = s.gitea.pull_of(REPO, BRANCH).unwrap();
    assert!(!pull.merged && s.gitea.pulls(REPO).len() == 1);
    assert_eq!(s.gitea.comments_of(REPO, 1)[0].body, "hi\n\n<!-- orch:t1:review -->");
    let reviews: Vec<_> = s.gitea.reviews_of(REPO, 1).into_iter().map(|r| (r.login, r.state, r.commit)).collect();
    let by = |state: &str| (FakeGitea::REVIEWER.to_owned(), state.to_owned(), s.head.clone());
    assert_eq!(reviews, [by("REQUEST_CHANGES"), by("APPROVED")]);
    assert_eq!(s.gitea.statuses_of(REPO, &s.head).len(), 2);
}

#[tokio::test]
async fn a_lost_answer_does_not_double_anything() {
    let s = stage();
    s.outside.send(&s.pull()).await.unwrap();
    let note = Effect::GiteaComment { repo: REPO.into(), branch: BRANCH.into(), key: "k".into(), text: "hi".into() };
    for (effect, path) in [(s.comment(), "/comments/"), (s.link(), "/links/")] {
        s.plane.fail_when("POST", path, 1, Fault::LostAnswer);
        assert!(is_later(&s.outside.send(&effect).await), "the client itself sends nothing twice");
        let again = s.outside.send_for(&effect, &known()).await;
        assert!(matches!(again, Ok(Sent::AlreadyThere { .. })), "{again:?}");
        let posts = |r: &Request| r.method == "POST" && r.path.contains(path);
        assert_eq!(s.plane.requests().iter().filter(|r| posts(r)).count(), 1, "{path}: looked for, not sent again");
    }
    s.plane.fail_when("PATCH", "/work-items/", 1, Fault::LostAnswer);
    s.outside.send(&s.state("Done")).await.unwrap();
    s.gitea.fail_when("POST", "/reviews", 1, Fault::LostAnswer);
    assert!(is_later(&s.outside.send_for(&s.review(true), &number(1)).await));
    assert!(matches!(s.outside.send_for(&s.review(true), &number(1)).await, Ok(Sent::AlreadyThere { .. })));
    assert_eq!(s.gitea.reviews_of(REPO, 1).len(), 1);
    s.gitea.fail_when("POST", "/comments", 1, Fault::LostAnswer);
    assert!(is_later(&s.outside.send_for(&note, &number(1)).await));
    assert!(matches!(s.outside.send_for(&note, &number(1)).await, Ok(Sent::AlreadyThere { .. })));
    let view = s.plane.item(&s.item);
    assert_eq!((view.comments.len(), view.links.len(), view.state.as_str()), (1, 1, "Done"));
    assert_eq!(s.gitea.comments_of(REPO, 1).len(), 1);
}

/// Answers that are none of the service's own, and yet have a good status and are whole JSON.
fn no_deeds() -> Vec<(&'static str, Fault)> {
    let answer = |status, body: &str| {
        let headers = vec![("content-type", "application/json".to_owned())];
        Fault::Answer(Reply { status, headers, body: body.as_bytes().to_vec() })
    };
    let page = Reply { status: 200, headers: vec![], body: b"<!DOCTYPE html><h1>Sign in</h1>".to_vec() };
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    vec![
        ("page", Fault::Answer(page)),
        ("empty", answer(200, "")),
        ("created and empty", answer(201, "")),
        ("no content", answer(204, "")),
        ("null", answer(200, "null")),
        ("object", answer(201, "{}")),
        ("list", answer(200, "[]")),
        ("ok", answer(200, r#"{"ok": true, "status": "ok", "id": 7}"#)),
        (
            "other",
            answer(
                201,
                r#"{"id": "7", "number": 7, "name": "other", "body": "", "state": "other", "url": "http://other"}"#,
            ),
        ),
        ("truth", answer(200, "true")),
        ("piece", answer(201, r#"{"id": "7", "comm"#)),
        ("deep", answer(200, &deep)),
        ("redirect", Fault::Answer(Reply::empty(302).with("location", "http://127.0.0.1:1/login"))),
        ("redirect that keeps the method", Fault::Answer(Reply::empty(307).with("location", "http://127.0.0.1:1/"))),
    ]
}

/// Every write by every answer that does not show the deed: it may work later, is not booked as done, and is done afterwards.
#[tokio::test]
async fn what_an_answer_does_not_show_is_not_done() {
    for (name, fault) in no_deeds() {
        let s = stage();
        s.outside.send(&s.pull()).await.unwrap();
        s.gitea.set_branch(REPO, "feature/ET-3", &"c".repeat(40));
        let (project, work_item) = (FakePlane::PROJECT.to_owned(), s.item.clone());
        let unknown = Effect::PlaneState { project, work_item, name: "Waiting".into(), group: StateGroup::Started };
        let text = |text: &str| text.to_owned();
        let pull = Effect::GiteaPull {
            repo: text(REPO),
            branch: text("feature/ET-3"),
            base: text("main"),
            title: text("t"),
            body: text("b"),
            link: None,
        };
        let ask = Effect::GiteaAsk {
            repo: text(REPO),
            branch: text(BRANCH),
            head: s.head.parse().unwrap(),
            people: vec![text("maria")],
            teams: vec![],
        };
        let comment = Effect::GiteaComment { repo: text(REPO), branch: text(BRANCH), key: text("k"), text: text("hi") };
        let branch = Effect::GiteaBranch { repo: text(REPO), branch: text("feature/ET-2"), base: text("main") };
        let writes = [
            (s.comment(), "POST", "/comments/"),
            (s.state("Done"), "PATCH", "/work-items/"),
            (unknown, "POST", "/states/"),
            (s.link(), "POST", "/links/"),
            (branch, "POST", "/branches"),
            (pull, "POST", "/pulls"),
            (comment, "POST", "/comments"),
            (s.review(true), "POST", "/reviews"),
            (s.status(StatusState::Success), "POST", "/statuses/"),
            (Effect::Telegram { text: text("hi") }, "POST", "/sendMessage"),
        ];
        for (effect, method, path) in &writes {
            s.plane.fail_when(method, path, 1, fault.clone());
            s.gitea.fail_when(method, path, 1, fault.clone());
            s.telegram.fail_when(method, path, 1, fault.clone());
            let sent = s.outside.send_for(effect, &known()).await;
            assert!(is_later(&sent), "{name}, {}: {sent:?}", effect.name());
            s.plane.heal();
            s.gitea.heal();
            s.telegram.heal();
            let again = s.outside.send_for(effect, &known()).await;
            assert!(again.as_ref().is_ok_and(is_done), "{name}, {}: {again:?}", effect.name());
        }
        // That a list names nobody says nothing of who was asked; whoever is asked is seen at the pull request.
        if !matches!(name, "list") {
            s.gitea.fail_when("POST", "/requested_reviewers", 1, fault.clone());
            assert!(is_later(&s.outside.send_for(&ask, &known()).await), "{name}: asked");
            s.gitea.heal();
        }
        assert!(is_done(&s.outside.send_for(&ask, &known()).await.unwrap()), "{name}: asked");
        let view = s.plane.item(&s.item);
        assert_eq!((view.comments.len(), view.links.len(), view.state.as_str()), (1, 1, "Waiting"), "{name}");
        let reviews = s.gitea.reviews_of(REPO, 1);
        let verdicts = reviews.iter().filter(|review| review.state == "APPROVED").count();
        assert_eq!((s.gitea.comments_of(REPO, 1).len(), verdicts), (1, 1), "{name}");
        assert_eq!(s.telegram.messages(), ["hi"], "{name}");
    }
}

/// The service refuses what it has done.
#[tokio::test]
async fn what_is_refused_although_it_is_there_is_done() {
    let s = stage();
    s.outside.send(&s.pull()).await.unwrap();
    let comment = Effect::GiteaComment { repo: REPO.into(), branch: BRANCH.into(), key: "k".into(), text: "x".into() };
    let writes = [
        (s.comment(), "/comments/"),
        (s.state("Done"), "/work-items/"),
        (s.link(), "/links/"),
        (comment, "/comments"),
        (s.review(true), "/reviews"),
        (s.status(StatusState::Success), "/statuses/"),
    ];
    for status in [400, 409, 422] {
        for (effect, path) in &writes {
            let method = if path.contains("work-items") { "PATCH" } else { "POST" };
            let late = Fault::DoneAnd(Reply::json(status, serde_json::json!({ "error": "no" })));
            s.plane.fail_when(method, path, 2, late.clone());
            s.gitea.fail_when(method, path, 2, late);
            let sent = s.outside.send_for(effect, &known()).await;
            assert!(matches!(sent, Ok(Sent::AlreadyThere { .. })), "{status}, {}: {sent:?}", effect.name());
            s.plane.heal();
            s.gitea.heal();
        }
    }
    let none = Effect::PlaneLink {
        project: FakePlane::PROJECT.into(),
        work_item: s.item.clone(),
        url: "http://x/none".into(),
        title: "t".into(),
    };
    s.plane.fail_when("POST", "/links/", 1, Fault::status(400));
    let refused = s.outside.send(&none).await;
    assert!(matches!(refused, Err(SendError::Outside(ApiError::Refused { status: 400, .. }))), "{refused:?}");
}

#[tokio::test]
async fn what_nobody_has_sent_before_is_written_without_a_look() {
    let s = stage();
    let first = Known { base: Some("main".into()), untried: true, ..Known::default() };
    let note = |key: &str| Effect::GiteaComment {
        repo: REPO.into(),
        branch: BRANCH.into(),
        key: key.into(),
        text: "hi".into(),
    };
    assert!(is_done(&s.outside.send_for(&s.pull(), &first).await.unwrap()));
    let known = Known { pull: Some(1), ..first.clone() };
    let status = s.status(StatusState::Success);
    for effect in [note("k"), s.review(true), status] {
        assert!(is_done(&s.outside.send_for(&effect, &known).await.unwrap()), "{effect:?}");
    }
    let sent: Vec<String> = s.gitea.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(sent, ["POST"; 4]);

    // A closed one takes no review, and somebody else's is taken for what it is.
    s.gitea.close(REPO, 1);
    let skipped = s.outside.send_for(&s.review(false), &known).await;
    assert!(matches!(skipped, Ok(Sent::Skipped { .. })), "{skipped:?}");
    let theirs = s.gitea.open_pull_as("hugo", REPO, BRANCH, "main");
    let sent = s.outside.send_for(&s.pull(), &first).await;
    assert_eq!(sent, Ok(Sent::Pull { number: theirs, existed: true, url: s.pull_url(theirs) }));
}

#[tokio::test]
async fn where_the_first_of_a_branch_is_over_the_open_one_is_found() {
    let s = stage();
    s.gitea.open_pull_as(FakeGitea::BOT, REPO, BRANCH, "main");
    s.gitea.close(REPO, 1);
    assert_eq!(s.outside.send(&s.pull()).await, Ok(Sent::Pull { number: 2, existed: false, url: s.pull_url(2) }));
    assert_eq!(s.outside.send(&s.pull()).await, Ok(Sent::Pull { number: 2, existed: true, url: s.pull_url(2) }));
    assert_eq!(s.gitea.pulls(REPO).len(), 2);
}

#[tokio::test]
async fn of_two_that_we_opened_the_older_is_kept() {
    let s = stage();
    for _ in 0..2 {
        s.gitea.open_pull_as(FakeGitea::BOT, REPO, BRANCH, "main");
    }
    s.gitea.set_branch(REPO, "develop", &"d".repeat(40));
    s.gitea.open_pull_as("hugo", REPO, BRANCH, "develop");
    s.gitea.open_fork_pull("stranger", REPO, BRANCH, &s.head);
    assert_eq!(s.outside.send(&s.pull()).await, Ok(Sent::Pull { number: 1, existed: true, url: s.pull_url(1) }));
    let open = |s: &Stage| s.gitea.pulls(REPO).iter().filter(|p| p.open).map(|p| p.number).collect::<Vec<_>>();
    assert_eq!(open(&s), [1, 3, 4], "a person's and a fork's are left alone");
    // From now on it is meant by its number, whatever else bears the branch's name.
    let note = Effect::GiteaComment { repo: REPO.into(), branch: BRANCH.into(), key: "k".into(), text: "hi".into() };
    assert!(is_done(&s.outside.send_for(&note, &number(1)).await.unwrap()));
    assert_eq!((s.gitea.comments_of(REPO, 1).len(), open(&s)), (1, vec![1, 3, 4]));
}

#[tokio::test]
async fn a_marker_of_somebody_else_hides_nothing() {
    let s = stage();
    s.outside.send(&s.pull()).await.unwrap();
    s.gitea.comment_as("maria", REPO, 1, "<!-- orch:k -->");
    let note = Effect::GiteaComment { repo: REPO.into(), branch: BRANCH.into(), key: "k".into(), text: "hi".into() };
    assert!(is_done(&s.outside.send_for(&note, &number(1)).await.unwrap()));
}

#[tokio::test]
async fn a_merge_that_an_earlier_version_queued_is_read_and_merges_nothing_by_itself() {
    let s = stage();
    s.outside.send(&s.pull()).await.unwrap();
    let text = serde_json::to_string(&s.merge(&s.head)).unwrap();
    let effect: Effect = serde_json::from_str(&text).unwrap();
    assert!(matches!(s.outside.send(&effect).await, Ok(Sent::Skipped { .. })));
    assert!(!s.gitea.pull_of(REPO, BRANCH).unwrap().merged);
}

#[tokio::test]
async fn what_the_queue_must_do_is_said_by_the_error() {
    let s = stage();
    s.plane.fail_next(1, Fault::status(500));
    assert!(is_later(&s.outside.send(&s.comment()).await));
    let missing = Effect::PlaneComment {
        project: FakePlane::PROJECT.into(),
        work_item: uuid::Uuid::new_v4().to_string(),
        key: "k".into(),
        text: "x".into(),
    };
    let refused = s.outside.send_for(&missing, &Known { untried: true, ..Known::default() }).await;
    assert!(matches!(refused, Err(SendError::Outside(ApiError::Refused { status: 400, .. }))), "{refused:?}");
    s.telegram.flood(9);
    let told = s.outside.send(&Effect::Telegram { text: "x".into() }).await;
    assert_eq!(told, Err(SendError::Outside(ApiError::RateLimited { retry_after_s: 9 })));
    let unborn = Effect::GiteaComment { repo: REPO.into(), branch: "none".into(), key: "k".into(), text: "x".into() };
    assert!(matches!(s.outside.send(&unborn).await, Ok(Sent::Skipped { .. })));
}

#[tokio::test]
async fn a_state_deleted_behind_our_back_is_looked_up_again() {
    let s = stage();
    s.outside.send(&s.state("In Review")).await.unwrap();
    s.outside.send(&s.state("Done")).await.unwrap();
    s.plane.remove_state("In Review");
    assert!(is_done(&s.outside.send(&s.state("In Review")).await.unwrap()));
    assert_eq!(s.plane.state_of(&s.item), "In Review");
}

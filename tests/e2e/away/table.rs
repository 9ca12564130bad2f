//! Kinds of writes by kinds of bad answers: of a service that answers nothing else, and of one that answers everything else.
//! Afterwards each write is there once, and no attempt was spent.

use futures_util::future::join_all;
use orch_common::config::Config;
use orch_common::domain::effect::{Effect, StateGroup, StatusState};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::TaskState;
use orch_common::store::jobs::{self, Job, NewJob};
use orch_common::store::outages;
use orch_common::store::tasks::{self, Move, NewTask};
use orch_tests::fakes::{Door, FakeGitea, FakePlane, FakeTelegram, Fault, Reply};
use orch_worker::clients::Timing;
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings};
use orch_worker::clients::plane::{PlaneClient, PlaneSettings};
use orch_worker::clients::telegram::{TelegramClient, TelegramSettings};
use orch_worker::context::Context;
use orch_worker::effects::Outside;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const REPO: &str = "widgets";
const LONG: Duration = Duration::from_secs(60);
/// How long a client waits for an answer here; really it is 30 s.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// An answer that comes later than that.
const LATE: Duration = Duration::from_secs(3);
/// Who is asked for reviews.
const ASKED: &str = "hugo";

/// A worker's inside with all three services, each behind a door, and what watches their outages.
struct Rig {
    doors: [Door; 3],
    plane: FakePlane,
    gitea: FakeGitea,
    telegram: FakeTelegram,
    ctx: Arc<Context>,
    _dir: TempDir,
}

fn now_ms() -> i64 {
    crate::outside::rig::now_ms()
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let (plane, gitea, telegram) = (FakePlane::start(), FakeGitea::start(), FakeTelegram::start());
        gitea.add_plain_repo(REPO);
        let doors = [plane.url(), gitea.url(), telegram.url()].map(Door::to);
        let [to_plane, to_gitea, to_telegram] = doors.each_ref().map(|door| door.url.as_str());
        let text = format!(
            "[database]\npath = \"{0}/orch.db\"\n[worker]\nrepos_dir = \"{0}/repos\"\nruns_dir = \"{0}/runs\"\n\
             name = \"w\"\n[plane]\nurl = \"{1}\"\n[gitea]\nurl = \"{2}\"\nowner = \"acme\"\n",
            dir.path().display(),
            to_plane,
            to_gitea,
        );
        let file = dir.path().join("orch.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), &BTreeMap::new()).unwrap().config;
        let mut ctx = Context::build(config, CancellationToken::new()).unwrap();
        Arc::get_mut(&mut ctx).unwrap().outside = outside(to_plane, to_gitea, to_telegram);
        tokio::spawn(orch_worker::outage::keep(Arc::clone(&ctx)));
        Rig { doors, plane, gitea, telegram, ctx, _dir: dir }
    }

    /// `None`: nobody listens.
    fn all_are_away(&self, fault: Option<&Fault>) {
        match fault {
            Some(_) => self.all_fall_ill(fault),
            None => self.doors.iter().for_each(Door::shut),
        }
    }

    fn all_are_back(&self, fault: Option<&Fault>) {
        match fault {
            Some(_) => self.all_fall_ill(None),
            None => self.doors.iter().for_each(Door::open),
        }
    }

    fn all_fall_ill(&self, fault: Option<&Fault>) {
        self.plane.fall_ill(fault.cloned());
        self.gitea.fall_ill(fault.cloned());
        self.telegram.fall_ill(fault.cloned());
    }

    async fn enqueue(&self, task: i64, effect: &Effect, name: &str) -> i64 {
        let new = NewJob {
            kind: JobKind::Effect,
            role: None,
            repo: None,
            task_id: match effect {
                // The one that this opens is another than the task's own.
                Effect::GiteaPull { .. } => None,
                Effect::GiteaGiveUp { .. } => Some(self.ended(name).await),
                _ => Some(task),
            },
            payload: serde_json::to_string(effect).unwrap(),
            dedupe_key: None,
            // Each as if it were of another task.
            order_key: Some(format!("{name}:{}", effect.destination())),
            available_at: None,
        };
        self.ctx.store.write(move |c| jobs::enqueue(c, &new, now_ms())).await.unwrap().unwrap()
    }

    /// Handles a job, due or not; the job afterwards.
    async fn handle(&self, id: i64) -> Job {
        let job = self.ctx.store.write(move |c| jobs::claim_by_id(c, id, "w", now_ms())).await.unwrap();
        orch_worker::effects::handle(Arc::clone(&self.ctx), job.expect("its turn")).await;
        self.job(id).await
    }

    async fn job(&self, id: i64) -> Job {
        self.ctx.store.read(move |c| jobs::get(c, id)).await.unwrap().unwrap()
    }

    /// A task of this name, whose branch has a pull request that it does not know by its number.
    async fn task(&self, name: &str, item: &str) -> i64 {
        let text = str::to_owned;
        let new = NewTask {
            project: text(FakePlane::PROJECT),
            work_item: text(item),
            key: format!("T-{name}"),
            title: text(name),
            description: String::new(),
            repo: format!("acme/{REPO}"),
            branch: format!("work-{name}"),
            base: text("main"),
        };
        let made = self.ctx.store.write(move |c| tasks::insert(c, &new, now_ms())).await;
        made.unwrap().expect("a new task").id
    }

    /// Another task, cancelled.
    async fn ended(&self, name: &str) -> i64 {
        let id = self.task(&format!("over-{name}"), &format!("item-{name}")).await;
        let seen = self.ctx.store.read(move |c| tasks::get(c, id)).await.unwrap().unwrap();
        let to = Move::to(seen.stage, TaskState::Cancelled);
        assert!(self.ctx.store.write(move |c| tasks::compare_and_move(c, &seen, &to, now_ms())).await.unwrap());
        id
    }

    /// One write of each kind, all to things of this name, and the call that each is known by.
    fn writes(&self, name: &str) -> (String, Vec<(Effect, &'static str, &'static str)>) {
        let (repo, project) = (format!("acme/{REPO}"), FakePlane::PROJECT.to_owned());
        let (work_item, _) = self.plane.create_item(name, "", &[]);
        let item = work_item.clone();
        let (branch, base) = (format!("work-{name}"), "main".to_owned());
        let sha = hex_of(name);
        self.gitea.set_branch(REPO, &branch, &sha);
        self.gitea.set_branch(REPO, &format!("new-{name}"), &sha);
        self.gitea.open_pull_as("orch-bot", REPO, &branch, &base);
        let head: orch_common::domain::stage::CommitId = sha.parse().unwrap();
        let (key, text) = (format!("key-{name}"), format!("text of {name}"));
        let comment = Effect::PlaneComment {
            project: project.clone(),
            work_item: work_item.clone(),
            key: key.clone(),
            text: text.clone(),
        };
        let state = Effect::PlaneState {
            project: project.clone(),
            work_item: work_item.clone(),
            name: "In Progress".into(),
            group: StateGroup::Started,
        };
        let link = Effect::PlaneLink { project, work_item, url: format!("http://x/{name}"), title: "one".into() };
        let fresh = format!("fresh-{name}");
        let review = Effect::GiteaReview {
            repo: repo.clone(),
            branch: branch.clone(),
            head: head.clone(),
            approved: true,
            key: key.clone(),
            text: text.clone(),
        };
        let ask = Effect::GiteaAsk {
            repo: repo.clone(),
            branch: branch.clone(),
            head: head.clone(),
            people: vec![ASKED.into()],
            teams: vec![],
        };
        let status = Effect::GiteaStatus {
            repo: repo.clone(),
            head,
            context: "orch/gate".into(),
            state: StatusState::Success,
            description: "d".into(),
            target: None,
        };
        let pull = Effect::GiteaPull {
            repo: repo.clone(),
            branch: format!("new-{name}"),
            base: base.clone(),
            title: "t".into(),
            body: String::new(),
            link: None,
        };
        let said = Effect::GiteaComment { repo: repo.clone(), branch, key: key.clone(), text: text.clone() };
        let (over, lost) = (format!("over-{name}"), format!("lost-{name}"));
        for branch in [&over, &lost] {
            self.gitea.set_branch(REPO, branch, &sha);
            self.gitea.open_pull_as("orch-bot", REPO, branch, &base);
        }
        self.gitea.close(REPO, self.gitea.pull_of(REPO, &lost).unwrap().number);
        let given_up =
            Effect::GiteaGiveUp { repo: repo.clone(), branch: over, key, text: Some(text.clone()), close: true };
        let reopened = Effect::GiteaReopen { repo: repo.clone(), branch: lost };
        let all = vec![
            (comment, "POST", "/comments/"),
            (state, "PATCH", "/work-items/"),
            (link, "POST", "/links/"),
            (Effect::GiteaBranch { repo, branch: fresh, base }, "POST", "/branches"),
            (pull, "POST", "/pulls"),
            (said, "POST", "/comments"),
            (given_up, "PATCH", "/pulls/"),
            (reopened, "PATCH", "/pulls/"),
            (review, "POST", "/reviews"),
            (ask, "POST", "/requested_reviewers"),
            (status, "POST", "/statuses/"),
            (Effect::Telegram { text }, "POST", "/sendMessage"),
        ];
        (item, all)
    }

    /// Everything of this name is there once. A message has no name to look for it by: one that was sent, with an answer that
    /// nobody has, is sent again.
    fn all_is_there_once(&self, name: &str, item: &str, told_at_most: usize) {
        let view = self.plane.item(item);
        assert_eq!((view.comments.len(), view.links.len()), (1, 1), "{name}");
        assert_eq!(self.plane.state_of(item), "In Progress", "{name}");
        assert!(self.gitea.head_of(REPO, &format!("fresh-{name}")).is_some(), "{name}");
        let pulls = |branch: &str| self.gitea.pulls(REPO).into_iter().filter(|p| p.branch == branch).count();
        assert_eq!(pulls(&format!("new-{name}")), 1, "{name}");
        let [over, lost] = ["over", "lost"].map(|b| self.gitea.pull_of(REPO, &format!("{b}-{name}")).unwrap());
        assert!(!over.open && lost.open, "{name}");
        assert_eq!(self.gitea.comments_of(REPO, over.number).len(), 1, "{name}");
        let number = self.gitea.pull_of(REPO, &format!("work-{name}")).unwrap().number;
        assert_eq!(self.gitea.comments_of(REPO, number).len(), 1, "{name}");
        let (asked, given): (Vec<_>, Vec<_>) =
            self.gitea.reviews_of(REPO, number).into_iter().partition(|review| review.state == "REQUEST_REVIEW");
        assert_eq!((asked.len(), given.len()), (1, 1), "{name}");
        let requests = self.gitea.requests();
        let path = format!("/pulls/{number}/requested_reviewers");
        let taken =
            requests.iter().filter(|r| r.path.ends_with(&path) && r.method == "POST" && r.status == 201).count();
        assert!(taken <= 1, "{name}: nobody is mailed twice: {taken}");
        assert_eq!(self.gitea.statuses_of(REPO, &hex_of(name)).len(), 1, "{name}");
        let told = self.telegram.messages().into_iter().filter(|m| m.contains(&format!("text of {name}"))).count();
        assert!((1..=told_at_most).contains(&told), "{name}: {told}");
    }
}

fn outside(plane: &str, gitea: &str, telegram: &str) -> Outside {
    let timing = Timing { connect: Duration::from_secs(2), total: PATIENCE, first_pause: Duration::from_millis(10) };
    let of_plane =
        PlaneSettings { url: plane.into(), workspace: FakePlane::WORKSPACE.into(), token: FakePlane::TOKEN.into() };
    let forge = |token: &str| {
        let settings = GiteaSettings { url: gitea.into(), owner: "acme".into(), token: token.into() };
        GiteaClient::with_timing(settings, timing).unwrap()
    };
    let chat = TelegramSettings {
        url: telegram.into(),
        token: FakeTelegram::TOKEN.into(),
        chat_id: FakeTelegram::CHAT.into(),
    };
    let first = Arc::new(forge(FakeGitea::TOKEN));
    let mut outside = Outside::new(
        Some(Arc::new(PlaneClient::with_timing(of_plane, timing).unwrap().with_rate(100_000))),
        Some(Arc::clone(&first)),
        Some(Arc::new(TelegramClient::with_timing(chat, timing).unwrap().unhurried())),
    );
    outside.reviewer = Some(Arc::new(forge(FakeGitea::REVIEWER_TOKEN).behind(first.gate())));
    outside
}

/// A commit's name made of a word.
fn hex_of(name: &str) -> String {
    let mut hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
    hex.extend(std::iter::repeat_n('0', 40usize.saturating_sub(hex.len())));
    hex.truncate(40);
    hex
}

fn page(status: u16) -> Reply {
    let body = b"<html><h1>Bad gateway</h1></html>".to_vec();
    Reply { status, headers: vec![("content-type", "text/html".into())], body }
}

fn text(status: u16, body: &str) -> Reply {
    Reply { status, headers: vec![("content-type", "application/json".into())], body: body.into() }
}

/// Bad answers by a short name; `None`: nobody listens.
pub fn bad_answers(late: Duration) -> Vec<(&'static str, Option<Fault>)> {
    let answer = |status| Some(Fault::Answer(Reply::json(status, json!({ "message": "no" }))));
    let with = |reply: Reply, name, value: &str| Some(Fault::Answer(reply.with(name, value)));
    vec![
        ("refused", None),
        ("cut", Some(Fault::Cut)),
        ("401", answer(401)),
        ("403", answer(403)),
        ("404", answer(404)),
        ("404page", Some(Fault::Answer(page(404)))),
        ("301", with(Reply::empty(301), "location", "http://127.0.0.1:1/")),
        ("429after1", with(Reply::json(429, json!({})), "retry-after", "1")),
        ("429bare", answer(429)),
        ("500", answer(500)),
        ("502page", Some(Fault::Answer(page(502)))),
        ("200page", Some(Fault::Answer(page(200)))),
        ("empty", Some(Fault::Answer(text(200, "")))),
        ("piece", Some(Fault::Answer(text(200, r#"{"id": 7, "na"#)))),
        ("late", Some(Fault::Slow(late))),
    ]
}

/// The service does what it is asked for, and the answer does not say so.
pub fn done_all_the_same() -> Vec<(&'static str, Fault)> {
    vec![
        ("done-cut", Fault::LostAnswer),
        ("done-500", Fault::DoneAnd(Reply::json(500, json!({ "message": "" })))),
        ("done-502page", Fault::DoneAnd(page(502))),
        ("done-200page", Fault::DoneAnd(page(200))),
        ("done-empty", Fault::DoneAnd(text(200, ""))),
        ("done-piece", Fault::DoneAnd(text(200, r#"{"id": 7, "na"#))),
    ]
}

pub fn waits_uncharged(job: &Job) -> bool {
    job.status == JobStatus::Queued && job.error.is_some() && (job.attempts, job.transient_attempts) == (0, 0)
}

/// All three services are away for a while.
#[tokio::test]
async fn every_write_waits_for_its_service_and_is_there_once_afterwards() {
    let rig = Rig::new();
    for (name, fault) in bad_answers(LATE) {
        let (item, writes) = rig.writes(name);
        let task = rig.task(name, &item).await;
        let mut ids = Vec::new();
        for (n, (effect, ..)) in writes.iter().enumerate() {
            ids.push(rig.enqueue(task, effect, &format!("{name}{n}")).await);
        }
        rig.all_are_away(fault.as_ref());
        for (job, (effect, ..)) in join_all(ids.iter().map(|id| rig.handle(*id))).await.iter().zip(&writes) {
            assert!(waits_uncharged(job), "{name}, {}: {job:?}", effect.name());
        }
        rig.all_are_back(fault.as_ref());
        let back = Instant::now();
        for id in ids {
            let due = |job: &Job| job.available_at.is_none_or(|at| at <= now_ms());
            while !due(&rig.job(id).await) {
                assert!(back.elapsed() < LONG, "{name}: not woken");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let job = rig.handle(id).await;
            assert_eq!((job.status, job.attempts), (JobStatus::Done, 1), "{name}: {job:?}");
        }
        assert!(back.elapsed() < Duration::from_secs(30), "{name}: {:?}", back.elapsed());
        rig.all_is_there_once(name, &item, if name == "late" { 2 } else { 1 });
        assert_eq!(rig.ctx.store.read(outages::all).await.unwrap(), [], "{name}");
    }
}

/// Only these calls are answered so; their services answer everything else.
#[tokio::test]
async fn one_call_that_is_answered_badly_is_tried_again_at_no_charge() {
    let rig = Rig::new();
    // A limit is a service's, not a call's, and so is a place where nobody listens.
    let only_answers = bad_answers(LATE).into_iter().filter(|(name, _)| !name.starts_with("429"));
    let answers = only_answers.filter_map(|(name, fault)| Some((name, fault?)));
    for (name, fault) in answers.chain(done_all_the_same()) {
        let (item, writes) = rig.writes(name);
        let task = rig.task(name, &item).await;
        let mut ids = Vec::new();
        for (n, (effect, method, path)) in writes.iter().enumerate() {
            ids.push(rig.enqueue(task, effect, &format!("{name}{n}")).await);
            rig.plane.fail_when(method, path, usize::MAX, fault.clone());
            rig.gitea.fail_when(method, path, usize::MAX, fault.clone());
            rig.telegram.fail_when(method, path, usize::MAX, fault.clone());
        }
        for (job, (effect, ..)) in join_all(ids.iter().map(|id| rig.handle(*id))).await.iter().zip(&writes) {
            // What was done is seen where the answer refuses it.
            let seen = job.status == JobStatus::Done && name.starts_with("done-");
            assert!(seen || waits_uncharged(job), "{name}, {}: {job:?}", effect.name());
            let soon = job.available_at.is_some_and(|at| at <= now_ms() + 3_000);
            assert!(seen || soon, "{name}, {}: soon: {job:?}", effect.name());
        }
        rig.plane.heal();
        rig.gitea.heal();
        rig.telegram.heal();
        for (id, (effect, ..)) in ids.into_iter().zip(&writes) {
            if rig.job(id).await.status == JobStatus::Done {
                continue;
            }
            let job = rig.handle(id).await;
            assert_eq!((job.status, job.attempts), (JobStatus::Done, 1), "{name}, {}: {job:?}", effect.name());
        }
        let told_again = name == "late" || name.starts_with("done-");
        rig.all_is_there_once(name, &item, if told_again { 2 } else { 1 });
        assert_eq!(rig.ctx.store.read(outages::all).await.unwrap(), [], "{name}: nobody was away");
    }
}

/// A status that stepped aside is no news any more where another was wished for the same commit and context.
#[tokio::test]
async fn of_the_states_of_a_commit_the_newest_stays() {
    let rig = Rig::new();
    let task = rig.task("status", "status").await;
    let (repo, head) = (format!("acme/{REPO}"), hex_of("status"));
    let status = |context: &str, state: StatusState| Effect::GiteaStatus {
        repo: repo.clone(),
        head: head.parse().unwrap(),
        context: context.into(),
        state,
        description: "d".into(),
        target: None,
    };
    let wishes = [
        ("orch/review", StatusState::Pending),
        ("orch/testing", StatusState::Pending),
        ("orch/review", StatusState::Success),
    ];
    let mut ids = Vec::new();
    for (n, (context, state)) in wishes.into_iter().enumerate() {
        ids.push(rig.enqueue(task, &status(context, state), &format!("status{n}")).await);
    }
    for id in ids.iter().rev() {
        assert_eq!(rig.handle(*id).await.status, JobStatus::Done);
    }
    let note = rig.job(ids[0]).await.note.unwrap();
    assert!(note.starts_with("skipped:"), "{note}");
    let there: Vec<_> = rig.gitea.statuses_of(REPO, &head).into_iter().map(|s| (s.context, s.state)).collect();
    assert_eq!(there, [("orch/review".into(), "success".into()), ("orch/testing".into(), "pending".into())]);
}

/// Who was told to come back later wrote nothing: what it sends is not looked for, and is no double.
#[tokio::test]
async fn a_limit_leaves_no_doubt_and_a_lost_answer_does() {
    let rig = Rig::new();
    let limit = Fault::Answer(Reply::json(429, json!({})).with("retry-after", "1"));
    for (name, fault, looked_for) in [("limit", limit, 0), ("lost", Fault::Cut, 1)] {
        let (item, writes) = rig.writes(name);
        let task = rig.task(name, &item).await;
        let id = rig.enqueue(task, &writes[0].0, name).await;
        rig.plane.fail_when("POST", "/comments/", 3, fault);
        assert!(waits_uncharged(&rig.handle(id).await), "{name}");
        rig.plane.heal();
        rig.plane.forget_requests();
        let healed = Instant::now();
        while rig.handle(id).await.status != JobStatus::Done {
            assert!(healed.elapsed() < LONG, "{name}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let read = |r: &&orch_tests::fakes::Request| r.method == "GET" && r.path.contains("/comments/");
        assert_eq!(rig.plane.requests().iter().filter(read).count(), looked_for, "{name}");
        assert_eq!(rig.plane.item(&item).comments.len(), 1, "{name}");
    }
}

/// A 404 of one thing is an answer; it is the end of what wanted it, not of the service.
#[tokio::test]
async fn what_is_really_gone_is_given_up_and_holds_nobody() {
    let rig = Rig::new();
    let gone = Effect::PlaneState {
        project: FakePlane::PROJECT.into(),
        work_item: uuid::Uuid::new_v4().to_string(),
        name: "Done".into(),
        group: StateGroup::Completed,
    };
    let task = rig.task("gone", "gone").await;
    let id = rig.enqueue(task, &gone, "gone").await;
    let mut tries = 0;
    let job = loop {
        let job = rig.handle(id).await;
        if job.status != JobStatus::Queued {
            break job;
        }
        tries += 1;
        assert!(tries < 20, "{job:?}");
    };
    assert_eq!((job.status, tries), (JobStatus::Failed, 6), "{job:?}");
    assert_eq!(rig.ctx.store.read(outages::all).await.unwrap(), []);
}

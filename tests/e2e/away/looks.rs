//! Kinds of looks by kinds of bad answers of the forge, to its API and to git over HTTP alike: a fetch, a push, the reads of a
//! gate, a merge. Afterwards each was done once, and no attempt was spent.

use super::table::{PATIENCE, bad_answers, done_all_the_same, waits_uncharged};
use crate::outside::rig::{context_of, now_ms};
use futures_util::future::join_all;
use orch_common::domain::decide::Trigger;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::jobs::{self, Job, NewJob};
use orch_common::store::outages;
use orch_common::store::tasks::{self, Move, NewTask, Task};
use orch_tests::fakes::{Door, FakeGitea, FakePlane, Fault};
use orch_tests::stack::git;
use orch_worker::clients::Timing;
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings};
use orch_worker::context::Context;
use orch_worker::engine::{AdvancePayload, advance};
use orch_worker::git::{GitSettings, Repos};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
/// How long git waits here, and an answer that comes later.
const GITS_PATIENCE: Duration = Duration::from_secs(3);
const LATE: Duration = Duration::from_secs(4);

/// What a look does at the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fetch,
    Push,
    Read,
    Merge,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Fetch, Kind::Push, Kind::Read, Kind::Merge];

    /// Each has a repository of its own, so that nothing but its own request meets a fault.
    const fn repo(self) -> &'static str {
        match self {
            Kind::Fetch => "fetched",
            Kind::Push => "pushed",
            Kind::Read => "read",
            Kind::Merge => "merged",
        }
    }

    /// The request that it is known by.
    const fn request(self) -> (&'static str, &'static str) {
        match self {
            Kind::Fetch => ("GET", "/fetched.git/info/refs"),
            Kind::Push => ("POST", "/pushed.git/git-receive-pack"),
            Kind::Read => ("GET", "/read/pulls/"),
            Kind::Merge => ("POST", "/merged/pulls/"),
        }
    }

    /// Its project at Plane.
    fn project(self) -> String {
        match self {
            Kind::Fetch => FakePlane::PROJECT.to_owned(),
            Kind::Push | Kind::Read | Kind::Merge => format!("00000000-0000-4000-8000-00000000000{}", self as u8),
        }
    }
}

/// The other repositories' entries in the registry.
fn others() -> String {
    let common = "merge = \"on_deploy\"\nreview_gate = \"review_approved\"";
    let other = |kind: &Kind| {
        let (project, repo, n) = (kind.project(), kind.repo(), *kind as u8);
        format!("[[projects]]\nplane_project = \"{project}\"\nrepo = \"{repo}\"\nid_prefix = \"E{n}\"\n{common}\n")
    };
    format!("{common}\n{}", Kind::ALL[1..].iter().map(other).collect::<String>())
}

/// A worker's inside, and a forge with git behind one door.
struct Rig {
    door: Door,
    gitea: FakeGitea,
    ctx: Arc<Context>,
    root: PathBuf,
    names: AtomicUsize,
    _plane: FakePlane,
    _dir: TempDir,
}

/// A look of a task of its own.
#[derive(Clone)]
struct Case {
    kind: Kind,
    task: Task,
    job: i64,
}

impl Rig {
    fn new() -> Rig {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (plane, gitea) = (FakePlane::start(), FakeGitea::start());
        for repo in Kind::ALL.map(Kind::repo) {
            let (bare, clone) = (dir.path().join(format!("{repo}.git")), dir.path().join(repo));
            git(dir.path(), &["init", "--quiet", "--bare", "--initial-branch=main", &bare.to_string_lossy()]);
            git(&bare, &["config", "http.receivepack", "true"]);
            git(dir.path(), &["clone", "--quiet", &bare.to_string_lossy(), &clone.to_string_lossy()]);
            gitea.add_repo(repo, &bare);
        }
        let door = Door::to(gitea.url());
        let mut ctx = context_of(&dir, (plane.url(), &door.url), Kind::Fetch.repo(), &others());
        {
            let ctx = Arc::get_mut(&mut ctx).unwrap();
            let timing = Timing { connect: PATIENCE, total: PATIENCE, first_pause: Duration::from_millis(10) };
            let settings =
                GiteaSettings { url: door.url.clone(), owner: "acme".into(), token: FakeGitea::TOKEN.into() };
            ctx.outside.gitea = Some(Arc::new(GiteaClient::with_timing(settings, timing).unwrap()));
            let patient = GitSettings { network_timeout: GITS_PATIENCE, ..GitSettings::default() };
            ctx.repos = Repos::open(&dir.path().join("repos"), patient).unwrap();
        }
        tokio::spawn(orch_worker::outage::keep(Arc::clone(&ctx)));
        let root = dir.path().to_owned();
        let rig = Rig { door, gitea, ctx, root, names: AtomicUsize::new(0), _plane: plane, _dir: dir };
        for kind in Kind::ALL {
            rig.commit(kind, "main", "README");
        }
        rig
    }

    /// A commit on top of the first one, pushed.
    fn commit(&self, kind: Kind, branch: &str, file: &str) -> String {
        let clone = self.root.join(kind.repo());
        if file != "README" {
            git(&clone, &["checkout", "--quiet", "--detach", "main"]);
        }
        std::fs::write(clone.join(file), "x\n").unwrap();
        git(&clone, &["add", "."]);
        git(&clone, &["commit", "--quiet", "-m", file]);
        git(&clone, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(&clone, &["rev-parse", "HEAD"])
    }

    async fn case(&self, kind: Kind) -> Case {
        let n = self.names.fetch_add(1, Ordering::Relaxed) + 1;
        let (key, branch) = (format!("ET-{n:03}"), format!("feature/ET-{n:03}-x"));
        let new = NewTask {
            project: kind.project(),
            work_item: format!("item-{n}"),
            key: key.clone(),
            title: key.clone(),
            description: String::new(),
            repo: format!("acme/{}", kind.repo()),
            branch: branch.clone(),
            base: "main".into(),
        };
        let store = &self.ctx.store;
        let task = store.write(move |c| tasks::insert(c, &new, now_ms())).await.unwrap().expect("a new task");
        let stage = match kind {
            Kind::Fetch | Kind::Push => Stage::Analysis,
            Kind::Read => Stage::Review,
            Kind::Merge => Stage::Deploy,
        };
        let (id, seen) = (task.id, task.clone());
        if matches!(kind, Kind::Read | Kind::Merge) {
            let head = self.commit(kind, &branch, &format!("{key}.txt"));
            let number = self.gitea.open_pull_as(FakeGitea::BOT, kind.repo(), &branch, "main");
            let noted = store.write(move |c| {
                tasks::note_pull(c, id, number, now_ms())?;
                tasks::note_head(c, id, &head, now_ms())
            });
            noted.await.unwrap();
        }
        let placed = store.write(move |c| {
            assert!(tasks::compare_and_move(c, &seen, &moved(stage), now_ms())?);
            tasks::note_worked(c, id, stage)
        });
        placed.await.unwrap();
        let trigger = match kind {
            Kind::Push => {
                self.work(&task).await;
                Trigger::AgentEnded { role: Role::Analyst, log: "run".into() }
            }
            Kind::Fetch | Kind::Read | Kind::Merge => Trigger::Look,
        };
        let job = self.queue(&task, trigger).await;
        Case { kind, task, job }
    }

    async fn queue(&self, task: &Task, trigger: Trigger) -> i64 {
        let new = NewJob {
            kind: JobKind::Advance,
            role: None,
            repo: Some(task.repo.clone()),
            task_id: Some(task.id),
            payload: serde_json::to_string(&AdvancePayload { trigger, stage: None }).unwrap(),
            dedupe_key: None,
            order_key: Some(format!("task:{}", task.id)),
            available_at: None,
        };
        self.ctx.store.write(move |c| jobs::enqueue(c, &new, now_ms())).await.unwrap().unwrap()
    }

    /// An agent has left a file in the task's folder.
    async fn work(&self, task: &Task) {
        let project = self.ctx.config.projects.by_repo(&task.repo).unwrap();
        let (remote, cancel) = (self.ctx.remote(project).unwrap(), &self.ctx.stopping);
        self.ctx.repos.fetch(&task.repo, &remote, cancel).await.unwrap();
        let made = self.ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await;
        std::fs::write(made.unwrap().path.join("left.txt"), "x\n").unwrap();
    }

    async fn look(&self, case: &Case) -> Job {
        let id = case.job;
        let job = self.ctx.store.write(move |c| jobs::claim_by_id(c, id, "rig", now_ms())).await.unwrap();
        advance::run(&self.ctx, job.expect("its turn")).await;
        self.job(case).await
    }

    async fn job(&self, case: &Case) -> Job {
        let id = case.job;
        self.ctx.store.read(move |c| jobs::get(c, id)).await.unwrap().unwrap()
    }

    /// Makes the look, and what follows of it, until nothing is left to be looked at; then, of a merge that waits, the look of a round.
    async fn finish(&self, name: &str, case: &Case) {
        let (begun, id, mut rounds) = (Instant::now(), case.task.id, 0);
        loop {
            let open = self.ctx.store.read(move |c| jobs::unfinished_of_task(c, id)).await.unwrap();
            let Some(next) = open.into_iter().find(|job| job.kind == JobKind::Advance) else {
                let task = self.ctx.store.read(move |c| tasks::get(c, id)).await.unwrap().unwrap();
                if case.kind != Kind::Merge || task.state == TaskState::Done || rounds > 0 {
                    return;
                }
                assert!(task.state_reason.is_some(), "{name}: people read what it waits for: {task:?}");
                self.queue(&task, Trigger::Look).await;
                rounds += 1;
                continue;
            };
            let job = self.look(&Case { job: next.id, ..case.clone() }).await;
            let done = job.status == JobStatus::Done && job.attempts == 1;
            assert!(done || waits_uncharged(&job), "{name}, {:?}: {job:?}", case.kind);
            assert!(begun.elapsed() < LONG, "{name}, {:?}: {job:?}", case.kind);
        }
    }

    async fn is_there_once(&self, name: &str, case: &Case) {
        let (id, branch, repo) = (case.task.id, &case.task.branch, case.kind.repo());
        let bare = self.root.join(format!("{repo}.git"));
        let task = self.ctx.store.read(move |c| tasks::get(c, id)).await.unwrap().unwrap();
        match case.kind {
            Kind::Fetch | Kind::Read => {}
            Kind::Push => {
                let all = git(&bare, &["log", "--format=%s", &format!("main..{branch}")]);
                assert_eq!(all.lines().count(), 1, "{name}: {all}");
            }
            Kind::Merge => {
                let pull = self.gitea.pull_of(repo, branch).unwrap();
                assert_eq!((task.state, pull.merged), (TaskState::Done, true), "{name}: {task:?}");
                let all = git(&bare, &["log", "--format=%s", "main"]);
                let merges = all.lines().filter(|subject| subject.contains(&format!("#{}", pull.number))).count();
                assert!(merges <= 1, "{name}: {all}");
            }
        }
        assert!(!matches!(task.state, TaskState::Blocked | TaskState::Paused), "{name}: {task:?}");
    }
}

fn moved(stage: Stage) -> Move {
    Move { reset_cap: true, ..Move::to(stage, TaskState::Active) }
}

/// The forge and its git are away together.
#[tokio::test]
async fn every_look_waits_for_the_forge_and_is_made_once_afterwards() {
    let rig = Rig::new();
    for (name, fault) in bad_answers(LATE) {
        let mut cases = Vec::new();
        for kind in Kind::ALL {
            cases.push(rig.case(kind).await);
        }
        match &fault {
            Some(fault) => rig.gitea.fall_ill(Some(fault.clone())),
            None => rig.door.shut(),
        }
        for (job, case) in join_all(cases.iter().map(|case| rig.look(case))).await.iter().zip(&cases) {
            assert!(waits_uncharged(job), "{name}, {:?}: {job:?}", case.kind);
        }
        match &fault {
            Some(_) => rig.gitea.fall_ill(None),
            None => rig.door.open(),
        }
        let back = Instant::now();
        for case in &cases {
            while rig.job(case).await.available_at.is_some_and(|at| at > now_ms()) {
                assert!(back.elapsed() < LONG, "{name}: not woken");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            rig.finish(name, case).await;
            rig.is_there_once(name, case).await;
        }
        assert_eq!(rig.ctx.store.read(outages::all).await.unwrap(), [], "{name}");
    }
}

/// Only the look's own request is answered so.
#[tokio::test]
async fn one_request_of_a_look_that_is_answered_badly_is_made_again_at_no_charge() {
    let rig = Rig::new();
    let only_answers = bad_answers(LATE).into_iter().filter_map(|(name, fault)| Some((name, fault?)));
    for (name, fault) in only_answers.chain(done_all_the_same()) {
        // What a fetch brings is not made twice by it.
        let fetches = !matches!(fault, Fault::DoneAnd(_) | Fault::LostAnswer);
        let mut cases = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| fetches || *kind != Kind::Fetch) {
            cases.push(rig.case(kind).await);
        }
        for case in &cases {
            let (method, path) = case.kind.request();
            rig.gitea.fail_when(method, path, usize::MAX, fault.clone());
        }
        let after = join_all(cases.iter().map(|case| rig.look(case))).await;
        rig.gitea.heal();
        for (job, case) in after.iter().zip(&cases) {
            // What was done is found out by asking, and what a person may have to mend is said.
            let found_out = job.status == JobStatus::Done && job.attempts == 1;
            assert!(found_out || waits_uncharged(job), "{name}, {:?}: {job:?}", case.kind);
        }
        for case in &cases {
            rig.finish(name, case).await;
            rig.is_there_once(name, case).await;
        }
    }
}

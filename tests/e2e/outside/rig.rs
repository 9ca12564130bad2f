//! The worker's rules, queue and reconciler in this process, against the three services: no loops and no clocks of
//! their own, so that a test says what happens when. Agents are not run; a gate is looked at by the real code.

use orch_common::config::Config;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::order;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::audit::Transition;
use orch_common::store::deliveries::{self, EventPayload, Intake, NewDelivery, Source};
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Move, Task};
use orch_common::store::{Conn, Store, StoreError, audit};
use orch_tests::fakes::{Delivery, FakeGitea, FakePlane};
use orch_worker::clients::Timing;
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings};
use orch_worker::clients::plane::{PlaneClient, PlaneSettings};
use orch_worker::context::Context;
use orch_worker::effects::Outside;
use orch_worker::reconcile::Reconciler;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub use orch_testkit::now_ms;

pub const REPO: &str = "widgets";

/// One installation.
pub struct Rig {
    pub plane: FakePlane,
    pub gitea: Arc<FakeGitea>,
    pub ctx: Arc<Context>,
    pub reconciler: Reconciler,
    _dir: TempDir,
}

impl Rig {
    /// `project` is more of the project's table.
    pub async fn new(project: &str) -> Rig {
        // Kept in memory where there is a place for that: nothing here is about the disk.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (plane, gitea) = (FakePlane::start(), FakeGitea::start());
        gitea.add_plain_repo(REPO);
        let services = Services { plane: plane.url(), gitea: gitea.url() };
        let ctx = context(&dir, &services, project);
        let gitea = Arc::new(gitea);
        let mut rig = Rig { plane, gitea, ctx, reconciler: Reconciler::default(), _dir: dir };
        rig.ask().await;
        rig
    }

    pub fn store(&self) -> &Store {
        &self.ctx.store
    }

    /// A round of the reconciler, and everything it leads to.
    pub async fn ask(&mut self) -> usize {
        let found = self.reconciler.round(&self.ctx).await.unwrap();
        self.settle().await;
        found
    }

    /// As after a restart of the worker: nothing is remembered but what is stored.
    pub fn forget(&mut self) {
        self.reconciler = Reconciler::default();
    }

    /// The delivery arrives, and everything it leads to.
    pub async fn arrives(&self, delivery: &Delivery) {
        self.take_in(delivery).await;
        self.settle().await;
    }

    /// The delivery is committed as the API does it.
    pub async fn take_in(&self, delivery: &Delivery) -> Intake {
        let new = intake(delivery);
        self.store().write(move |c| deliveries::insert(c, &new, now_ms())).await.unwrap()
    }

    /// Handles events and effects until none is due.
    pub async fn settle(&self) {
        while self.one(JobKind::Event).await || self.one(JobKind::Effect).await {}
    }

    /// Handles one job of a kind, if one is due.
    pub async fn one(&self, kind: JobKind) -> bool {
        let name = self.ctx.name.clone();
        let job = self.store().write(move |c| jobs::claim(c, kind, &name, now_ms())).await.unwrap();
        let Some(job) = job else { return false };
        match kind {
            JobKind::Event => orch_worker::events::handle(Arc::clone(&self.ctx), job).await,
            JobKind::Effect => orch_worker::effects::handle(Arc::clone(&self.ctx), job).await,
            JobKind::Advance | JobKind::Agent => panic!("not here"),
        }
        true
    }

    /// The only task.
    pub async fn task(&self) -> Option<Task> {
        let mut all = self.store().read(|c| tasks::newest(c, 10)).await.unwrap();
        assert!(all.len() <= 1, "{all:?}");
        all.pop()
    }

    /// Puts the task somewhere, with none of its jobs left.
    pub async fn place(&self, stage: Stage, state: TaskState) -> Task {
        let task = self.task().await.expect("a task");
        self.store()
            .write(move |c| {
                jobs::cancel_queued_of_task(c, task.id, "placed by the test", now_ms())?;
                let to = Move { reset_cap: true, ..Move::to(stage, state) };
                assert!(tasks::compare_and_move(c, &task, &to, now_ms())?);
                tasks::note_worked(c, task.id, stage)?;
                Ok(())
            })
            .await
            .unwrap();
        self.task().await.unwrap()
    }

    /// The active task has a reason to wait, as one without a job of its own always has.
    pub async fn waits_for(&self, reason: &'static str) {
        let task = self.task().await.expect("a task");
        let to = Move { state_reason: Some(reason.to_owned()), ..Move::to(task.stage, task.state) };
        let moved = self.store().write(move |c| tasks::compare_and_move(c, &task, &to, now_ms())).await;
        assert!(moved.unwrap());
    }

    /// This is the task's own pull request.
    pub async fn own_pull(&self, number: i64) {
        let id = self.task().await.expect("a task").id;
        self.store().write(move |c| tasks::note_pull(c, id, number, now_ms())).await.unwrap();
    }

    pub async fn jobs(&self, kind: JobKind) -> Vec<Job> {
        let task = self.task().await.expect("a task");
        let all = self.store().read(move |c| jobs::of_task(c, task.id)).await.unwrap();
        all.into_iter().filter(|j| j.kind == kind).collect()
    }

    /// Agent and advance jobs that wait, by their payload's name of role or trigger.
    pub async fn waiting(&self, kind: JobKind) -> Vec<String> {
        let queued = self.jobs(kind).await.into_iter().filter(|j| j.status == JobStatus::Queued);
        queued
            .map(|j| {
                let payload: serde_json::Value = serde_json::from_str(&j.payload).unwrap();
                let trigger = &payload["trigger"];
                let words =
                    [&payload["role"], &trigger["trigger"], &trigger["command"]["command"], &trigger["what"]["event"]];
                words.iter().filter_map(|w| w.as_str()).collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    /// Jobs whose dedupe key contains `part`.
    pub async fn found(&self, part: &'static str) -> usize {
        let all = |conn: &mut Conn| -> Result<Vec<Job>, StoreError> {
            (1..500).filter_map(|id| jobs::get(conn, id).transpose()).collect()
        };
        let all = self.store().read(all).await.unwrap();
        all.iter().filter(|j| j.dedupe_key.as_ref().is_some_and(|key| key.contains(part))).count()
    }

    pub async fn transitions(&self) -> Vec<Transition> {
        let task = self.task().await.expect("a task");
        self.store().read(move |c| audit::of_task(c, task.id)).await.unwrap()
    }

    /// Trigger and actor of every change.
    pub async fn trail(&self) -> Vec<String> {
        let all = self.transitions().await;
        all.into_iter().map(|t| format!("{} {}", t.trigger, t.actor.unwrap_or_default())).collect()
    }
}

struct Services<'a> {
    plane: &'a str,
    gitea: &'a str,
}

fn context(dir: &TempDir, services: &Services<'_>, project: &str) -> Arc<Context> {
    context_of(dir, (services.plane, services.gitea), REPO, project)
}

/// The worker's inside, for a repository at these addresses of Plane and the forge.
pub fn context_of(dir: &TempDir, (plane, gitea): (&str, &str), repo: &str, project: &str) -> Arc<Context> {
    let services = &Services { plane, gitea };
    let file = dir.path().join("orch.toml");
    let text = format!(
        "[database]\npath = \"{0}/orch.db\"\n[worker]\nrepos_dir = \"{0}/repos\"\nruns_dir = \"{0}/runs\"\nname = \"rig\"\n\
         [agent]\nclaude_bin = \"{0}/no-agent\"\n[plane]\nurl = \"{1}\"\nworkspace = \"{2}\"\n[gitea]\nurl = \"{3}\"\n\
         owner = \"acme\"\ntoken = \"{6}\"\nreviewer_token = \"{5}\"\n[[projects]]\nplane_project = \"{4}\"\nrepo = \"{repo}\"\nid_prefix = \"ET\"\n{project}\n",
        dir.path().display(),
        services.plane,
        FakePlane::WORKSPACE,
        services.gitea,
        FakePlane::PROJECT,
        FakeGitea::REVIEWER_TOKEN,
        FakeGitea::TOKEN,
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), &BTreeMap::new()).unwrap().config;
    let mut ctx = Context::build(config, CancellationToken::new()).unwrap();
    Arc::get_mut(&mut ctx).unwrap().outside = outside(services);
    ctx
}

fn outside(services: &Services<'_>) -> Outside {
    let timing = Timing {
        connect: Duration::from_secs(2),
        total: Duration::from_secs(5),
        first_pause: Duration::from_millis(10),
    };
    let plane = PlaneSettings {
        url: services.plane.into(),
        workspace: FakePlane::WORKSPACE.into(),
        token: FakePlane::TOKEN.into(),
    };
    let gitea =
        GiteaSettings { url: services.gitea.into(), owner: FakeGitea::OWNER.into(), token: FakeGitea::TOKEN.into() };
    let second = GiteaSettings { token: FakeGitea::REVIEWER_TOKEN.into(), ..gitea.clone() };
    let mut outside = Outside::new(
        Some(Arc::new(PlaneClient::with_timing(plane, timing).unwrap().with_rate(100_000))),
        Some(Arc::new(GiteaClient::with_timing(gitea, timing).unwrap())),
        None,
    );
    outside.reviewer = Some(Arc::new(GiteaClient::with_timing(second, timing).unwrap()));
    outside
}

/// What the API makes of a delivery.
pub fn intake(delivery: &Delivery) -> NewDelivery {
    let body: &serde_json::value::RawValue = serde_json::from_str(&delivery.body).unwrap();
    let json: serde_json::Value = serde_json::from_str(&delivery.body).unwrap();
    let header = |name: &str| delivery.header(name).map(str::to_owned);
    let plane = header("x-plane-event").is_some();
    let (source, order, repo) = if plane {
        let item = json["data"]["issue"].as_str().or(json["data"]["id"].as_str()).unwrap();
        (Source::Plane, order::of_item(json["data"]["project"].as_str().unwrap_or_default(), item), None)
    } else {
        let repo = json["repository"]["full_name"].as_str().unwrap();
        (Source::Gitea, order::at_forge(repo, None), Some(repo.to_owned()))
    };
    let payload = EventPayload {
        source,
        event: header("x-plane-event").or_else(|| header("x-gitea-event")),
        event_type: header("x-gitea-event-type"),
        delivery: None,
        body,
    };
    NewDelivery {
        source,
        key: Sha256::digest(delivery.body.as_bytes()).to_vec(),
        order_key: Some(order),
        repo,
        payload: serde_json::to_string(&payload).unwrap().into(),
    }
}

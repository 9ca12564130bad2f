//! A configuration, a database and ways to fill and ask it.

use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::domain::run::{RunState, WorkerState};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::jobs::{self, Job, NewJob};
use orch_common::store::runs::{self, NewRun};
use orch_common::store::tasks::{self, Move, NewTask, Task};
use orch_common::store::workers::{self, Worker};
use orch_common::store::{Conn, Store, StoreError, StoreOptions};
pub use orch_testkit::{eventually, now_ms as now};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The program under test.
pub const ORCHCTL: &str = env!("CARGO_BIN_EXE_orchctl");
pub const PLANE_PROJECT: &str = "0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11";
pub const SECRET: &str = "swordfish-1234";
/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Its output, if it went well.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Its error text, if it ended with `code` and said nothing else.
    pub fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        assert!(self.err.starts_with("orchctl: ") || code == 2, "{self:?}");
        self.err
    }
}

pub struct World {
    pub folder: tempfile::TempDir,
}

impl World {
    /// A configuration; no database yet.
    pub fn bare() -> World {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[database]\npath = {:?}\n[worker]\nruns_dir = {:?}\nrepos_dir = {:?}\n[plane]\napi_token = {SECRET:?}\n\
             [[projects]]\nplane_project = \"{PLANE_PROJECT}\"\nrepo = \"team/shop\"\nid_prefix = \"ET\"\n\
             env = {{ KEY = {SECRET:?} }}\n",
            at("data/orch.db"),
            at("runs"),
            at("repos")
        );
        let file = folder.path().join("orch.toml");
        std::fs::write(&file, text).unwrap();
        // It holds a secret; readable by everybody it would be warned about each time.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        World { folder }
    }

    /// With a current database.
    pub fn new() -> World {
        let world = World::bare();
        world.store();
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Text for a command line.
    pub fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn store(&self) -> Store {
        Store::open_and_migrate(&StoreOptions { pool_size: 1, ..StoreOptions::new(self.path("data/orch.db")) }).unwrap()
    }

    pub fn write<T>(&self, f: impl FnMut(&mut Conn) -> Result<T, StoreError>) -> T {
        self.store().write_now(f).unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ORCHCTL);
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.folder.path()).stdin(Stdio::null());
        command.arg("--config").arg(self.path("orch.toml")).args(arguments);
        command
    }

    pub fn ctl(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A task at a stage.
    pub fn task(&self, key: &str, stage: Stage, state: TaskState) -> Task {
        let new = NewTask {
            project: PLANE_PROJECT.into(),
            work_item: format!("work-item-of-{key}"),
            key: key.into(),
            title: "Pay \u{1b}[31mby card\u{9b}2J".into(),
            description: "As a buyer".into(),
            repo: "team/shop".into(),
            branch: format!("feature/{key}-pay-by-card"),
            base: "main".into(),
        };
        self.write(|conn| {
            let task = tasks::insert(conn, &new, now())?.unwrap();
            let state_reason = (state == TaskState::Blocked).then(|| "the money is spent".into());
            let to = Move { state_reason, ..Move::to(stage, state) };
            assert!(tasks::compare_and_move(conn, &task, &to, now())?);
            Ok(tasks::get(conn, task.id)?.unwrap())
        })
    }

    pub fn task_now(&self, id: i64) -> Task {
        self.write(|conn| Ok(tasks::get(conn, id)?.unwrap()))
    }

    pub fn job(&self, kind: JobKind, task: Option<&Task>, payload: &str) -> i64 {
        let role = (kind == JobKind::Agent).then_some(Role::Developer);
        let order_key = task.map(|task| format!("task:{}", task.id));
        let new = NewJob {
            kind,
            role,
            repo: None,
            task_id: task.map(|task| task.id),
            payload: payload.into(),
            dedupe_key: None,
            order_key,
            available_at: None,
        };
        self.write(|conn| Ok(jobs::enqueue(conn, &new, now())?.unwrap()))
    }

    /// Takes a queued job as worker `w1`.
    pub fn claim(&self, id: i64) -> Job {
        self.write(|conn| Ok(jobs::claim_by_id(conn, id, "w1", now())?.unwrap()))
    }

    pub fn fail(&self, id: i64, error: &str) {
        let job = self.claim(id);
        let end = JobEnd::Failed { error: error.into() };
        assert!(self.write(|conn| jobs::finish(conn, &job, &end, now())));
    }

    pub fn job_now(&self, id: i64) -> Job {
        self.write(|conn| Ok(jobs::get(conn, id)?.unwrap()))
    }

    pub fn all_jobs(&self, task: &Task) -> Vec<Job> {
        self.write(|conn| jobs::of_task(conn, task.id))
    }

    /// A run under way.
    pub fn run(&self, id: &str, job: i64, task: &Task) {
        let new = NewRun {
            id: id.into(),
            job_id: job,
            task_id: task.id,
            role: Role::Developer,
            stage: task.stage,
            worker: "w1".into(),
            host: "h".into(),
            dir: id.into(),
            state: RunState::Running,
            session_id: None,
            resumed: false,
            head_before: None,
            started_at: now(),
        };
        self.write(|conn| runs::insert(conn, &new));
    }

    /// Worker `w1`, last heard of so many seconds ago.
    pub fn worker(&self, silent_s: i64) {
        let worker = Worker {
            name: "w1".into(),
            host: "h".into(),
            pid: 1,
            pid_start: 1,
            boot_id: "b".into(),
            version: "0.1.0".into(),
            state: WorkerState::Running,
            max_concurrency: 2,
            poll_interval: 2.0,
            preflight_ok: Some(true),
            preflight_reason: "ok: 2.1.330".into(),
            started_at: now() - 60_000,
            heartbeat_at: now() - silent_s * 1000,
        };
        self.write(|conn| workers::register(conn, &worker));
    }
}

/// An agent job's payload for this stage.
pub fn agent_payload(stage: Stage) -> String {
    format!(r#"{{"role":"developer","stage":"{stage}","brief":{{"why":"first"}}}}"#)
}

//! A whole installation for one test: the two real programs, real git, a real database, and around them a Plane,
//! a forge and a chat that keep account. Nothing is waited for by time alone, and nothing outlives the test.

mod look;
pub mod play;
mod programs;
mod remains;
mod scene;

pub use look::{Commented, Moved};
pub use orch_testkit::git;
pub use play::Play;
pub use programs::{Program, programs};
pub use remains::run_folders;
pub use scene::{REPO, Scene};

use crate::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_common::store::{Durability, Store, StoreOptions};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use toml::Table;

/// How long anything may take on a loaded machine.
pub const LONG: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(60);
/// The name of the worker that a stack starts with.
pub const WORKER: &str = "w1";

/// What a stack is to be made of.
pub struct Builder {
    play: Play,
    settings: Vec<(String, toml::Value)>,
    project: Vec<(String, toml::Value)>,
    /// Further entries of the registry.
    projects: Vec<Table>,
    plane: bool,
    gitea: bool,
    telegram: bool,
    worker: bool,
    git_over_http: bool,
}

/// A running installation.
pub struct Stack {
    pub scene: Scene,
    plane: Option<FakePlane>,
    gitea: Option<FakeGitea>,
    telegram: Option<FakeTelegram>,
    api: Option<Program>,
    workers: BTreeMap<String, Program>,
    store: Store,
    runtime: tokio::runtime::Runtime,
    /// Last: the folder goes when everything in it has ended.
    _folder: Folder,
}

/// The scratch folder; kept for a look where `ORCH_TEST_KEEP` is set.
struct Folder(Option<tempfile::TempDir>);

impl Drop for Folder {
    fn drop(&mut self) {
        if std::env::var_os("ORCH_TEST_KEEP").is_some() {
            self.0.take().map(tempfile::TempDir::keep);
        }
    }
}

impl Builder {
    /// What the agents do.
    pub fn play(mut self, play: Play) -> Self {
        self.play = play;
        self
    }

    /// A setting, e.g. `worker.heartbeat_dead_s`.
    pub fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Self {
        self.settings.push((path.to_owned(), value.into()));
        self
    }

    /// A key of the project.
    pub fn project(mut self, key: &str, value: impl Into<toml::Value>) -> Self {
        self.project.push((key.to_owned(), value.into()));
        self
    }

    pub fn without_plane(mut self) -> Self {
        self.plane = false;
        self
    }

    pub fn without_gitea(mut self) -> Self {
        self.gitea = false;
        self
    }

    pub fn with_telegram(mut self) -> Self {
        self.telegram = true;
        self
    }

    /// Git reaches the forge by its address, as the API does, and not by a path.
    pub fn with_git_over_http(mut self) -> Self {
        self.git_over_http = true;
        self
    }

    /// No worker is started; [`Stack::start_worker`] does.
    pub fn without_worker(mut self) -> Self {
        self.worker = false;
        self
    }

    /// Makes everything and starts the programs.
    pub fn start(self) -> Stack {
        let folder = tempfile::Builder::new().prefix("orch-e2e-").tempdir().expect("a folder");
        let scene = Scene::at(&folder.path().canonicalize().expect("its path"));
        scene.make_repository();
        scene.write_agent();
        self.play.write(&scene.script);
        let plane = self.plane.then(FakePlane::start);
        let gitea = self.gitea.then(FakeGitea::start);
        let telegram = self.telegram.then(FakeTelegram::start);
        if let Some(gitea) = &gitea {
            gitea.add_repo(REPO, &scene.forge);
            // A real one needs its time after each push, change of a base and change of a rule.
            gitea.computes_for(REPO, Duration::from_millis(300));
        }
        scene.write_config(&self.configuration(&scene, plane.as_ref(), gitea.as_ref(), telegram.as_ref()));
        let options =
            StoreOptions { pool_size: 1, durability: Durability::Normal, ..StoreOptions::new(&scene.database) };
        let store = Store::open_and_migrate(&options).expect("a database");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (api, workers) = (None, BTreeMap::new());
        let folder = Folder(Some(folder));
        let mut stack = Stack { scene, plane, gitea, telegram, api, workers, store, runtime, _folder: folder };
        stack.start_api();
        if self.worker {
            stack.start_worker(WORKER);
        }
        stack
    }

    fn configuration(
        &self,
        scene: &Scene,
        plane: Option<&FakePlane>,
        gitea: Option<&FakeGitea>,
        telegram: Option<&FakeTelegram>,
    ) -> Table {
        let mut config = scene.configuration(plane, gitea);
        if let Some(telegram) = telegram {
            Scene::telegram(&mut config, telegram);
        }
        for (path, value) in &self.settings {
            scene::set(&mut config, path, value.clone());
        }
        let projects = config.get_mut("projects").and_then(toml::Value::as_array_mut).expect("projects");
        let project = projects.first_mut().and_then(toml::Value::as_table_mut).expect("a project");
        if let Some(gitea) = gitea.filter(|_| self.git_over_http) {
            project.insert("remote".into(), gitea.git_url(REPO).into());
        }
        for (key, value) in &self.project {
            project.insert(key.clone(), value.clone());
        }
        projects.extend(self.projects.iter().cloned().map(toml::Value::Table));
        config
    }
}

impl Stack {
    /// Plane and a forge, one project, agents that do their work well.
    pub fn builder() -> Builder {
        Builder {
            play: Play::default(),
            settings: Vec::new(),
            project: Vec::new(),
            projects: Vec::new(),
            plane: true,
            gitea: true,
            telegram: false,
            worker: true,
            git_over_http: false,
        }
    }

    pub fn plane(&self) -> &FakePlane {
        self.plane.as_ref().expect("this stack has a Plane")
    }

    pub fn gitea(&self) -> &FakeGitea {
        self.gitea.as_ref().expect("this stack has a forge")
    }

    pub fn telegram(&self) -> &FakeTelegram {
        self.telegram.as_ref().expect("this stack has a chat")
    }

    /// Starts the API and has the services send their webhooks to it.
    pub fn start_api(&mut self) {
        self.start_api_with(&[]);
    }

    /// [`Stack::start_api`] with these variables besides.
    pub fn start_api_with(&mut self, env: &[(&str, &str)]) {
        let scene = &self.scene;
        self.api = Some(Program::start("orch-api", "api", &scene.root, &scene.config, env));
        let url = self.wait_for("the API to listen", || self.api_url());
        self.wait("the API to be ready", || {
            self.get("/health").is_some_and(|health| health["readiness"]["ready"] == true)
        });
        if let Some(plane) = &self.plane {
            plane.webhook_to(&format!("{url}/webhook/plane"));
        }
        if let Some(gitea) = &self.gitea {
            gitea.webhook_to(&format!("{url}/webhook/gitea"));
        }
    }

    /// `http://127.0.0.1:port`, once the API has said so.
    pub fn api_url(&self) -> Option<String> {
        let said = self.api.as_ref()?.output();
        said.lines().find_map(|line| line.strip_prefix("listening on ")).map(|address| format!("http://{address}"))
    }

    pub fn api_log(&self) -> String {
        self.api.as_ref().expect("the API runs").log()
    }

    /// `kill -9` of the API.
    pub fn kill_api(&mut self) {
        self.api.take().expect("the API runs").kill();
    }

    pub fn start_worker(&mut self, name: &str) {
        self.start_worker_with(name, &[]);
    }

    /// [`Stack::start_worker`] with these variables besides.
    pub fn start_worker_with(&mut self, name: &str, more: &[(&str, &str)]) {
        let scene = &self.scene;
        let env: Vec<_> = more.iter().copied().chain([("ORCH_WORKER_NAME", name)]).collect();
        let worker = Program::start("orch-worker", name, &scene.root, &scene.config, &env);
        assert!(self.workers.insert(name.to_owned(), worker).is_none(), "{name} runs already");
    }

    pub fn worker(&self, name: &str) -> &Program {
        self.workers.get(name).unwrap_or_else(|| panic!("no worker {name}"))
    }

    /// [`Stack::start_worker`], whose writes fail at a limit of file sizes, as on a full disk, instead of ending it.
    pub fn start_worker_deaf_to_file_limits(&mut self, name: &str) {
        let scene = &self.scene;
        let env = [("ORCH_WORKER_NAME", name)];
        let worker = Program::start_deaf_to_file_limits("orch-worker", name, &scene.root, &scene.config, &env);
        assert!(self.workers.insert(name.to_owned(), worker).is_none(), "{name} runs already");
    }

    /// Whether a worker still runs.
    pub fn worker_runs(&mut self, name: &str) -> bool {
        self.workers.get_mut(name).is_some_and(Program::is_running)
    }

    /// Whether the API still runs.
    pub fn api_runs(&mut self) -> bool {
        self.api.as_mut().is_some_and(Program::is_running)
    }

    /// `kill -9` of a worker.
    pub fn kill_worker(&mut self, name: &str) {
        self.workers.remove(name).unwrap_or_else(|| panic!("no worker {name}")).kill();
    }

    /// Lets go of the database, which the processes then have alone.
    pub fn leave_database(&mut self) {
        self.store = Store::open(&StoreOptions::new(self.scene.root.join("nobodys.db"))).expect("a database");
    }

    /// Looks at the database again.
    pub fn return_to_database(&mut self) {
        self.store = Store::open(&StoreOptions::new(&self.scene.database)).expect("the database");
    }

    /// SIGTERM, and a clean end.
    pub fn stop_worker(&mut self, name: &str) {
        let status = self.workers.remove(name).unwrap_or_else(|| panic!("no worker {name}")).stop();
        assert!(status.success(), "the worker ended {status}:\n{}", self.story());
    }

    /// The agents do this from now on.
    pub fn change_play(&self, play: &Play) {
        play.write(&self.scene.script);
    }

    /// A file in the scratch folder that agents and tests of the project wait for.
    pub fn signal(&self, name: &str) -> PathBuf {
        self.scene.root.join(name)
    }

    /// Makes a signal come.
    pub fn give(&self, name: &str) {
        std::fs::write(self.signal(name), "").expect("a file");
    }

    /// `GET` at the API; `None`: no JSON answer.
    pub fn get(&self, path: &str) -> Option<Value> {
        let address = self.api_url()?.strip_prefix("http://")?.to_owned();
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// Runs `orchctl`, which must succeed; gives what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.orchctl(arguments);
        assert!(output.status.success(), "orchctl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs `orchctl`, which must fail; gives what it said of it.
    pub fn ctl_fails(&self, arguments: &[&str]) -> String {
        let output = self.orchctl(arguments);
        assert!(!output.status.success(), "orchctl {arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn orchctl(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(programs().join("orchctl"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.scene.root);
        command.arg("--config").arg(&self.scene.config).args(arguments).current_dir(&self.scene.root);
        command.output().expect("orchctl runs")
    }

    /// Changes a setting of the file; programs that are started from now on have it.
    pub fn set(&self, path: &str, value: impl Into<toml::Value>) {
        let text = std::fs::read_to_string(&self.scene.config).expect("the configuration");
        let mut config: Table = text.parse().expect("it is TOML");
        scene::set(&mut config, path, value);
        self.scene.write_config(&config);
    }

    /// Waits until `enough` holds.
    pub fn wait(&self, what: &str, enough: impl Fn() -> bool) {
        self.wait_for(what, || enough().then_some(()));
    }

    /// Waits until `find` finds.
    pub fn wait_for<T>(&self, what: &str, find: impl Fn() -> Option<T>) -> T {
        let give_up = Instant::now() + LONG;
        loop {
            if let Some(found) = find() {
                return found;
            }
            assert!(Instant::now() < give_up, "waited {LONG:?} in vain for {what}");
            std::thread::sleep(LOOK);
        }
    }

    /// What happened, for people.
    pub fn story(&self) -> String {
        remains::tell(&self.scene, &self.store)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        self.workers.clear();
        self.api.take();
        remains::end_runs(&self.scene.runs);
    }
}

//! One `orch-api` process with a folder, a database and a log of its own.

use super::http::{Answer, Request};
use orch_api::SigningKey;
use orch_common::domain::job::JobKind;
use orch_common::store::deliveries::{self, Source};
use orch_common::store::{Store, StoreOptions, jobs};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The secret of `fixtures/plane-real`.
pub const PLANE_SECRET: &str = "plane_wh_b029d6a0f328434a9d9ebd48f25b116e";
/// The secret of `fixtures/gitea`.
pub const GITEA_SECRET: &str = "test-gitea-webhook-secret";
/// The project of `fixtures/plane-real`.
pub const PROJECT: &str = "2fdcb802-fa20-4631-af76-0e9ed39ecfb9";
/// The repository of `fixtures/gitea`.
pub const REPO: &str = "acme/widgets";

const IN_TIME: Duration = Duration::from_secs(30);

/// A running API.
pub struct Api {
    pub address: SocketAddr,
    pub store: Store,
    child: Child,
    dir: TempDir,
    env: Vec<(&'static str, String)>,
}

/// How to start one.
pub struct Setup {
    dir: TempDir,
    env: Vec<(&'static str, String)>,
    migrated: bool,
}

impl Setup {
    /// Both secrets, one project, a current database, loopback.
    pub fn new() -> Self {
        let env = vec![
            ("ORCH_PLANE_WEBHOOK_SECRET", PLANE_SECRET.to_owned()),
            ("ORCH_GITEA_WEBHOOK_SECRET", GITEA_SECRET.to_owned()),
            ("ORCH_API_BIND", "127.0.0.1:0".to_owned()),
        ];
        Setup { dir: tempfile::tempdir().unwrap(), env, migrated: true }
    }

    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.env.retain(|(set, _)| *set != name);
        self
    }

    pub fn not_migrated(mut self) -> Self {
        self.migrated = false;
        self
    }

    pub fn start(self) -> Api {
        let Setup { dir, env, migrated } = self;
        let config = format!(
            "[[projects]]\nplane_project = \"{PROJECT}\"\nrepo = \"{REPO}\"\nid_prefix = \"ET\"\n\
             [[projects]]\nplane_project = \"59e3be42-87ec-4950-99a3-ae639cf2b089\"\nrepo = \"acme/other\"\nid_prefix = \"OT\"\n"
        );
        std::fs::write(dir.path().join("orch.toml"), config).unwrap();
        let options = StoreOptions::new(dir.path().join("orch.db"));
        let store = if migrated { Store::open_and_migrate(&options) } else { Store::open(&options) }.unwrap();
        let (child, address) = spawn(&dir, &env);
        let api = Api { address, store, child, dir, env };
        if migrated {
            api.until("the API is ready", |api| api.get("/health/ready").status == 200);
        }
        api
    }
}

/// Starts the program and waits until it says where it listens.
fn spawn(dir: &TempDir, env: &[(&'static str, String)]) -> (Child, SocketAddr) {
    let log = std::fs::File::options().create(true).append(true).open(dir.path().join("log")).unwrap();
    // The signal of an exceeded file size is ignored, so that the write fails as on a full disk.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary()).args(["--config", "orch.toml"]);
    command.current_dir(dir.path()).env_clear().env("ORCH_DB_PATH", "orch.db").envs(env.iter().cloned());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").and_then(|text| text.parse::<SocketAddr>().ok());
    let Some(mut address) = address else {
        panic!("it said {line:?}: {}", std::fs::read_to_string(dir.path().join("log")).unwrap())
    };
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    (child, address)
}

/// The program, built once, with the features this test itself was built with.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "-p", "orch-api", "-p", "orch-tests", "--bin", "orch-api"]);
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "orch-api does not build");
        folder.join("orch-api")
    })
}

impl Api {
    pub fn get(&self, path: &str) -> Answer {
        Request::new("GET", path).send(self.address).unwrap()
    }

    pub fn send(&self, request: &Request) -> Answer {
        request.send(self.address).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Where the database is.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Waits for something to become true.
    pub fn until(&self, what: &str, mut holds: impl FnMut(&Api) -> bool) {
        let deadline = Instant::now() + IN_TIME;
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: not in time; log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Event jobs in the queue.
    pub fn queued_events(&self) -> i64 {
        jobs::counts(&mut self.store.connection().unwrap()).unwrap()[&JobKind::Event]["queued"]
    }

    /// The job of a delivery.
    pub fn job_of(&self, source: Source, key: &[u8]) -> Option<i64> {
        deliveries::known(&mut self.store.connection().unwrap(), source, key).unwrap()
    }

    /// A job's payload.
    pub fn payload(&self, job: i64) -> String {
        jobs::get(&mut self.store.connection().unwrap(), job).unwrap().unwrap().payload
    }

    /// Holds the database's write lock until the returned sender is dropped.
    pub fn lock(&self) -> mpsc::Sender<()> {
        let (held, holding) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let store = self.store.clone();
        std::thread::spawn(move || {
            store.write_now(|_| {
                held.send(()).unwrap();
                let _dropped = released.recv();
                Ok(())
            })
        });
        holding.recv().unwrap();
        release
    }

    /// Kills it without a word and starts it again, on the same database.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.wait();
        (self.child, self.address) = spawn(&self.dir, &self.env);
        self.until("the API is ready again", |api| api.get("/health/ready").status == 200);
    }

    /// Puts another, empty database in the place of the one in use, as a restored backup would be.
    pub fn replace_database(&self) -> Store {
        let path = self.dir.path().join("orch.db");
        for ending in ["", "-wal", "-shm"] {
            let from = self.dir.path().join(format!("orch.db{ending}"));
            std::fs::rename(from, self.dir.path().join(format!("old.db{ending}"))).unwrap();
        }
        Store::open_and_migrate(&StoreOptions::new(path)).unwrap()
    }

    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.pid().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A signed webhook of the forge: a push to a known repository, told apart by its delivery id.
pub fn push(delivery: &str) -> Request {
    let body = format!(r#"{{"ref":"refs/heads/x","repository":{{"full_name":"{REPO}"}},"n":"{delivery}"}}"#);
    gitea("push", delivery, body.into_bytes())
}

/// A signed webhook of the forge.
pub fn gitea(event: &str, delivery: &str, body: Vec<u8>) -> Request {
    Request::new("POST", "/webhook/gitea")
        .header("Content-Type", "application/json")
        .header("X-Gitea-Event", event)
        .header("X-Gitea-Delivery", delivery)
        .header("X-Gitea-Signature", &sign(GITEA_SECRET, &body))
        .body(body)
}

/// A signed webhook of Plane: a work item of a known project, told apart by its name.
pub fn work_item(name: &str) -> Request {
    let body = format!(r#"{{"event": "issue", "data": {{"id": "W", "project": "{PROJECT}", "name": "{name}"}}}}"#);
    plane("issue", body.into_bytes())
}

/// A signed webhook of Plane.
pub fn plane(event: &str, body: Vec<u8>) -> Request {
    Request::new("POST", "/webhook/plane")
        .header("Content-Type", "application/json")
        .header("X-Plane-Event", event)
        .header("X-Plane-Signature", &sign(PLANE_SECRET, &body))
        .body(body)
}

pub fn sign(secret: &str, body: &[u8]) -> String {
    hex::encode(SigningKey::new(secret).unwrap().sign(body))
}

/// A file of the fixtures.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

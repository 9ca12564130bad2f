//! One run in a folder of its own, and ways to look at it from outside.

pub use orch_testkit::eventually_async as eventually;
use orch_worker::agent::{ExitRecord, Launched, RunDir, RunEnd, RunSpec, Starter, launch, wait_end};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The program under test.
pub const WORKER: &str = env!("CARGO_BIN_EXE_orch-worker");

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The way without a service manager.
pub fn by_worker(program: &str) -> Starter {
    Starter::Worker(program.into())
}

pub struct Run {
    pub temp: tempfile::TempDir,
    pub spec: RunSpec,
}

impl Run {
    /// A run of a shell script. `$W` is a folder of its own.
    pub fn of(script: &str) -> Run {
        let temp = tempfile::tempdir().unwrap();
        let work = temp.path().join("work");
        fs::create_dir(&work).unwrap();
        let spec = RunSpec {
            run_id: uuid::Uuid::new_v4().to_string(),
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("W".into(), work.display().to_string())],
            cwd: work,
            timeout_s: 60,
            grace_s: 5,
            stall_s: 0,
            result_linger_s: 0,
            log_cap_bytes: 1 << 20,
            log_hard_limit_bytes: 1 << 40,
            user: None,
            max_processes: None,
            max_memory_mb: None,
        };
        Run { temp, spec }
    }

    pub fn with(mut self, change: impl FnOnce(&mut RunSpec)) -> Run {
        change(&mut self.spec);
        self
    }

    pub fn path(&self) -> PathBuf {
        self.temp.path().join("run")
    }

    pub fn dir(&self) -> RunDir {
        RunDir::at(self.path())
    }

    pub async fn launch(&self) -> Launched {
        launch(&self.path(), &self.spec, b"the prompt\n", &by_worker(WORKER)).await.unwrap()
    }

    /// Writes the folder, as a launcher does, and starts nothing.
    pub fn prepare(&self) {
        let dir = RunDir::create(self.path()).unwrap();
        dir.write_prompt(b"").unwrap();
        dir.write_spec(&self.spec).unwrap();
    }

    pub async fn record(&self) -> ExitRecord {
        match tokio::time::timeout(PATIENCE, wait_end(&self.path())).await.expect("the run never ended").unwrap() {
            RunEnd::Ended(record) => record,
            RunEnd::Lost => panic!("the run was lost"),
        }
    }

    pub async fn play(&self) -> ExitRecord {
        self.launch().await;
        self.record().await
    }

    /// What the script wrote to a file of its folder.
    pub fn noted(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.spec.cwd.join(name)).ok().filter(|t| t.ends_with('\n')).map(|t| t.trim().to_owned())
    }

    /// Waits until the script has written a file.
    pub async fn note(&self, name: &str) -> String {
        eventually(name, || self.noted(name)).await
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir().log()).unwrap()
    }

    /// Every living process that bears the run's marker.
    pub fn marked(&self) -> Vec<i32> {
        let entry = format!("ORCH_RUN_ID={}", self.spec.run_id);
        let pids = fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let env = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            is_alive(*pid) && env.split(|b| *b == 0).any(|e| e == entry.as_bytes())
        })
        .collect()
    }
}

/// Not even a zombie counts.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Its session; 0 where the session's leader lives outside this PID namespace.
pub fn session(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split_ascii_whitespace().nth(3).unwrap().parse().unwrap()
}

pub fn kill(pid: i32) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

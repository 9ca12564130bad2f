//! The shapes that a run's folder holds: what to start, why to stop, how it ended. They are read by other
//! versions of the program (a run outlives an upgrade), so fields are added with a default and never reused.

use orch_common::domain::run::StopReason;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The environment variable by which every process of a run is found. Its value is the run's id.
pub const MARKER: &str = "ORCH_RUN_ID";

/// The exit code of a run that the supervisor ended by itself, whatever signal really did it.
pub const KILLED: i32 = -9;

/// What a supervisor is to start, and within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// A UUID; anything else is refused.
    pub run_id: String,
    /// Absolute path of the agent program.
    pub program: PathBuf,
    /// Its arguments, the program's name not among them.
    pub args: Vec<String>,
    /// The complete environment; the marker alone is added.
    pub env: Vec<(String, String)>,
    /// Where it works; must exist.
    pub cwd: PathBuf,
    /// Seconds until the run is ended; at least 1.
    pub timeout_s: u64,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_s: u64,
    /// Seconds without output until the run is ended; 0 = never.
    pub stall_s: u64,
    /// Seconds that the process may stay after its result; 0 = until another limit ends it.
    #[serde(default)]
    pub result_linger_s: u64,
    /// Bytes of a log that stay on disk; the middle of what is beyond is given back to the file system.
    pub log_cap_bytes: u64,
    /// Bytes written to one log until the run is ended.
    pub log_hard_limit_bytes: u64,
    /// The Unix user to run as; only root can choose one.
    pub user: Option<String>,
    /// The most processes (threads included) that the agent's user may have; root has no such limit.
    #[serde(default)]
    pub max_processes: Option<u64>,
    /// The most memory of its own that one process may have, in MiB.
    #[serde(default)]
    pub max_memory_mb: Option<u64>,
}

/// Why a specification cannot be run at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadSpec {
    /// The marker of a run must be unmistakable.
    #[error("run id '{0}' is not a UUID")]
    RunId(String),
    /// A bare name would be looked up again, maybe elsewhere than the preflight looked.
    #[error("program '{0}' is not an absolute path")]
    Program(PathBuf),
}

impl RunSpec {
    /// Refuses what must not be started.
    pub fn check(&self) -> Result<(), BadSpec> {
        if uuid::Uuid::parse_str(&self.run_id).is_err() {
            return Err(BadSpec::RunId(self.run_id.chars().take(80).collect()));
        }
        if !self.program.is_absolute() {
            return Err(BadSpec::Program(self.program.clone()));
        }
        Ok(())
    }
}

/// The wish that a run stop, left in its folder before the supervisor is signalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Who wanted it.
    pub reason: StopReason,
}

/// Why a run is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitReason {
    /// By itself.
    Exited,
    /// It stayed for `result_linger_s` after its result.
    Lingered,
    /// It took longer than `timeout_s`.
    TimedOut,
    /// It wrote nothing for `stall_s`.
    Stalled,
    /// It wrote more than `log_hard_limit_bytes`.
    LogLimit,
    /// Somebody wanted it.
    Stopped {
        /// Who.
        why: StopReason,
    },
    /// It never started.
    SpawnFailed {
        /// The system's words.
        error: String,
    },
}

impl ExitReason {
    /// The supervisor ended it by itself: exit code [`KILLED`], whatever the signal was.
    pub fn is_kill(&self) -> bool {
        matches!(self, ExitReason::Lingered | ExitReason::TimedOut | ExitReason::Stalled | ExitReason::LogLimit)
    }
}

/// How a run ended. Written once, atomically, as the supervisor's last deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The run.
    pub run_id: String,
    /// Why it is over.
    pub reason: ExitReason,
    /// What the process returned; [`KILLED`] for linger, timeout, stall and log limit; none if a signal ended it.
    pub exit_code: Option<i32>,
    /// The signal that ended the process itself.
    pub signal: Option<i32>,
    /// Milliseconds since the epoch.
    pub started_at_ms: i64,
    /// Milliseconds since the epoch.
    pub finished_at_ms: i64,
    /// User and system time of the agent and all its reaped descendants.
    pub cpu_ms: u64,
    /// Resident set of the largest of these processes, KiB.
    pub max_rss_kb: u64,
    /// Processes the agent left behind that had to be killed.
    pub swept: u32,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn spec(run_id: &str) -> RunSpec {
        RunSpec {
            run_id: run_id.into(),
            program: "/bin/true".into(),
            args: vec![],
            env: vec![],
            cwd: "/".into(),
            timeout_s: 5,
            grace_s: 1,
            stall_s: 0,
            result_linger_s: 0,
            log_cap_bytes: 1 << 20,
            log_hard_limit_bytes: 1 << 30,
            user: None,
            max_processes: None,
            max_memory_mb: None,
        }
    }

    #[test]
    fn only_a_uuid_and_an_absolute_program_are_run() {
        let id = uuid::Uuid::new_v4().to_string();
        assert_eq!(spec(&id).check(), Ok(()));
        for bad in ["", "x", "ORCH_RUN_ID", "../../etc"] {
            assert_eq!(spec(bad).check(), Err(BadSpec::RunId(bad.into())));
        }
        let bare = RunSpec { program: "claude".into(), ..spec(&id) };
        assert_eq!(bare.check(), Err(BadSpec::Program("claude".into())));
    }

    #[test]
    fn reasons_keep_their_names_on_disk() {
        let json = |r: &ExitReason| serde_json::to_string(r).unwrap();
        assert_eq!(json(&ExitReason::TimedOut), r#"{"kind":"timed_out"}"#);
        assert_eq!(json(&ExitReason::Stopped { why: StopReason::System }), r#"{"kind":"stopped","why":"system"}"#);
        let failed = ExitReason::SpawnFailed { error: "no".into() };
        assert_eq!(serde_json::from_str::<ExitReason>(&json(&failed)).unwrap(), failed);
    }
}

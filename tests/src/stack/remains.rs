//! What a stack leaves when it ends: runs whose supervisors outlive their worker (on purpose), and the story for
//! whoever has to understand a failed test.

use super::scene::Scene;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::effect::Effect;
use orch_common::store::{Store, audit, jobs, runs, tasks};
use orch_worker::agent::{RunDir, examine};
use std::path::{Path, PathBuf};

/// The folders of all runs; others beside them are no run's.
pub fn run_folders(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let is_a_runs = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| uuid::Uuid::parse_str(&name.to_string_lossy()).is_ok())
    };
    entries.map(|entry| entry.path()).filter(is_a_runs).collect()
}

/// Ends every run: its supervisor by its identity, then whatever bears the run's marker.
pub fn end_runs(runs: &Path) {
    for folder in run_folders(runs) {
        let dir = RunDir::at(&folder);
        if dir.has_exit() {
            continue;
        }
        if let Ok(Some(supervisor)) = dir.read_supervisor()
            && supervisor.is_alive()
        {
            let _ = kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL);
        }
        let _ = examine(&folder);
    }
}

/// The whole story: audit trail, runs, jobs, the ends of the logs.
pub fn tell(scene: &Scene, store: &Store) -> String {
    let mut story = String::new();
    let found = store.write_now(|c| {
        let mut lines = Vec::new();
        for task in tasks::newest(c, 10)? {
            lines.push(format!("task {} {} {}: {:?}", task.key, task.stage, task.state, task.state_reason));
            for t in audit::of_task(c, task.id)? {
                lines.push(format!(
                    "  {} {}/{} -> {}/{}: {}",
                    t.trigger, t.from_stage, t.from_state, t.to_stage, t.to_state, t.reason
                ));
            }
            for r in runs::of_task(c, task.id)? {
                lines.push(format!("  run {} of the {} ({}): {:?} {:?}", r.id, r.role, r.state, r.outcome, r.error));
            }
            for j in jobs::of_task(c, task.id)? {
                let what = serde_json::from_str::<Effect>(&j.payload).map_or("", |e| e.name());
                lines.push(format!(
                    "  job {} {} {what} {} attempts {} recoveries {}: {:?} {:?}",
                    j.id, j.kind, j.status, j.attempts, j.recoveries, j.note, j.error
                ));
            }
        }
        Ok(lines)
    });
    story.push_str(&found.map_or_else(|e| e.to_string(), |lines| lines.join("\n")));
    let logs = std::fs::read_dir(&scene.root).into_iter().flatten().flatten().map(|e| e.path());
    for log in logs.filter(|path| path.extension().is_some_and(|e| e == "log")) {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(120)..].join("\n");
        story.push_str(&format!("\n--- the end of {}\n{end}", log.display()));
    }
    story
}

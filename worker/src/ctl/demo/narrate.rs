//! What the terminal shows: each change as it happens, a live line below where there is a terminal, a summary at
//! the end.

use super::Agent;
use super::scene::{Scene, git, quoted};
use crate::ctl::status::spent_text;
use orch_common::domain::effect::Effect;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::RunOutcome;
use orch_common::store::audit::{self, Transition};
use orch_common::store::runs::{self, Run};
use orch_common::store::spent::Spent;
use orch_common::store::tasks::Task;
use orch_common::store::{Store, StoreError, gates, jobs, tasks};
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Instant;

/// Everything the database says about the one task.
struct Seen {
    task: Task,
    transitions: Vec<Transition>,
    runs: Vec<Run>,
    gates: Vec<gates::GateResult>,
    jobs: Vec<jobs::Job>,
}

pub(super) struct Narrator {
    started: Instant,
    live: bool,
    told: BTreeSet<String>,
    root: PathBuf,
    forge: PathBuf,
    config: PathBuf,
    scripted: bool,
    last: Option<Seen>,
}

impl Narrator {
    pub(super) fn new(scene: &Scene) -> Narrator {
        Narrator {
            started: Instant::now(),
            live: std::io::stdout().is_terminal(),
            told: BTreeSet::new(),
            root: scene.root.clone(),
            forge: scene.forge.clone(),
            config: scene.config.clone(),
            scripted: scene.agent == Agent::Scripted,
            last: None,
        }
    }

    pub(super) fn opening(&self) {
        let who = if self.scripted { "a scripted agent (nothing is paid for)" } else { "the real claude CLI" };
        println!("Orch demo: one work item, from a webhook to done, with {who}");
        println!("  everything is in {}", self.root.display());
        println!();
    }

    /// One line, with the time that has passed.
    pub(super) fn says(&self, text: &str) {
        let clear = if self.live { "\r\x1b[2K" } else { "" };
        println!("{clear}{:>6.1}s  {text}", self.started.elapsed().as_secs_f32());
    }

    /// Tells what is new in the database.
    pub(super) async fn follow(&mut self, store: &Store) -> anyhow::Result<()> {
        let Some(seen) = look(store).await? else { return Ok(()) };
        let mut news: Vec<(i64, String, String)> = Vec::new();
        for t in &seen.transitions {
            let text = if t.from_stage == t.to_stage {
                format!("stage {:<13} {} ({})", t.to_stage, t.to_state, t.reason)
            } else {
                format!("stage {:<13} {} ({})", t.to_stage, arrow(t), t.reason)
            };
            news.push((t.at, format!("t{}", t.id), text));
        }
        for r in &seen.runs {
            let id: String = r.id.chars().take(8).collect();
            news.push((r.started_at, format!("s{}", r.id), format!("  run {id}  the {} works", r.role)));
            if let Some(at) = r.finished_at {
                let outcome = r.outcome.map_or("ended", RunOutcome::as_str);
                let why = r.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
                let text = format!("  run {id}  {outcome}{why} after {:.1} s", seconds(at - r.started_at));
                news.push((at, format!("e{}", r.id), text));
            }
        }
        for g in &seen.gates {
            let reason = g.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            news.push((g.at, format!("g{}", g.id), format!("  gate {} -> {}{reason}", g.gate, g.outcome)));
        }
        for j in seen.jobs.iter().filter(|j| j.kind == JobKind::Agent && j.transient_attempts > 0) {
            if let Some(at) = j.available_at.filter(|_| j.status == JobStatus::Queued) {
                let wait = seconds(at - orch_now());
                let text = format!("  queue: not the agent's fault; waits {wait:.1} s, then the same job runs again");
                news.push((orch_now(), format!("b{}:{}", j.id, j.transient_attempts), text));
            }
        }
        news.sort();
        for (_, key, text) in news {
            if self.told.insert(key) {
                self.says(&text);
            }
        }
        self.live_line(&seen);
        self.last = Some(seen);
        Ok(())
    }

    fn live_line(&self, seen: &Seen) {
        if !self.live {
            return;
        }
        let queued = seen.jobs.iter().filter(|j| !j.status.is_finished()).count();
        print!(
            "\r\x1b[2K\x1b[2m{:>6.1}s  {} at {}, {}; {} runs, {queued} jobs open\x1b[0m",
            self.started.elapsed().as_secs_f32(),
            seen.task.key,
            seen.task.stage,
            seen.task.state,
            seen.runs.len(),
        );
        // A terminal that is gone is no reason to stop.
        drop(std::io::stdout().flush());
    }

    /// Why a job failed for good, if one did.
    pub(super) fn failed_job(&self) -> Option<String> {
        let jobs = &self.last.as_ref()?.jobs;
        let failed = jobs.iter().find(|j| j.status == JobStatus::Failed)?;
        Some(format!("{} job {}: {}", failed.kind, failed.id, failed.error.as_deref().unwrap_or("no reason kept")))
    }

    /// Nothing of the task is left to be done.
    pub(super) async fn is_quiet(&self, store: &Store) -> anyhow::Result<bool> {
        Ok(look(store).await?.is_some_and(|seen| seen.jobs.iter().all(|j| j.status.is_finished())))
    }

    pub(super) fn failed(&self, error: &anyhow::Error) {
        self.says(&format!("the demonstration failed: {error:#}"));
        println!("\nLook at {0}/orch-worker.log and {0}/orch-api.log", self.root.display());
    }

    /// The summary.
    pub(super) async fn closing(&self) -> anyhow::Result<()> {
        let Some(seen) = &self.last else { return Ok(()) };
        let Seen { task, transitions, runs, jobs, .. } = seen;
        if self.live {
            print!("\r\x1b[2K");
        }
        let mut trail = vec!["created"];
        for t in transitions {
            if trail.last() != Some(&t.to_stage.as_str()) {
                trail.push(t.to_stage.as_str());
            }
        }
        println!("\n{} is {}: {}", task.key, task.state, trail.join(" > "));
        let spent = Spent::of(runs);
        println!(
            "{} agent runs, {} tokens, {}; {:.1} s",
            runs.len(),
            spent.tokens,
            spent_text(&spent),
            self.started.elapsed().as_secs_f32()
        );
        println!("\nThe branch {} at the forge:", task.branch);
        let range = format!("{}..{}", task.base, task.branch);
        for line in git(&self.forge, &["log", "--reverse", "--format=  %h %an: %s", &range])?.lines() {
            println!("{line}");
        }
        self.show_effects(jobs);
        self.show_where_next(task, runs)
    }

    fn show_effects(&self, jobs: &[jobs::Job]) {
        println!("\nWhat people would have seen (Plane, Gitea and Telegram are not configured here):");
        for job in jobs.iter().filter(|j| j.kind == JobKind::Effect) {
            match serde_json::from_str(&job.payload) {
                Ok(Effect::PlaneState { name, .. }) => println!("  Plane state: {name}"),
                Ok(Effect::PlaneComment { text, .. }) => println!("  Plane comment: {}", first_line(&text)),
                Ok(Effect::GiteaPull { title, .. }) => println!("  Gitea pull request: {title}"),
                Ok(
                    Effect::GiteaBranch { .. }
                    | Effect::GiteaComment { .. }
                    | Effect::GiteaGiveUp { .. }
                    | Effect::GiteaReopen { .. }
                    | Effect::GiteaReview { .. }
                    | Effect::GiteaAsk { .. }
                    | Effect::GiteaStatus { .. }
                    | Effect::GiteaMerge { .. }
                    | Effect::PlaneLink { .. }
                    | Effect::Telegram { .. },
                )
                | Err(_) => {}
            }
        }
    }

    /// Commands that work as they are printed, wherever the terminal is.
    fn show_where_next(&self, task: &Task, runs: &[Run]) -> anyhow::Result<()> {
        let (orchctl, config) = (this_program()?, quoted(&self.config)?);
        println!("\nLook closer:");
        println!("  {orchctl} --config {config} tasks show {}", task.key);
        if let Some(run) = runs.last() {
            println!("  {orchctl} --config {config} runs log {}", run.id);
        }
        println!("  git -C {} log -p {}..{}", quoted(&self.forge)?, task.base, task.branch);
        println!("Remove it all:");
        println!("  rm -r {}", quoted(&self.root)?);
        println!("With your own repository, Plane and forge:");
        println!("  {orchctl} init");
        Ok(())
    }
}

/// How this program is called in a shell: by its name where it was found by that, else by its path.
fn this_program() -> anyhow::Result<String> {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    if called.components().count() == 1 && !called.as_os_str().is_empty() {
        quoted(&called)
    } else {
        quoted(&std::env::current_exe()?)
    }
}

fn arrow(t: &Transition) -> String {
    format!("<- {}", t.from_stage)
}

async fn look(store: &Store) -> Result<Option<Seen>, StoreError> {
    let seen = store
        .read(|c| {
            let Some(task) = tasks::newest(c, 1)?.pop() else { return Ok(None) };
            Ok(Some(Seen {
                transitions: audit::of_task(c, task.id)?,
                runs: runs::of_task(c, task.id)?,
                gates: gates::of_task(c, task.id)?,
                jobs: jobs::of_task(c, task.id)?,
                task,
            }))
        })
        .await;
    match seen {
        // The worker has not made the tables yet.
        Err(StoreError::NotMigrated(_)) => Ok(None),
        other => other,
    }
}

fn orch_now() -> i64 {
    crate::clock::now_ms()
}

#[expect(clippy::cast_precision_loss, reason = "seconds for people")]
fn seconds(ms: i64) -> f64 {
    ms.max(0) as f64 / 1000.0
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(100).collect()
}

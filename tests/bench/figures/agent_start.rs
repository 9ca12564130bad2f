//! From a committed agent job to the agent's process running its own code: claim, checks, worktree, run folder,
//! supervisor, exec. The worktree exists, the forge has nothing new, the preflight is warm.

use crate::bench::Bench;
use crate::load;
use crate::proc;
use crate::processes::{migrated, start, worker_command};
use crate::reference::agent;
use crate::report::{Must, Row};
use crate::stats::Samples;
use anyhow::{Context as _, bail, ensure};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Role, Stage};
use orch_common::domain::task::Brief;
use orch_common::store::Store;
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::tasks::{self, NewTask};
use orch_worker::engine::AgentPayload;
use orch_worker::git::{GitSettings, Remote, Repos};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// Agents of one run; each stays until the end, asleep.
const AGENTS: usize = 12;
const PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(30);
const PROJECT: &str = "00000000-0000-0000-0000-0000000000aa";
const REPO: &str = "acme/greeter";

/// Measures it, and what a supervisor weighs.
pub fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let (mut samples, mut bare, mut weights) = (Samples::default(), Samples::default(), Vec::new());
    for _ in 0..bench.runs {
        let folder = bench.scratch()?;
        bare.join(fork_and_exec(folder.path())?);
        samples.join(run(bench, folder.path(), &mut weights)?);
    }
    let heaviest = weights.into_iter().fold(0.0, f64::max);
    Ok(vec![
        Row::held("job to agent's first instruction, p50", samples.quantile(0.5), "ms", Must::AtMost(60.0)),
        Row::held("job to agent's first instruction, p99", samples.quantile(0.99), "ms", Must::AtMost(120.0)),
        Row::shown("bare fork + exec of the same agent, p50", bare.quantile(0.5), "ms"),
        Row::held("a supervisor's private memory", heaviest, "MiB", Must::AtMost(3.0)),
    ])
}

fn now() -> anyhow::Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// The agent program alone.
fn fork_and_exec(folder: &Path) -> anyhow::Result<Samples> {
    agent::install(folder)?;
    let mut samples = Samples::default();
    for n in 1..=AGENTS {
        let before = now()?;
        let mut child = Command::new(folder.join("agent")).arg("--once").spawn()?;
        child.wait()?;
        let starts = agent::starts(folder)?;
        ensure!(starts.len() == n, "an agent did not say when it started");
        samples.add(starts.last().context("a start")?.saturating_sub(before));
    }
    std::fs::remove_file(agent::starts_file(folder))?;
    Ok(samples)
}

/// Tasks of one repository, each with its worktree. A task's row is written with its agent job: the worker blocks an
/// active task that has none.
pub(super) struct Agents {
    store: Store,
    forge: String,
    tasks: Vec<NewTask>,
}

impl Agents {
    /// Makes the repository and the worktrees of `count` tasks below `folder`.
    pub(super) fn prepare(folder: &Path, count: usize) -> anyhow::Result<Agents> {
        agent::install(folder)?;
        let (forge, store) = (forge(folder)?, migrated(folder)?);
        let tasks: Vec<NewTask> = (1..=count).map(task).collect();
        load::runtime()?.block_on(worktrees(folder, &forge, &tasks))?;
        Ok(Agents { store, forge, tasks })
    }

    /// What the configuration must say of them.
    pub(super) fn configuration(&self) -> String {
        format!(
            "[worker]\nmax_concurrency = {}\n\n[agent]\ntimeout_s = 86400\n\n[[projects]]\n\
             plane_project = \"{PROJECT}\"\nrepo = \"{REPO}\"\nid_prefix = \"B\"\nremote = \"{}\"\n",
            self.tasks.len(),
            self.forge,
        )
    }

    /// Inserts each task with its agent job.
    pub(super) fn enqueue_all(&self) -> anyhow::Result<()> {
        self.tasks.iter().try_for_each(|task| enqueue(&self.store, task))
    }
}

fn run(bench: &Bench, folder: &Path, weights: &mut Vec<f64>) -> anyhow::Result<Samples> {
    let agents = Agents::prepare(folder, AGENTS)?;
    std::fs::write(folder.join("orch.toml"), agents.configuration())?;
    let Agents { store, tasks, .. } = agents;
    let mut worker = start(worker_command(bench, folder)?, folder, "orch-worker")?;
    crate::processes::logged(&mut worker, folder, "orch-worker", "ready")?;
    let mut samples = Samples::default();
    for (n, task) in tasks.iter().enumerate() {
        std::thread::sleep(PAUSE);
        enqueue(&store, task)?;
        let committed = now()?;
        let started = wait_for(folder, n + 1)?;
        // The first one asks the program for its version.
        if n > 0 {
            samples.add(started.saturating_sub(committed));
        }
    }
    for supervisor in proc::children(worker.pid()) {
        weights.push(proc::private_mib(supervisor)?);
    }
    drop(worker);
    agent::end_all(folder)?;
    Ok(samples)
}

fn wait_for(folder: &Path, count: usize) -> anyhow::Result<Duration> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let starts = agent::starts(folder)?;
        if starts.len() >= count {
            return starts.last().copied().context("a start");
        }
        if Instant::now() > give_up {
            let log = std::fs::read_to_string(folder.join("orch-worker.log")).unwrap_or_default();
            bail!("agent {count} did not start:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn task(n: usize) -> NewTask {
    NewTask {
        project: PROJECT.into(),
        work_item: format!("item-{n}"),
        key: format!("B-{n:03}"),
        title: "Greet politely".into(),
        description: "A greeting says good morning before noon.".into(),
        repo: REPO.into(),
        branch: format!("feature/B-{n:03}-greet"),
        base: "main".into(),
    }
}

fn enqueue(store: &Store, new: &NewTask) -> anyhow::Result<()> {
    let payload = AgentPayload { role: Role::Analyst, stage: Stage::Created, brief: Brief::First };
    let payload = serde_json::to_string(&payload)?;
    let now = i64::try_from(now()?.as_millis())?;
    let inserted = store.write_now(|conn| {
        let Some(task) = tasks::insert(conn, new, now)? else { return Ok(None) };
        let job = NewJob {
            kind: JobKind::Agent,
            role: Some(Role::Analyst),
            repo: Some(REPO.into()),
            task_id: Some(task.id),
            payload: payload.clone(),
            dedupe_key: None,
            order_key: Some(format!("t{}", task.id)),
            available_at: None,
        };
        jobs::enqueue(conn, &job, now)
    })?;
    inserted.context("the task's job").map(|_| ())
}

/// A bare repository with one commit.
fn forge(folder: &Path) -> anyhow::Result<String> {
    let seed = folder.join("seed");
    std::fs::create_dir_all(&seed)?;
    std::fs::write(seed.join("README.md"), "A greeter.\n")?;
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"] as &[&str],
        &["add", "--all"],
        &["-c", "user.name=Ada", "-c", "user.email=ada@example.invalid", "commit", "--quiet", "-m", "A greeter"],
        &["clone", "--quiet", "--bare", ".", "../forge.git"],
    ] {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(&seed).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        ensure!(git.status()?.success(), "git {arguments:?}");
    }
    Ok(folder.join("forge.git").to_str().context("the path")?.to_owned())
}

async fn worktrees(folder: &Path, forge: &str, tasks: &[NewTask]) -> anyhow::Result<()> {
    let repos = Repos::open(&folder.join("repos"), GitSettings::default())?;
    let (remote, never) = (Remote::new(&format!("file://{forge}"), None)?, CancellationToken::new());
    repos.fetch(REPO, &remote, &never).await?;
    for task in tasks {
        repos.ensure_worktree(REPO, &task.key, &task.branch, &task.base, &never).await?;
    }
    Ok(())
}

//! `orchctl demo`: the main job, end to end, on a machine with nothing configured. A scratch project with a bare
//! repository as its forge, the two real programs, a person who creates a work item and later approves (signed
//! webhooks of the real shape), and a scripted agent - or, if asked, the real one.

mod narrate;
mod person;
mod processes;
mod scene;
mod script;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use narrate::Narrator;
use orch_common::domain::stage::TaskState;
use orch_common::store::{Store, StoreOptions, tasks, workers};
use person::Person;
use processes::Processes;
use scene::Scene;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How the demonstration is played.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Who works: a scripted program that costs nothing, or the real `claude` on PATH (which does)
    #[arg(long, value_enum, default_value_t = Agent::Scripted)]
    agent: Agent,
    /// The folder to play in; must not exist yet [default: a new one in the system's folder for such]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Give up after this many seconds [default: 120, with the real agent 3600]
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
}

/// Who works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Agent {
    Scripted,
    Claude,
}

/// Between two looks at the database.
const LOOK: Duration = Duration::from_millis(100);

/// Plays the demonstration; 0 if the task is done at the end.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let limit = arguments.limit.unwrap_or(match arguments.agent {
        Agent::Scripted => 120,
        Agent::Claude => 3600,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments, Duration::from_secs(limit)))
}

async fn play(arguments: &Arguments, limit: Duration) -> anyhow::Result<ExitCode> {
    let scene = Scene::build(arguments.dir.clone(), arguments.agent)?;
    let mut narrator = Narrator::new(&scene);
    narrator.opening();
    let options = StoreOptions { pool_size: 1, ..StoreOptions::new(&scene.database) };
    let store = Store::open_and_migrate(&options)?;
    let mut processes = Processes::start(&scene).context("starting the two programs")?;
    let done = watch(arguments, &scene, &store, &mut processes, &mut narrator, limit).await;
    let stopped = processes.stop().await;
    match done {
        Ok(()) => {
            stopped?;
            narrator.closing().await?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            narrator.failed(&error);
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What a person can do about an agent program that does not answer.
const fn what_then(agent: Agent) -> &'static str {
    match agent {
        Agent::Scripted => {
            "It lies in the demonstration's folder: that must be on a file system where programs may run (--dir DIR)."
        }
        Agent::Claude => {
            "Install `claude`, put it on PATH and sign in; without --agent claude a scripted program plays its part."
        }
    }
}

async fn watch(
    arguments: &Arguments,
    scene: &Scene,
    store: &Store,
    processes: &mut Processes,
    narrator: &mut Narrator,
    limit: Duration,
) -> anyhow::Result<()> {
    let give_up = Instant::now() + limit;
    let person = Person::new(scene, processes.api_address().await?)?;
    person.creates_the_work_item().await?;
    narrator.says("a person creates a work item in Plane: a signed webhook arrives and is committed");
    let mut approved = false;
    loop {
        processes.check_alive()?;
        narrator.follow(store).await?;
        let task = store.read(|c| Ok(tasks::newest(c, 1)?.pop())).await?;
        match task.map(|t| (t.state, t.state_reason)) {
            Some((TaskState::WaitingApproval, _)) if !approved => {
                approved = true;
                tokio::time::sleep(Duration::from_millis(700)).await;
                narrator.says("the person reads the analysis and comments `:approved:`");
                person.approves().await?;
            }
            Some((TaskState::Done, _)) if narrator.is_quiet(store).await? => return Ok(()),
            Some((state @ (TaskState::Blocked | TaskState::Cancelled | TaskState::NeedsInput), reason)) => {
                bail!("the task is {state}: {}", reason.unwrap_or_default());
            }
            _ => {}
        }
        if let Some(error) = narrator.failed_job() {
            bail!("a job failed for good: {error}");
        }
        if let Some(reason) = preflight_failure(store).await? {
            bail!("the agent program does not answer: {reason}\n  {}", what_then(arguments.agent));
        }
        if Instant::now() > give_up {
            bail!("the task was not done after {} s", limit.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why the worker starts no agents, if that is so: then nothing would ever happen.
async fn preflight_failure(store: &Store) -> anyhow::Result<Option<String>> {
    let all = store.read(workers::all).await?;
    Ok(all.into_iter().find(|w| w.preflight_ok == Some(false)).map(|w| w.preflight_reason))
}

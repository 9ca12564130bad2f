//! What every part of the worker is given: configuration, store, the outside. Built once, shared by `Arc`.

use crate::agent::preflight::Preflight;
use crate::clients::build_outside;
use crate::effects::send::Outside;
use crate::git::{AuthHeader, GitError, GitSettings, Remote, Repos};
use anyhow::Context as _;
use orch_common::config::{Config, Project};
use orch_common::domain::budget::Limits;
use orch_common::domain::decide::{MergePolicy, Policy};
use orch_common::domain::messages::{Catalogue, Locale};
use orch_common::domain::pipeline::{Pipeline, Step};
use orch_common::domain::stage::Stage;
use orch_common::store::accounts::DEFAULT_ACCOUNT;
use orch_common::store::{Store, StoreOptions};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The account whose limits and breaker count; one per installation so far.
pub const ACCOUNT: &str = DEFAULT_ACCOUNT;

/// Shared by all lanes.
pub struct Context {
    pub config: Config,
    pub store: Store,
    pub outside: Outside,
    pub repos: Repos,
    pub catalogue: Catalogue,
    pub preflight: Preflight,
    /// This worker's name, the owner in every row it claims.
    pub name: String,
    pub host: String,
    /// The program that supervises runs: this one.
    pub exe: PathBuf,
    /// Absolute.
    pub runs_dir: PathBuf,
    /// Cancelled when the worker is to stop.
    pub stopping: CancellationToken,
    /// Actor ids of the orchestrator's own accounts, as far as they could be asked for.
    pub accounts: crate::events::accounts::OwnAccounts,
}

impl Context {
    /// Opens the database (migrating it) and everything else that needs no network.
    pub fn build(config: Config, stopping: CancellationToken) -> anyhow::Result<Arc<Context>> {
        let store = Store::open_and_migrate(&StoreOptions::new(&config.database.path))?;
        let name = config.worker.name_or_host();
        let host = nix::unistd::gethostname()
            .ok()
            .and_then(|h| h.into_string().ok())
            .context("the host's name cannot be read")?;
        let runs_dir = absolute_folder(&config.worker.runs_dir)?;
        let repos = Repos::open(&config.worker.repos_dir, GitSettings::default())?;
        let locale = match config.worker.locale {
            orch_common::config::Locale::En => Locale::En,
            orch_common::config::Locale::Ru => Locale::Ru,
        };
        let catalogue = Catalogue::new(locale, std::collections::BTreeMap::new())?;
        let ttl = std::time::Duration::from_secs(config.resilience.preflight_cache_ttl_s);
        let preflight = Preflight::new(config.agent.claude_bin.to_string_lossy().as_ref(), ttl);
        let outside = build_outside(&config)?;
        let accounts = crate::events::accounts::OwnAccounts::new(&config);
        let exe = std::env::current_exe().context("the worker's own program cannot be found")?;
        Ok(Arc::new(Context {
            config,
            store,
            outside,
            repos,
            catalogue,
            preflight,
            name,
            host,
            exe: supervisor_program(exe),
            runs_dir,
            stopping,
            accounts,
        }))
    }

    /// The rules of a project.
    pub fn policy(&self, project: &Project) -> Policy {
        Policy {
            pipeline: pipeline_of(project),
            role_run_cap: self.config.role_run_cap(project),
            merge: match project.merge {
                orch_common::config::Merge::Never => MergePolicy::Never,
                orch_common::config::Merge::OnDeploy => MergePolicy::OnDeploy,
            },
            names: project.artifacts.clone(),
            analyst_minutes: self
                .config
                .run_limits(project, orch_common::domain::stage::Role::Analyst)
                .timeout_s
                .div_ceil(60)
                .clamp(1, 15),
        }
    }

    /// What a project's tasks may spend.
    pub fn limits(&self, project: &Project) -> Limits {
        let b = self.config.budget_of(project);
        Limits {
            run_usd: b.run_usd,
            run_turns: b.run_turns,
            task_usd: b.task_usd,
            task_runs: b.task_runs,
            project_usd_per_day: b.project_usd_per_day,
            day_usd: b.day_usd,
        }
    }

    /// Where a project's repository is cloned from and pushed to.
    pub fn remote(&self, project: &Project) -> Result<Remote, GitError> {
        let url = self.config.git_remote(project);
        let Some(url) = url else {
            return Err(GitError::not_configured(&project.repo));
        };
        let own_forge = self.config.gitea.url.as_ref().is_some_and(|base| url.as_str().starts_with(base.as_str()));
        let auth = match (&self.config.gitea.token, own_forge) {
            (Some(token), true) => Some(AuthHeader::token(token.expose())?),
            _ => None,
        };
        Remote::new(url.as_str(), auth)
    }
}

/// The pipeline a project runs, with its shortcuts applied. The configuration has checked it.
pub fn pipeline_of(project: &Project) -> Pipeline {
    let configured = project.pipeline.as_ref().and_then(|steps| {
        Pipeline::new(steps.iter().map(|s| Step { stage: s.stage, gate: s.gate, role: s.role }).collect()).ok()
    });
    let mut pipeline = configured.unwrap_or_default();
    let shortcuts = [
        (Stage::Development, project.development_gate),
        (Stage::Review, project.review_gate),
        (Stage::Deploy, project.deploy_gate),
    ];
    for (stage, gate) in shortcuts {
        if gate.is_some() {
            pipeline = pipeline.with_gate(stage, gate);
        }
    }
    pipeline
}

fn absolute_folder(path: &std::path::Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
}

/// `orchctl` carries the worker's code too, but only `orch-worker` is small enough to sit beside every run.
fn supervisor_program(exe: PathBuf) -> PathBuf {
    let sibling = exe.with_file_name("orch-worker");
    if sibling.is_file() { sibling } else { exe }
}

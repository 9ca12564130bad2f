//! What every part of the worker is given: configuration, store, the outside. Built once, shared by `Arc`.

use crate::agent::attend::Attendant;
use crate::agent::preflight::Preflight;
use crate::agent::{Starter, seclusion};
use crate::clients::gitea::{GiteaClient, GiteaSettings};
use crate::clients::plane::{PlaneClient, PlaneSettings};
use crate::clients::telegram::{TelegramClient, TelegramSettings};
use crate::clients::{Network, Timing};
use crate::effects::send::Outside;
use crate::git::{AuthHeader, GitError, GitSettings, Remote, Repos, Tenant};
use crate::outage::{Outages, Scope};
use crate::rules::Rules;
use anyhow::Context as _;
use orch_common::config::{Config, Project, Secret};
use orch_common::domain::decide::MergePolicy;
use orch_common::domain::merge;
use orch_common::domain::pipeline::Pipeline;
use orch_common::domain::stage::Stage;
use orch_common::store::accounts::DEFAULT_ACCOUNT;
use orch_common::store::jobs::Job;
use orch_common::store::{Store, StoreError, StoreOptions, repositories};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The account whose limits and breaker count; one per installation so far.
pub const ACCOUNT: &str = DEFAULT_ACCOUNT;

/// The name of the program that has the hidden subcommands.
const WORKER: &str = "orch-worker";

/// Shared by all lanes.
pub struct Context {
    /// Configuration and texts; also reached by dereferencing, so that what needs no more can ask for no more.
    pub rules: Rules,
    pub store: Store,
    pub outside: Outside,
    pub repos: Repos,
    /// The user that agents run as, if not the worker's own.
    pub tenant: Option<Tenant>,
    pub preflight: Preflight,
    /// This worker's name, the owner in every row it claims.
    pub name: String,
    pub host: String,
    /// Who starts what supervises runs.
    pub starter: Starter,
    /// Who attends the worker's git calls and the projects' tests.
    pub attendant: Option<Attendant>,
    /// Absolute.
    pub runs_dir: PathBuf,
    /// Cancelled when the worker is to stop.
    pub stopping: CancellationToken,
    /// Actor ids of the orchestrator's own accounts, as far as they could be asked for.
    pub accounts: crate::events::accounts::OwnAccounts,
    /// The jobs that this process handles now.
    pub in_flight: crate::in_flight::InFlight,
    /// What is known to be away outside.
    pub outages: Outages,

    /// Places for runs of the projects' tests.
    pub test_places: tokio::sync::Semaphore,
    /// What the worker's row says of the preflight.
    pub shown_preflight: std::sync::Mutex<Option<(bool, String)>>,
}

impl Deref for Context {
    type Target = Rules;

    fn deref(&self) -> &Rules {
        &self.rules
    }
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
        let program = own_program()?;
        let attendant = attendant(&program);
        let settings = GitSettings { attendant: attendant.clone(), ..git_settings(&config)? };
        let repos = Repos::open(&config.worker.repos_dir, settings)?;
        let tenant = config.agent.user.as_deref().map(|user| seclusion::tenant(user, config.agent.home.as_deref()));
        let tenant = tenant.transpose()?.flatten();
        if let Some(tenant) = &tenant {
            seclusion::close(tenant, &config.database.path, &runs_dir, &config.worker.repos_dir)?;
            for place in [&config.worker.repos_dir, &tenant.home] {
                if let Some(folder) = seclusion::blocked_at(tenant, place) {
                    tracing::warn!(folder = %folder.display(), "the agents' user may not pass it (chmod o+x)");
                }
            }
        }
        let ttl = std::time::Duration::from_secs(config.resilience.preflight_cache_ttl_s);
        let bin = config.agent.claude_bin.to_string_lossy().into_owned();
        let preflight = Preflight::new(bin, config.agent.user.clone(), ttl).by(config.agent.socket.clone());
        let outside = build_outside(&config)?;
        if let Some(gitea) = &outside.gitea {
            for known in repositories::all(&mut *store.connection()?)? {
                gitea.names().learn(&known.repo, &known.name);
            }
        }
        let accounts = crate::events::accounts::OwnAccounts::new(&config);
        let starter = config.agent.socket.clone().map_or(Starter::Worker(program), Starter::Socket);
        Ok(Arc::new(Context {
            rules: Rules::new(config)?,
            store,
            outside,
            repos,
            tenant,
            preflight,
            name,
            host,
            starter,
            attendant,
            runs_dir,
            stopping,
            accounts,
            in_flight: crate::in_flight::InFlight::default(),
            outages: Outages::default(),
            test_places: tokio::sync::Semaphore::new(test_places()),
            shown_preflight: std::sync::Mutex::new(None),
        }))
    }

    /// So many workers live on this database.
    pub fn share_among(&self, workers: u32) {
        self.outside.share_among(workers);
        self.outside.threads.share_among(workers);
    }

    /// Where a project's repository is cloned from and pushed to.
    ///
    /// # Errors
    /// [`GitError::Unavailable`] while it is known to be away: nobody waits for a connection that others wait for.
    pub fn remote(&self, project: &Project) -> Result<Remote, GitError> {
        let away = self.git_scopes(project).iter().find_map(|scope| self.outages.words_of(scope));
        match away {
            Some(tail) => Err(GitError::Unavailable { tail }),
            None => self.remote_now(project),
        }
    }

    /// The same, also where it is known to be away. A repository is called as the forge calls it now.
    pub fn remote_now(&self, project: &Project) -> Result<Remote, GitError> {
        let repo = match &self.outside.gitea {
            Some(gitea) => gitea.names().now(&project.repo),
            None => project.repo.clone(),
        };
        if repo == project.repo {
            return remote_of(&self.config, project);
        }
        remote_of(&self.config, &Project { repo, ..project.clone() })
    }

    /// The project of a repository that a delivery or an answer calls `name`, and of which it says this id: it may have been
    /// renamed.
    pub async fn project_named(&self, name: &str, id: Option<i64>) -> Result<Option<&Project>, StoreError> {
        if let Some(project) = self.config.projects.by_repo(name) {
            return Ok(Some(project));
        }
        let Some(id) = id else { return Ok(None) };
        let known = self.store.read(move |c| repositories::by_id(c, id)).await?;
        Ok(known.and_then(|known| self.config.projects.by_repo(&known.repo)))
    }

    /// What a repository's git depends on.
    pub fn git_scopes(&self, project: &Project) -> Vec<Scope> {
        let remote = self.config.git_remote(project);
        let forges = remote.as_ref().is_some_and(|url| is_at_the_forge(&self.config, url.as_str()));
        forges.then_some(Scope::Gitea).into_iter().chain([Scope::Git(project.repo.clone())]).collect()
    }

    /// What an agent's story depends on.
    pub fn plane_scopes_of(&self, job: &Job) -> Vec<Scope> {
        let project = self.config.projects.by_repo(job.repo.as_deref().unwrap_or_default());
        let of = |project: &Project| Scope::Project(project.plane_project.clone());
        [Scope::Plane].into_iter().chain(project.map(of)).collect()
    }

    /// What a look at a task, or the start of its agent, depends on. The repository is asked for before git is: it may have been
    /// renamed.
    pub fn forge_scopes_of(&self, job: &Job) -> Vec<Scope> {
        let project = self.config.projects.by_repo(job.repo.as_deref().unwrap_or_default());
        let of = |repo: &str| vec![Scope::Gitea, Scope::Repo(repo.to_owned()), Scope::Git(repo.to_owned())];
        project.map(|project| of(&project.repo)).unwrap_or_default()
    }
}

/// Where a project's repository is cloned from and pushed to, with the credentials for it.
pub fn remote_of(config: &Config, project: &Project) -> Result<Remote, GitError> {
    let url = config.git_remote(project);
    let Some(url) = url else {
        let what = format!("an address for {}: set gitea.url, gitea.git_url or the project's remote", project.repo);
        return Err(GitError::NotFound { what });
    };
    let auth = match (&config.gitea.token, &config.gitea.url) {
        (Some(token), Some(forge)) => Some(AuthHeader::token(token.expose(), forge)?),
        _ => None,
    };
    // Git takes a bare path for a file of bundles too; a URL says what is meant.
    let local = url.as_str().starts_with('/');
    let address = if local { format!("file://{}", url.as_str()) } else { url.as_str().to_owned() };
    Remote::new(&address, auth)
}

/// Whether an address of a repository is one of the configured forge's.
fn is_at_the_forge(config: &Config, url: &str) -> bool {
    config.gitea.url.as_ref().is_some_and(|base| base.covers(url))
}

/// Runs of tests at a time: they are the machine's work, while most else waits for others.
fn test_places() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).max(2)
}

/// What git is told of the installation.
pub fn git_settings(config: &Config) -> anyhow::Result<GitSettings> {
    Ok(GitSettings { env: Network::of(&config.network)?.git_env(), ..GitSettings::default() })
}

/// The services that are configured; what is not is skipped, and said once here.
pub fn build_outside(config: &Config) -> anyhow::Result<Outside> {
    for missing in config.missing_for_worker() {
        tracing::warn!(setting = missing, "not set: what needs it is skipped");
    }
    build_outside_within(config, Timing::default())
}

/// The services that are configured, asked with other time limits.
pub fn build_outside_within(config: &Config, timing: Timing) -> anyhow::Result<Outside> {
    let network = Network::of(&config.network)?;
    let plane = match (&config.plane.url, &config.plane.workspace, &config.plane.api_token) {
        (Some(url), Some(workspace), Some(token)) => {
            let settings = PlaneSettings {
                url: url.as_str().to_owned(),
                workspace: workspace.clone(),
                token: token.expose().to_owned(),
            };
            let client = PlaneClient::with_timing(settings, timing)?.through(&network)?;
            Some(client.with_rate(config.plane.calls_per_minute))
        }
        _ => None,
    };
    let forge = |token: &Option<Secret>| match (&config.gitea.url, token) {
        (Some(url), Some(token)) => {
            let settings = GiteaSettings {
                url: url.as_str().to_owned(),
                owner: config.gitea.owner.clone().unwrap_or_default(),
                token: token.expose().to_owned(),
            };
            let client = GiteaClient::with_timing(settings, timing).and_then(|client| client.through(&network));
            client.map(|client| Some(Arc::new(client)))
        }
        _ => Ok(None),
    };
    let telegram = match (&config.telegram.bot_token, &config.telegram.chat_id) {
        (Some(token), Some(chat)) => {
            let settings = TelegramSettings {
                url: config.telegram.api_url.as_str().to_owned(),
                token: token.expose().to_owned(),
                chat_id: chat.clone(),
            };
            Some(TelegramClient::with_timing(settings, timing)?.through(&network)?)
        }
        _ => None,
    };
    let mut outside = Outside::new(plane.map(Arc::new), forge(&config.gitea.token)?, telegram.map(Arc::new));
    outside.reviewer = match (forge(&config.gitea.reviewer_token)?, &outside.gitea) {
        (Some(second), Some(first)) => {
            Arc::into_inner(second).map(|second| Arc::new(second.behind(first.gate()).calling(first.names())))
        }
        (second, _) => second,
    };
    Ok(outside)
}

/// The forge as anybody sees it, without a token.
///
/// # Errors
/// Where its address cannot be used.
pub fn stranger_at_forge(config: &Config, timing: Timing) -> anyhow::Result<Option<GiteaClient>> {
    let Some(url) = &config.gitea.url else { return Ok(None) };
    let settings = GiteaSettings { url: url.as_str().to_owned(), owner: String::new(), token: String::new() };
    Ok(Some(GiteaClient::with_timing(settings, timing)?.through(&Network::of(&config.network)?)?))
}

/// The pipeline a project runs, with its shortcuts applied. The configuration has checked it.
pub fn pipeline_of(project: &Project) -> Pipeline {
    let configured = project.pipeline.as_ref().and_then(|steps| Pipeline::new(steps.clone()).ok());
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
    // Who merges waits for the merge: done is what the base has.
    if project.merge == MergePolicy::OnDeploy && pipeline.gate(Stage::Deploy).is_none() {
        pipeline = pipeline.with_gate(Stage::Deploy, Some(merge::GATE));
    }
    pipeline
}

fn absolute_folder(path: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    path.canonicalize().with_context(|| format!("cannot find {}", path.display()))
}

/// No other program has the subcommand.
fn attendant(program: &Path) -> Option<Attendant> {
    let known = program.file_name().is_some_and(|name| name == WORKER);
    if !known {
        tracing::warn!(program = %program.display(), "no orch-worker beside this program: what its tests and its git leave running is not ended with it");
    }
    known.then(|| Attendant(program.to_owned()))
}

/// What supervises and attends. `orchctl` carries the worker's code too, but only `orch-worker` has the subcommands.
fn own_program() -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().context("the worker's own program cannot be found")?;
    let sibling = exe.with_file_name(WORKER);
    Ok(if sibling.is_file() { sibling } else { exe })
}

//! From a file and an environment to a [`Config`], or to the list of everything that is wrong with them.

use super::credentials::Stores;
use super::declare::{Section, SettingDoc};
use super::error::{ConfigError, Origin, Problem};
use super::prices;
use super::registry::Projects;
use super::running::{AgentConfig, BudgetConfig, ResilienceConfig, RetentionConfig, WorkerConfig};
use super::services::{ApiConfig, DatabaseConfig, GiteaConfig, NetworkConfig, PlaneConfig, TelegramConfig};
use super::source::Source;
use crate::domain::price::PriceTable;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The tables of the file, in the order of the documentation.
pub const SECTIONS: &[Section] = &[
    DatabaseConfig::SECTION,
    ApiConfig::SECTION,
    PlaneConfig::SECTION,
    GiteaConfig::SECTION,
    TelegramConfig::SECTION,
    NetworkConfig::SECTION,
    WorkerConfig::SECTION,
    AgentConfig::SECTION,
    ResilienceConfig::SECTION,
    RetentionConfig::SECTION,
    BudgetConfig::SECTION,
];

/// `ORCH_*` variables that are no settings, and what they do.
pub const OTHER_VARIABLES: &[(&str, &str)] = &[
    ("ORCH_CONFIG", "the configuration file; without it `orch.toml` here, else `/etc/orch/orch.toml`"),
    ("ORCH_LOG", "what is logged, e.g. `info` (the default) or `orch_worker=debug,info`"),
    ("ORCH_LOG_FORMAT", "`json` or `text`; without it JSON under systemd, text elsewhere"),
    ("ORCH_BLESS", "`1` lets tests write the files that are generated from the source"),
];

/// Where the file is looked for when nobody names one.
const DEFAULT_FILES: [&str; 2] = ["orch.toml", PACKAGED_FILE];
/// The file that the packaged units name.
const PACKAGED_FILE: &str = "/etc/orch/orch.toml";

/// Every setting of every section.
pub fn settings() -> impl Iterator<Item = &'static SettingDoc> {
    SECTIONS.iter().flat_map(|section| section.settings)
}

/// The whole configuration of both processes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Config {
    pub database: DatabaseConfig,
    pub api: ApiConfig,
    pub plane: PlaneConfig,
    pub gitea: GiteaConfig,
    pub telegram: TelegramConfig,
    pub network: NetworkConfig,
    pub worker: WorkerConfig,
    pub agent: AgentConfig,
    pub resilience: ResilienceConfig,
    pub retention: RetentionConfig,
    pub budget: BudgetConfig,
    pub prices: PriceTable,
    pub projects: Projects,
}

/// A usable configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// What an operator should hear about at the start.
    pub warnings: Vec<String>,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    /// A folder of the services' secrets that this user may not read: what is not set here may be set there.
    pub hidden: Option<PathBuf>,
}

impl Config {
    /// Reads `file` (else what `ORCH_CONFIG` names, else the first default file that exists) and lets `env`
    /// win over it. Nothing but these, the files that `*_FILE` variables name and systemd's credentials is read.
    pub fn load(file: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Loaded, ConfigError> {
        Config::load_with(file.map(Path::to_owned).or_else(|| default_file(env)), env, &Stores::default())
    }

    /// As [`Config::load`] of the chosen file, with the folders in which the services' credentials lie.
    pub(super) fn load_with(
        chosen: Option<PathBuf>,
        env: &BTreeMap<String, String>,
        stores: &Stores,
    ) -> Result<Loaded, ConfigError> {
        let parsed = chosen.as_deref().map(read_file).transpose();
        let table = parsed.map_err(|problem| ConfigError { problems: vec![problem] })?;
        let mut source = Source::new(env, chosen.as_deref().zip(table.as_ref()), stores);
        let config = Config::read(&mut source, table.as_ref());
        source.refuse_unknown_keys(SECTIONS, &["prices", "projects"]);
        let others: Vec<&str> = OTHER_VARIABLES.iter().map(|(name, _)| *name).collect();
        source.warn_unknown_variables(SECTIONS, &others);
        source.warn_open_file();
        source.problems.extend(config.contradictions());
        let Source { problems, warnings, hidden, .. } = source;
        if problems.is_empty() {
            return Ok(Loaded { config, warnings, file: chosen, hidden });
        }
        Err(ConfigError { problems })
    }

    /// [`Config::load`] with the environment of this process. Variables that are not UTF-8 do not count.
    pub fn from_process(file: Option<&Path>) -> Result<Loaded, ConfigError> {
        Config::load(file, &own_environment())
    }

    /// [`Config::from_process`] for an operator: of the packaged installation's file with the secrets that systemd gives its services.
    pub fn for_operator(file: Option<&Path>) -> Result<Loaded, ConfigError> {
        let env = own_environment();
        let chosen = file.map(Path::to_owned).or_else(|| default_file(&env));
        let packaged = chosen.as_deref() == Some(Path::new(PACKAGED_FILE));
        let stores = if packaged { Stores::of_systemd() } else { Stores::default() };
        Config::load_with(chosen, &env, &stores)
    }

    fn read(source: &mut Source<'_>, table: Option<&toml::Table>) -> Config {
        let gitea = GiteaConfig::read(source);
        let list = table.and_then(|table| table.get("projects"));
        let owner = gitea.owner.as_deref();
        let projects = list.map(|list| Projects::read(list, owner, &mut source.problems)).unwrap_or_default();
        let prices = table.and_then(|table| table.get("prices"));
        let prices = prices.map(|prices| prices::read(prices, &mut source.problems)).unwrap_or_default();
        Config {
            database: DatabaseConfig::read(source),
            api: ApiConfig::read(source),
            plane: PlaneConfig::read(source),
            gitea,
            telegram: TelegramConfig::read(source),
            network: NetworkConfig::read(source),
            worker: WorkerConfig::read(source),
            agent: AgentConfig::read(source),
            resilience: ResilienceConfig::read(source),
            retention: RetentionConfig::read(source),
            budget: BudgetConfig::read(source),
            prices,
            projects,
        }
    }

    /// Values that are fine alone and senseless together.
    fn contradictions(&self) -> Vec<Problem> {
        let (worker, resilience) = (&self.worker, &self.resilience);
        let pairs = [
            (
                worker.heartbeat_dead_s < 2 * worker.heartbeat_s,
                format!("worker.heartbeat_dead_s = {}", worker.heartbeat_dead_s),
                format!("at least twice worker.heartbeat_s = {}", worker.heartbeat_s),
            ),
            (
                resilience.backoff_max_s < resilience.backoff_base_s,
                format!("resilience.backoff_max_s = {}", resilience.backoff_max_s),
                format!("not less than resilience.backoff_base_s = {}", resilience.backoff_base_s),
            ),
            (
                self.retention.delivery_keys_days < self.retention.jobs_days,
                format!("retention.delivery_keys_days = {}", self.retention.delivery_keys_days),
                format!("not less than retention.jobs_days = {}", self.retention.jobs_days),
            ),
        ];
        pairs
            .into_iter()
            .filter(|(wrong, _, _)| *wrong)
            .map(|(_, found, allowed)| Problem::Contradiction(format!("{found}: allowed: {allowed}")))
            .collect()
    }
}

fn own_environment() -> BTreeMap<String, String> {
    let text = |value: std::ffi::OsString| value.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

fn default_file(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let named = env.get("ORCH_CONFIG").filter(|path| !path.trim().is_empty());
    named.map(PathBuf::from).or_else(|| DEFAULT_FILES.iter().map(PathBuf::from).find(|path| path.exists()))
}

fn read_file(path: &Path) -> Result<toml::Table, Problem> {
    let origin = || Origin::File(path.to_owned());
    let text = std::fs::read_to_string(path)
        .map_err(|error| Problem::Unreadable { origin: origin(), why: error.to_string() })?;
    text.parse::<toml::Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Problem::Syntax { path: path.to_owned(), line, message: error.message().to_owned() }
    })
}

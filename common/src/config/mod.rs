//! Configuration: one TOML file plus the environment, the environment wins. Each subsystem has one small
//! struct, declared once by [`settings!`](declare) together with its defaults, its limits and its documentation;
//! the registry of projects is the `[[projects]]` of the file.
//!
//! Nothing in here opens a socket or a database, and no secret is ever part of an error, a log or a view.

mod address;
mod credentials;
mod declare;
pub mod docs;
mod effective;
mod error;
mod load;
mod prices;
mod projects;
mod registry;
mod running;
mod secret;
mod services;
mod source;
#[cfg(test)]
mod tests;
mod value;

pub use address::{BadAddress, BaseUrl, GitRemote, SubmoduleHost};
pub use declare::{Section, SettingDoc};
pub use effective::RunLimits;
pub use error::{ConfigError, Origin, Problem, nearest};
pub use load::{Config, Loaded, OTHER_VARIABLES, SECTIONS, settings};
pub use projects::{
    AnswersFrom, CommandLine, Limits, Project, ProjectBudget, StartRule, StateCommand, StateNames, WithoutChecks,
};
pub use registry::Projects;
pub use running::{AgentConfig, BudgetConfig, Locale, PermissionMode, ResilienceConfig, RetentionConfig, WorkerConfig};
pub use secret::Secret;
pub use services::{ApiConfig, DatabaseConfig, GiteaConfig, NetworkConfig, PlaneConfig, TelegramConfig};

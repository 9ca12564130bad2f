//! What the two processes of Orch share: the pure [`domain`], the [`store`] (all SQL), the [`config`], and
//! the small services around them. Nothing in here calls Plane, the forge, Telegram, git or an agent.

pub mod config;
pub mod domain;
pub mod failpoint;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod wake;

/// What `--version` says of every program: the package's version and, where the packager named it, the commit.
pub const VERSION: &str = env!("ORCH_BUILD_VERSION");

//! What every command is given: the configuration and the database, opened only when a command needs them. The
//! database is never made by looking at it.

use super::error::CtlError;
use crate::clock::now_ms;
use orch_common::config::{Config, Loaded};
use orch_common::store::{Conn, Store, StoreError, StoreOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a change waits for its turn behind other writers.
const PATIENCE: Duration = Duration::from_secs(10);

/// The operator's place of work.
pub struct Desk {
    config_file: Option<PathBuf>,
    /// When the command began, in ms.
    pub now: i64,
}

/// Configuration and database of a command that needs both.
pub struct Open {
    pub config: Config,
    pub store: Store,
}

impl Desk {
    /// `config_file` as named on the command line.
    pub fn new(config_file: Option<PathBuf>) -> Desk {
        Desk { config_file, now: now_ms() }
    }

    /// The file that was named on the command line.
    pub fn config_file(&self) -> Option<&Path> {
        self.config_file.as_deref()
    }

    /// The configuration with its warnings.
    pub fn load(&self) -> Result<Loaded, CtlError> {
        Ok(Config::for_operator(self.config_file())?)
    }

    /// The configuration; its warnings go to standard error.
    pub fn config(&self) -> Result<Config, CtlError> {
        let Loaded { config, warnings, file: _, hidden: _ } = self.load()?;
        for warning in warnings {
            super::complain(&format!("warning: {warning}"));
        }
        Ok(config)
    }

    /// The database as it is, whatever its schema.
    pub fn open_unchecked(&self) -> Result<Open, CtlError> {
        let config = self.config()?;
        let path = &config.database.path;
        if !path.exists() {
            return Err(CtlError::NotFound(format!(
                "there is no database at {}; `orchctl migrate` makes it, so does the worker's start",
                path.display()
            )));
        }
        let store = Store::open(&options(path))?;
        Ok(Open { config, store })
    }

    /// The database, if its schema is this program's.
    pub fn open(&self) -> Result<Open, CtlError> {
        let open = self.open_unchecked()?;
        open.store.check_schema()?;
        Ok(open)
    }
}

impl Open {
    /// Reads on one connection.
    pub fn read<T>(&self, look: impl FnOnce(&mut Conn) -> Result<T, StoreError>) -> Result<T, CtlError> {
        Ok(look(&mut *self.store.connection()?)?)
    }
}

/// One connection is enough for one person.
pub fn options(path: &Path) -> StoreOptions {
    StoreOptions { pool_size: 1, patience: PATIENCE, ..StoreOptions::new(path) }
}

/// `operator:<unix user>`, as it stands in the audit trail.
pub fn actor() -> String {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid).ok().flatten().map(|user| user.name);
    format!("operator:{}", name.unwrap_or_else(|| uid.to_string()))
}

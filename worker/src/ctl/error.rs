//! Why a command did not do what it was asked for, by what the person at the terminal can do about it. The exit codes
//! are part of the program's interface: scripts tell "not there" from "does not work".

use orch_common::config::ConfigError;
use orch_common::store::StoreError;
use std::io;

/// A command's failure.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// It was understood and could not be done; the text says why and what to do instead.
    #[error("{0}")]
    Failed(String),
    /// The command line does not say what is meant.
    #[error("{0}")]
    Usage(String),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such job, task, run or file.
    #[error("{0}")]
    NotFound(String),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody reads what is written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// What a command that stands on its own feet (the demonstration, the scripted agent) could not do.
impl From<anyhow::Error> for CtlError {
    fn from(error: anyhow::Error) -> Self {
        CtlError::Failed(format!("{error:#}"))
    }
}

impl CtlError {
    /// 1 failed, 2 usage or configuration, 3 not found; 0 where the reader of the output has seen enough.
    pub fn exit_code(&self) -> u8 {
        match self {
            CtlError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CtlError::Failed(_) | CtlError::Store(_) | CtlError::Output(_) => 1,
            CtlError::Usage(_) | CtlError::Config(_) => 2,
            CtlError::NotFound(_) => 3,
        }
    }
}

/// What a command that only shows or changes something returns.
pub type Done = Result<(), CtlError>;

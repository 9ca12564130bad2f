//! The Unix account an agent may be run under, so that it reads neither the orchestrator's files nor its memory.

use super::privileges::may_change_user;
use nix::unistd::{User, geteuid};
use std::path::PathBuf;

/// Numbers and home of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User number.
    pub uid: u32,
    /// Its primary group, the only group an agent gets.
    pub gid: u32,
    /// Its home folder.
    pub home: PathBuf,
}

/// Why a process can not be started as somebody.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody of that name: a fault of the configuration.
    #[error("there is no user '{0}'")]
    Unknown(String),
    /// This process may not become somebody else: a fault of the installation.
    #[error("this process may not run an agent as '{0}': it takes root, or the capabilities to change user and group")]
    NotAllowed(String),
    /// The user database did not answer.
    #[error("looking up user '{0}': {1}")]
    Lookup(String, nix::Error),
}

impl Account {
    /// Looks a name up.
    pub fn named(name: &str) -> Result<Account, AccountError> {
        let found = User::from_name(name).map_err(|e| AccountError::Lookup(name.into(), e))?;
        let user = found.ok_or_else(|| AccountError::Unknown(name.into()))?;
        Ok(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir })
    }

    /// The account a child must be switched to; `None` when it is the caller's own already.
    pub fn to_become(name: &str) -> Result<Option<Account>, AccountError> {
        let account = Account::named(name)?;
        match (geteuid().as_raw() == account.uid, may_change_user()) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(account)),
            (false, false) => Err(AccountError::NotAllowed(name.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_account_needs_no_change_and_strangers_are_named() {
        let own = User::from_uid(geteuid()).unwrap().unwrap().name;
        assert_eq!(Account::to_become(&own).unwrap(), None);
        let err = Account::to_become("no-such-user-here").unwrap_err();
        assert!(matches!(&err, AccountError::Unknown(n) if n == "no-such-user-here"), "{err}");
        if !may_change_user() {
            assert!(matches!(Account::to_become("root"), Err(AccountError::NotAllowed(_))));
        }
    }
}

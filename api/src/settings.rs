//! What the API needs to know, and nothing more: no token of the outside systems ever reaches this process's state.

use crate::auth::ReadToken;
use crate::signature::SigningKey;
use orch_common::config::Config;
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of one API process; where it listens is its caller's business.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The SQLite file.
    pub database: PathBuf,
    /// Verifies Plane's webhooks; without it their route cuts every connection.
    pub plane_key: Option<SigningKey>,
    /// Verifies the forge's webhooks; without it their route answers 503.
    pub gitea_key: Option<SigningKey>,
    /// Opens the read routes where the API does not listen on loopback.
    pub read_token: Option<ReadToken>,
    /// Plane project ids whose events are of interest, lower case.
    pub known_projects: HashSet<String>,
    /// Repositories (`owner/name`) whose events are of interest, lower case.
    pub known_repos: HashSet<String>,
    /// HTTP threads.
    pub threads: usize,
    /// A worker without a heartbeat for this long counts as dead.
    pub worker_dead_after: Duration,
}

impl Settings {
    /// Sentences for the log about what is missing, each naming what to set.
    pub fn gaps(&self) -> Vec<&'static str> {
        let gaps = [
            (
                self.plane_key.is_none(),
                "POST /webhook/plane answers 503 (its connections are cut, so that Plane tries again): \
                 ORCH_PLANE_WEBHOOK_SECRET is not set",
            ),
            (self.gitea_key.is_none(), "POST /webhook/gitea answers 503: ORCH_GITEA_WEBHOOK_SECRET is not set"),
            (
                self.known_projects.is_empty() || self.known_repos.is_empty(),
                "every webhook is ignored: there is no [[projects]] entry in the configuration",
            ),
        ];
        gaps.into_iter().filter(|(missing, _)| *missing).map(|(_, sentence)| sentence).collect()
    }
}

impl From<&Config> for Settings {
    fn from(config: &Config) -> Self {
        let key =
            |secret: &Option<orch_common::config::Secret>| secret.as_ref().and_then(|s| SigningKey::new(s.expose()));
        Settings {
            database: config.database.path.clone(),
            plane_key: key(&config.plane.webhook_secret),
            gitea_key: key(&config.gitea.webhook_secret),
            read_token: config.api.read_token.as_ref().and_then(|token| ReadToken::new(token.expose())),
            known_projects: config.projects.iter().map(|p| p.plane_project.to_lowercase()).collect(),
            known_repos: config.projects.iter().map(|p| p.repo.to_lowercase()).collect(),
            threads: config.api.threads.try_into().unwrap_or(1),
            worker_dead_after: Duration::from_secs(config.worker.heartbeat_dead_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_common::config::Secret;

    #[test]
    fn what_is_missing_is_said_with_the_name_to_set() {
        let mut config = Config::default();
        let gaps = Settings::from(&config).gaps().join("\n");
        for name in ["ORCH_PLANE_WEBHOOK_SECRET", "ORCH_GITEA_WEBHOOK_SECRET", "[[projects]]"] {
            assert!(gaps.contains(name), "{gaps}");
        }
        config.plane.webhook_secret = Some(Secret::new("plane-secret-text"));
        config.gitea.webhook_secret = Some(Secret::new(""));
        let settings = Settings::from(&config);
        assert!(settings.plane_key.is_some() && settings.gitea_key.is_none(), "an empty secret is none");
        assert!(!format!("{settings:?}").contains("plane-secret-text"));
    }
}

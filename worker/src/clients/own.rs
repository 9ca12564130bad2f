//! Our own API, asked as its senders reach it: `GET /health` at an address.

use super::http::{Timing, build_client};
use super::network::Network;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

/// More than this is no answer of ours, in bytes.
const LONGEST: usize = 16 * 1024;

/// What answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is orch-api, and webhooks are accepted.
    Ready,
    /// It is orch-api, which cannot take webhooks now; says why.
    Unready(String),
    /// Something else; says what it said.
    Other(String),
    /// Nothing; says why.
    Nothing(String),
}

#[derive(Deserialize)]
struct Health {
    readiness: Readiness,
}

#[derive(Deserialize)]
struct Readiness {
    ready: bool,
    database: String,
    migrations: String,
}

/// Asks `base`/health.
pub async fn health(base: &Url, timing: Timing, network: &Network) -> Answer {
    let mut url = base.clone();
    url.set_path(&format!("{}/health", base.path().trim_end_matches('/')));
    let client = match build_client(base, HeaderMap::new(), timing, network) {
        Ok(client) => client,
        Err(error) => return Answer::Nothing(error.to_string()),
    };
    let mut response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Answer::Nothing(reason(error)),
    };
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
        body.extend_from_slice(&part);
        if body.len() > LONGEST {
            break;
        }
    }
    match serde_json::from_slice::<Health>(&body) {
        Ok(Health { readiness }) if readiness.ready => Answer::Ready,
        Ok(Health { readiness: Readiness { database, migrations, .. } }) => {
            Answer::Unready(format!("database: {database}, schema: {migrations}"))
        }
        Err(_) => Answer::Other(format!("HTTP status {status}, which is not orch-api's answer")),
    }
}

/// The innermost cause: what the system said.
fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let error = error.without_url();
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

//! Plane's external API v1, as far as Orch needs it. Knows both names of the work-item routes, the paging and
//! the rate limit; knows nothing of tasks. One client is shared by all lanes of a worker, with one pace.

mod items;
mod projects;
mod types;

pub use types::{
    Activity, Attachment, Comment, FileAttributes, Label, Person, Posted, Project, Reference, State, WorkItem,
};

use super::error::ApiError;
use super::gate::Gate;
use super::http::{Answer, Call, Http, Timing};
use super::network::Network;
use super::pace::Pace;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// `external_source` of everything Orch writes.
pub const EXTERNAL_SOURCE: &str = "orch";
/// Plane's own default, per token.
const DEFAULT_PER_MINUTE: u32 = 60;
/// What Plane documents as the largest page; its community edition takes 1000.
const PAGE_SIZE: u32 = 100;
/// A guard against a server that always has a next page.
const MOST_PAGES: usize = 200;

/// Where Plane is and as whom to call it.
#[derive(Clone)]
pub struct PlaneSettings {
    /// E.g. `https://plane.example`, without `/api/v1`.
    pub url: String,
    /// The workspace's slug.
    pub workspace: String,
    /// `plane_api_...`, of a user of Orch's own.
    pub token: String,
}

impl fmt::Debug for PlaneSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PlaneSettings { url, workspace, token: _ } = self;
        f.debug_struct("PlaneSettings").field("url", url).field("workspace", workspace).field("token", &"***").finish()
    }
}

/// A client of one workspace.
#[derive(Debug)]
pub struct PlaneClient {
    http: Http,
    workspace: String,
    pace: Pace,
    /// The server is older than the route `work-items` (before v1.1).
    old_routes: AtomicBool,
}

impl PlaneClient {
    /// # Errors
    /// [`ApiError::Refused`] with status 0 where the settings cannot be used.
    pub fn new(settings: PlaneSettings) -> Result<Self, ApiError> {
        Self::with_timing(settings, Timing::default())
    }

    /// Reached as the installation says.
    ///
    /// # Errors
    /// As [`PlaneClient::new`].
    pub fn through(mut self, network: &Network) -> Result<Self, ApiError> {
        self.http = self.http.through(network)?;
        Ok(self)
    }

    /// As [`PlaneClient::new`], with other time limits.
    pub fn with_timing(settings: PlaneSettings, timing: Timing) -> Result<Self, ApiError> {
        let PlaneSettings { url, workspace, token } = settings;
        let auth = Some(("x-api-key", token.clone()));
        let http = Http::new(&url, auth, &token, timing)?.with_trailing_slash();
        let pace = Pace::new([Pace::window_of_a_minute(DEFAULT_PER_MINUTE)]);
        Ok(PlaneClient { http, workspace, pace, old_routes: AtomicBool::new(false) })
    }

    /// For a server whose `API_KEY_RATE_LIMIT` is not Plane's default of 60 calls a minute.
    pub fn with_rate(mut self, per_minute: u32) -> Self {
        self.pace = Pace::new([Pace::window_of_a_minute(per_minute)]);
        self
    }

    /// How many workers call with this token.
    pub fn share_among(&self, workers: u32) {
        self.pace.share_among(workers);
    }

    /// Another worker was told to wait until then (epoch milliseconds); the limit is the token's, so it is ours too.
    pub fn note_limited(&self, until_ms: i64) {
        self.pace.note_limited(until_ms);
    }

    /// Until when Plane told us to wait, for the other workers to know.
    pub fn limited_until_ms(&self) -> Option<i64> {
        self.pace.limited_until_ms()
    }

    /// Where it is said that Plane is away.
    pub fn gate(&self) -> &Gate {
        self.http.gate()
    }

    /// Takes a turn for the next call; `Some(wait)` = there is none before that time.
    pub fn keep_turn(&self) -> Option<Duration> {
        self.pace.keep_turn()
    }

    /// Asks whether Plane answers this account, also where it is known to be away.
    pub async fn probe(&self) -> Result<(), ApiError> {
        let answer: Value = self.pace.noting(self.http.send(&Call::get(ME).probing()).await)?.json()?;
        match answer.get("id") {
            Some(_) => Ok(()),
            None => Err(ApiError::Malformed { why: "it does not say who we are".into() }),
        }
    }

    /// A thing is not there only where the rest is: a service that finds nothing at all says the same.
    async fn believed(&self, result: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        if matches!(result, Err(ApiError::NotFound)) {
            self.pace.turn().await?;
            if let Err(error) = self.http.send(&Call::get(ME)).await {
                return Err(ApiError::Unavailable {
                    why: format!("it finds nothing, and answers who we are with: {error}"),
                });
            }
        }
        result
    }

    /// The account of the token: whose events are our own echo.
    pub async fn me(&self) -> Result<Person, ApiError> {
        self.send(&Call::get(ME)).await?.json()
    }

    /// The server's clock, in ms since the epoch; `None` = it does not say.
    pub async fn server_time(&self) -> Result<Option<i64>, ApiError> {
        Ok(self.send(&Call::get(ME)).await?.date_ms())
    }

    fn path(&self, place: &[&str], rest: &[&str]) -> Vec<String> {
        let head = ["api", "v1", "workspaces", &self.workspace];
        head.iter().chain(place).chain(rest).map(|s| (*s).to_owned()).collect()
    }

    async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        self.pace.turn().await?;
        let sent = self.http.send(call).await;
        self.pace.noting(self.believed(sent).await)
    }

    /// A call by its route. Work items have an old and a new route; a wrong id and a missing route look the same,
    /// so the old one is kept only once it has worked.
    async fn send_by(&self, route: Route<'_>, call: impl Fn(Vec<String>) -> Call + Send) -> Result<Answer, ApiError> {
        if !matches!(route, Route::Items { .. }) {
            return self.send(&call(route.path(self, NEW_ROUTE))).await;
        }
        if self.old_routes.load(Ordering::Relaxed) {
            return self.send(&call(route.path(self, OLD_ROUTE))).await;
        }
        self.pace.turn().await?;
        let answer = self.http.exchange(&call(route.path(self, NEW_ROUTE))).await?;
        if answer.status != 404 || !is_missing_route(&answer) {
            let taken = self.http.take(answer);
            return self.pace.noting(self.believed(taken).await);
        }
        let answer = self.send(&call(route.path(self, OLD_ROUTE))).await?;
        self.old_routes.store(true, Ordering::Relaxed);
        Ok(answer)
    }

    /// All items of a paged list, or those until `enough` says so.
    async fn all_pages<T: DeserializeOwned>(
        &self,
        route: Route<'_>,
        query: &[(&'static str, &str)],
        enough: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let call = |path| {
                let call = query.iter().fold(Call::get(path), |call, (key, value)| call.query(key, value));
                let call = call.query("per_page", PAGE_SIZE);
                cursor.iter().fold(call, |call, cursor| call.query("cursor", cursor))
            };
            let types::Page { results, next_cursor, next_page_results } = self.send_by(route, call).await?.json()?;
            all.extend(results);
            if !next_page_results || next_cursor.is_none() || enough(&all) {
                return Ok(all);
            }
            cursor = next_cursor;
        }
        Err(ApiError::Malformed { why: format!("more than {MOST_PAGES} pages") })
    }
}

const ME: [&str; 4] = ["api", "v1", "users", "me"];
const NEW_ROUTE: &str = "work-items";
const OLD_ROUTE: &str = "issues";

/// A place in the workspace.
#[derive(Clone, Copy)]
enum Route<'a> {
    Workspace(&'a [&'a str]),
    Project { project: &'a str, rest: &'a [&'a str] },
    Items { project: &'a str, rest: &'a [&'a str] },
}

impl Route<'_> {
    fn path(self, client: &PlaneClient, items: &str) -> Vec<String> {
        match self {
            Route::Workspace(rest) => client.path(&[], rest),
            Route::Project { project, rest } => client.path(&["projects", project], rest),
            Route::Items { project, rest } => client.path(&["projects", project, items], rest),
        }
    }
}

fn is_missing_route(answer: &Answer) -> bool {
    String::from_utf8_lossy(&answer.body).contains("Page not found")
}

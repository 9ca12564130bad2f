//! Plane's external API v1, as far as Orch needs it. Knows both names of the work-item routes, the paging and
//! the rate limit; knows nothing of tasks. One client is shared by all lanes of a worker, with one window of calls.

mod files;
mod items;
mod projects;
mod types;

pub use super::storage::Fetched;
pub use files::NotLoaded;
pub use items::Presence;
pub use types::{
    Activity, Attachment, Comment, FileAttributes, Label, Link, Person, Posted, Project, Reference, State, WorkItem,
};

use super::error::ApiError;
use super::gate::Gate;
use super::http::{Answer, Call, Http, Timing};
use super::limited::Limited;
use super::network::Network;
use super::times::now_millis;
use super::window::{For, Turn, Window};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    window: Mutex<Window>,
    limited: Limited,
    /// The server is older than the route `work-items` (before v1.1).
    old_routes: AtomicBool,
    calls: AtomicUsize,
    /// How many Plane said are left, with its last answer that said so.
    left: Mutex<Option<usize>>,
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
        let window = Mutex::new(Window::of_a_minute(DEFAULT_PER_MINUTE));
        Ok(PlaneClient {
            http,
            workspace,
            window,
            limited: Limited::default(),
            old_routes: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            left: Mutex::new(None),
        })
    }

    /// For a server whose `API_KEY_RATE_LIMIT` is not Plane's default of 60 calls a minute.
    pub fn with_rate(mut self, per_minute: u32) -> Self {
        self.window = Mutex::new(Window::of_a_minute(per_minute));
        self
    }

    /// How many workers call with this token.
    pub fn share_among(&self, workers: u32) {
        self.window().share_among(workers);
    }

    /// Until when Plane takes no calls, as it said here or to another worker. The limit is the token's.
    pub fn limited(&self) -> &Limited {
        &self.limited
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is said that Plane is away.
    pub fn gate(&self) -> &Gate {
        self.http.gate()
    }

    /// How long no call is taken at all, not even one that people wait for; `None` = one is.
    pub fn closed_for(&self) -> Option<Duration> {
        if let Some(seconds) = self.limited.seconds_left() {
            return Some(Duration::from_secs(seconds));
        }
        let wait = self.window().is_open(For::People, now_millis()).err()?;
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] while Plane takes no calls, or where the turn is further away than the call's patience.
    async fn turn(&self) -> Result<Turn, ApiError> {
        let whom = For::now();
        let mut patience = i64::try_from(whom.patience().as_millis()).unwrap_or(0);
        loop {
            if let Some(retry_after_s) = self.limited.seconds_left() {
                return Err(ApiError::RateLimited { retry_after_s });
            }
            let taken = self.window().take(whom, now_millis());
            match taken {
                Ok(turn) => return Ok(turn),
                Err(wait) if wait > patience => {
                    let retry_after_s = u64::try_from(wait).unwrap_or(0).div_ceil(1000).max(1);
                    return Err(ApiError::RateLimited { retry_after_s });
                }
                Err(wait) => {
                    patience -= wait;
                    tokio::time::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0))).await;
                }
            }
        }
    }

    /// Sends in its turn, and notes what the answer says of the allowance.
    async fn exchange(&self, call: &Call) -> Result<Answer, ApiError> {
        let turn = self.turn().await?;
        let answer = self.http.exchange(call).await;
        let left = answer.as_ref().ok().and_then(Answer::calls_left);
        self.window().answered(turn, left, now_millis());
        self.calls.fetch_add(1, Ordering::Relaxed);
        if left.is_some() {
            *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
        }
        answer
    }

    /// How many calls this client has made in its turns.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many more Plane said that it takes from this token in the minute; `None` = it does not say.
    pub fn calls_left(&self) -> Option<usize> {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether Plane answers this account, also where it is known to be away.
    pub async fn probe(&self) -> Result<(), ApiError> {
        let answer: Value = self.limited.noting(self.http.send(&Call::get(ME).probing()).await)?.json()?;
        match answer.get("id") {
            Some(_) => Ok(()),
            None => Err(ApiError::Malformed { why: "it does not say who we are".into() }),
        }
    }

    /// Asks for a project and our role in it, also where Plane is known to be away.
    pub async fn probe_project(&self, project: &str) -> Result<Project, ApiError> {
        let call = Call::get(Route::Project { project, rest: &[] }.path(self, NEW_ROUTE)).probing();
        self.limited.noting(self.http.send(&call).await)?.json()
    }

    /// A thing is not there only where the rest is: a service that finds nothing at all says the same.
    async fn believed(&self, result: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        if matches!(result, Err(ApiError::NotFound)) {
            let asked = self.exchange(&Call::get(ME)).await.and_then(|answer| self.http.take(answer));
            if let Err(error) = asked {
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

    /// The same with the server's clock, in ms since the epoch, where it says it.
    pub async fn me_and_time(&self) -> Result<(Person, Option<i64>), ApiError> {
        let answer = self.send(&Call::get(ME)).await?;
        Ok((answer.json()?, answer.date_ms()))
    }

    fn path(&self, place: &[&str], rest: &[&str]) -> Vec<String> {
        let head = ["api", "v1", "workspaces", &self.workspace];
        head.iter().chain(place).chain(rest).map(|s| (*s).to_owned()).collect()
    }

    async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        let sent = self.exchange(call).await.and_then(|answer| self.http.take(answer));
        self.limited.noting(self.believed(sent).await)
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
        let answer = self.exchange(&call(route.path(self, NEW_ROUTE))).await?;
        if answer.status != 404 || !is_missing_route(&answer) {
            let taken = self.http.take(answer);
            return self.limited.noting(self.believed(taken).await);
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

//! The forge's REST API: Gitea 1.22 and later, and Forgejo. Covers the differences of versions (keys of the
//! merge form, the shapes of "no status at all"), so that nobody above has to know them.

mod branches;
mod comments;
mod hooks;
mod merge;
mod pulls;
mod reviews;
mod rights;
mod status;
mod types;

pub use branches::Created;
pub use comments::marker;
pub use hooks::{HOOK_EVENTS, NewHook};
pub use merge::{MergeAnswer, NewMerge};
pub use pulls::{NewPull, Opened, PullFilter};
pub use reviews::{Asked, NewReview, standing};
pub use status::{CombinedStatus, ContextStatus, NewStatus, OWN_CONTEXT_PREFIX, Verdict};
pub use types::{
    Account, Branch, BranchRule, Comment, ForgeVersion, Hook, LineComment, Permissions, Pull, PullEnd, Repo, Review,
    Team,
};

use super::error::ApiError;
use super::http::{Answer, Call, Http, Timing};
use serde::de::DeserializeOwned;
use std::fmt;
use tokio::sync::OnceCell;

/// The server clips a larger one silently (`MAX_RESPONSE_ITEMS`).
const PAGE_SIZE: usize = 50;
/// A guard against a server that always has a next page.
const MOST_PAGES: usize = 100;

/// Where the forge is, whose repositories, and as whom to call it.
#[derive(Clone)]
pub struct GiteaSettings {
    /// E.g. `https://git.example`, without `/api/v1`.
    pub url: String,
    /// The user or organisation that owns the repositories.
    pub owner: String,
    pub token: String,
}

impl fmt::Debug for GiteaSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GiteaSettings { url, owner, token: _ } = self;
        f.debug_struct("GiteaSettings").field("url", url).field("owner", owner).field("token", &"***").finish()
    }
}

/// A client for the repositories of one owner.
#[derive(Debug)]
pub struct GiteaClient {
    http: Http,
    owner: String,
    me: OnceCell<Account>,
}

impl GiteaClient {
    /// # Errors
    /// [`ApiError::Refused`] with status 0 where the settings cannot be used.
    pub fn new(settings: GiteaSettings) -> Result<Self, ApiError> {
        Self::with_timing(settings, Timing::default())
    }

    /// As [`GiteaClient::new`], with other time limits.
    pub fn with_timing(settings: GiteaSettings, timing: Timing) -> Result<Self, ApiError> {
        let GiteaSettings { url, owner, token } = settings;
        let http = Http::new(&url, Some(("authorization", format!("token {token}"))), &token, timing)?;
        Ok(GiteaClient { http, owner, me: OnceCell::new() })
    }

    /// The owner of every repository this client names.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The account of the token, asked once.
    pub async fn me(&self) -> Result<&Account, ApiError> {
        self.me.get_or_try_init(|| async { self.read(&Call::get(["api", "v1", "user"])).await }).await
    }

    /// What the server is. Works without a right to anything on most servers.
    pub async fn version(&self) -> Result<ForgeVersion, ApiError> {
        let answer: types::WireVersion = self.read(&Call::get(["api", "v1", "version"])).await?;
        Ok(ForgeVersion::parse(&answer.version))
    }

    /// The server's clock, in ms since the epoch; `None` = it does not say.
    pub async fn server_time(&self) -> Result<Option<i64>, ApiError> {
        Ok(self.http.send(&Call::get(["api", "v1", "version"])).await?.date_ms())
    }

    /// The repository, with what this account may do to it.
    pub async fn repo(&self, repo: &str) -> Result<Repo, ApiError> {
        self.read(&Call::get(self.path(repo, &[]))).await
    }

    fn path(&self, repo: &str, rest: &[&str]) -> Vec<String> {
        let (owner, name) = repo.split_once('/').unwrap_or((&self.owner, repo));
        let head = ["api", "v1", "repos", owner, name];
        head.iter().chain(rest).map(|s| (*s).to_owned()).collect()
    }

    async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ApiError> {
        self.http.send(call).await?.json()
    }

    /// A 404 is `None`.
    async fn read_if_there<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, ApiError> {
        match self.http.send(call).await {
            Ok(answer) => answer.json().map(Some),
            Err(ApiError::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// All pages of a list, counted by us: the `Link` header carries the server's own idea of its URL.
    async fn all_pages<T: DeserializeOwned>(&self, first: Call) -> Result<Vec<T>, ApiError> {
        let mut all: Vec<T> = Vec::new();
        for page in 1..=MOST_PAGES {
            let answer = self.http.send(&paged(&first, page)).await?;
            let items: Option<Vec<T>> = answer.json()?;
            let items = items.unwrap_or_default();
            let size = items.len();
            all.extend(items);
            if size == 0 || answer.total().is_some_and(|total| all.len() >= total) {
                return Ok(all);
            }
        }
        Err(ApiError::Malformed { why: format!("more than {MOST_PAGES} pages") })
    }
}

fn paged(call: &Call, page: usize) -> Call {
    call.clone().query("page", page).query("limit", PAGE_SIZE)
}

/// The text of an error answer: `{"message": ...}`, else the body as it is.
fn message(http: &Http, answer: &Answer) -> String {
    let body: Option<types::WireMessage> = serde_json::from_slice(&answer.body).ok();
    let text = body.map(|b| b.message).unwrap_or_default();
    if text.is_empty() { http.excerpt(&answer.body) } else { http.excerpt(text.as_bytes()) }
}

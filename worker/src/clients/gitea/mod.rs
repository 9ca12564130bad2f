//! The forge's REST API: Gitea 1.22 and later, and Forgejo. Covers the differences of versions (keys of the
//! merge form, the shapes of "no status at all"), so that nobody above has to know them.

mod actions;
mod branches;
mod comments;
mod hook_faults;
mod hooks;
mod merge;
mod names;
mod pulls;
mod reviews;
mod rights;
mod status;
mod types;

pub use actions::LogEnd;
pub use branches::Created;
pub use comments::marker;
pub use hook_faults::{Hook, HookFault, glob};
pub use hooks::{HOOK_EVENTS, NewHook};
pub use merge::{MergeAnswer, NewMerge};
pub use names::Names;
pub use pulls::{NewPull, Opened, PullFilter};
pub use reviews::{Asked, NewReview, standing};
pub use rights::{Protection, Scopes};
pub use status::{CombinedStatus, ContextStatus, NewStatus};
pub use types::{
    Account, Branch, BranchRule, Comment, ForgeVersion, LineComment, Permissions, Pull, PullEnd, Repo, Review, Team,
};

use super::error::ApiError;
use super::gate::Gate;
use super::http::{Answer, Call, Http, Timing};
use super::network::Network;
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
    /// Empty = nobody's: as a stranger asks.
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
    names: Names,
    me: OnceCell<Account>,
}

impl GiteaClient {
    /// # Errors
    /// [`ApiError::Refused`] with status 0 where the settings cannot be used.
    pub fn new(settings: GiteaSettings) -> Result<Self, ApiError> {
        Self::with_timing(settings, Timing::default())
    }

    /// Reached as the installation says.
    ///
    /// # Errors
    /// As [`GiteaClient::new`].
    pub fn through(mut self, network: &Network) -> Result<Self, ApiError> {
        self.http = self.http.through(network)?;
        Ok(self)
    }

    /// As [`GiteaClient::new`], with other time limits.
    pub fn with_timing(settings: GiteaSettings, timing: Timing) -> Result<Self, ApiError> {
        let GiteaSettings { url, owner, token } = settings;
        // Without a token it is asked as anybody would.
        let auth = (!token.is_empty()).then(|| ("authorization", format!("token {token}")));
        let http = Http::new(&url, auth, &token, timing)?;
        Ok(GiteaClient { http, owner, names: Names::default(), me: OnceCell::new() })
    }

    /// The second account of the same forge: where the forge is away, it is away for both.
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.http = self.http.behind(gate);
        self
    }

    /// Calls repositories as another client does.
    pub fn calling(mut self, names: &Names) -> Self {
        self.names = names.clone();
        self
    }

    /// What the repositories are called at the forge.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// Where it is said that the forge is away.
    pub fn gate(&self) -> &Gate {
        self.http.gate()
    }

    /// Asks whether the forge answers this account, also where it is known to be away.
    pub async fn probe(&self) -> Result<(), ApiError> {
        let call = Call::get(["api", "v1", "user"]).probing();
        self.http.send(&call).await?.json::<Account>().map(drop)
    }

    /// Asks for a repository as the forge has it now, also where it is known to be away.
    pub async fn probe_repo(&self, repo: &str) -> Result<Repo, ApiError> {
        self.http.send(&Call::get(self.path(repo, &[])).probing()).await?.json()
    }

    /// A repository by its id, whatever it is called now; also where the forge is known to be away.
    pub async fn probe_id(&self, id: i64) -> Result<Repo, ApiError> {
        self.http.send(&Call::get(["api", "v1", "repositories", &id.to_string()]).probing()).await?.json()
    }

    /// Sends. A thing is not there only where its repository is: a forge that finds nothing at all says the same.
    async fn send(&self, call: &Call) -> Result<Answer, ApiError> {
        let sent = self.http.send(call).await;
        self.believed(call, sent).await
    }

    async fn believed(&self, call: &Call, sent: Result<Answer, ApiError>) -> Result<Answer, ApiError> {
        if matches!(sent, Err(ApiError::NotFound))
            && let Some(place) = call.of_repository()
        {
            let there: Result<Repo, ApiError> = self.http.send(&place).await.and_then(|answer| answer.json());
            return match there {
                Err(error) => {
                    Err(ApiError::Unavailable { why: format!("it finds nothing, also not the repository: {error}") })
                }
                Ok(repo) if !repo.has_pull_requests && call.is_about_pulls() => {
                    Err(ApiError::Unavailable { why: format!("pull requests are switched off in {}", repo.full_name) })
                }
                Ok(_) => sent,
            };
        }
        sent
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

    /// The same, with the server's clock in ms since the epoch where it says it.
    pub async fn version_and_time(&self) -> Result<(ForgeVersion, Option<i64>), ApiError> {
        let answer = self.http.send(&Call::get(["api", "v1", "version"])).await?;
        let version: types::WireVersion = answer.json()?;
        Ok((ForgeVersion::parse(&version.version), answer.date_ms()))
    }

    /// The repository, with what this account may do to it.
    pub async fn repo(&self, repo: &str) -> Result<Repo, ApiError> {
        self.read(&Call::get(self.path(repo, &[]))).await
    }

    fn path(&self, repo: &str, rest: &[&str]) -> Vec<String> {
        let (owner, name) = repo.split_once('/').unwrap_or((&self.owner, repo));
        let now = self.names.now(&format!("{owner}/{name}"));
        let (owner, name) = now.split_once('/').unwrap_or((owner, name));
        let head = ["api", "v1", "repos", owner, name];
        head.iter().chain(rest).map(|s| (*s).to_owned()).collect()
    }

    async fn read<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ApiError> {
        self.send(call).await?.json()
    }

    /// A 404 is `None`.
    async fn read_if_there<T: DeserializeOwned>(&self, call: &Call) -> Result<Option<T>, ApiError> {
        match self.send(call).await {
            Ok(answer) => answer.json().map(Some),
            Err(ApiError::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// All pages of a list, counted by us: the `Link` header carries the server's own idea of its URL.
    async fn all_pages<T: DeserializeOwned>(&self, first: Call) -> Result<Vec<T>, ApiError> {
        let mut all: Vec<T> = Vec::new();
        for page in 1..=MOST_PAGES {
            let answer = self.send(&paged(&first, page)).await?;
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

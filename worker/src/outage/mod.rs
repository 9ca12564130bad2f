//! What is away outside: a service as a whole, one repository at the forge, or the place that git fetches from. A job that meets
//! such a thing waits at no charge. Whether it is away, and not just this job in trouble, is asked once for all of them
//! (`probe`); when it answers again everything that waited goes on (`keeper`).

mod keeper;
mod probe;
mod repository;
mod shut;
mod trouble;

pub use keeper::keep;
pub(crate) use trouble::hold;
pub use trouble::{Trouble, later, troubled, waits_on, waits_to_begin};

use shut::Shut;

use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::refusal::Refusal;
use orch_common::store::StoreError;
use orch_common::store::outages;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long it is believed that something answers, so that a crowd of jobs in trouble asks once.
const BELIEVED: Duration = Duration::from_secs(2);
/// How long it is believed that a repository takes what is ours, where an agent is to begin.
const TAKES: Duration = Duration::from_secs(300);
/// Between two questions whether something answers again: doubled from the first to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// What can be away. Its text is its name in the database and in logs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Plane,
    /// A project at Plane, by its id: the account's rights in it.
    Project(String),
    Gitea,
    Telegram,
    /// The second account at the forge.
    Reviewer,
    /// A repository at the forge, as its API shows it.
    Repo(String),
    /// A repository, as git reaches it.
    Git(String),
    /// The room on this host's disk.
    Disk(String),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scope::Plane => f.write_str("plane"),
            Scope::Project(id) => write!(f, "plane {id}"),
            Scope::Gitea => f.write_str("gitea"),
            Scope::Telegram => f.write_str("telegram"),
            Scope::Reviewer => f.write_str("gitea reviewer"),
            Scope::Repo(repo) => write!(f, "gitea {repo}"),
            Scope::Git(repo) => write!(f, "git {repo}"),
            Scope::Disk(host) => write!(f, "disk {host}"),
        }
    }
}

impl Scope {
    /// By its text; `None` = what another version may have written.
    fn named(text: &str) -> Option<Scope> {
        Some(match text.split_once(' ') {
            None if text == "plane" => Scope::Plane,
            None if text == "gitea" => Scope::Gitea,
            None if text == "telegram" => Scope::Telegram,
            Some(("plane", id)) => Scope::Project(id.to_owned()),
            Some(("gitea", "reviewer")) => Scope::Reviewer,
            Some(("gitea", repo)) => Scope::Repo(repo.to_owned()),
            Some(("git", repo)) => Scope::Git(repo.to_owned()),
            Some(("disk", host)) => Scope::Disk(host.to_owned()),
            None | Some(_) => return None,
        })
    }

    /// For people.
    fn for_people(&self) -> String {
        match self {
            Scope::Plane => "Plane".to_owned(),
            Scope::Project(id) => format!("The project {id} (Plane)"),
            Scope::Gitea => "The forge".to_owned(),
            Scope::Telegram => "Telegram".to_owned(),
            Scope::Reviewer => "The forge (reviewer account)".to_owned(),
            Scope::Repo(repo) => format!("{repo} (forge)"),
            Scope::Git(repo) => format!("{repo} (git)"),
            Scope::Disk(host) => format!("The disk of {host}"),
        }
    }
}

/// What this worker knows to be away.
#[derive(Debug, Default)]
pub struct Outages {
    away: Mutex<BTreeMap<Scope, Away>>,
    /// When each scope answered last; held while it is asked.
    asked: Mutex<HashMap<Scope, Arc<tokio::sync::Mutex<Option<Instant>>>>>,
    /// There is one more.
    news: Notify,
}

#[derive(Debug, Clone)]
struct Away {
    since_ms: i64,
    words: String,
    /// Only a person ends it.
    shut: Option<Shut>,
    /// When it is asked next, and after which pause.
    next: Instant,
    pause: Duration,
}

impl Outages {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Scope, Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is away.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Why something is not asked for anything now; `None` = it is.
    pub fn words_of(&self, scope: &Scope) -> Option<String> {
        self.all().get(scope).map(|away| away.words.clone())
    }

    /// Why and in which words, where nobody but a person can end it, and the forge has said so itself.
    fn surely_shut(&self, scope: &Scope) -> Option<(Refusal, String)> {
        let all = self.all();
        let away = all.get(scope)?;
        away.shut.filter(|shut| shut.sure).map(|shut| (shut.why, away.words.clone()))
    }

    fn slot(&self, scope: &Scope) -> Arc<tokio::sync::Mutex<Option<Instant>>> {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(scope.clone()).or_default())
    }
}

/// The first of these that is away, asked for now unless that is known.
pub async fn blame(ctx: &Arc<Context>, scopes: &[Scope]) -> Option<Scope> {
    for scope in scopes {
        if is_away(ctx, scope).await {
            return Some(scope.clone());
        }
    }
    None
}

/// What takes nothing of ours before a person has mended it: no agent's work could be brought to this repository. It is asked where
/// nobody has for some minutes.
async fn shut_to(ctx: &Arc<Context>, repo: &str) -> Option<(Scope, Refusal, String)> {
    let scope = Scope::Repo(repo.to_owned());
    is_away_since(ctx, &scope, TAKES).await;
    [Scope::Gitea, scope].into_iter().find_map(|scope| {
        let (why, words) = ctx.outages.surely_shut(&scope)?;
        Some((scope, why, words))
    })
}

async fn is_away(ctx: &Arc<Context>, scope: &Scope) -> bool {
    is_away_since(ctx, scope, BELIEVED).await
}

/// `believed`: for how long an answer is.
async fn is_away_since(ctx: &Arc<Context>, scope: &Scope, believed: Duration) -> bool {
    let slot = ctx.outages.slot(scope);
    let mut answered = slot.lock().await;
    if ctx.outages.words_of(scope).is_some() {
        return true;
    }
    if answered.is_some_and(|at| at.elapsed() < believed) {
        return false;
    }
    match probe::ask(ctx, scope).await {
        Ok(()) => {
            *answered = Some(Instant::now());
            false
        }
        Err(down) => {
            *answered = None;
            begin(ctx, scope, &down).await;
            true
        }
    }
}

/// Notes an outage, here and for the other workers.
async fn begin(ctx: &Arc<Context>, scope: &Scope, down: &probe::Down) {
    tracing::warn!(%scope, why = down.words, "gives no answers; what needs it waits");
    let (name, words) = (scope.to_string(), down.words.clone());
    let noted = ctx.store.write(move |c| outages::note(c, &name, &words, now_ms())).await;
    let since_ms = match noted {
        Ok(outage) => outage.since,
        Err(error) => {
            tracing::warn!(%error, %scope, "the outage could not be noted for other workers");
            now_ms()
        }
    };
    close(ctx, scope, since_ms, down);
    if down.shut.is_some_and(|shut| shut.sure)
        && let Err(error) = keeper::note(ctx, scope, &down.words, down.shut).await
    {
        tracing::warn!(%error, %scope, "that it is shut could not be told yet");
    }
}

fn close(ctx: &Context, scope: &Scope, since_ms: i64, down: &probe::Down) {
    let next = Instant::now() + FIRST_PAUSE.max(down.not_before);
    let away = Away { since_ms, words: down.words.clone(), shut: down.shut, next, pause: FIRST_PAUSE };
    ctx.outages.all().insert(scope.clone(), away);
    if let Some(gate) = ctx.outside.gate_of(scope) {
        gate.close(&down.words);
    }
    ctx.outages.news.notify_one();
}

fn open(ctx: &Context, scope: &Scope) {
    ctx.outages.all().remove(scope);
    if let Some(gate) = ctx.outside.gate_of(scope) {
        gate.open();
    }
}

/// What an earlier worker knew to be away is so until it is asked.
pub async fn recall(ctx: &Arc<Context>) -> Result<(), StoreError> {
    for outage in ctx.store.read(outages::all).await? {
        let here = |scope: &Scope| !matches!(scope, Scope::Disk(host) if *host != ctx.host);
        if let Some(scope) = Scope::named(&outage.scope).filter(here) {
            let down = probe::Down { words: outage.words, not_before: Duration::ZERO, shut: None };
            close(ctx, &scope, outage.since, &down);
            if let Some(away) = ctx.outages.all().get_mut(&scope) {
                away.next = Instant::now();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_known_again_by_its_name() {
        let repo = || "acme/shop".to_owned();
        let whole = [Scope::Plane, Scope::Gitea, Scope::Telegram, Scope::Reviewer];
        for scope in whole.into_iter().chain([
            Scope::Project("2fdcb802".into()),
            Scope::Repo(repo()),
            Scope::Git(repo()),
            Scope::Disk("host".into()),
        ]) {
            assert_eq!(Scope::named(&scope.to_string()), Some(scope));
        }
        assert_eq!([Scope::named("mail"), Scope::named("mail acme/shop")], [None, None]);
    }
}

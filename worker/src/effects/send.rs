//! Sends one [`Effect`]. Whether the task still wants it has been checked by the caller; what may be there already is looked
//! for in [`super::there`].

use super::pulls::{AskedOf, Known, ask_for_review, comment, found_pull, give_up, own_pull, reopen, review};
use super::text;
use crate::clients::gitea::{Created, GiteaClient, NewPull, NewReview, NewStatus, Pull};
use crate::clients::plane::{PlaneClient, State};
use crate::clients::telegram::TelegramClient;
use crate::clients::{ApiError, Gate};
use crate::outage::{Scope, Trouble};
use crate::threads::Threads;
use orch_common::domain::effect::{Destination, Effect, PlaneTarget, StateGroup};
use orch_common::domain::messages::{to_html, to_markdown, to_telegram_html};
use orch_common::domain::stage::CommitId;
use orch_common::failpoint::{self, Point};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often it is looked whether a service that is away may be called again.
const AWAY_LOOK: Duration = Duration::from_millis(500);
/// How long the ids of a project's states are believed.
const STATES_TTL: Duration = Duration::from_secs(300);

/// What a send did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    Done {
        detail: String,
    },
    /// The outside was already so.
    AlreadyThere {
        detail: String,
    },
    /// There is nowhere to send it to.
    Skipped {
        why: String,
    },
    /// Whoever was to be asked for a review is asked, but for some.
    Asked(AskedOf),
    /// The task's own pull request is there; its number is its identity from now on.
    Pull {
        number: i64,
        existed: bool,
        /// For people.
        url: String,
    },
}

/// Why a send did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("{why}")]
    Transient {
        why: String,
        /// What the service asked for.
        retry_after_s: Option<u64>,
    },
    /// The same effect will fail again; a person must look.
    #[error("{why}")]
    Permanent { why: String },
    /// What the service answered. Whether the same may work later depends on what it answers to others.
    #[error(transparent)]
    Outside(#[from] ApiError),
}

impl SendError {
    /// What was to be written may have been, or still be on its way.
    pub(super) const fn is_in_doubt(&self) -> bool {
        match self {
            SendError::Outside(ApiError::RateLimited { .. }) | SendError::Transient { .. } => false,
            SendError::Outside(error) => error.is_transient(),
            SendError::Permanent { .. } => false,
        }
    }

    /// What kind of trouble it is.
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            SendError::Transient { retry_after_s, .. } => Trouble::Later { asked_s: *retry_after_s },
            SendError::Permanent { .. } => Trouble::Never,
            SendError::Outside(error) => Trouble::from(error),
        }
    }
}

/// Why nothing was written.
pub(super) enum Stop {
    NotConfigured(&'static str),
    Failed(SendError),
}

impl From<SendError> for Stop {
    fn from(error: SendError) -> Self {
        Stop::Failed(error)
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Stop::Failed(error.into())
    }
}

/// The services that are configured.
#[derive(Debug, Default)]
pub struct Outside {
    pub plane: Option<Arc<PlaneClient>>,
    pub gitea: Option<Arc<GiteaClient>>,
    /// The forge under the second account, which reviews.
    pub reviewer: Option<Arc<GiteaClient>>,
    pub telegram: Option<Arc<TelegramClient>>,
    /// What was just read of work items.
    pub threads: Threads,
    states: Mutex<HashMap<String, (Instant, Vec<State>)>>,
}

/// A Plane state by name, with the group it is made in where it is missing.
#[derive(Clone, Copy)]
pub(super) struct WantedState<'a> {
    pub name: &'a str,
    pub group: StateGroup,
}

impl Outside {
    pub fn new(
        plane: Option<Arc<PlaneClient>>,
        gitea: Option<Arc<GiteaClient>>,
        telegram: Option<Arc<TelegramClient>>,
    ) -> Self {
        Outside { plane, gitea, telegram, ..Outside::default() }
    }

    /// Where it is said that a service is away; `None` = such a thing is no service, or not configured.
    pub(crate) fn gate_of(&self, scope: &Scope) -> Option<&Gate> {
        match scope {
            Scope::Plane => self.plane.as_deref().map(PlaneClient::gate),
            Scope::Gitea => self.gitea.as_deref().map(GiteaClient::gate),
            Scope::Telegram => self.telegram.as_deref().map(TelegramClient::gate),
            Scope::Project(_) | Scope::Reviewer | Scope::Repo(_) | Scope::Git(_) | Scope::Disk(_) => None,
        }
    }

    /// How long no effect to this destination should be claimed, because it is away or limits its calls; `None` = one may.
    /// A turn at a limited service is taken for the one that is claimed next.
    pub(crate) fn closed_for(&self, to: Destination) -> Option<Duration> {
        let (gate, turn) = match to {
            Destination::Plane => (self.plane.as_deref()?.gate(), self.plane.as_deref()?.closed_for()),
            Destination::Telegram => (self.telegram.as_deref()?.gate(), self.telegram.as_deref()?.keep_turn()),
            Destination::Gitea => (self.gitea.as_deref()?.gate(), None),
        };
        if gate.words().is_some() { Some(AWAY_LOOK) } else { turn }
    }

    /// So many workers live on this database and use the same tokens: each calls at its part of the allowed pace.
    pub fn share_among(&self, workers: u32) {
        if let Some(plane) = &self.plane {
            plane.share_among(workers);
        }
        if let Some(telegram) = &self.telegram {
            telegram.share_among(workers);
        }
    }

    /// Sends `effect`. What somebody may have tried to send before, with an answer that nobody has, is looked for first; so is what
    /// is refused, because a service that answers badly may have done it all the same.
    ///
    /// # Errors
    /// [`SendError::Transient`] where the same effect may work later, [`SendError::Permanent`] where it will not.
    pub async fn send_for(&self, effect: &Effect, known: &Known) -> Result<Sent, SendError> {
        match self.send_once(effect, known).await {
            Ok(sent) => Ok(sent),
            Err(Stop::NotConfigured(service)) => Ok(Sent::Skipped { why: format!("{service} is not configured") }),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn send_once(&self, effect: &Effect, known: &Known) -> Result<Sent, Stop> {
        if !known.untried
            && let Some(there) = self.there(effect, known).await?
        {
            return Ok(there);
        }
        // It was looked for: nothing is read again before the write.
        match self.write(effect, &Known { untried: true, ..known.clone() }).await {
            Err(Stop::Failed(SendError::Outside(refused))) if refused.is_final() => {
                match self.there(effect, known).await {
                    Ok(Some(there)) => Ok(there),
                    Ok(None) | Err(_) => Err(refused.into()),
                }
            }
            sent => sent,
        }
    }

    /// [`Outside::send_for`] where nothing is known.
    ///
    /// # Errors
    /// The same.
    pub async fn send(&self, effect: &Effect) -> Result<Sent, SendError> {
        self.send_for(effect, &Known::default()).await
    }

    async fn write(&self, effect: &Effect, known: &Known) -> Result<Sent, Stop> {
        match effect {
            Effect::PlaneComment { project, work_item, key, text } => {
                let posted = self.plane()?.post_comment(project, work_item, &to_html(text), key).await?;
                Ok(once(!posted.existed, format!("comment {}", posted.id)))
            }
            Effect::PlaneState { project, work_item, name, group } => {
                let target = PlaneTarget { project: project.clone(), work_item: work_item.clone() };
                Ok(self.set_state(self.plane()?, &target, WantedState { name, group: *group }).await?)
            }
            Effect::PlaneLink { project, work_item, url, title } => {
                let new = self.plane()?.add_link(project, work_item, url, title).await?;
                Ok(once(new, format!("link {url}")))
            }
            Effect::GiteaBranch { repo, branch, base } => {
                let created = self.gitea()?.create_branch(repo, branch, base).await?;
                Ok(once(created == Created::Now, format!("branch {branch}")))
            }
            Effect::GiteaPull { repo, branch, base, title, body, link: _ } => {
                let body = to_markdown(body);
                let new = NewPull { branch, base, title, body: &body };
                Ok(open_pull(self.gitea()?, repo, new, known).await?)
            }
            Effect::GiteaComment { repo, branch, key, text } => {
                Ok(comment(self.gitea()?, (repo, branch), (key, text), known).await?)
            }
            Effect::GiteaGiveUp { repo, branch, key, text, close } => {
                let own = own_pull(self.gitea()?, repo, branch, known).await?;
                Ok(give_up(self.gitea()?, repo, own, (key, text.as_deref()), *close).await?)
            }
            Effect::GiteaReopen { repo, branch } => {
                let own = own_pull(self.gitea()?, repo, branch, known).await?;
                Ok(reopen(self.gitea()?, repo, own).await?)
            }
            Effect::GiteaReview { repo, branch, head, approved, key, text } => {
                let reviewer = self.reviewer.as_deref().ok_or(Stop::NotConfigured("the reviewer account"))?;
                let new = NewReview { approved: *approved, head, key, text: &to_markdown(text) };
                Ok(review((self.gitea()?, reviewer), (repo, branch), new, known).await?)
            }
            Effect::GiteaAsk { repo, branch, head, people, teams } => {
                let Some(own) = own_pull(self.gitea()?, repo, branch, known).await?.filter(Pull::is_open) else {
                    return Ok(Sent::Skipped { why: format!("{branch} has no open pull request") });
                };
                Ok(ask_for_review(self.gitea()?, repo, &own, head, (people, teams)).await?)
            }
            Effect::GiteaStatus { repo, head, context, state, description, target } => {
                let new = NewStatus { context, state: *state, description, target_url: target.as_deref() };
                Ok(set_status(self.gitea()?, repo, head, new).await?)
            }
            // Merging is the task's own look now; whoever sends this makes one.
            Effect::GiteaMerge { .. } => Ok(Sent::Skipped { why: "the task looks after its merge itself".into() }),
            Effect::Telegram { text } => {
                let telegram = self.telegram.as_deref().ok_or(Stop::NotConfigured("Telegram"))?;
                Ok(tell(telegram, text).await?)
            }
        }
    }

    pub(super) fn plane(&self) -> Result<&PlaneClient, Stop> {
        self.plane.as_deref().ok_or(Stop::NotConfigured("Plane"))
    }

    pub(super) fn gitea(&self) -> Result<&GiteaClient, Stop> {
        self.gitea.as_deref().ok_or(Stop::NotConfigured("Gitea"))
    }

    /// Not asked for before: to set what is set changes nothing, and costs one call, not two.
    async fn set_state(&self, plane: &PlaneClient, on: &PlaneTarget, to: WantedState<'_>) -> Result<Sent, SendError> {
        let PlaneTarget { project, work_item } = on;
        let state_id = self.state_id(plane, project, to).await?;
        let detail = format!("state {}", to.name);
        match plane.set_state(project, work_item, &state_id).await {
            Ok(item) => {
                self.threads.met(&item);
                Ok(Sent::Done { detail })
            }
            // The remembered state may have been deleted: once more, with fresh ones.
            Err(ApiError::Refused { status: 400, .. }) => {
                self.forget_states(project);
                let state_id = self.state_id(plane, project, to).await?;
                self.threads.met(&plane.set_state(project, work_item, &state_id).await?);
                Ok(Sent::Done { detail })
            }
            Err(other) => {
                self.threads.lost(work_item);
                Err(other.into())
            }
        }
    }

    /// The id of a state by name: exactly, else without regard to case; created where the project has none.
    pub(super) async fn state_id(
        &self,
        plane: &PlaneClient,
        project: &str,
        wanted: WantedState<'_>,
    ) -> Result<String, ApiError> {
        if let Some(id) = self.remembered_state(project, wanted.name) {
            return Ok(id);
        }
        let states = plane.states(project).await?;
        let found = find_state(&states, wanted.name).map(|s| s.id.clone());
        self.states_of_all().insert(project.to_owned(), (Instant::now(), states));
        if let Some(id) = found {
            return Ok(id);
        }
        let created = plane.create_state(project, wanted.name, wanted.group).await?;
        failpoint::here(Point::StateCreated);
        self.forget_states(project);
        Ok(created.id)
    }

    fn remembered_state(&self, project: &str, name: &str) -> Option<String> {
        let all = self.states_of_all();
        let (read_at, states) = all.get(project)?;
        (read_at.elapsed() < STATES_TTL).then(|| find_state(states, name).map(|s| s.id.clone())).flatten()
    }

    /// A state by its id, for events that name it so; `None` = Plane is not configured or has no such state.
    pub async fn state_by_id(&self, project: &str, id: &str) -> Result<Option<State>, ApiError> {
        let Some(plane) = &self.plane else { return Ok(None) };
        let known = self.states_of_all().get(project).and_then(|(read_at, states)| {
            (read_at.elapsed() < STATES_TTL).then(|| states.iter().find(|s| s.id == id).cloned()).flatten()
        });
        if known.is_some() {
            return Ok(known);
        }
        let states = plane.states(project).await?;
        let found = states.iter().find(|s| s.id == id).cloned();
        self.states_of_all().insert(project.to_owned(), (Instant::now(), states));
        Ok(found)
    }

    fn forget_states(&self, project: &str) {
        self.states_of_all().remove(project);
    }

    fn states_of_all(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Vec<State>)>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task's own pull request. Its link in Plane is an effect of its own: a write goes to one service.
async fn open_pull(gitea: &GiteaClient, repo: &str, new: NewPull<'_>, known: &Known) -> Result<Sent, SendError> {
    let (number, mut url, existed) = match found_pull(gitea, repo, &new, known).await? {
        Some(pull) => (pull.number, pull.html_url, true),
        None => {
            let opened = gitea.create_pull(repo, new).await?;
            (opened.number, opened.html_url, opened.existed)
        }
    };
    failpoint::here(Point::PullOpened);
    if url.is_empty() {
        // Only its number is known so far.
        let there = gitea.pull(repo, number).await?.filter(|pull| pull.is_between(new.branch, new.base));
        let why = format!("the forge names #{number} for {}, and that is another", new.branch);
        url = there.ok_or(SendError::Transient { why, retry_after_s: None })?.html_url;
    }
    Ok(Sent::Pull { number, existed, url })
}

async fn set_status(gitea: &GiteaClient, repo: &str, head: &CommitId, new: NewStatus<'_>) -> Result<Sent, SendError> {
    let detail = format!("{} {} on {}", new.context, new.state, head.short());
    gitea.set_status(repo, head.as_str(), new).await?;
    Ok(Sent::Done { detail })
}

/// Whether the newest status of its context says so.
pub(super) async fn has_status(
    gitea: &GiteaClient,
    repo: &str,
    head: &CommitId,
    new: NewStatus<'_>,
) -> Result<bool, ApiError> {
    let known = gitea.combined_status(repo, head.as_str()).await?;
    let newest = known.contexts.iter().find(|c| c.context == new.context);
    Ok(newest.is_some_and(|c| c.state == new.state.as_str() && c.description == new.description))
}

async fn tell(telegram: &TelegramClient, words: &str) -> Result<Sent, SendError> {
    let told =
        telegram.send_message(&to_telegram_html(words, text::TELEGRAM_UNITS), &text::telegram_plain(words)).await?;
    if let Some(chat) = &told.migrated_to {
        tracing::warn!(new_chat_id = %chat, "the Telegram chat has moved: change its id in the configuration");
    }
    Ok(Sent::Done { detail: format!("message {}", told.message_id) })
}

fn find_state<'a>(states: &'a [State], name: &str) -> Option<&'a State> {
    let exact = states.iter().find(|s| s.name == name);
    exact.or_else(|| states.iter().find(|s| s.name.to_lowercase() == name.to_lowercase()))
}

pub(super) fn once(new: bool, detail: String) -> Sent {
    if new { Sent::Done { detail } } else { Sent::AlreadyThere { detail } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_service_its_effects_are_skipped() {
        let outside = Outside::default();
        let sent = outside.send(&Effect::Telegram { text: "x".into() }).await.unwrap();
        assert_eq!(sent, Sent::Skipped { why: "Telegram is not configured".into() });
    }

    #[test]
    fn a_send_can_run_on_any_thread() {
        fn check<T: Send>(_: T) {}
        let (outside, effect) = (Outside::default(), Effect::Telegram { text: String::new() });
        check(outside.send(&effect));
    }

    #[test]
    fn a_state_is_found_by_its_exact_name_first() {
        let state =
            |id: &str, name: &str| State { id: id.into(), name: name.into(), group: String::new(), default: false };
        let states = [state("1", "in review"), state("2", "In Review")];
        assert_eq!(find_state(&states, "In Review").unwrap().id, "2");
        assert_eq!(find_state(&states, "IN REVIEW").unwrap().id, "1");
        assert!(find_state(&states, "Done").is_none());
    }
}

//! What a lost webhook would have said is found by asking, and what sits still is looked at. Neither sender repeats a
//! lost delivery, so every so often (and at the start) Plane and the forge are asked what changed; each finding becomes
//! an event job like a delivery's, handled by the same rules and, by its name, once. Nothing here decides anything.

pub mod checks;
mod doubles;
mod findings;
mod forge;
mod idle;
mod plane;
mod silence;
mod threads;

use crate::clients::{ApiError, For};
use crate::clock::now_ms;
use crate::context::Context;
use crate::effects::shared;
use findings::{About, Findings};
use orch_common::store::{StoreError, cursors};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Only one worker asks at a time.
const LEASE: &str = "reconcile";

/// Before the newest change that was seen, in ms: a list can show a change later than its time says.
const OVERLAP_MS: i64 = 120_000;

/// Why a project's round ended early.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Outside(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What one process remembers from round to round; losing it costs a few calls.
#[derive(Debug, Default)]
pub struct Reconciler {
    /// Thing -> the time of its change that was dealt with, so that the overlap costs nothing.
    dealt_with: HashMap<String, i64>,
    /// Counts the rounds, so that what cannot all be asked for in one round takes turns.
    turn: usize,
    /// Place -> what was wrong there last; said again only when it changes.
    troubles: BTreeMap<String, String>,
}

/// Asks at once and then now and then, until dropped.
pub async fn periodically(ctx: Arc<Context>) {
    let every = Duration::from_secs(ctx.config.worker.reconcile_s);
    let mut reconciler = Reconciler::default();
    loop {
        if let Err(error) = reconciler.round(&ctx).await {
            tracing::warn!(%error, "the round failed");
        }
        tokio::time::sleep(every).await;
    }
}

impl Reconciler {
    /// One round; the number of findings and looks it led to. Another worker's turn: 0.
    pub async fn round(&mut self, ctx: &Arc<Context>) -> Result<usize, StoreError> {
        if !lease(ctx, LEASE, ctx.config.worker.reconcile_s).await? {
            return Ok(0);
        }
        self.turn = self.turn.wrapping_add(1);
        shared::recall(ctx).await;
        let mut found = Vec::new();
        let projects: Vec<_> = ctx.config.projects.iter().cloned().collect();
        for project in &projects {
            let plane = For::Background.calls_of(plane::ask(ctx, self, project)).await;
            found.extend(self.take(ctx, &format!("Plane project {}", project.plane_project), plane).await?);
            let forge = forge::ask(ctx, self, project).await;
            found.extend(self.take(ctx, &format!("repository {}", project.repo), forge).await?);
        }
        For::Background.calls_of(doubles::remove(ctx)).await?;
        shared::remember(ctx).await;
        let inner = Arc::clone(ctx);
        ctx.store.write(move |conn| silence::tell(conn, &inner, now_ms())).await?;
        let (count, touched) = (found.len(), found.into_iter().collect::<HashSet<About>>());
        let looked = idle::look_at_all(ctx, touched).await?;
        if looked > 0 {
            tracing::info!(looked, "tasks that sat still are looked at");
        }
        Ok(looked + count)
    }

    /// Keeps what was found, and says a trouble once.
    async fn take(&mut self, ctx: &Arc<Context>, place: &str, findings: Findings) -> Result<Vec<About>, StoreError> {
        self.note_trouble(place, findings.trouble.as_ref().map(ToString::to_string));
        if findings.is_empty() {
            return Ok(Vec::new());
        }
        if !lease(ctx, LEASE, ctx.config.worker.reconcile_s).await? {
            tracing::warn!("another worker asks now; what was found is left to it");
            return Ok(Vec::new());
        }
        let found = ctx.store.write(move |conn| findings.keep(conn, now_ms())).await?;
        if !found.is_empty() {
            tracing::info!(found = found.len(), place, "found by asking, not told by a webhook");
        }
        Ok(found)
    }

    fn note_trouble(&mut self, place: &str, trouble: Option<String>) {
        match trouble {
            Some(why) if self.troubles.get(place) != Some(&why) => {
                tracing::warn!(%why, place, "could not be asked; it is tried again every round");
                self.troubles.insert(place.to_owned(), why);
            }
            Some(_) => {}
            None => {
                if self.troubles.remove(place).is_some() {
                    tracing::info!(place, "can be asked again");
                }
            }
        }
    }

    /// Whether this change of a thing was dealt with by this process.
    fn knows(&self, thing: &str, changed_at: i64) -> bool {
        self.dealt_with.get(thing).is_some_and(|at| *at >= changed_at)
    }

    fn deal_with(&mut self, thing: &str, changed_at: i64) {
        // Far more than change within the overlap; a fresh start costs a few calls.
        if self.dealt_with.len() > 10_000 {
            self.dealt_with.clear();
        }
        self.dealt_with.insert(thing.to_owned(), changed_at);
    }

    /// `most` of `all`, beginning elsewhere in every round.
    fn some_of<'a, T>(&self, all: &'a [T], most: usize) -> impl Iterator<Item = &'a T> {
        let start = self.turn.wrapping_mul(most).checked_rem(all.len()).unwrap_or(0);
        all.iter().cycle().skip(start).take(most.min(all.len()))
    }
}

/// Takes or renews the lease of a kind of round: long enough for a slow round and for the pause until the next one.
async fn lease(ctx: &Context, round: &'static str, every_s: u64) -> Result<bool, StoreError> {
    let pause_ms = i64::try_from(every_s).unwrap_or(i64::MAX / 4000).saturating_mul(1500);
    let name = ctx.name.clone();
    ctx.store
        .write(move |conn| {
            let now = now_ms();
            cursors::lease(conn, round, &name, now.saturating_add(pause_ms.max(60_000)), now)
        })
        .await
}

/// The stored position of a list, in ms by its server's clock; the first time nothing before now counts.
async fn position(ctx: &Context, name: String) -> Result<i64, StoreError> {
    let known = name.clone();
    if let Some(at) = ctx.store.read(move |c| cursors::get(c, &known)).await?.and_then(|at| at.parse().ok()) {
        return Ok(at);
    }
    ctx.store
        .write(move |conn| {
            let now = now_ms();
            cursors::put(conn, &name, &now.to_string(), now)?;
            Ok(now)
        })
        .await
}

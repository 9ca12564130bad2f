//! One look at the queue for all lanes: at each commit of whatever process, when the next job falls due, and now and then
//! where commits are not reported. A lane is woken only when a job of its kind is due, so that a commit that means no work
//! costs one look, not one a lane.

use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::effect::Destination;
use orch_common::domain::job::JobKind;
use orch_common::store::jobs;
use orch_common::store::{Conn, StoreError};
use orch_common::wake::Waker;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Counts the looks that found something due.
pub type Wakes = watch::Receiver<u64>;

/// A lane sleeps at most this many polls without a look of its own; until then the looks here are its polls.
pub const LANES_POLL: u32 = 10;

/// What one lane claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Event,
    Advance,
    Agent,
    Effect(Destination),
}

impl Wanted {
    /// All lanes'.
    pub const ALL: [Wanted; 6] = [
        Wanted::Event,
        Wanted::Advance,
        Wanted::Effect(Destination::Plane),
        Wanted::Effect(Destination::Gitea),
        Wanted::Effect(Destination::Telegram),
        Wanted::Agent,
    ];

    pub const fn kind(self) -> JobKind {
        match self {
            Wanted::Event => JobKind::Event,
            Wanted::Advance => JobKind::Advance,
            Wanted::Agent => JobKind::Agent,
            Wanted::Effect(_) => JobKind::Effect,
        }
    }

    /// When the next of them can be claimed; `Some(t <= now)` = now.
    pub fn next_due(self, conn: &mut Conn, now: i64) -> Result<Option<i64>, StoreError> {
        match self {
            Wanted::Effect(to) => jobs::next_due_to(conn, to, now),
            Wanted::Event | Wanted::Advance | Wanted::Agent => jobs::next_due(conn, self.kind(), now),
        }
    }
}

/// What wakes the lanes.
pub struct Bells {
    lanes: [(Wanted, watch::Sender<u64>); 6],
}

impl Default for Bells {
    fn default() -> Bells {
        Bells { lanes: Wanted::ALL.map(|wanted| (wanted, watch::Sender::new(0))) }
    }
}

impl Bells {
    /// Wakes a lane.
    pub fn of(&self, wanted: Wanted) -> Wakes {
        let bell = self.lanes.iter().find(|(of, _)| *of == wanted);
        bell.map_or_else(|| watch::Sender::new(0).subscribe(), |(_, bell)| bell.subscribe())
    }

    fn ring(&self, is_due: impl Fn(Wanted) -> bool) {
        for (_, bell) in self.lanes.iter().filter(|(wanted, _)| is_due(*wanted)) {
            bell.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

/// Looks until dropped.
pub async fn keep_looking(ctx: Arc<Context>, bells: Arc<Bells>) {
    let mut waker = match Waker::watch(ctx.store.path()) {
        Ok(waker) => Some(waker),
        Err(error) => {
            tracing::warn!(%error, "commits cannot be watched; the queue is only polled");
            None
        }
    };
    let (pace, mut reported) = (Pace::of(&ctx), None);
    let mut next = Duration::ZERO;
    loop {
        let commit = async {
            match &mut waker {
                Some(waker) => waker.changed().await,
                None => std::future::pending().await,
            }
        };
        // A commit that is not waited for any longer is not lost: it is noticed the next time.
        if tokio::time::timeout(next, commit).await.is_ok() {
            reported = Some(Instant::now());
        }
        let now = now_ms();
        next = pace.until_next_look(reported.map(|at| at.elapsed()));
        match ctx.store.read(move |conn| look(conn, now)).await {
            Ok(Look { due, next_due }) => {
                bells.ring(|wanted| due.contains(&wanted));
                let until_due = next_due.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
                next = until_due.map_or(next, |span| span.min(next));
            }
            Err(error) => {
                tracing::warn!(%error, "the queue could not be looked at; every lane tries itself");
                bells.ring(|_| true);
            }
        }
    }
}

/// How long to wait for a commit to be reported.
struct Pace {
    poll: Duration,
    /// Our own sign of life is a commit: as long as those are reported, so is everybody's.
    trusted: Duration,
}

impl Pace {
    fn of(ctx: &Context) -> Pace {
        let worker = &ctx.config.worker;
        let poll = Duration::from_secs_f64(worker.poll_interval_s);
        Pace { poll, trusted: Duration::from_secs(worker.heartbeat_s).saturating_mul(2).min(poll * LANES_POLL) }
    }

    /// `silence`: since a commit was reported last, if one ever was.
    fn until_next_look(&self, silence: Option<Duration>) -> Duration {
        silence.map_or(self.poll, |silence| self.trusted.saturating_sub(silence).max(self.poll))
    }
}

/// What there is to claim.
#[derive(Debug, PartialEq)]
struct Look {
    /// The lanes that can claim a job now.
    due: Vec<Wanted>,
    /// When (ms) the next one of another lane can be.
    next_due: Option<i64>,
}

fn look(conn: &mut Conn, now: i64) -> Result<Look, StoreError> {
    let (mut due, mut next_due) = (Vec::new(), None);
    for wanted in Wanted::ALL {
        match wanted.next_due(conn, now)? {
            Some(at) if at <= now => due.push(wanted),
            Some(at) => next_due = Some(next_due.map_or(at, |other: i64| other.min(at))),
            None => {}
        }
    }
    Ok(Look { due, next_due })
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_common::store::jobs::NewJob;
    use orch_common::store::{Store, StoreOptions};

    #[test]
    fn only_the_lane_with_work_that_is_due_is_woken() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        let look = |now| look(&mut store.connection().unwrap(), now).unwrap();
        assert_eq!(look(1), Look { due: vec![], next_due: None });
        let (plane, gitea) = (Wanted::Effect(Destination::Plane), Wanted::Effect(Destination::Gitea));
        let to_plane = Some("task:1:plane");
        for (kind, order_key, available_at) in [
            (JobKind::Effect, to_plane, None),
            (JobKind::Agent, None, Some(70)),
            (JobKind::Advance, None, Some(50)),
            (JobKind::Effect, Some("task:1:gitea"), Some(60)),
        ] {
            let (payload, order_key) = ("{}".to_owned(), order_key.map(str::to_owned));
            let new = NewJob {
                kind,
                role: None,
                repo: None,
                task_id: None,
                payload,
                dedupe_key: None,
                order_key,
                available_at,
            };
            store.write_now(|c| jobs::enqueue(c, &new, 1)).unwrap();
        }
        assert_eq!(look(49), Look { due: vec![plane], next_due: Some(50) });
        assert_eq!(look(50), Look { due: vec![Wanted::Advance, plane], next_due: Some(60) });
        assert_eq!(look(60), Look { due: vec![Wanted::Advance, plane, gitea], next_due: Some(70) });
        let bells = Bells::default();
        let rung = |wakes: &Wakes| wakes.has_changed().unwrap();
        let lanes = Wanted::ALL.map(|wanted| bells.of(wanted));
        bells.ring(|wanted| look(49).due.contains(&wanted));
        assert_eq!(lanes.each_ref().map(rung), [false, false, true, false, false, false]);
        bells.ring(|_| true);
        assert_eq!(lanes.each_ref().map(rung), [true; 6]);
    }

    /// As often as configured where no commit is reported, or none any more.
    #[test]
    fn polling_rests_only_while_commits_are_reported() {
        let secs = Duration::from_secs;
        let pace = Pace { poll: secs(2), trusted: secs(10) };
        for (silence, wanted) in [(None, 2), (Some(0), 10), (Some(4), 6), (Some(9), 2), (Some(11), 2), (Some(4000), 2)]
        {
            assert_eq!(pace.until_next_look(silence.map(secs)), secs(wanted), "{silence:?}");
        }
        let patient = Pace { poll: secs(60), trusted: secs(10) };
        assert_eq!(patient.until_next_look(Some(secs(0))), secs(60));
    }
}

//! One look at the queue for all lanes: at each commit of whatever process, and now and then for what reports no commits.
//! A lane is woken only when a job of its kind is due, so that a commit that means no work costs one look, not one a lane.

use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::job::JobKind;
use orch_common::store::jobs;
use orch_common::store::{Conn, StoreError};
use orch_common::wake::Waker;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Counts the looks that found something due.
pub type Wakes = watch::Receiver<u64>;

/// A lane sleeps at most this many polls without a look of its own; until then the looks here are its polls.
pub const LANES_POLL: u32 = 10;

/// What wakes the lanes.
pub struct Bells {
    kinds: [(JobKind, watch::Sender<u64>); 4],
}

impl Default for Bells {
    fn default() -> Bells {
        let kinds = [JobKind::Event, JobKind::Advance, JobKind::Effect, JobKind::Agent];
        Bells { kinds: kinds.map(|kind| (kind, watch::Sender::new(0))) }
    }
}

impl Bells {
    /// Wakes the lane of a kind.
    pub fn of(&self, kind: JobKind) -> Wakes {
        let bell = self.kinds.iter().find(|(of, _)| *of == kind);
        bell.map_or_else(|| watch::Sender::new(0).subscribe(), |(_, bell)| bell.subscribe())
    }

    fn ring(&self, is_due: impl Fn(JobKind) -> bool) {
        for (_, bell) in self.kinds.iter().filter(|(kind, _)| is_due(*kind)) {
            bell.send_modify(|n| *n = n.wrapping_add(1));
        }
    }
}

/// Looks until dropped.
pub async fn keep_looking(ctx: Arc<Context>, bells: Arc<Bells>) {
    let poll = Duration::from_secs_f64(ctx.config.worker.poll_interval_s);
    let mut waker = match Waker::watch(ctx.store.path()) {
        Ok(waker) => Some(waker),
        Err(error) => {
            tracing::warn!(%error, "commits cannot be watched; the queue is only polled");
            None
        }
    };
    loop {
        let commit = async {
            match &mut waker {
                Some(waker) => waker.changed().await,
                None => std::future::pending().await,
            }
        };
        // A commit that is not waited for any longer is not lost: it is noticed the next time.
        tokio::time::timeout(poll, commit).await.ok();
        match ctx.store.read(|conn| due(conn, now_ms())).await {
            Ok(due) => bells.ring(|kind| due.contains(&kind)),
            Err(error) => {
                tracing::warn!(%error, "the queue could not be looked at; every lane tries itself");
                bells.ring(|_| true);
            }
        }
    }
}

/// The kinds of which a job can be claimed now.
fn due(conn: &mut Conn, now: i64) -> Result<Vec<JobKind>, StoreError> {
    let mut due = Vec::new();
    for kind in [JobKind::Event, JobKind::Advance, JobKind::Effect, JobKind::Agent] {
        if jobs::next_due(conn, kind, now)?.is_some_and(|at| at <= now) {
            due.push(kind);
        }
    }
    Ok(due)
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
        let look = |now| due(&mut store.connection().unwrap(), now).unwrap();
        assert_eq!(look(1), []);
        for (kind, available_at) in [(JobKind::Effect, None), (JobKind::Advance, Some(50))] {
            let (payload, order_key) = ("{}".to_owned(), None);
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
        assert_eq!(look(49), [JobKind::Effect]);
        assert_eq!(look(50), [JobKind::Advance, JobKind::Effect]);
        let bells = Bells::default();
        let rung = |wakes: &Wakes| wakes.has_changed().unwrap();
        let lanes = [JobKind::Event, JobKind::Advance, JobKind::Effect, JobKind::Agent].map(|kind| bells.of(kind));
        bells.ring(|kind| look(49).contains(&kind));
        assert_eq!(lanes.each_ref().map(rung), [false, false, true, false]);
        bells.ring(|_| true);
        assert_eq!(lanes.each_ref().map(rung), [true; 4]);
    }
}

//! Which workers of this host are dead. Not by comparing clocks, which can be set: a worker is dead when its sign of
//! life stays what it is over several looks of ours, or when it is old and the process itself is gone.

use crate::agent::Identity;
use orch_common::store::workers::Worker;
use std::collections::HashMap;

/// As many looks at the same sign of life; they are half of `heartbeat_dead_s` apart. Looks are counted, not time: after a
/// machine was asleep as a whole, everybody has until the next look to say something.
const LOOKS: u32 = 3;

/// What earlier looks have seen.
#[derive(Debug, Clone, Default)]
pub struct Silence(HashMap<String, Seen>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    heartbeat_at: i64,
    looks: u32,
}

impl Silence {
    /// Notes the signs of life as they are now.
    pub fn look(&mut self, workers: &[Worker]) {
        let seen = |w: &Worker| {
            let before = self.0.get(&w.name).filter(|s| s.heartbeat_at == w.heartbeat_at).map_or(0, |s| s.looks);
            (w.name.clone(), Seen { heartbeat_at: w.heartbeat_at, looks: before.saturating_add(1) })
        };
        self.0 = workers.iter().map(seen).collect();
    }

    /// `dead_before`: a sign of life from before this time (ms) is old.
    pub fn is_dead(&self, worker: &Worker, dead_before: i64) -> bool {
        let silent = self.0.get(&worker.name).is_some_and(|s| s.looks >= LOOKS);
        silent || (worker.heartbeat_at < dead_before && is_gone(worker))
    }
}

fn is_gone(worker: &Worker) -> bool {
    let start_ticks = u64::try_from(worker.pid_start).unwrap_or(0);
    !Identity { pid: worker.pid, start_ticks, boot_id: worker.boot_id.clone() }.is_alive()
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_common::domain::run::WorkerState;

    fn own_row(heartbeat_at: i64) -> Worker {
        let me = Identity::own().unwrap();
        Worker {
            name: "w".into(),
            host: "h".into(),
            pid: me.pid,
            pid_start: i64::try_from(me.start_ticks).unwrap(),
            boot_id: me.boot_id,
            version: String::new(),
            state: WorkerState::Running,
            max_concurrency: 1,
            poll_interval: 1.0,
            preflight_ok: None,
            preflight_reason: String::new(),
            started_at: 0,
            heartbeat_at,
        }
    }

    #[test]
    fn a_process_that_lives_is_dead_only_when_it_is_silent_for_several_looks() {
        let mut silence = Silence::default();
        for (heartbeat, dead) in [(1, false), (1, false), (2, false), (2, false), (2, true), (1, false)] {
            let row = own_row(heartbeat);
            silence.look(std::slice::from_ref(&row));
            assert_eq!(silence.is_dead(&row, i64::MAX), dead, "whatever the clock says");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_dead_as_soon_as_its_sign_of_life_is_old() {
        let gone = Worker { boot_id: "another".into(), ..own_row(1000) };
        assert!(Silence::default().is_dead(&gone, 1001));
        assert!(!Silence::default().is_dead(&gone, 1000));
    }
}

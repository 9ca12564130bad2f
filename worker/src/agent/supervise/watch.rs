//! Watching a running agent: has it ended, does somebody want it to, has it used up its time, its patience or its
//! disk. All clocks here are monotonic: setting the date neither kills nor spares a run.

use super::logs::LogFile;
use super::result::ResultTail;
use super::signals::Signals;
use super::stop;
use crate::agent::procfs;
use crate::agent::record::{ExitReason, RunSpec};
use crate::agent::run_dir::RunDir;
use orch_common::domain::run::StopReason;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, waitid, waitpid};
use std::time::{Duration, Instant};

/// Between two looks at the logs; a process writes some 100 MB to the page cache in this time.
const TICK: Duration = Duration::from_millis(100);
/// The same while a log grows fast.
const FAST_TICK: Duration = Duration::from_millis(10);
/// Between two looks for a wish whose signal was lost.
const WISH_PERIOD: Duration = Duration::from_secs(1);
/// For a signal that everybody gets to reach this process too.
const TOLD_TOO: Duration = Duration::from_secs(1);
const TERM: i32 = Signal::TERM.as_raw();
/// Limits beyond this are no limits, and would overflow the clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How a process ended, in the system's terms: one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::agent) struct Status {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

/// Why the watch is over.
pub(super) struct Ended {
    /// What ended the run; `Exited` if nothing did.
    pub reason: ExitReason,
    /// The agent's own end; none if it outlived the grace period.
    pub status: Option<Status>,
    /// What the log holds from here on must stay.
    pub kept_from: u64,
}

/// An end that was begun with SIGTERM.
struct Ending {
    reason: ExitReason,
    kill_at: Instant,
}

struct Watch<'a> {
    spec: &'a RunSpec,
    started: Instant,
    last_output: Instant,
    next_wish: Instant,
    tick: Duration,
    logs: &'a mut [LogFile; 2],
    result: ResultTail,
}

/// Who asked for the run's end, if anybody did.
pub(super) fn wish_to_stop(dir: &RunDir, signals: &Signals) -> Option<StopReason> {
    match dir.read_stop() {
        Ok(Some(request)) => Some(request.reason),
        Ok(None) => signals.stop_wanted().then_some(StopReason::System),
        Err(_) => Some(StopReason::Operator),
    }
}

/// Returns when the agent has ended (and is still to be reaped: its number must stay taken until its group was
/// killed), or when it was asked to and did not within the grace period.
pub(super) fn until_ended(
    dir: &RunDir,
    spec: &RunSpec,
    signals: &Signals,
    leader: Pid,
    (logs, result): (&mut [LogFile; 2], ResultTail),
) -> Ended {
    let now = Instant::now();
    let next_wish = now + WISH_PERIOD;
    let mut watch = Watch { spec, started: now, last_output: now, next_wish, tick: TICK, logs, result };
    let mut ending: Option<Ending> = None;
    let mut signalled = true;
    loop {
        let status = status_of(leader);
        let now = Instant::now();
        if status.is_some() || ending.as_ref().is_some_and(|e| now >= e.kill_at) {
            let reason = ending.map_or_else(|| reason_of_own_end(status, dir, signals), |e| e.reason);
            return Ended { reason, status, kept_from: watch.kept_from(now) };
        }
        if signalled {
            reap_orphans(leader);
        }
        watch.look_at_logs(now);
        if ending.is_none()
            && let Some(reason) = watch.reason_to_end(now, dir, signals)
        {
            // It has ended since it was looked at: by itself, or because it was told what this process was told.
            if let Some(status) = status_of(leader) {
                let reason = reason_of_own_end(Some(status), dir, signals);
                return Ended { reason, status: Some(status), kept_from: watch.kept_from(now) };
            }
            stop::terminate(leader);
            ending = Some(Ending { reason, kill_at: now + span(spec.grace_s) });
        }
        signalled = signals.wait(watch.time_to_sleep(now, ending.as_ref()));
    }
}

/// A machine that goes down tells every process to end, and the agent may have heard it a moment before this one.
fn reason_of_own_end(status: Option<Status>, dir: &RunDir, signals: &Signals) -> ExitReason {
    let told_to_end = status.is_some_and(|s| s.signal == Some(TERM) || s.code == Some(128 + TERM));
    let give_up = Instant::now() + TOLD_TOO;
    while told_to_end && !signals.stop_wanted() && Instant::now() < give_up {
        signals.wait(give_up.saturating_duration_since(Instant::now()));
    }
    match wish_to_stop(dir, signals).filter(|_| told_to_end && signals.stop_wanted()) {
        Some(why) => ExitReason::Stopped { why },
        None => ExitReason::Exited,
    }
}

impl Watch<'_> {
    /// What of the log must stay, once all of it was read.
    fn kept_from(&mut self, now: Instant) -> u64 {
        let [log, _] = &self.logs;
        self.result.catch_up(log.length(), now);
        self.result.kept_from()
    }

    fn look_at_logs(&mut self, now: Instant) {
        let mut fast = false;
        let [log, _] = &mut self.logs;
        self.result.look(log.length(), now);
        // Only of the log is it known which lines matter.
        let kept_from = [self.result.kept_from(), u64::MAX];
        for (log, kept_from) in self.logs.iter_mut().zip(kept_from) {
            let growth = log.look(kept_from);
            if growth.is_some() {
                self.last_output = now;
            }
            fast |= growth.is_some_and(|bytes| bytes > self.spec.log_cap_bytes / 16);
        }
        self.tick = if fast { FAST_TICK } else { TICK };
    }

    fn reason_to_end(&mut self, now: Instant, dir: &RunDir, signals: &Signals) -> Option<ExitReason> {
        if signals.stop_wanted() || now >= self.next_wish {
            self.next_wish = now + WISH_PERIOD;
            if let Some(why) = wish_to_stop(dir, signals) {
                return Some(ExitReason::Stopped { why });
            }
        }
        if now >= self.timeout_at() {
            return Some(ExitReason::TimedOut);
        }
        if self.logs.iter().any(LogFile::is_over_limit) {
            return Some(ExitReason::LogLimit);
        }
        if self.stall_at().is_some_and(|at| now >= at) {
            return Some(ExitReason::Stalled);
        }
        self.linger_at().is_some_and(|at| now >= at).then_some(ExitReason::Lingered)
    }

    fn linger_at(&self) -> Option<Instant> {
        let [log, _] = &self.logs;
        self.result.linger_at(log.length(), span(self.spec.result_linger_s))
    }

    fn timeout_at(&self) -> Instant {
        self.started + span(self.spec.timeout_s.max(1))
    }

    /// Silence after the result is no stall where that has a limit of its own.
    fn stall_at(&self) -> Option<Instant> {
        let counts = self.spec.stall_s > 0 && (self.spec.result_linger_s == 0 || !self.result.is_over());
        counts.then(|| self.last_output + span(self.spec.stall_s))
    }

    fn time_to_sleep(&self, now: Instant, ending: Option<&Ending>) -> Duration {
        let next = match ending {
            Some(ending) => ending.kill_at,
            None => [self.stall_at(), self.linger_at()].into_iter().flatten().fold(self.timeout_at(), Instant::min),
        };
        next.saturating_duration_since(now).min(self.tick)
    }
}

fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

/// A child's end, without reaping it.
pub(in crate::agent) fn status_of(leader: Pid) -> Option<Status> {
    let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(leader), peek).ok().flatten()?;
    Some(Status { code: status.exit_status(), signal: status.terminating_signal() })
}

/// Orphans became ours; their dead are collected while the agent works, so that they do not pile up.
pub(in crate::agent) fn reap_orphans(leader: Pid) {
    let me = std::process::id().cast_signed();
    let leader = leader.as_raw_nonzero().get();
    for child in procfs::children(me).iter().filter(|c| c.pid != leader && c.is_gone()) {
        let _already_gone = waitpid(Pid::from_raw(child.pid), WaitOptions::NOHANG);
    }
}

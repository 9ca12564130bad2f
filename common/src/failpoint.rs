//! Places at which a test may have a process end, wait or fail: every transaction's two sides, and the gap between
//! every write to the outside and its record. Only in builds with debug assertions; elsewhere [`here`] is nothing.
//!
//! `ORCH_FAILPOINT=name:n:action:token` (several: with `;` between them) arms a point: at its n-th hit in a process, if
//! the file `token` does not exist yet. The file is made first (it holds the process's number), so that of several
//! processes with the same environment exactly one acts, and a test can tell that it did.
//! `ORCH_FAILPOINT_TRACE=file` notes every hit.

use crate::named_enum;

named_enum! {
    /// Every point there is, in about the order of a task's life.
    pub enum Point ("fail point") {
        /// In every transaction of every program: before its begin, before its commit, after its commit.
        TxnBegin = "txn-begin",
        TxnInside = "txn-inside",
        TxnCommitted = "txn-committed",

        /// `orch-api`: a batch is about to be committed; is committed, and nobody has been answered.
        IntakeCommit = "intake-commit",
        IntakeCommitted = "intake-committed",

        /// `orch-worker`: its life.
        Register = "register",
        Registered = "registered",
        Beat = "beat",
        Beaten = "beaten",
        SignOff = "sign-off",
        SignedOff = "signed-off",

        /// Claims, by kind.
        EventClaim = "event-claim",
        EventClaimed = "event-claimed",
        AdvanceClaim = "advance-claim",
        AdvanceClaimed = "advance-claimed",
        EffectClaim = "effect-claim",
        EffectClaimed = "effect-claimed",
        AgentClaim = "agent-claim",
        AgentClaimed = "agent-claimed",

        /// An event: planned (which may ask Plane), committed.
        EventPlanned = "event-planned",
        EventCommitted = "event-committed",

        /// An agent job: worktree, run row, folder, supervisor, state, end, conclusion.
        AgentWorktree = "agent-worktree",
        AgentRow = "agent-row",
        AgentRowWritten = "agent-row-written",
        AgentFolder = "agent-folder",
        AgentSpawned = "agent-spawned",
        AgentTaken = "agent-taken",
        AgentLaunched = "agent-launched",
        AgentMarked = "agent-marked",
        AgentEnded = "agent-ended",
        AgentKnown = "agent-known",
        AgentConcluded = "agent-concluded",
        LaunchFailed = "launch-failed",
        LaunchFailedWritten = "launch-failed-written",

        /// `orch-worker supervise`.
        SuperviseStart = "supervise-start",
        SuperviseLocked = "supervise-locked",
        SuperviseKnown = "supervise-known",
        SuperviseAnnounced = "supervise-announced",
        SuperviseSpawned = "supervise-spawned",
        SuperviseNoted = "supervise-noted",
        SuperviseEnded = "supervise-ended",
        SuperviseSwept = "supervise-swept",
        SuperviseRecorded = "supervise-recorded",

        /// An advance: each step of publishing, the look at the gate, the decision.
        AdvanceFetched = "advance-fetched",
        AdvanceWorktree = "advance-worktree",
        AdvanceWorkCommitted = "advance-work-committed",
        AdvancePublished = "advance-published",
        AdvanceMerged = "advance-merged",
        AdvanceLooked = "advance-looked",
        AdvanceCommitted = "advance-committed",

        /// An effect: asked whether it is still ours, about to be sent, sent, recorded.
        EffectCheck = "effect-check",
        EffectSend = "effect-send",
        EffectSent = "effect-sent",
        EffectRecorded = "effect-recorded",
        /// Within effects that write twice.
        StateCreated = "state-created",
        PullOpened = "pull-opened",

        /// A job that could not be done.
        JobFailing = "job-failing",
        JobFailed = "job-failed",

        /// Taking up what others left.
        TakeOver = "take-over",
        TakenOver = "taken-over",
        Requeue = "requeue",
        Requeued = "requeued",
        AdoptExamine = "adopt-examine",
        AdoptExamined = "adopt-examined",
        AdoptPutBack = "adopt-put-back",
        RunLost = "run-lost",
        RunLostWritten = "run-lost-written",

        /// A round of the reconciler.
        Reconcile = "reconcile",
        Reconciled = "reconciled",
    }
}

/// The variable that arms a point.
pub const ARM: &str = "ORCH_FAILPOINT";
/// The variable that names the file in which every hit is noted.
pub const TRACE: &str = "ORCH_FAILPOINT_TRACE";

#[cfg(debug_assertions)]
pub use armed::{here, passed_on, refuses};

/// Execution is at `point`.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn here(_point: Point) {}

/// As [`here`]; `true` = what follows is to fail.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn refuses(_point: Point) -> bool {
    false
}

/// What a child that is started without this process's environment must be given.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn passed_on() -> [(&'static str, String); 0] {
    []
}

#[cfg(debug_assertions)]
mod armed {
    use super::{ARM, Point, TRACE};
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// Between two looks at the token of a point that waits.
    const LOOK: Duration = Duration::from_millis(5);

    crate::named_enum! {
        /// What happens at an armed point.
        enum Action ("action") {
            /// SIGKILL to the process itself.
            Kill = "kill",
            /// The thread waits for as long as the token exists.
            Hang = "hang",
            /// The thread panics.
            Panic = "panic",
            /// What follows fails, where it can (see `refuses`).
            Error = "error",
        }
    }

    struct Armed {
        point: Point,
        hit: u32,
        action: Action,
        token: PathBuf,
        hits: AtomicU32,
    }

    /// Execution is at `point`.
    pub fn here(point: Point) {
        let _fails = refuses(point);
    }

    /// As [`here`]; `true` = what follows is to fail.
    pub fn refuses(point: Point) -> bool {
        note(point);
        // Every one is met, whatever the first says.
        armed().iter().filter(|a| a.point == point).map(meet).filter(|fails| *fails).count() > 0
    }

    fn meet(armed: &Armed) -> bool {
        if armed.hits.fetch_add(1, Ordering::SeqCst) + 1 != armed.hit {
            return false;
        }
        let token = OpenOptions::new().write(true).create_new(true).open(&armed.token);
        token.and_then(|mut file| write!(file, "{}", std::process::id())).is_ok() && act(armed)
    }

    /// What a child that is started without this process's environment must be given.
    pub fn passed_on() -> impl Iterator<Item = (&'static str, String)> {
        [ARM, TRACE].into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)))
    }

    fn act(armed: &Armed) -> bool {
        match armed.action {
            Action::Kill => loop {
                // Nothing of this process may go on, however long the signal takes.
                let _sent = kill(Pid::this(), Signal::SIGKILL);
                std::thread::sleep(LOOK);
            },
            Action::Hang => aside(|| {
                while armed.token.exists() {
                    std::thread::sleep(LOOK);
                }
            }),
            Action::Panic => std::panic::panic_any(format!("fail point {}", armed.point)),
            Action::Error => return true,
        }
        false
    }

    /// Only this very task is to stand still, not those that happen to share its thread.
    fn aside(wait: impl FnOnce()) {
        use tokio::runtime::{Handle, RuntimeFlavor};
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            Ok(_) | Err(_) => wait(),
        }
    }

    fn note(point: Point) {
        static FILE: OnceLock<Option<File>> = OnceLock::new();
        let opened = || OpenOptions::new().append(true).create(true).open(std::env::var_os(TRACE)?).ok();
        if let Some(mut file) = FILE.get_or_init(opened).as_ref() {
            // One write of one line: lines of several processes do not mix.
            let _lost = file.write_all(format!("{point}\n").as_bytes());
        }
    }

    fn armed() -> &'static [Armed] {
        static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();
        ARMED.get_or_init(|| {
            let text = std::env::var(ARM).unwrap_or_default();
            let wishes: Option<Vec<Armed>> = text.split(';').filter(|wish| !wish.is_empty()).map(parse).collect();
            wishes.unwrap_or_else(|| {
                // A test that meant something else must not pass.
                eprintln!("{ARM}={text} is not name:n:action:token");
                std::process::abort();
            })
        })
    }

    fn parse(text: &str) -> Option<Armed> {
        let mut parts = text.splitn(4, ':');
        let point = parts.next()?.parse().ok()?;
        let hit = parts.next()?.parse().ok()?;
        let action = parts.next()?.parse().ok()?;
        let token = PathBuf::from(parts.next()?);
        Some(Armed { point, hit, action, token, hits: AtomicU32::new(0) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_whole_wish_arms() {
            let armed = parse("effect-sent:3:kill:/tmp/a:b").unwrap();
            assert_eq!((armed.point, armed.hit, armed.action), (Point::EffectSent, 3, Action::Kill));
            assert_eq!(armed.token, PathBuf::from("/tmp/a:b"));
            for bad in ["", "effect-sent", "effect-sent:1:kill", "nowhere:1:kill:t", "beat:x:kill:t", "beat:1:maim:t"] {
                assert!(parse(bad).is_none(), "{bad}");
            }
        }
    }
}

//! Finding and killing every process of a run, wherever it hid: in another session, behind a double fork, in a
//! chain that forks faster than one can look. Kills only what is proven to belong to the run: a descendant of
//! its root, or a bearer of its marker, or a descendant of such a one.

use super::identity::{Delivery, Identity, signal_started};
use super::procfs::{self, Stat};
use super::record::MARKER;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Rounds of stopping before the first kill: a chain of forks that is not still by then is killed piecemeal.
const FREEZE_ROUNDS: u32 = 50;
/// Quick looks at the descendants within one such round.
const QUICK_LOOKS: u32 = 500;
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What belongs to a run.
#[derive(Debug, Clone)]
pub struct Quarry {
    /// `NAME=value` in the environment; none: only descent counts.
    entry: Option<String>,
    not_before: u64,
    root: Root,
}

/// Where the family tree begins.
#[derive(Debug, Clone, Copy)]
enum Root {
    /// Nowhere: only the marker counts.
    None,
    /// The calling process, who is not prey itself. It adopted all orphans; its direct child, the agent, has a record
    /// of its own and is not counted among the killed.
    Caller { agent: i32 },
    /// Another process, itself included.
    Process(i32),
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were found alive and killed.
    pub killed: u32,
    /// Processes that would not go within the time allowed (already sent SIGKILL where that is permitted).
    pub left: u32,
}

impl Quarry {
    /// The bearers of a run's marker. `since` is a process that is older than all of them, its supervisor, and spares
    /// looking at the rest of the machine.
    pub fn marked(run_id: &str, since: Option<&Identity>) -> Quarry {
        let not_before = since.filter(|s| s.is_of_this_boot()).map_or(0, |s| s.start_ticks);
        Quarry { entry: Some(format!("{MARKER}={run_id}")), not_before, root: Root::None }
    }

    /// The bearers of any other `NAME=value` that only what is meant has in its environment.
    pub(crate) fn bearing(entry: String) -> Quarry {
        Quarry { entry: Some(entry), not_before: 0, root: Root::None }
    }

    /// What descends from the caller, a sub-reaper whose one child was `leader`.
    pub(crate) fn of_caller(leader: i32) -> Quarry {
        Quarry { entry: None, not_before: 0, root: Root::Caller { agent: leader } }
    }

    /// And everything that descends from the caller, a sub-reaper whose one child was the agent.
    pub(crate) fn below_caller(mut self, agent: i32) -> Quarry {
        self.root = Root::Caller { agent };
        self
    }

    /// And this process with everything that descends from it, if it still lives.
    pub fn with(mut self, root: Option<&Identity>) -> Quarry {
        self.root = root.filter(|r| r.is_alive()).map_or(Root::None, |r| Root::Process(r.pid));
        self
    }

    /// A caller without children proves that it has no descendants. A bearer of the marker can escape some looks: in the
    /// instant in which it replaces its program and has no environment, or by handing over to a child all the time.
    fn looks_needed(&self) -> u32 {
        if matches!(self.root, Root::Caller { .. }) { 1 } else { 6 }
    }

    fn counts(&self, pid: i32) -> bool {
        !matches!(self.root, Root::Caller { agent } if agent == pid)
    }

    /// Shows every process that belongs to the run to the net, each as soon as it is met.
    fn look(&self, net: &mut Net) {
        self.look_at_root(net);
        let Some(entry) = &self.entry else { return };
        let me = std::process::id().cast_signed();
        for stat in procfs::all() {
            let candidate = stat.start_ticks >= self.not_before && stat.pid != me && !stat.is_gone();
            if candidate && !net.holds(&stat) && procfs::has_env_entry(stat.pid, entry) {
                net.take(stat);
                take_descendants(stat.pid, net);
            }
        }
    }

    /// The part that is found without looking at every process.
    fn look_at_root(&self, net: &mut Net) {
        match self.root {
            Root::None => {}
            Root::Caller { .. } => take_descendants(std::process::id().cast_signed(), net),
            Root::Process(root) => {
                procfs::stat(root).into_iter().for_each(|stat| net.take(stat));
                take_descendants(root, net);
            }
        }
    }
}

/// A child that is listed but has another parent by the time it is looked at was reparented, or its number is another
/// process by now: the next round finds the former, and the latter is none of ours.
fn take_descendants(root: i32, net: &mut Net) {
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for child in procfs::children(parent).into_iter().filter(|c| c.ppid == parent) {
            net.take(child);
            parents.push(child.pid);
        }
    }
}

/// The processes stopped so far.
#[derive(Default)]
struct Net {
    caught: BTreeMap<(i32, u64), Stat>,
}

impl Net {
    fn holds(&self, stat: &Stat) -> bool {
        self.caught.contains_key(&(stat.pid, stat.start_ticks))
    }

    /// Stops a process at once. One that may not be signalled (another user's) counts as caught, or the search would not
    /// end.
    fn take(&mut self, stat: Stat) {
        if !stat.is_gone() && !self.holds(&stat) {
            let _refused = signal_started(stat.pid, stat.start_ticks, Signal::STOP);
            self.caught.insert((stat.pid, stat.start_ticks), stat);
            stop_group_of(&stat);
        }
    }

    /// Whether a look brought anything new.
    fn grows(&mut self, look: impl FnOnce(&mut Net)) -> bool {
        let before = self.caught.len();
        look(self);
        self.caught.len() > before
    }
}

/// Stopping a group is one step in which none of it can fork: no bomb outgrows it. The member that is known stands still,
/// so its group is what it was, and can not have become anybody else's. The caller's own group is spared; that is 0 where
/// its leader lives outside this PID namespace.
fn stop_group_of(member: &Stat) {
    let own = nix::unistd::getpgrp().as_raw();
    let still = procfs::stat(member.pid).ok().filter(|s| s.start_ticks == member.start_ticks && s.is_stopped());
    let group = still.map(|s| s.group).filter(|g| *g > 1).and_then(Pid::from_raw);
    if let Some(group) = group.filter(|g| g.as_raw_pid() != own) {
        let _refused = kill_process_group(group, Signal::STOP);
    }
}

/// Kills what belongs to a run, until nothing is left or `limit` has passed. `reap` collects the caller's dead
/// children and says whether it has any child left; a caller that is not their parent has none.
pub fn sweep(quarry: &Quarry, limit: Duration, mut reap: impl FnMut() -> bool) -> Swept {
    let started = Instant::now();
    let mut killed = BTreeSet::new();
    let mut pause = FIRST_PAUSE;
    let mut quiet = 0;
    loop {
        let children = reap();
        let prey = freeze(quarry);
        quiet = if prey.is_empty() && !children { quiet + 1 } else { 0 };
        let done = quiet >= quarry.looks_needed();
        if done || started.elapsed() > limit {
            let counted = killed.iter().filter(|(pid, _)| quarry.counts(*pid));
            return Swept { killed: count(counted.count()), left: count(prey.len()) };
        }
        kill(&prey, &mut killed);
        std::thread::sleep(pause);
        pause = if quiet > 0 { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
    }
}

/// Stops all of them before any is killed: what is stopped forks no more, so the set ceases to grow. The quick look
/// at descendants is repeated until it shows nothing new, then the whole machine is looked at.
fn freeze(quarry: &Quarry) -> Vec<Stat> {
    let mut net = Net::default();
    for _ in 0..FREEZE_ROUNDS {
        let mut looks = 0..QUICK_LOOKS;
        while looks.next().is_some() && net.grows(|n| quarry.look_at_root(n)) {}
        if !net.grows(|n| quarry.look(n)) {
            break;
        }
    }
    net.caught.into_values().collect()
}

fn kill(prey: &[Stat], killed: &mut BTreeSet<(i32, u64)>) {
    for stat in prey {
        if let Ok(Delivery::Sent) = signal_started(stat.pid, stat.start_ticks, Signal::KILL) {
            killed.insert((stat.pid, stat.start_ticks));
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command};

    fn marked(run_id: &str) -> Child {
        Command::new("sleep").arg("60").env(MARKER, run_id).spawn().unwrap()
    }

    #[test]
    fn kills_the_marked_and_their_children_and_nobody_else() {
        let (ours, theirs) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
        let mut stranger = marked(&theirs);
        let mut bearer = marked(&ours);
        // The child wipes its environment: only its parent gives it away.
        let script = "env -i /bin/sleep 61 & wait";
        let mut parent = Command::new("sh").args(["-c", script]).env(MARKER, &ours).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while procfs::children(parent.id() as i32).is_empty() {
            assert!(Instant::now() < deadline, "the child never came");
            std::thread::yield_now();
        }
        let swept = sweep(&Quarry::marked(&ours, None), Duration::from_secs(10), || false);
        assert_eq!(swept, Swept { killed: 3, left: 0 });
        assert_eq!(bearer.wait().unwrap().signal(), Some(9));
        assert_eq!(parent.wait().unwrap().signal(), Some(9));
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn processes_older_than_the_run_are_not_looked_at() {
        let run_id = uuid::Uuid::new_v4().to_string();
        let mut old = marked(&run_id);
        let identity = Identity::of(old.id() as i32).unwrap();
        let later = Identity { start_ticks: identity.start_ticks + 1, ..identity };
        let swept = sweep(&Quarry::marked(&run_id, Some(&later)), Duration::from_secs(10), || false);
        assert_eq!(swept, Swept { killed: 0, left: 0 });
        old.kill().unwrap();
        old.wait().unwrap();
    }
}

//! The rights that this process has and an ordinary user has not. A service manager gives them to one that is to start
//! agents as somebody else; whatever that process starts must not have them.

use rustix::process::Pid;
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};
use std::io;

/// What it takes to become another user.
const CHANGE_USER: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// Sees to it that no program that this one executes inherits a right. (What a service manager grants an unprivileged
/// service would be handed on to every child otherwise: to git, to tests, to agents.) To be called before the first
/// thread is made: rights are a thread's. Root's programs are root's all the same.
pub fn keep_to_this_process() -> io::Result<()> {
    let mut own = capabilities(None)?;
    if own.inheritable.is_empty() {
        return Ok(());
    }
    // The kernel takes what is no longer inheritable out of the ambient set, too.
    own.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, own)?)
}

/// What an attendant of somebody else's program needs: to start it as that user, and to end it.
const LENT: [CapabilitySet; 3] = [CapabilitySet::SETUID, CapabilitySet::SETGID, CapabilitySet::KILL];

/// Starts a program of ours that is to start others as somebody else: what it executes as has those rights, as far as
/// this process has them, and nothing that other threads start meanwhile does (rights are a thread's). It has to begin
/// with [`keep_to_this_process`]. Root's programs have them anyway.
pub fn lending<T: Send>(start: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    if nix::unistd::geteuid().is_root() {
        return start();
    }
    std::thread::scope(|scope| {
        let lender = scope.spawn(|| {
            let mut own = capabilities(None)?;
            let lent = LENT.into_iter().filter(|right| own.permitted.contains(*right));
            own.inheritable = lent.clone().fold(CapabilitySet::empty(), CapabilitySet::union);
            set_capabilities(None, own)?;
            for right in lent {
                configure_capability_in_ambient_set(right, true)?;
            }
            start()
        });
        lender.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts a program ended")))
    })
}

/// This process may start others as any user.
pub fn may_change_user() -> bool {
    capabilities(None).is_ok_and(|own| own.effective.contains(CHANGE_USER))
}

/// Another process may; `None` if it cannot be asked.
pub fn may_other_change_user(pid: i32) -> Option<bool> {
    let other = capabilities(Some(Pid::from_raw(pid)?)).ok()?;
    Some(other.effective.contains(CHANGE_USER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_inheritable_afterwards_and_what_we_may_ourselves_stays() {
        let before = capabilities(None).unwrap();
        keep_to_this_process().unwrap();
        let after = capabilities(None).unwrap();
        assert_eq!((after.effective, after.permitted), (before.effective, before.permitted));
        assert!(after.inheritable.is_empty());
    }

    #[test]
    fn a_process_is_asked_by_its_number() {
        let me = std::process::id().cast_signed();
        assert_eq!(may_other_change_user(me), Some(may_change_user()));
        assert_eq!(may_other_change_user(i32::MAX), None);
        assert_eq!(may_other_change_user(0), None);
    }
}

//! The signals that a supervisor (and an attendant) lives by, turned into readable bytes. Handlers, not a blocked mask: a child inherits
//! the mask through exec and would never see a SIGTERM, whereas handlers go back to the default there.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Caught signals.
pub(in crate::agent) struct Signals {
    wakes: UnixStream,
    stop: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Signals {
    /// From here on SIGTERM, SIGINT and SIGQUIT ask for the end, the last without a grace period where there is a choice;
    /// SIGHUP does nothing.
    pub fn catch() -> io::Result<Signals> {
        let (wakes, raise) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let at_once = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGQUIT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGQUIT, Arc::clone(&at_once))?;
        for signal in [SIGTERM, SIGINT, SIGQUIT, SIGCHLD] {
            signal_hook::low_level::pipe::register(signal, raise.try_clone()?)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::default())?;
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        Ok(Signals { wakes, stop, at_once })
    }

    /// Somebody asked for the end.
    pub fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Somebody asked for the end without a grace period.
    pub fn end_at_once(&self) -> bool {
        self.at_once.load(Ordering::SeqCst)
    }

    /// Sleeps until a signal comes or the time is over. True if there was one; coming back early is harmless.
    pub fn wait(&self, at_most: Duration) -> bool {
        self.wait_or(None, at_most)
    }

    /// [`Signals::wait`], until `other` is readable at the latest. True if something came.
    pub fn wait_or(&self, other: Option<BorrowedFd<'_>>, at_most: Duration) -> bool {
        let timeout = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = vec![PollFd::new(&self.wakes, PollFlags::IN)];
        fds.extend(other.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // Interrupted by the very signal: its byte is read now or the next time.
        let quiet = matches!(poll(&mut fds, Some(&timeout)), Ok(0));
        let mut bytes = [0u8; 64];
        while matches!((&self.wakes).read(&mut bytes), Ok(n) if n > 0) {}
        !quiet
    }
}

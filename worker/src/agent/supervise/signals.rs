//! The signals a supervisor lives by, turned into readable bytes. Handlers, not a blocked mask: a child inherits
//! the mask through exec and would never see a SIGTERM, whereas handlers go back to the default there.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Caught signals.
pub(super) struct Signals {
    wakes: UnixStream,
    stop: Arc<AtomicBool>,
}

impl Signals {
    /// From here on SIGTERM and SIGINT ask for the run's end and SIGHUP does nothing.
    pub fn catch() -> io::Result<Signals> {
        let (wakes, raise) = UnixStream::pair()?;
        wakes.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        for signal in [SIGTERM, SIGINT, SIGCHLD] {
            signal_hook::low_level::pipe::register(signal, raise.try_clone()?)?;
        }
        signal_hook::flag::register(SIGHUP, Arc::default())?;
        nix::sys::signal::SigSet::empty().thread_set_mask()?;
        Ok(Signals { wakes, stop })
    }

    /// Somebody asked for the end.
    pub fn stop_wanted(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sleeps until a signal comes or the time is over. True if there was one; coming back early is harmless.
    pub fn wait(&self, at_most: Duration) -> bool {
        let timeout = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = [PollFd::new(&self.wakes, PollFlags::IN)];
        // Interrupted by the very signal: its byte is read now or the next time.
        let quiet = matches!(poll(&mut fds, Some(&timeout)), Ok(0));
        let mut bytes = [0u8; 64];
        while matches!((&self.wakes).read(&mut bytes), Ok(n) if n > 0) {}
        !quiet
    }
}

//! Lines that a person types. A secret is not shown while it is typed, where that is at a terminal.

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead as _};

/// One line of the input; `None` at its end.
pub fn line() -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// The terminal shows nothing of what is typed until this is dropped.
pub struct Hidden(Option<Termios>);

impl Hidden {
    /// Where the input is no terminal there is nothing to hide.
    pub fn begin() -> Hidden {
        let Ok(before) = tcgetattr(io::stdin()) else { return Hidden(None) };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        // The end of the line is shown, so that the next words begin a new one.
        silent.local_modes.insert(LocalModes::ECHONL);
        Hidden(tcsetattr(io::stdin(), OptionalActions::Now, &silent).is_ok().then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

//! What a service allows in any 60 seconds, and who may have it. The service counts all calls of a token, also those of other
//! workers and programs, and says after each how many are left: that is the truth, what is counted here is what has happened
//! since. A share is kept for what people wait for, so that no list that is read or comment that is posted holds up a card.

use std::future::Future;
use std::time::Duration;

/// The service's window, and what our clock and its may differ by while a call is on its way.
const WINDOW_MS: i64 = 60_000 + 250;

/// Whom a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Somebody looks at a card, or has said a word: all of the allowance.
    People,
    /// Two thirds.
    Work,
    /// Lists that are read now and then: a third.
    Background,
}

impl For {
    const fn of(self, limit: usize) -> usize {
        match self {
            For::People => limit,
            For::Work => limit.saturating_mul(2).div_ceil(3),
            For::Background => limit.div_ceil(3),
        }
    }

    /// How long a call is held back rather than sent away with a time to come again.
    pub const fn patience(self) -> Duration {
        match self {
            For::People => Duration::from_secs(10),
            For::Work | For::Background => Duration::from_secs(2),
        }
    }

    /// All calls of `work` are for these.
    pub async fn calls_of<T>(self, work: impl Future<Output = T>) -> T {
        WHOM.scope(self, work).await
    }

    /// Whom a call is for that is made now.
    pub fn now() -> For {
        WHOM.try_with(|whom| *whom).unwrap_or(For::Work)
    }
}

tokio::task_local! {
    static WHOM: For;
}

/// The calls of the last 60 seconds, by the time at which they leave the window.
#[derive(Debug)]
pub struct Window {
    limit: usize,
    workers: usize,
    /// The service says what is left.
    is_told: bool,
    next_id: u64,
    own: Vec<Sent>,
    /// When others were first seen to have called, in ms.
    others: Vec<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    id: u64,
    /// When it was sent, or answered: no earlier than the service counted it.
    at: i64,
}

/// A call that may be sent.
#[derive(Debug, Clone, Copy)]
pub struct Turn(u64);

impl Window {
    pub fn of_a_minute(limit: u32) -> Window {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        Window { limit, workers: 1, is_told: false, next_id: 0, own: Vec::new(), others: Vec::new() }
    }

    /// So many workers use the same token.
    pub fn share_among(&mut self, workers: u32) {
        self.workers = usize::try_from(workers).unwrap_or(1).max(1);
    }

    /// What this worker may count on: where nobody says what is left, its equal part; else all of it but for what the others
    /// may be sending in this moment.
    fn limit(&self) -> usize {
        match self.is_told {
            true => self.limit.saturating_sub(2 * (self.workers - 1)).max(self.limit / self.workers),
            false => self.limit / self.workers,
        }
        .max(1)
    }

    /// Takes a turn at `now` (ms), or says in how many ms there may be one.
    ///
    /// # Errors
    /// The wait.
    pub fn take(&mut self, whom: For, now: i64) -> Result<Turn, i64> {
        self.is_open(whom, now)?;
        self.next_id += 1;
        self.own.push(Sent { id: self.next_id, at: now });
        Ok(Turn(self.next_id))
    }

    /// Whether there is a turn, without taking it.
    ///
    /// # Errors
    /// The wait.
    pub fn is_open(&mut self, whom: For, now: i64) -> Result<(), i64> {
        self.own.retain(|sent| sent.at > now - WINDOW_MS);
        self.others.retain(|at| *at > now - WINDOW_MS);
        let most = whom.of(self.limit());
        let used = self.own.len() + self.others.len();
        if used < most {
            return Ok(());
        }
        let mut times: Vec<i64> = self.own.iter().map(|sent| sent.at).chain(self.others.iter().copied()).collect();
        times.sort_unstable();
        // So many must leave the window before there is room.
        let last = times.get(used - most).copied().unwrap_or(now);
        Err((last + WINDOW_MS - now).max(1))
    }

    /// A call was answered at `now`; `left` is what the service says of its allowance.
    pub fn answered(&mut self, turn: Turn, left: Option<usize>, now: i64) {
        if let Some(sent) = self.own.iter_mut().find(|sent| sent.id == turn.0) {
            sent.at = now;
        }
        let Some(left) = left else { return };
        self.is_told = true;
        let of_others = self.limit.saturating_sub(left).saturating_sub(self.own.len());
        // The oldest have left the service's window.
        let gone = self.others.len().saturating_sub(of_others);
        self.others.drain(..gone);
        self.others.resize(of_others, now);
    }
}

#[cfg(test)]
mod tests;

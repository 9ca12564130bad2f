//! Until when a service takes no calls, because it has said so: what an answer said here, what another worker learnt, or what an
//! operator knows better. The newest word counts.

use super::call::RETRY_AFTER_MAX_S;
use super::error::ApiError;
use super::times::now_millis;
use std::sync::{Mutex, PoisonError};

/// No service is believed to be closed for longer than this after it said so, in ms.
const LONGEST_MS: i64 = RETRY_AFTER_MAX_S as i64 * 1000;

/// One service's.
#[derive(Debug, Default)]
pub struct Limited(Mutex<Word>);

/// Times in ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// No call before this time; in the past = calls are taken.
    pub until: i64,
    /// When that was said.
    pub said: i64,
}

impl Word {
    /// When calls are taken again, as far as it is believed.
    pub fn end(self) -> i64 {
        self.until.min(self.said.saturating_add(LONGEST_MS))
    }
}

impl Limited {
    /// Takes over what was said, unless something newer is known.
    pub fn learn(&self, word: Word) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if word.said > known.said {
            *known = Word { until: word.end(), ..word };
        }
    }

    /// Remembers the limit an answer carried, and passes the answer on. One that comes back while another holds for longer
    /// does not shorten it.
    pub fn noting<T>(&self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(ApiError::RateLimited { retry_after_s }) = &result {
            let wait_ms = i64::try_from(*retry_after_s).unwrap_or(i64::MAX).saturating_mul(1000);
            let now = now_millis();
            let until = now.saturating_add(wait_ms).max(self.word().map_or(0, |word| word.until));
            self.learn(Word { until, said: now });
        }
        result
    }

    /// What is known, if it still holds.
    pub fn word(&self) -> Option<Word> {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (known.until > now_millis()).then_some(known)
    }

    /// Whole seconds, at least 1, until calls are taken.
    pub fn seconds_left(&self) -> Option<u64> {
        let left_ms = self.word()?.until - now_millis();
        Some(u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_word_counts_and_none_holds_for_longer_than_an_hour() {
        let (limited, now) = (Limited::default(), now_millis());
        let left = |until, said| {
            limited.learn(Word { until: now + until, said: now + said });
            limited.seconds_left()
        };
        assert_eq!(left(-1, -30_000), None, "over already");
        assert!(left(60_000, -20_000).is_some_and(|s| (58..=60).contains(&s)));
        assert!(left(5_000, -20_000).is_some_and(|s| s > 50), "not newer");
        assert!(left(i64::from(u32::MAX) * 1000, -10_000).is_some_and(|s| (3500..=3600).contains(&s)));
        assert_eq!(left(-1, -5_000), None, "an operator has lifted it");
        assert_eq!(left(60_000, -3_700_000), None, "what was said before that is forgotten");
    }

    #[test]
    fn a_limit_in_an_answer_is_remembered_and_the_longer_one_wins() {
        let limited = Limited::default();
        limited.noting(Ok::<(), ApiError>(())).unwrap();
        assert_eq!(limited.seconds_left(), None);
        for retry_after_s in [57, 3] {
            assert!(limited.noting(Err::<(), _>(ApiError::RateLimited { retry_after_s })).is_err());
            assert!(limited.seconds_left().is_some_and(|s| (55..=57).contains(&s)));
        }
    }
}

//! Outbound pace: how fast this process may call a service, and when a service has said to stop. Shared by all
//! callers of one client; a service counts the calls of all workers together, so each takes its share. Says [`ApiError::RateLimited`] rather than keep a lane waiting for long.

use super::error::ApiError;
use super::times::now_millis;
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest time a caller is held back before it is told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The pace of one client.
#[derive(Debug)]
pub struct Pace {
    /// What all workers may do together.
    quotas: Vec<Quota>,
    share: Mutex<Share>,
    /// A turn that was taken for whoever calls next.
    kept: AtomicBool,
    /// Milliseconds since the epoch; 0 = not limited.
    limited_until_ms: AtomicI64,
}

/// This worker's part of it.
#[derive(Debug)]
struct Share {
    workers: u32,
    limits: Vec<Arc<DefaultDirectRateLimiter>>,
}

impl Pace {
    /// All of `quotas` hold at once.
    pub fn new(quotas: impl IntoIterator<Item = Quota>) -> Self {
        let quotas: Vec<Quota> = quotas.into_iter().collect();
        let limits = quotas.iter().map(|quota| Arc::new(RateLimiter::direct(*quota))).collect();
        Pace {
            quotas,
            share: Mutex::new(Share { workers: 1, limits }),
            kept: AtomicBool::new(false),
            limited_until_ms: AtomicI64::new(0),
        }
    }

    /// So many workers use what the service allows. Where that changes, the new share begins empty: what the old one
    /// has let through still counts at the service.
    pub fn share_among(&self, workers: u32) {
        let (workers, mut share) = (workers.max(1), self.share.lock().unwrap_or_else(PoisonError::into_inner));
        if share.workers != workers {
            let limits = self.quotas.iter().map(|quota| Arc::new(emptied(part_of(*quota, workers)))).collect();
            *share = Share { workers, limits };
        }
    }

    /// At most `per_minute` calls in any 60 seconds. A bucket of size b refilled at rate r lets b + 60r calls
    /// through in a minute, so half of the allowance is the burst and half is the refill.
    pub fn window_of_a_minute(per_minute: u32) -> Quota {
        let half = NonZeroU32::new(per_minute / 2).unwrap_or(NonZeroU32::MIN);
        Quota::per_minute(half)
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] while the service's own limit lasts, or when the turn is further away than 10 s.
    pub async fn turn(&self) -> Result<(), ApiError> {
        if let Some(retry_after_s) = self.seconds_left() {
            return Err(ApiError::RateLimited { retry_after_s });
        }
        if self.kept.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let limits = self.limits();
        let all = async {
            for limit in &limits {
                limit.until_ready().await;
            }
        };
        let late = |_| ApiError::RateLimited { retry_after_s: LONGEST_WAIT.as_secs() };
        tokio::time::timeout(LONGEST_WAIT, all).await.map_err(late)
    }

    /// Takes a turn for the next caller, without waiting: `Some(wait)` = there is none before that time. Who starts work only
    /// with a turn in hand keeps no place while there is none.
    pub fn keep_turn(&self) -> Option<Duration> {
        if let Some(seconds) = self.seconds_left() {
            return Some(Duration::from_secs(seconds));
        }
        if self.kept.load(Ordering::Relaxed) {
            return None;
        }
        // A turn that the first gave is lost where the next has none: the first is the one that gives them more often.
        for limit in self.limits() {
            if let Err(not_yet) = limit.check() {
                return Some(not_yet.wait_time_from(limit.clock().now()));
            }
        }
        self.kept.store(true, Ordering::Relaxed);
        None
    }

    fn limits(&self) -> Vec<Arc<DefaultDirectRateLimiter>> {
        self.share.lock().unwrap_or_else(PoisonError::into_inner).limits.clone()
    }

    /// The service allows no call before `until_ms` (epoch milliseconds): seen here, or by another worker.
    pub fn note_limited(&self, until_ms: i64) {
        self.limited_until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    /// Remembers the limit an answer carried, and passes the answer on.
    pub fn noting<T>(&self, result: Result<T, ApiError>) -> Result<T, ApiError> {
        if let Err(ApiError::RateLimited { retry_after_s }) = &result {
            let wait_ms = i64::try_from(*retry_after_s).unwrap_or(i64::MAX).saturating_mul(1000);
            self.note_limited(now_millis().saturating_add(wait_ms));
        }
        result
    }

    /// Until when the service allows no call, if that is still to come.
    pub fn limited_until_ms(&self) -> Option<i64> {
        Some(self.limited_until_ms.load(Ordering::Relaxed)).filter(|until| *until > now_millis())
    }

    fn seconds_left(&self) -> Option<u64> {
        let left_ms = self.limited_until_ms()? - now_millis();
        Some(u64::try_from(left_ms).unwrap_or(0).div_ceil(1000).max(1))
    }
}

/// One of `workers` equal parts.
fn part_of(quota: Quota, workers: u32) -> Quota {
    let burst = NonZeroU32::new(quota.burst_size().get() / workers).unwrap_or(NonZeroU32::MIN);
    let part = Quota::with_period(quota.replenish_interval().saturating_mul(workers));
    part.map_or(quota, |part| part.allow_burst(burst))
}

/// A limiter whose burst is used up.
fn emptied(quota: Quota) -> DefaultDirectRateLimiter {
    let limiter = RateLimiter::direct(quota);
    // It fails only where the burst is smaller than itself.
    let _ = limiter.check_n(quota.burst_size());
    limiter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_noted_limit_holds_every_caller_back() {
        let pace = Pace::new([]);
        assert!(pace.turn().await.is_ok());
        pace.note_limited(now_millis() + 60_000);
        pace.note_limited(now_millis() + 5_000);
        let wait = pace.turn().await.unwrap_err().retry_after().unwrap();
        assert!((58..=60).contains(&wait), "the longer limit wins: {wait}");
    }

    #[tokio::test]
    async fn a_turn_is_kept_for_the_next_caller_and_is_one() {
        let pace = Pace::new([Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::MIN.saturating_add(1))]);
        assert_eq!([pace.keep_turn(), pace.keep_turn()], [None, None], "kept once, however often it is asked for");
        assert!(pace.turn().await.is_ok());
        assert!(pace.turn().await.is_ok(), "the second of the burst");
        let wait = pace.keep_turn().unwrap();
        assert!(wait > Duration::from_secs(3000), "{wait:?}");
        pace.note_limited(now_millis() + 7_200_000);
        assert!(pace.keep_turn().unwrap() > Duration::from_secs(7000), "the service's own limit");
    }

    #[tokio::test]
    async fn a_limit_in_an_answer_is_remembered() {
        let pace = Pace::new([]);
        let answer: Result<(), _> = pace.noting(Err(ApiError::RateLimited { retry_after_s: 57 }));
        assert!(answer.is_err() && pace.turn().await.is_err());
        pace.noting(Ok(())).unwrap();
        assert!(pace.limited_until_ms().is_some());
    }

    #[test]
    fn workers_together_do_what_one_may() {
        let whole = Pace::window_of_a_minute(60);
        for workers in [1, 2, 3, 7, 30] {
            let part = part_of(whole, workers);
            let refill = 60.0 / part.replenish_interval().as_secs_f64();
            let together = f64::from(workers) * (f64::from(part.burst_size().get()) + refill);
            assert!(together <= 60.0 + 1e-6, "{workers}: {together}");
        }
    }

    #[test]
    fn another_number_of_workers_is_no_reason_for_another_burst() {
        let pace = Pace::new([Pace::window_of_a_minute(60)]);
        let ready = || {
            let limits = pace.share.lock().unwrap().limits.clone();
            (0..100).filter(|_| limits[0].check().is_ok()).count()
        };
        assert_eq!(ready(), 30);
        for workers in [2, 2, 1, 3] {
            pace.share_among(workers);
            assert_eq!(ready(), 0, "{workers}");
        }
    }

    #[test]
    fn a_minute_never_lets_more_through_than_allowed() {
        let quota = Pace::window_of_a_minute(60);
        let refill = 60.0 / quota.replenish_interval().as_secs_f64();
        assert!(f64::from(quota.burst_size().get()) + refill <= 60.0 + f64::EPSILON);
    }
}

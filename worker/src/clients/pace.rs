//! Outbound pace where a service does not say what is left of its allowance: how fast this process may call it. Shared by all
//! callers of one client; a service counts the calls of all workers together, so each takes its share. Says [`ApiError::RateLimited`] rather than keep a lane waiting for long.

use super::error::ApiError;
use super::limited::Limited;
use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
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
    pub limited: Limited,
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
            limited: Limited::default(),
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

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`ApiError::RateLimited`] while the service's own limit lasts, or when the turn is further away than 10 s.
    pub async fn turn(&self) -> Result<(), ApiError> {
        if let Some(retry_after_s) = self.limited.seconds_left() {
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
        if let Some(seconds) = self.limited.seconds_left() {
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
    async fn a_limit_in_an_answer_holds_every_caller_back() {
        let pace = Pace::new([]);
        assert!(pace.turn().await.is_ok());
        let answer: Result<(), _> = pace.limited.noting(Err(ApiError::RateLimited { retry_after_s: 57 }));
        assert!(answer.is_err());
        let wait = pace.turn().await.unwrap_err().retry_after().unwrap();
        assert!((55..=57).contains(&wait), "{wait}");
    }

    #[tokio::test]
    async fn a_turn_is_kept_for_the_next_caller_and_is_one() {
        let pace = Pace::new([Quota::per_hour(NonZeroU32::MIN).allow_burst(NonZeroU32::MIN.saturating_add(1))]);
        assert_eq!([pace.keep_turn(), pace.keep_turn()], [None, None], "kept once, however often it is asked for");
        assert!(pace.turn().await.is_ok());
        assert!(pace.turn().await.is_ok(), "the second of the burst");
        let wait = pace.keep_turn().unwrap();
        assert!(wait > Duration::from_secs(3000), "{wait:?}");
        let _ = pace.limited.noting(Err::<(), _>(ApiError::RateLimited { retry_after_s: 3600 }));
        assert!(pace.keep_turn().unwrap() > Duration::from_secs(3500), "the service's own limit");
    }

    #[test]
    fn workers_together_do_what_one_may() {
        let whole = Quota::per_minute(NonZeroU32::new(30).unwrap());
        for workers in [1, 2, 3, 7, 30] {
            let part = part_of(whole, workers);
            let refill = 60.0 / part.replenish_interval().as_secs_f64();
            let together = f64::from(workers) * (f64::from(part.burst_size().get()) + refill);
            assert!(together <= 60.0 + 1e-6, "{workers}: {together}");
        }
    }

    #[test]
    fn another_number_of_workers_is_no_reason_for_another_burst() {
        let pace = Pace::new([Quota::per_minute(NonZeroU32::new(30).unwrap())]);
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
}

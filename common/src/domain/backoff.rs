//! How long a failed job waits. Plain arithmetic; no jitter, because the queue spreads its claims by itself.

/// First wait of [`infra_wait`] is twice this, in seconds.
const INFRA_BASE_S: u64 = 5;
/// Longest wait of [`infra_wait`], in seconds.
const INFRA_MAX_S: u64 = 2 * 60 * 60;

/// Seconds an agent job waits after its `n`-th transient failure in a row (this one counted):
/// `min(2^n * base, max)`, or the server's Retry-After where that is longer, itself capped at `max`.
pub fn transient_wait(n: u32, base_s: u64, max_s: u64, retry_after_s: Option<u64>) -> u64 {
    let own = doubled(n, base_s, max_s);
    retry_after_s.map_or(own, |asked| own.max(asked.min(max_s)))
}

/// Seconds an event, advance or effect job waits after its `n`-th failure in a row (this one counted):
/// `min(2^n * 5, 7200)`. Twenty attempts have nineteen waits, together 75,030 seconds: 20 h 50 min.
pub fn infra_wait(n: u32) -> u64 {
    doubled(n, INFRA_BASE_S, INFRA_MAX_S)
}

/// Seconds before the `n`-th new start of an agent whose start came to nothing for a reason that time mends; `None` = that was
/// tried long enough, some quarter of an hour.
pub fn launch_wait(n: u32) -> Option<u64> {
    const TRIES: u32 = 8;
    const MAX_S: u64 = 300;
    (n <= TRIES).then(|| doubled(n, 2, MAX_S))
}

fn doubled(n: u32, base_s: u64, max_s: u64) -> u64 {
    2u64.checked_pow(n).and_then(|factor| factor.checked_mul(base_s)).map_or(max_s, |wait| wait.min(max_s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::JobKind;
    use proptest::prelude::*;

    #[test]
    fn transient_waits_double_and_heed_the_server() {
        let rows = [
            (1, None, 20),
            (2, None, 40),
            (3, None, 80),
            (20, None, 600),
            (1, Some(120), 120),
            (3, Some(5), 80),
            (1, Some(86_400), 600),
            (0, None, 10),
            (u32::MAX, Some(u64::MAX), 600),
        ];
        for (n, retry_after, want) in rows {
            assert_eq!(transient_wait(n, 10, 600, retry_after), want, "n = {n}, Retry-After {retry_after:?}");
        }
    }

    #[test]
    fn twenty_attempts_take_about_a_day() {
        for kind in [JobKind::Event, JobKind::Advance, JobKind::Effect] {
            let waits = u32::try_from(kind.max_attempts()).unwrap() - 1;
            let total: u64 = (1..=waits).map(infra_wait).sum();
            assert_eq!(total, 75_030, "{kind}");
        }
        assert_eq!(infra_wait(1), 10);
        assert_eq!(infra_wait(u32::MAX), 7_200);
    }

    #[test]
    fn a_start_is_tried_for_a_quarter_of_an_hour() {
        let waits: Vec<u64> = (1..).map_while(launch_wait).collect();
        assert_eq!(waits, [4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!([launch_wait(9), launch_wait(u32::MAX)], [None, None]);
    }

    proptest! {
        #[test]
        fn waits_grow_and_stay_under_the_maximum(n in any::<u32>(), base in any::<u64>(), max in any::<u64>(), asked in any::<Option<u64>>()) {
            let wait = transient_wait(n, base, max, asked);
            prop_assert!(wait <= max);
            prop_assert!(wait <= transient_wait(n.saturating_add(1), base, max, asked));
            prop_assert!(asked.is_none_or(|asked| wait >= asked.min(max)));
            prop_assert!(infra_wait(n) <= infra_wait(n.saturating_add(1)));
        }
    }
}

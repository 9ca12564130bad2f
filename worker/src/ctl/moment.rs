//! Times as people read them: UTC in ISO 8601, and how long ago.

use jiff::Timestamp;

/// `2026-11-22T13:30:55Z`; milliseconds since the epoch in, nothing finer than a second out.
pub fn iso(ms: i64) -> String {
    match Timestamp::from_second(ms.div_euclid(1000)) {
        Ok(at) => at.to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// `2026-11-22T13:30:55Z (3m ago)`.
pub fn shown(ms: i64, now: i64) -> String {
    format!("{} ({})", iso(ms), ago(ms, now))
}

/// As [`shown`], or a dash.
pub fn shown_if(ms: Option<i64>, now: i64) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| shown(ms, now))
}

/// `3m ago`, or `in 3m` for what is to come.
pub fn ago(ms: i64, now: i64) -> String {
    let passed = now.saturating_sub(ms);
    if passed < 0 { format!("in {}", span(-passed)) } else { format!("{} ago", span(passed)) }
}

/// The largest whole unit of a length of time in ms: `59s`, `3m`, `7h`, `12d`.
pub fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_their_age() {
        let at = 1_795_354_255_999;
        assert_eq!(iso(at), "2026-11-22T13:30:55Z");
        assert_eq!(shown(at, at + 185_000), "2026-11-22T13:30:55Z (3m ago)");
        assert_eq!(shown_if(None, at), "-");
        assert_eq!(iso(i64::MAX), format!("{} ms", i64::MAX));
    }

    #[test]
    fn ages_use_the_largest_unit() {
        for (ms, text) in [
            (-5, "0s"),
            (999, "0s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (3_600_000, "1h"),
            (47 * 3_600_000, "47h"),
            (48 * 3_600_000, "2d"),
        ] {
            assert_eq!(span(ms), text, "{ms}");
        }
        assert_eq!(ago(5_000, 0), "in 5s");
    }
}

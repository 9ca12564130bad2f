//! The one place where the worker reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX).saturating_add(offset_ms())
}

#[cfg(not(debug_assertions))]
const fn offset_ms() -> i64 {
    0
}

/// A test sets the clock by writing milliseconds into the file that `ORCH_CLOCK_OFFSET_FILE` names.
#[cfg(debug_assertions)]
fn offset_ms() -> i64 {
    static FILE: std::sync::OnceLock<Option<std::ffi::OsString>> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("ORCH_CLOCK_OFFSET_FILE")).as_ref();
    let text = file.and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

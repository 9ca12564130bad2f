//! What a task, a project and a day may cost, and the guard against loops that burn money without progress.
//! Nothing in here knows where the numbers come from or what is done about a stop.

use super::usage::plain_usd;
use crate::named_enum;
use serde::{Deserialize, Serialize};
use std::fmt;

/// More runs than this inside [`LOOP_WINDOW_MS`] without progress are a loop.
pub const LOOP_RUNS: usize = 10;
/// The window of the loop guard, milliseconds.
pub const LOOP_WINDOW_MS: i64 = 30 * 60 * 1_000;

named_enum! {
    /// The limits there are.
    pub enum Limit ("limit") {
        RunUsd = "run_usd",
        RunTurns = "run_turns",
        TaskUsd = "task_usd",
        TaskRuns = "task_runs",
        ProjectUsdPerDay = "project_usd_per_day",
        DayUsd = "day_usd",
        RunTokens = "run_tokens",
        TaskTokens = "task_tokens",
        ProjectTokensPerDay = "project_tokens_per_day",
        DayTokens = "day_tokens",
    }
}

/// Configured limits; what is absent is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// US dollars of one run.
    pub run_usd: Option<f64>,
    /// Turns of one run.
    pub run_turns: Option<u32>,
    /// US dollars of all runs of a task.
    pub task_usd: Option<f64>,
    /// Runs of a task.
    pub task_runs: Option<u32>,
    /// US dollars of a project's runs in a day (UTC).
    pub project_usd_per_day: Option<f64>,
    /// US dollars of all runs in a day (UTC).
    pub day_usd: Option<f64>,
    /// Tokens of one run: read, written to and read from caches, and said.
    pub run_tokens: Option<u64>,
    /// Tokens of all runs of a task.
    pub task_tokens: Option<u64>,
    /// Tokens of a project's runs in a day (UTC).
    pub project_tokens_per_day: Option<u64>,
    /// Tokens of all runs in a day (UTC).
    pub day_tokens: Option<u64>,
}

/// What has been spent; before a run starts its own part is zero.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spending {
    pub run_usd: f64,
    pub run_turns: u32,
    pub task_usd: f64,
    pub task_runs: u32,
    pub project_day_usd: f64,
    pub day_usd: f64,
    pub run_tokens: u64,
    pub task_tokens: u64,
    pub project_day_tokens: u64,
    pub day_tokens: u64,
}

/// A limit that is used up: nothing more may be started under it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BudgetStop {
    pub which: Limit,
    /// US dollars or a count, as `which` says.
    pub limit: f64,
    /// In the limit's unit.
    pub spent: f64,
}

/// The first limit that is reached or passed, the narrowest first.
pub fn check(limits: &Limits, spending: &Spending) -> Option<BudgetStop> {
    let rows = [
        (Limit::RunUsd, limits.run_usd, spending.run_usd),
        (Limit::RunTurns, limits.run_turns.map(f64::from), f64::from(spending.run_turns)),
        (Limit::TaskUsd, limits.task_usd, spending.task_usd),
        (Limit::TaskRuns, limits.task_runs.map(f64::from), f64::from(spending.task_runs)),
        (Limit::ProjectUsdPerDay, limits.project_usd_per_day, spending.project_day_usd),
        (Limit::DayUsd, limits.day_usd, spending.day_usd),
        (Limit::RunTokens, limits.run_tokens.map(as_f64), as_f64(spending.run_tokens)),
        (Limit::TaskTokens, limits.task_tokens.map(as_f64), as_f64(spending.task_tokens)),
        (Limit::ProjectTokensPerDay, limits.project_tokens_per_day.map(as_f64), as_f64(spending.project_day_tokens)),
        (Limit::DayTokens, limits.day_tokens.map(as_f64), as_f64(spending.day_tokens)),
    ];
    rows.into_iter().find_map(|(which, limit, spent)| {
        limit.filter(|limit| spent >= *limit).map(|limit| BudgetStop { which, limit, spent })
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, far beyond any count of tokens")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

impl Limit {
    /// Money, as opposed to a count.
    pub const fn is_money(self) -> bool {
        match self {
            Limit::RunUsd | Limit::TaskUsd | Limit::ProjectUsdPerDay | Limit::DayUsd => true,
            Limit::RunTurns
            | Limit::TaskRuns
            | Limit::RunTokens
            | Limit::TaskTokens
            | Limit::ProjectTokensPerDay
            | Limit::DayTokens => false,
        }
    }

    /// An amount of this limit for people: `$1.20` or `7`.
    pub fn amount(self, value: f64) -> String {
        if self.is_money() { format!("${:.2}", plain_usd(value)) } else { format!("{value:.0}") }
    }
}

impl fmt::Display for BudgetStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spent, limit) = (self.which.amount(self.spent), self.which.amount(self.limit));
        write!(f, "{} reached: {spent} of {limit}", self.which)
    }
}

/// The task ran too often without getting anywhere: more than [`LOOP_RUNS`] of the starts (milliseconds since the
/// epoch, any order) lie in the last [`LOOP_WINDOW_MS`] and after the last new commit or stage change.
pub fn too_many_runs(run_starts_ms: &[i64], last_progress_ms: i64, now_ms: i64) -> bool {
    let since = now_ms.saturating_sub(LOOP_WINDOW_MS).max(last_progress_ms);
    run_starts_ms.iter().filter(|start| **start > since && **start <= now_ms).count() > LOOP_RUNS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Limits {
        Limits {
            run_usd: Some(1.0),
            run_turns: Some(50),
            task_usd: Some(5.0),
            task_runs: Some(12),
            project_usd_per_day: Some(20.0),
            day_usd: Some(50.0),
            run_tokens: Some(100),
            task_tokens: Some(500),
            project_tokens_per_day: Some(2_000),
            day_tokens: Some(5_000),
        }
    }

    #[test]
    fn each_limit_stops() {
        let rows = [
            (Limit::RunUsd, Spending { run_usd: 1.0, ..Spending::default() }, "$1.00 of $1.00"),
            (Limit::RunTurns, Spending { run_turns: 51, ..Spending::default() }, "51 of 50"),
            (Limit::TaskUsd, Spending { task_usd: 5.004, ..Spending::default() }, "$5.00 of $5.00"),
            (Limit::TaskRuns, Spending { task_runs: 12, ..Spending::default() }, "12 of 12"),
            (Limit::ProjectUsdPerDay, Spending { project_day_usd: 21.5, ..Spending::default() }, "$21.50 of $20.00"),
            (Limit::DayUsd, Spending { day_usd: 50.0, ..Spending::default() }, "$50.00 of $50.00"),
            (Limit::RunTokens, Spending { run_tokens: 100, ..Spending::default() }, "100 of 100"),
            (Limit::TaskTokens, Spending { task_tokens: 1_900_000, ..Spending::default() }, "1900000 of 500"),
            (Limit::ProjectTokensPerDay, Spending { project_day_tokens: 2_001, ..Spending::default() }, "2001 of 2000"),
            (Limit::DayTokens, Spending { day_tokens: 5_000, ..Spending::default() }, "5000 of 5000"),
        ];
        for (which, spending, text) in rows {
            let stop = check(&all(), &spending).unwrap();
            assert_eq!(stop.which, which);
            assert!(stop.to_string().contains(text), "{stop}");
            assert_eq!(check(&Limits::default(), &spending), None, "{which} is not set");
        }
    }

    #[test]
    fn nothing_stops_below_the_limits() {
        let spending = Spending {
            run_usd: 0.99,
            run_turns: 49,
            task_usd: 4.99,
            task_runs: 11,
            project_day_usd: 19.99,
            day_usd: 49.99,
            run_tokens: 99,
            task_tokens: 499,
            project_day_tokens: 1_999,
            day_tokens: 4_999,
        };
        assert_eq!(check(&all(), &spending), None);
    }

    #[test]
    fn a_limit_of_zero_stops_at_once() {
        let limits = Limits { day_usd: Some(0.0), ..Limits::default() };
        assert_eq!(check(&limits, &Spending::default()).map(|stop| stop.which), Some(Limit::DayUsd));
    }

    #[test]
    fn eleven_runs_in_half_an_hour_are_a_loop() {
        let now = 10_000_000;
        let starts: Vec<i64> = (0..11).map(|i| now - i * 60_000).collect();
        assert!(too_many_runs(&starts, 0, now));
        assert!(!too_many_runs(&starts[..10], 0, now), "ten are allowed");
        assert!(!too_many_runs(&starts, now - 5 * 60_000, now), "progress starts the count anew");
        assert!(!too_many_runs(&starts, 0, now + LOOP_WINDOW_MS), "they are long ago");
        assert!(!too_many_runs(&[now + 1; 20], 0, now), "a clock that jumped back proves nothing");
        assert!(!too_many_runs(&[], 0, i64::MIN));
    }

    proptest! {
        #[test]
        fn more_spending_never_lifts_a_stop(task in 0.0f64..100.0, more in 0.0f64..100.0, limit in 0.0f64..100.0) {
            let limits = Limits { task_usd: Some(limit), ..Limits::default() };
            let stopped = |usd| check(&limits, &Spending { task_usd: usd, ..Spending::default() }).is_some();
            prop_assert!(!stopped(task) || stopped(task + more));
        }
    }
}

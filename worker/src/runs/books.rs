//! From what a run's log tells to what stands on the books: its own cost, and what its result settles of earlier runs.

use orch_common::domain::failure::{LogView, Tally};
use orch_common::domain::price::PriceTable;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::usage::{Earlier, Shares, plain_usd, share};
use orch_common::store::runs::Run;
use orch_common::store::spent::Running;

/// The signal after which the CLI has written nothing down.
const SIGKILL: i32 = 9;

/// What a run stands at.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub figures: Running,
    /// What the CLI will have counted for the session so far; 0 = it told nothing.
    pub cumulative: f64,
    /// Estimates of earlier runs that are known by now, by id.
    pub settled: Vec<(String, f64)>,
}

/// What stands in a run's row.
pub(super) fn on_row(row: &Run) -> Running {
    Running {
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cache_tokens: row.cache_tokens,
        cost_usd: row.cost_usd,
        estimated: row.estimated,
        unpriced: row.unpriced,
    }
}

/// The end of a run; a log that cannot be read leaves what was counted while it went on.
pub(super) fn closing(log: Option<&LogView>, prices: &PriceTable, row: &Run, others: &[Run]) -> Entry {
    let Some(log) = log else { return Entry { figures: on_row(row), cumulative: 0.0, settled: Vec::new() } };
    let version = log.records.claude_code_version.as_deref();
    let entry = entry(&log.records.meter.tally(prices), row, others, version);
    Entry { figures: never_less(entry.figures, &on_row(row)), ..entry }
}

/// `others`: the other runs of its session.
pub(super) fn entry(tally: &Tally, row: &Run, others: &[Run], version: Option<&str>) -> Entry {
    let shares = match tally.told_usd {
        Some(told) => share(&earlier(row, others), told, tally.closed_usd.filter(|usd| *usd > 0.0), version),
        None => Shares::default(),
    };
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Entry {
        figures: Running {
            input_tokens: signed(tally.tokens.input),
            output_tokens: signed(tally.tokens.output),
            cache_tokens: signed(tally.tokens.cached()),
            cost_usd: plain_usd(shares.own + tally.open_usd),
            estimated: tally.estimated,
            unpriced: tally.unpriced,
        },
        cumulative: tally.told_usd.map_or(0.0, |told| plain_usd(told + tally.open_usd)),
        settled: shares.settled,
    }
}

/// A log that lost its middle tells less than was counted while it was written.
pub(super) fn never_less(now: Running, before: &Running) -> Running {
    let total = |f: &Running| f.input_tokens.saturating_add(f.output_tokens).saturating_add(f.cache_tokens);
    if !now.estimated || total(&now) >= total(before) {
        return now;
    }
    Running { cost_usd: now.cost_usd.max(before.cost_usd), ..before.clone() }
}

fn earlier(row: &Run, others: &[Run]) -> Vec<Earlier> {
    let before = others.iter().filter(|run| row.resumed && run.started_at <= row.started_at);
    let entry = |run: &Run| Earlier {
        id: run.id.clone(),
        usd: run.cost_usd,
        cumulative: run.cost_cumulative,
        estimated: run.estimated,
        forgotten: forgotten(run),
    };
    before.map(entry).collect()
}

/// Its processes were killed: by somebody, or by the sweep that follows a supervisor's death.
fn forgotten(run: &Run) -> bool {
    let swept = run.outcome == Some(RunOutcome::Lost) && run.exit_code.is_none() && run.exit_signal.is_none();
    swept || run.exit_signal == Some(SIGKILL)
}

//! Tokens and what they cost: sums, the words for people, and how the runs of one session share the figure that the CLI
//! tells of all of them together.

use serde::{Deserialize, Serialize};

/// More tokens than any run can take; what a log claims beyond is not believed, so that sums cannot overflow.
const TOKENS_MAX: u64 = 1_000_000_000_000;
/// US dollars, for the same reason.
const USD_MAX: f64 = 1e9;
/// The last version of the CLI that is known to tell the cost of its own process alone.
const LAST_PER_PROCESS: [u32; 3] = [2, 1, 197];

/// Tokens by what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tokens {
    /// Not from a cache.
    pub input: u64,
    pub output: u64,
    pub cache_read: u64,
    /// Written to a cache for five minutes.
    pub cache_write: u64,
    /// Written to a cache for an hour.
    pub cache_write_1h: u64,
}

impl Tokens {
    /// Combines two counts field by field.
    pub fn zip(&self, other: &Tokens, f: fn(u64, u64) -> u64) -> Tokens {
        let bounded = |a, b| f(a, b).min(TOKENS_MAX);
        Tokens {
            input: bounded(self.input, other.input),
            output: bounded(self.output, other.output),
            cache_read: bounded(self.cache_read, other.cache_read),
            cache_write: bounded(self.cache_write, other.cache_write),
            cache_write_1h: bounded(self.cache_write_1h, other.cache_write_1h),
        }
    }

    #[must_use]
    pub fn plus(&self, other: &Tokens) -> Tokens {
        self.zip(other, u64::saturating_add)
    }

    /// All of them: what budgets in tokens count.
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output).saturating_add(self.cached())
    }

    /// Read from and written to caches.
    pub fn cached(&self) -> u64 {
        self.cache_read.saturating_add(self.cache_write).saturating_add(self.cache_write_1h)
    }

    pub fn is_zero(&self) -> bool {
        self.total() == 0
    }
}

/// A cost that can be added up: finite, neither negative nor the zero that is shown as `-0.00`.
pub fn plain_usd(usd: f64) -> f64 {
    if usd > 0.0 { usd.min(USD_MAX) } else { 0.0 }
}

/// A cost for people: `$1.25`, below a cent with four digits; `~$1.25` where it is estimated, `unpriced` where tokens
/// have no price.
pub fn cost_text(usd: f64, estimated: bool, unpriced: bool) -> String {
    let usd = plain_usd(usd);
    let digits = if usd > 0.0 && usd < 0.01 { 4 } else { 2 };
    let mark = if estimated { "~" } else { "" };
    match (unpriced, usd > 0.0) {
        (true, false) => "unpriced".to_owned(),
        (true, true) => format!("{mark}${usd:.digits$} + unpriced"),
        (false, _) => format!("{mark}${usd:.digits$}"),
    }
}

/// An earlier run of the same session.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    pub id: String,
    /// What it stands at on the books.
    pub usd: f64,
    /// What the CLI told of the session at its end; 0 = it told nothing.
    pub cumulative: f64,
    /// Counted from its log, no result told it.
    pub estimated: bool,
    /// Killed in a way that leaves the CLI no time to write down what it had cost.
    pub forgotten: bool,
}

/// What each run of a session cost, once the CLI has told a sum.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    pub own: f64,
    /// Earlier runs whose estimates the sum replaces, by id.
    pub settled: Vec<(String, f64)>,
}

/// Parts `told`, the cost that a run's result names, among the runs of its session (`earlier`, the oldest first; empty
/// for a run that resumed none). Newer versions of the CLI (`version`) sum up over resumes, what ended without a result
/// included, unless a SIGKILL made them forget it; older ones tell the process alone. `own` is what the run's own tokens
/// cost by the table of prices, if all have a price. The books then sum up to what the CLI says.
pub fn share(earlier: &[Earlier], told: f64, own: Option<f64>, version: Option<&str>) -> Shares {
    let told = plain_usd(told);
    let alone = Shares { own: told, settled: Vec::new() };
    let known = earlier.iter().rposition(|run| run.cumulative > 0.0);
    let before = known.and_then(|at| earlier.get(at)).map_or(0.0, |run| run.cumulative);
    let later = earlier.get(known.map_or(0, |at| at + 1)..).unwrap_or_default();
    let open: Vec<&Earlier> = later.iter().filter(|run| run.estimated && !run.forgotten).collect();
    if told < before || sums_up(version) == Some(false) || (known.is_none() && open.is_empty()) {
        return alone;
    }
    let unsure = sums_up(version).is_none() || later.iter().any(|run| run.forgotten);
    let pending: f64 = open.iter().map(|run| run.usd).sum();
    if let (true, Some(own)) = (unsure, own) {
        // Whichever the run's own tokens come nearer to.
        let off = |sum: f64| (sum - told).abs();
        if off(own) < off(before + pending + own) {
            return alone;
        }
    }
    part(told - before, &open, pending, own)
}

/// Parts `rest` in proportion to the estimates.
fn part(rest: f64, open: &[&Earlier], pending: f64, own: Option<f64>) -> Shares {
    let own = own.unwrap_or_else(|| (rest - pending).max(0.0));
    let sum = pending + own;
    if sum <= 0.0 {
        return Shares { own: plain_usd(rest), settled: Vec::new() };
    }
    let of = |usd: f64| plain_usd(rest * usd / sum);
    Shares { own: of(own), settled: open.iter().map(|run| (run.id.clone(), of(run.usd))).collect() }
}

/// Whether this version tells the sum over resumes; `None` = not known.
fn sums_up(version: Option<&str>) -> Option<bool> {
    let number = version?.split_whitespace().next()?;
    let mut parts = number.split('.').map(|part| part.parse::<u32>().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??];
    (version <= LAST_PER_PROCESS || version >= [2, 1, 330]).then_some(version > LAST_PER_PROCESS)
}

#[cfg(test)]
mod tests;

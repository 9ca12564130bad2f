//! The few facts that are kept of a run's log, and how one line adds to them. Unknown keys and types are ignored,
//! and a field of an unexpected type counts as absent: the CLI changes its records from version to version.

use super::meter::Meter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Longest kept name (model, tool, session), in characters.
const NAME_MAX: usize = 100;
/// Longest kept error text, in characters.
const TEXT_MAX: usize = 2_000;
/// Kinds of refused tools that are kept by name; the others are counted together.
const DENIED_MAX: usize = 20;
/// Longest kept name of a refused tool, in characters.
const TOOL_MAX: usize = 60;
/// Where the other kinds of refused tools are counted.
const OTHER_TOOLS: &str = "others";
/// Exhausted allowances that are kept.
const LIMITS_MAX: usize = 16;
/// The `type` of the line that stands where the middle of an overlong log was; `bytes` is how many are missing.
pub const TRIMMED: &str = "orch_log_trimmed";
/// Numbers from here on are milliseconds since the epoch, not seconds.
const SECONDS_END: f64 = 1e11;

/// What the records of a run say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    pub session_id: Option<String>,
    pub model: Option<String>,
    pub claude_code_version: Option<String>,
    /// The `result` record that decides; a run may write several. The last one that ended work: one without turns, tokens
    /// or words of the model since the one before it only follows that.
    pub result: Option<ResultRecord>,
    /// The last `result` record of all is an error, so that the exit code is.
    pub last_is_error: bool,
    /// How many `result` records there are.
    pub results: u32,
    /// Nothing was begun since the last of them.
    pub is_over: bool,
    /// The top-level `error` of the main agent's last `assistant` record, e.g. `rate_limit`.
    pub assistant_error: Option<String>,
    /// Exhausted allowances by kind, but for those that were later reported as available.
    pub rejected: Vec<RateLimit>,
    /// Tools that were refused, by name.
    pub denied: Vec<Denial>,
    /// Retries inside the CLI.
    pub api_retries: u32,
    /// Records of what the model said to the main agent, error messages not among them; several may be one answer.
    pub said: u32,
    /// Of all `result` records together; `None` without one.
    pub usage: Option<RunUsage>,
    /// Tokens and cost as far as all records together tell.
    pub meter: Meter,
    /// `said` when the last `result` record came.
    said_before: u32,
}

/// The deciding fields of a `result` record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResultRecord {
    pub subtype: String,
    pub is_error: bool,
    pub api_error_status: Option<u16>,
    pub api_error: Option<String>,
    pub terminal_reason: Option<String>,
    pub stop_reason: Option<String>,
    /// `result`, or the `errors` joined; the agent's words where `is_error` is false.
    pub text: String,
}

/// An exhausted allowance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// e.g. `five_hour`.
    pub limit_type: String,
    /// Milliseconds since the epoch.
    pub reset_at_ms: Option<i64>,
}

/// How often a tool was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub tool: String,
    pub count: u32,
}

/// Tokens, cost and turns of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_creation_tokens: u64,
    /// US dollars; of all runs of the session, not of this one alone, where it was resumed by a CLI that sums up.
    pub cost_usd_cumulative: f64,
    pub turns: u32,
}

/// The keys that are looked at; everything else is skipped without being kept.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) kind: Value,
    pub(super) subtype: Value,
    session_id: Value,
    pub(super) model: Value,
    claude_code_version: Value,
    pub(super) parent_tool_use_id: Value,
    /// Not read but where it is wanted: results of tools are long.
    pub(super) message: Option<Box<RawValue>>,
    pub(super) event: Option<Box<RawValue>>,
    error: Value,
    tool_name: Value,
    rate_limit_info: Value,
    is_error: Value,
    api_error_status: Value,
    api_error: Value,
    terminal_reason: Value,
    stop_reason: Value,
    result: Value,
    errors: Value,
    permission_denials: Value,
    pub(super) usage: Value,
    pub(super) total_cost_usd: Value,
    num_turns: Value,
}

impl Line {
    /// An object of the CLI's making: one with a `type`. A provider's bare error body (`"type":"error"`) is text, and so is
    /// what was put where a log was trimmed.
    pub(super) fn is_record(&self) -> bool {
        self.kind.as_str().is_some_and(|kind| kind != "error" && kind != TRIMMED)
    }
}

impl Summary {
    pub(super) fn add(&mut self, line: &Line) {
        self.meter.add(line);
        match (line.kind.as_str(), line.subtype.as_str()) {
            (Some("system"), Some("init")) => self.add_init(line),
            (Some("system"), Some("api_retry")) => self.api_retries = self.api_retries.saturating_add(1),
            (Some("system"), Some("permission_denied")) => self.deny(line.tool_name.as_str()),
            (Some("assistant"), _) if line.parent_tool_use_id.is_null() => {
                self.assistant_error = name(&line.error);
                self.said = self.said.saturating_add(u32::from(self.assistant_error.is_none()));
            }
            (Some("rate_limit_event"), _) => self.add_rate_limit(&line.rate_limit_info),
            (Some("result"), _) => self.add_result(line),
            _ => {}
        }
        match (line.kind.as_str(), line.subtype.as_str()) {
            (Some("result"), _) => self.is_over = true,
            (Some("assistant" | "user" | "stream_event"), _) | (Some("system"), Some("init")) => self.is_over = false,
            _ => {}
        }
        if self.session_id.is_none() {
            self.session_id = name(&line.session_id);
        }
    }

    fn add_init(&mut self, line: &Line) {
        self.session_id = name(&line.session_id);
        self.model = name(&line.model);
        self.claude_code_version = name(&line.claude_code_version);
    }

    fn add_rate_limit(&mut self, info: &Value) {
        let limit_type = info.get("rateLimitType").and_then(name).unwrap_or_default();
        self.rejected.retain(|known| known.limit_type != limit_type);
        if info.get("status").and_then(Value::as_str) == Some("rejected") && self.rejected.len() < LIMITS_MAX {
            let reset_at_ms = info.get("resetsAt").and_then(epoch_ms);
            self.rejected.push(RateLimit { limit_type, reset_at_ms });
        }
    }

    /// The exhausted allowance that comes back last.
    pub fn longest_limit(&self) -> Option<&RateLimit> {
        self.rejected.iter().max_by_key(|limit| limit.reset_at_ms)
    }

    /// The record names this run's session, or is the one that begins it.
    pub(super) fn is_own(&self, line: &Line) -> bool {
        match &self.session_id {
            Some(session) => name(&line.session_id).as_ref() == Some(session),
            None => line.subtype.as_str() == Some("init") && !line.session_id.is_null(),
        }
    }

    fn add_result(&mut self, line: &Line) {
        let record = result(line);
        let usage = usage(line);
        let ended_work = usage.turns > 0 || usage.tokens() > 0 || self.said > self.said_before;
        self.last_is_error = record.is_error;
        self.results = self.results.saturating_add(1);
        self.said_before = self.said;
        if ended_work || self.result.is_none() {
            self.result = Some(record);
        }
        self.usage = Some(self.usage.unwrap_or_default().and(&usage));
        let denied = denials(&line.permission_denials);
        if total(&denied) >= total(&self.denied) {
            self.denied = denied;
        }
    }

    /// Counts a refusal that is reported while the run goes on; the result's own list replaces these.
    fn deny(&mut self, tool: Option<&str>) {
        count_denial(&mut self.denied, tool);
    }
}

fn result(line: &Line) -> ResultRecord {
    let subtype = name(&line.subtype).unwrap_or_default();
    let text = line.result.as_str().map(|text| cut(text, TEXT_MAX)).unwrap_or_else(|| joined(&line.errors));
    ResultRecord {
        is_error: line.is_error.as_bool().unwrap_or(subtype != "success") || subtype.starts_with("error"),
        api_error_status: line.api_error_status.as_u64().and_then(|status| u16::try_from(status).ok()),
        api_error: name(&line.api_error),
        terminal_reason: name(&line.terminal_reason),
        stop_reason: name(&line.stop_reason),
        text,
        subtype,
    }
}

impl RunUsage {
    /// Tokens of every kind.
    fn tokens(&self) -> u64 {
        [self.input_tokens, self.output_tokens, self.cache_read_tokens, self.cache_creation_tokens]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// With those of a later result of the same process: tokens and turns are per result, the cost is that of the
    /// process so far, which a result without work may leave out.
    fn and(self, later: &RunUsage) -> RunUsage {
        RunUsage {
            input_tokens: self.input_tokens.saturating_add(later.input_tokens),
            output_tokens: self.output_tokens.saturating_add(later.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_add(later.cache_read_tokens),
            cache_creation_tokens: self.cache_creation_tokens.saturating_add(later.cache_creation_tokens),
            cost_usd_cumulative: self.cost_usd_cumulative.max(later.cost_usd_cumulative),
            turns: self.turns.saturating_add(later.turns),
        }
    }
}

fn usage(line: &Line) -> RunUsage {
    let tokens = |key: &str| line.usage.get(key).and_then(Value::as_u64).unwrap_or_default();
    RunUsage {
        input_tokens: tokens("input_tokens"),
        output_tokens: tokens("output_tokens"),
        cache_read_tokens: tokens("cache_read_input_tokens"),
        cache_creation_tokens: tokens("cache_creation_input_tokens"),
        cost_usd_cumulative: line.total_cost_usd.as_f64().filter(|usd| usd.is_finite()).unwrap_or_default().max(0.0),
        turns: line.num_turns.as_u64().and_then(|turns| u32::try_from(turns).ok()).unwrap_or_default(),
    }
}

fn denials(list: &Value) -> Vec<Denial> {
    let mut denied = Vec::new();
    for entry in list.as_array().into_iter().flatten() {
        count_denial(&mut denied, entry.get("tool_name").and_then(Value::as_str));
    }
    denied.sort_by(|a, b| a.tool.cmp(&b.tool));
    denied
}

/// An agent may ask for any number of tools that are not there.
fn count_denial(denied: &mut Vec<Denial>, tool: Option<&str>) {
    let name = cut(tool.filter(|tool| !tool.is_empty()).unwrap_or("unknown"), TOOL_MAX).replace(['\n', ','], " ");
    let known = denied.iter().any(|denial| denial.tool == name);
    let name = if known || denied.len() < DENIED_MAX { name } else { OTHER_TOOLS.to_owned() };
    match denied.iter_mut().find(|denial| denial.tool == name) {
        Some(denial) => denial.count = denial.count.saturating_add(1),
        None => denied.push(Denial { tool: name, count: 1 }),
    }
}

fn total(denied: &[Denial]) -> u64 {
    denied.iter().map(|denial| u64::from(denial.count)).sum()
}

/// Seconds, milliseconds or an RFC 3339 text.
fn epoch_ms(value: &Value) -> Option<i64> {
    if let Some(text) = value.as_str() {
        let stamp = text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond);
        return stamp.ok().or_else(|| text.parse().ok().and_then(number_ms));
    }
    value.as_f64().and_then(number_ms)
}

fn number_ms(number: f64) -> Option<i64> {
    let ms = if number < SECONDS_END { number * 1_000.0 } else { number };
    // Within 2^53 every whole number is exact, so the conversion cannot change it.
    (ms.is_finite() && (0.0..9e15).contains(&ms)).then_some(ms.round() as i64)
}

fn joined(errors: &Value) -> String {
    let texts = errors.as_array().into_iter().flatten().filter_map(Value::as_str);
    cut(&texts.collect::<Vec<_>>().join("; "), TEXT_MAX)
}

pub(super) fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| cut(text, NAME_MAX))
}

fn cut(text: &str, max: usize) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\n').take(max).collect()
}

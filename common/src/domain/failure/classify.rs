//! The order of judgement: how it ended, then the result record, then the typed error facts, then text.

use super::{How, LogView, Outcome, ResultRecord, RunEnd, Summary, text};

/// Longest reason, in characters.
const WHY_MAX: usize = 300;
/// The longest that one record may stop everybody: allowances are by the hour or by the week, and an agent can write
/// into its own log.
const LONGEST_LIMIT_MS: i64 = 8 * 24 * 60 * 60 * 1000;
/// What a shell answers when a program cannot be executed, or is not there.
const NOT_EXECUTABLE: [i32; 2] = [126, 127];

/// What the end of a run means.
pub fn classify(run: &RunEnd) -> Outcome {
    match &run.how {
        How::Stopped { cause } => Outcome::Stopped { cause: *cause },
        How::TimedOut => permanent("killed at its time limit"),
        How::Stalled => permanent("killed after a long silence"),
        How::LogLimit => permanent("killed because its log grew over the limit"),
        How::LaunchFailed { why } => permanent(&format!("could not be launched: {why}")),
        How::Ended { exit_code, signal } => ended(run, Exit { code: *exit_code, signal: *signal }),
        // What the process did after its result says nothing about the work.
        How::Lingered => ended(run, Exit { code: Some(0), signal: None }),
    }
}

fn ended(run: &RunEnd, exit: Exit) -> Outcome {
    match &run.log {
        None => permanent("its log cannot be read"),
        Some(log) => by_log(run, log, exit),
    }
}

/// How a process that nobody stopped came to its end.
#[derive(Clone, Copy)]
struct Exit {
    code: Option<i32>,
    signal: Option<i32>,
}

impl Exit {
    fn is_ok(self) -> bool {
        self.code == Some(0) && self.signal.is_none()
    }

    /// The signal that ended it, also where a shell or the CLI turned it into an exit code.
    fn killed_by(self) -> Option<i32> {
        self.signal
            .or_else(|| self.code.and_then(|code| code.checked_sub(128)).filter(|signal| (1..=64).contains(signal)))
    }

    fn words(self) -> String {
        match (self.killed_by(), self.code) {
            (Some(9), _) => "killed by signal 9 (out of memory?)".to_owned(),
            (Some(signal), _) => format!("killed by signal {signal}"),
            (None, Some(code)) => format!("exit {code}"),
            (None, None) => "unknown exit".to_owned(),
        }
    }
}

fn by_log(run: &RunEnd, log: &LogView, exit: Exit) -> Outcome {
    match &log.records.result {
        Some(result) if result.stop_reason.as_deref() == Some("refusal") => refused(result),
        Some(result) if !result.is_error && !is_finished(result) => unfinished(result),
        Some(result) if !result.is_error && exit_fits(&log.records, exit) => {
            Outcome::Success { denied: log.records.denied.clone() }
        }
        Some(result) if !result.is_error => permanent(&format!("{} after its result", exit.words())),
        Some(result) => by_result(result, &log.records, run.now_ms),
        None if log.any_json => without_result(run, &log.records, exit),
        None => by_text(run, log, exit),
    }
}

/// A record without work may follow the result; the CLI's exit code is that of its last record.
fn exit_fits(records: &Summary, exit: Exit) -> bool {
    exit.is_ok() || (records.last_is_error && exit.code == Some(1) && exit.signal.is_none())
}

/// The agent came to the end of its work. A turn that was broken off for another message, or by a hook, says "success"
/// as well, with nothing in it.
fn is_finished(result: &ResultRecord) -> bool {
    let is_empty = result.text.trim().is_empty();
    match result.terminal_reason.as_deref() {
        None | Some("completed") => !(is_empty && result.stop_reason.as_deref() == Some("tool_use")),
        Some("hook_stopped") => false,
        Some(reason) => !is_empty && !reason.starts_with("aborted"),
    }
}

fn unfinished(result: &ResultRecord) -> Outcome {
    let reason = result.terminal_reason.as_deref().or(result.stop_reason.as_deref()).unwrap_or_default();
    permanent(&format!("broken off before its work was done ({reason})"))
}

fn refused(result: &ResultRecord) -> Outcome {
    Outcome::Refused { why: why(&[&result.text, "the model refused to answer"]) }
}

fn by_result(result: &ResultRecord, records: &Summary, now_ms: i64) -> Outcome {
    let reason = result.terminal_reason.as_deref().unwrap_or_default();
    let why = why(&[&result.text, reason, &result.subtype]);
    if result.subtype == "error_during_execution" || reason.starts_with("aborted") {
        return permanent(&format!("interrupted: {why}"));
    }
    if let Some(limit) = usage_limit(result, records, now_ms) {
        return limit;
    }
    let used_up = matches!(result.subtype.as_str(), "error_max_turns" | "error_max_budget_usd")
        || matches!(reason, "max_turns" | "budget_exhausted" | "prompt_too_long" | "blocking_limit");
    if used_up {
        return Outcome::Unrepeatable { why };
    }
    by_error(records.assistant_error.as_deref(), result.api_error_status, result, why)
}

/// The typed facts of a failed call: the error's class, the HTTP status, and whether there was an answer at all.
fn by_error(class: Option<&str>, status: Option<u16>, result: &ResultRecord, why: String) -> Outcome {
    let transient = |why: String| {
        let retry_after_s = text::retry_after_s(&result.text);
        Outcome::Transient { why, retry_after_s }
    };
    match (class, status) {
        (Some("rate_limit" | "server_error" | "overloaded"), _) => transient(why),
        (Some("authentication_failed" | "billing_error" | "model_not_found"), _) => Outcome::Installation { why },
        (_, Some(408 | 409 | 425 | 429 | 500..=599)) => transient(why),
        (_, Some(401..=404)) => Outcome::Installation { why },
        (_, Some(413)) => Outcome::Unrepeatable { why },
        (_, Some(_)) => Outcome::Permanent { why },
        // An API error without a status: the request never got an answer.
        (Some("unknown"), None) => transient(why),
        (_, None) if result.api_error.is_some() => transient(why),
        (_, None) => Outcome::Permanent { why },
    }
}

/// An exhausted allowance with a known end in the future, where the failure is of that kind.
fn usage_limit(result: &ResultRecord, records: &Summary, now_ms: i64) -> Option<Outcome> {
    let class = records.assistant_error.as_deref();
    let is_limit = class == Some("rate_limit")
        || result.api_error_status == Some(429)
        || result.api_error.as_deref() == Some("usage_limit_reached")
        || result.terminal_reason.as_deref() == Some("blocking_limit");
    let rejected = records.longest_limit().filter(|_| is_limit)?;
    let reset_at_ms =
        rejected.reset_at_ms.filter(|reset| *reset > now_ms)?.min(now_ms.saturating_add(LONGEST_LIMIT_MS));
    Some(Outcome::UsageLimit { reset_at_ms, limit_type: rejected.limit_type.clone() })
}

/// Records, but the last one is missing: what they say of the provider still counts where the CLI ended by itself.
fn without_result(run: &RunEnd, records: &Summary, exit: Exit) -> Outcome {
    if exit.is_ok() || exit.killed_by().is_some() {
        return permanent(&format!("no result: {}", exit.words()));
    }
    let stand_in = ResultRecord { is_error: true, ..ResultRecord::default() };
    let why = why(&[&format!("no result: {} {}", exit.words(), last_line(&run.stderr_tail))]);
    if let Some(limit) = usage_limit(&stand_in, records, run.now_ms) {
        return limit;
    }
    by_error(records.assistant_error.as_deref(), None, &stand_in, why)
}

fn by_text(run: &RunEnd, log: &LogView, exit: Exit) -> Outcome {
    if exit.is_ok() || exit.killed_by().is_some() {
        return permanent(&format!("no result: {}", exit.words()));
    }
    let said = format!("{}\n{}", log.tail, run.stderr_tail);
    let why = why(&[&format!("{}: {}", exit.words(), last_line(&said))]);
    if exit.code.is_some_and(|code| NOT_EXECUTABLE.contains(&code)) || text::is_installation(&said) {
        return Outcome::Installation { why };
    }
    if text::is_unrepeatable(&said) {
        return Outcome::Unrepeatable { why };
    }
    if text::is_transient(&said) {
        return Outcome::Transient { why, retry_after_s: text::retry_after_s(&said) };
    }
    Outcome::Permanent { why }
}

fn permanent(reason: &str) -> Outcome {
    Outcome::Permanent { why: why(&[reason]) }
}

/// The first text that says something, on one line.
fn why(texts: &[&str]) -> String {
    let text = texts.iter().find(|text| !text.trim().is_empty()).copied().unwrap_or("failed without a word");
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(WHY_MAX).collect()
}

fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output").trim()
}

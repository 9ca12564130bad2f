//! One record of an agent's log as lines for a person. Unknown keys and types are met in every version of the CLI: what
//! is not understood is named, not dropped.

use serde_json::Value;

/// Characters of a tool's input, and of one line of its result.
const SHOWN_CHARS: usize = 400;
/// Lines of a tool's result.
const RESULT_LINES: usize = 8;

/// What a line of the log says; not yet cleaned for a terminal.
pub fn lines_of(line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(line);
    let Ok(record) = serde_json::from_str::<Value>(&text) else { return vec![cut(text.trim())] };
    match str_at(&record, "/type") {
        "system" => system(&record),
        "assistant" => blocks(&record, assistant_block),
        "user" => blocks(&record, user_block),
        "rate_limit_event" => vec![rate_limit(&record)],
        "result" => result(&record),
        // Parts of an answer that comes whole in its own record.
        "stream_event" => Vec::new(),
        "" => vec![cut(&text)],
        other => vec![format!("({other})")],
    }
}

fn system(record: &Value) -> Vec<String> {
    let at = |path| str_at(record, path);
    vec![match at("/subtype") {
        "init" => format!(
            "== session {}, model {}, claude {}",
            at("/session_id"),
            at("/model"),
            known(at("/claude_code_version"))
        ),
        "api_retry" => format!(
            "!! retry {} of {} in {:.1} s: {}{}",
            number(record, "/attempt"),
            number(record, "/max_retries"),
            record.pointer("/retry_delay_ms").and_then(Value::as_f64).unwrap_or_default() / 1000.0,
            known(at("/error")),
            status(record, "/error_status"),
        ),
        "permission_denied" => format!("!! denied {}: {}", at("/tool_name"), cut(at("/message"))),
        "model_fallback" => format!("!! model fallback: {}", cut(&record.to_string())),
        other => format!("(system {other})"),
    }]
}

/// The blocks of a message; a message may be plain text as well.
fn blocks(record: &Value, block: fn(&Value) -> Vec<String>) -> Vec<String> {
    let mut lines = match record.pointer("/message/content") {
        Some(Value::Array(content)) => content.iter().flat_map(block).collect(),
        Some(Value::String(text)) => text.lines().map(str::to_owned).collect(),
        Some(_) | None => Vec::new(),
    };
    if record.get("parent_tool_use_id").is_some_and(Value::is_string) {
        // A sub-agent's.
        lines.iter_mut().for_each(|line| line.insert_str(0, "   | "));
    }
    lines
}

fn assistant_block(block: &Value) -> Vec<String> {
    match str_at(block, "/type") {
        "text" => str_at(block, "/text").lines().map(str::to_owned).collect(),
        "tool_use" => vec![format!("-> {}: {}", str_at(block, "/name"), cut(&input(block.get("input"))))],
        "thinking" | "redacted_thinking" => vec!["(thinking)".to_owned()],
        other => vec![format!("({other})")],
    }
}

/// The one telling field of the tools that everybody uses, else the whole input.
fn input(input: Option<&Value>) -> String {
    let Some(input) = input else { return String::new() };
    let telling = ["command", "file_path", "pattern", "url", "query", "description"];
    match telling.iter().find_map(|key| input.get(key)?.as_str()) {
        Some(text) => text.to_owned(),
        None => input.to_string(),
    }
}

fn user_block(block: &Value) -> Vec<String> {
    match str_at(block, "/type") {
        "tool_result" => {
            let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
            tool_result(if failed { "<! " } else { "<- " }, &flat(block.get("content")))
        }
        "text" => str_at(block, "/text").lines().map(|line| format!("<- {}", cut(line))).collect(),
        other => vec![format!("<- ({other})")],
    }
}

/// The first lines of a result, and how many more there are.
fn tool_result(mark: &str, text: &str) -> Vec<String> {
    let all: Vec<&str> = text.lines().collect();
    let mut shown: Vec<String> = all.iter().take(RESULT_LINES).map(|line| format!("{mark}{}", cut(line))).collect();
    if all.is_empty() {
        shown.push(format!("{mark}(nothing)"));
    }
    if all.len() > RESULT_LINES {
        shown.push(format!("{mark}... {} more lines", all.len() - RESULT_LINES));
    }
    shown
}

/// Text, or the texts of a list of blocks.
fn flat(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => {
            let text = |block: &Value| block.get("text").and_then(Value::as_str).map(str::to_owned);
            let named = |block: &Value| text(block).unwrap_or_else(|| format!("({})", str_at(block, "/type")));
            blocks.iter().map(named).collect::<Vec<_>>().join("\n")
        }
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn rate_limit(record: &Value) -> String {
    let at = |path| str_at(record, path);
    let reset = record.pointer("/rate_limit_info/resetsAt").and_then(Value::as_i64);
    let until = reset.map(|seconds| format!(", resets {}", crate::ctl::moment::iso(seconds.saturating_mul(1000))));
    format!(
        "!! allowance {}: {}{}",
        known(at("/rate_limit_info/rateLimitType")),
        known(at("/rate_limit_info/status")),
        until.unwrap_or_default()
    )
}

fn result(record: &Value) -> Vec<String> {
    let failed = record.get("is_error").and_then(Value::as_bool).unwrap_or(false);
    let seconds = record.get("duration_ms").and_then(Value::as_f64).unwrap_or_default() / 1000.0;
    let cost = record.get("total_cost_usd").and_then(Value::as_f64).unwrap_or_default();
    let head = format!(
        "== result: {} ({}), {} turns, {seconds:.1} s, ${cost:.4}",
        if failed { "failed" } else { "ok" },
        known(str_at(record, "/subtype")),
        number(record, "/num_turns"),
    );
    let mut lines = vec![head];
    if failed {
        // An agent's last words are its last message already; an error stands here alone.
        lines.extend(str_at(record, "/result").lines().map(|line| format!("!! {}", cut(line))));
        lines.extend(texts(record.get("errors")).map(|line| format!("!! {}", cut(line))));
    }
    let denied = record.get("permission_denials").and_then(Value::as_array);
    let tools: Vec<&str> = denied.into_iter().flatten().map(|denial| str_at(denial, "/tool_name")).collect();
    if !tools.is_empty() {
        lines.push(format!("!! denied: {}", tools.join(", ")));
    }
    lines
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn str_at<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_i64).map_or_else(|| "?".to_owned(), |n| n.to_string())
}

fn status(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_i64).map(|n| format!(" ({n})")).unwrap_or_default()
}

fn known(text: &str) -> &str {
    if text.is_empty() { "?" } else { text }
}

fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests;

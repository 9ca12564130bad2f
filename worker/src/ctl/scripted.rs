//! A program that speaks the agent CLI's protocol (prompt on stdin, stream-json on stdout, its exit codes) and does
//! what a script says, with real files and real git: for the demonstration and for tests, where no model is
//! to be paid for. It keeps its place per work item and role in a folder, so that a second run of a role does the
//! second step.

use anyhow::{Context as _, bail};
use clap::Args;
use orch_common::domain::stage::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Between two looks for a file that is waited for.
const LOOK: Duration = Duration::from_millis(30);
/// What it says its version is.
const VERSION: &str = "2.1.330 (Claude Code)";

/// The arguments that are looked at; the CLI's others are taken and ignored.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The script, JSON.
    #[arg(long)]
    pub script: PathBuf,
    /// The arguments of the CLI.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

/// What each role does at its first, second ... run for a work item; the last step repeats.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub roles: BTreeMap<Role, Vec<Vec<Deed>>>,
}

/// One thing to do. `{key}` and `{dir}` (the work item's folder) in paths and texts are filled in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// Say something, as an assistant's message.
    Say(String),
    /// Write a file, parents included.
    Write { path: String, text: String },
    /// Commit everything.
    Commit(String),
    /// Answers with so many tokens each, as records of the CLI tell them, one every `every_ms`: `times` of them, or for
    /// ever.
    Answers {
        model: String,
        usage: Value,
        every_ms: u64,
        #[serde(default)]
        times: Option<u32>,
    },
    /// What the result will tell of the cost, in US dollars, and its usage.
    Costs { usd: f64, usage: Value },
    /// Leaves a transcript where the CLI does, so that the session is gone on with.
    KeepSession,
    /// Work for so many milliseconds.
    Work(u64),
    /// Work until this file is there.
    Until(PathBuf),
    /// Run a command line; its failure is the run's.
    Shell(String),
    /// Say what a recorded log says, as it is, and end with this code.
    Replay { log: PathBuf, code: u8 },
    /// End as the CLI does after an API error with this status.
    ApiError(u16),
    /// End as the CLI does at a subscription's limit, which is lifted at this time (s since the epoch).
    UsageLimit(i64),
    /// End with this code and no result record.
    Exit(u8),
}

/// Runs the program.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.rest.iter().any(|a| a == "--version") {
        println!("{VERSION}");
        return Ok(ExitCode::SUCCESS);
    }
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).context("reading the prompt")?;
    let script: Script = serde_json::from_slice(&std::fs::read(&arguments.script).context("reading the script")?)
        .with_context(|| format!("{} is no script", arguments.script.display()))?;
    let (role, key) = addressed(&prompt)?;
    let place = next_place(&arguments.script.with_extension("places"), role, &key)?;
    let steps = script.roles.get(&role).map(Vec::as_slice).unwrap_or_default();
    let deeds = steps.get(place).or(steps.last()).map(Vec::as_slice).unwrap_or_default();
    Run::new(session(&arguments.rest), key).play(deeds)
}

/// The role and the work item that the prompt's first heading names.
fn addressed(prompt: &str) -> anyhow::Result<(Role, String)> {
    let heading = prompt.lines().next().unwrap_or_default();
    let Some((role, key)) = heading.strip_prefix("# You are the ").and_then(|rest| rest.split_once(" of ")) else {
        bail!("the prompt's first line names no role: {heading:?}");
    };
    Ok((role.parse()?, key.trim().to_owned()))
}

/// How often the role has run before for the work item. Taken atomically: each run makes the next file.
fn next_place(folder: &Path, role: Role, key: &str) -> anyhow::Result<usize> {
    std::fs::create_dir_all(folder)?;
    for place in 0..10_000 {
        let path = folder.join(format!("{key}-{role}-{place}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => return Ok(place),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    bail!("{role} has run too often");
}

fn session(arguments: &[String]) -> String {
    let after = |flag: &str| {
        arguments.iter().zip(arguments.iter().skip(1)).find(|(a, _)| *a == flag).map(|(_, value)| value.clone())
    };
    after("--resume").or_else(|| after("--session-id")).unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// One run in progress.
struct Run {
    session: String,
    key: String,
    turns: u32,
    /// Told by the result, in place of what a script costs.
    costs: Value,
}

impl Run {
    fn new(session: String, key: String) -> Run {
        Run { session, key, turns: 0, costs: json!({}) }
    }

    fn play(mut self, deeds: &[Deed]) -> anyhow::Result<ExitCode> {
        self.emit(json!({
            "type": "system", "subtype": "init", "model": "scripted", "claude_code_version": "2.1.330",
            "cwd": std::env::current_dir()?, "tools": ["Bash", "Write"], "permissionMode": "dontAsk",
        }))?;
        for deed in deeds {
            if let Some(code) = self.perform(deed)? {
                return Ok(code);
            }
        }
        self.result(
            json!({ "subtype": "success", "is_error": false, "result": "done", "terminal_reason": "completed" }),
        )?;
        Ok(ExitCode::SUCCESS)
    }

    /// Does one thing; a code ends the run.
    fn perform(&mut self, deed: &Deed) -> anyhow::Result<Option<ExitCode>> {
        match deed {
            Deed::Say(text) => self.say(&self.filled(text))?,
            Deed::Write { path, text } => {
                let path = PathBuf::from(self.filled(path));
                self.say(&format!("writing {}", path.display()))?;
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(&path, self.filled(text)).with_context(|| path.display().to_string())?;
            }
            Deed::Commit(message) => {
                command("git", &["add", "--all"])?;
                command("git", &["commit", "--quiet", "--allow-empty", "-m", &self.filled(message)])?;
            }
            Deed::Answers { model, usage, every_ms, times } => {
                for _ in 0..times.unwrap_or(u32::MAX) {
                    self.answer(model, usage)?;
                    std::thread::sleep(Duration::from_millis(*every_ms));
                }
            }
            Deed::Costs { usd, usage } => self.costs = json!({ "total_cost_usd": usd, "usage": usage }),
            Deed::KeepSession => {
                let home = std::env::var_os("HOME").map(PathBuf::from).context("HOME is not set")?;
                let folder = home.join(".claude/projects/scripted");
                std::fs::create_dir_all(&folder)?;
                std::fs::write(folder.join(format!("{}.jsonl", self.session)), "{}\n")?;
            }
            Deed::Work(ms) => std::thread::sleep(Duration::from_millis(*ms)),
            Deed::Until(path) => {
                while !path.exists() {
                    std::thread::sleep(LOOK);
                }
            }
            Deed::Shell(line) => command("sh", &["-c", &self.filled(line)])?,
            Deed::Replay { log, code } => return replay(log, *code).map(Some),
            Deed::ApiError(status) => return self.api_error(*status).map(Some),
            Deed::UsageLimit(reset) => return self.usage_limit(*reset).map(Some),
            Deed::Exit(code) => return Ok(Some(ExitCode::from(*code))),
        }
        Ok(None)
    }

    fn api_error(&self, status: u16) -> anyhow::Result<ExitCode> {
        let error = if status == 429 { "rate_limit" } else { "server_error" };
        self.emit(json!({ "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 2,
            "retry_delay_ms": 1, "error_status": status, "error": error }))?;
        let text = format!("API Error: Request rejected ({status})");
        self.failed(error, status, &text, json!({}))
    }

    fn usage_limit(&self, reset: i64) -> anyhow::Result<ExitCode> {
        self.emit(json!({ "type": "rate_limit_event",
            "rate_limit_info": { "status": "rejected", "resetsAt": reset, "rateLimitType": "five_hour" } }))?;
        self.failed("rate_limit", 429, "You've hit your limit", json!({ "api_error": "usage_limit_reached" }))
    }

    fn failed(&self, error: &str, status: u16, text: &str, more: Value) -> anyhow::Result<ExitCode> {
        self.emit(json!({ "type": "assistant", "error": error,
            "message": { "role": "assistant", "content": [{ "type": "text", "text": text }] } }))?;
        let mut record = json!({ "subtype": "success", "is_error": true, "api_error_status": status, "result": text,
            "terminal_reason": "api_error" });
        merge(&mut record, more);
        self.result(record)?;
        Ok(ExitCode::from(1))
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.turns += 1;
        self.emit(json!({ "type": "assistant",
            "message": { "role": "assistant", "content": [{ "type": "text", "text": text }] } }))
    }

    fn answer(&mut self, model: &str, usage: &Value) -> anyhow::Result<()> {
        self.turns += 1;
        let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
        self.emit(json!({ "type": "assistant", "parent_tool_use_id": null, "message": { "id": id, "role": "assistant",
            "model": model, "usage": usage, "content": [{ "type": "text", "text": "Again." }] } }))
    }

    fn result(&self, more: Value) -> anyhow::Result<()> {
        let mut record = json!({ "type": "result", "num_turns": self.turns.max(1), "duration_ms": 1,
            "total_cost_usd": 0.0, "usage": { "input_tokens": 1200 * self.turns, "output_tokens": 300 * self.turns,
            "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0 }, "permission_denials": [] });
        merge(&mut record, self.costs.clone());
        merge(&mut record, more);
        self.emit(record)
    }

    fn emit(&self, mut record: Value) -> anyhow::Result<()> {
        merge(&mut record, json!({ "session_id": self.session, "uuid": uuid::Uuid::new_v4().to_string() }));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{record}")?;
        Ok(out.flush()?)
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{dir}", &format!("docs/work-items/{}", self.key)).replace("{key}", &self.key)
    }
}

fn replay(log: &Path, code: u8) -> anyhow::Result<ExitCode> {
    let text = std::fs::read(log).with_context(|| log.display().to_string())?;
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.flush()?;
    Ok(ExitCode::from(code))
}

fn merge(into: &mut Value, more: Value) {
    if let (Value::Object(into), Value::Object(more)) = (into, more) {
        into.extend(more);
    }
}

fn command(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = std::process::Command::new(program).args(arguments).output().context(program.to_owned())?;
    if !output.status.success() {
        bail!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

//! `orchctl runs log`: what an agent said and did, from the files of its run alone - it works without a database and
//! without a worker, while the agent is at work and after.

mod follow;
mod record;

use super::error::{CtlError, Done};
use super::moment::{iso, span};
use super::screen::Screen;
use crate::agent::outcome;
use crate::agent::{ExitReason, ExitRecord, RunDir};
use clap::Args;
use follow::{Ended, Log};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Bytes of standard error that are shown.
const STDERR_BYTES: u64 = 8 * 1024;

#[derive(Args)]
pub struct Arguments {
    /// The run's id, or the beginning of it
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    run: String,
    /// Go on until the run has ended
    #[arg(short, long)]
    follow: bool,
    /// The records as they were written, one JSON object a line
    #[arg(long)]
    raw: bool,
}

/// Shows the log of a run whose folder is in `runs_dir`.
pub fn run(runs_dir: &Path, screen: &mut Screen<'_>, arguments: &Arguments) -> Done {
    let dir = RunDir::at(find(runs_dir, &arguments.run)?);
    let mut log = Log::of(&dir);
    let ended = log.read(arguments.follow, |line| {
        if arguments.raw {
            screen.bytes(line)?;
            screen.bytes(b"\n")?;
        } else {
            for shown in record::lines_of(line) {
                screen.line(shown)?;
            }
        }
        screen.flush()
    })?;
    if !arguments.raw {
        show_end(screen, &dir, &ended)?;
    }
    match ended {
        Ended::Lost if arguments.follow => {
            Err(CtlError::Failed("the run's supervisor is gone and left no record; a worker will find it lost".into()))
        }
        Ended::Lost | Ended::NotYet | Ended::Recorded => Ok(()),
    }
}

fn show_end(screen: &mut Screen<'_>, dir: &RunDir, ended: &Ended) -> Result<(), CtlError> {
    let stderr = outcome::tail(&dir.stderr(), STDERR_BYTES)
        .map_err(|error| CtlError::Failed(format!("{} cannot be read: {error}", dir.stderr().display())))?;
    if !stderr.is_empty() {
        screen.line("standard error:")?;
        screen.block(&String::from_utf8_lossy(&stderr))?;
    }
    match (ended, dir.read_exit()) {
        (Ended::NotYet, _) => screen.line("(the run has not ended; -f follows it)")?,
        (Ended::Lost, _) => screen.line("(the run left no exit record)")?,
        (Ended::Recorded, Ok(Some(record))) => screen.line(end_words(&record))?,
        (Ended::Recorded, Ok(None)) => {}
        (Ended::Recorded, Err(error)) => screen.line(format!("(the exit record cannot be read: {error})"))?,
    }
    Ok(())
}

fn end_words(record: &ExitRecord) -> String {
    let how = match &record.reason {
        ExitReason::Exited => match (record.exit_code, record.signal) {
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "ended".to_owned(),
        },
        ExitReason::Lingered => "stayed after its result and was ended".to_owned(),
        ExitReason::TimedOut => "took too long and was ended".to_owned(),
        ExitReason::Stalled => "wrote nothing for too long and was ended".to_owned(),
        ExitReason::LogLimit => "wrote too much and was ended".to_owned(),
        ExitReason::Stopped { why } => format!("was stopped ({why})"),
        ExitReason::SpawnFailed { error } => format!("could not be started: {error}"),
    };
    let took = span(record.finished_at_ms.saturating_sub(record.started_at_ms));
    format!("the agent {how} at {} after {took}", iso(record.finished_at_ms))
}

/// The one folder whose name begins with `prefix`. The names are compared and never made of it: it cannot lead out of
/// the folder.
fn find(runs_dir: &Path, prefix: &str) -> Result<PathBuf, CtlError> {
    let place = runs_dir.display();
    let none = || {
        CtlError::NotFound(format!(
            "{place} holds no run {prefix}: `orchctl runs` lists what is known; logs are pruned after their retention, \
             and those of other machines are there"
        ))
    };
    let entries = match std::fs::read_dir(runs_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(CtlError::Failed(format!("{place} cannot be read: {error}"))),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&prefix.to_ascii_lowercase()) && uuid::Uuid::parse_str(name).is_ok())
        .collect();
    names.sort();
    match names.as_slice() {
        [name] => Ok(runs_dir.join(name)),
        [] => Err(none()),
        several => Err(CtlError::Usage(format!("{prefix} begins several runs: {}", several.join(", ")))),
    }
}

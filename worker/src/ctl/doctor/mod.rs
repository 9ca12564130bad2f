//! `orchctl doctor`: everything an installation needs is looked at, each with what was found and what to do. It changes
//! nothing, here or outside.

mod address;
mod agents;
mod gitea;
mod here;
mod plane;
mod report;
mod telegram;

use super::desk::Desk;
use super::error::CtlError;
use super::screen::Screen;
use crate::context::build_outside;
use crate::effects::Outside;
use clap::Args;
use here::Known;
use orch_common::config::{Config, Loaded};
use report::Report;
use std::process::ExitCode;

/// A clock that is further off makes words of people look older or newer than they are, in ms.
const CLOCK_MS: u64 = 5_000;

#[derive(Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What every check is given.
struct Asked<'a> {
    config: &'a Config,
    outside: &'a Outside,
    known: Known,
    now: i64,
}

/// Looks at everything; 1 where something does not work.
pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { json }: Arguments) -> Result<ExitCode, CtlError> {
    let mut report = Report::default();
    match desk.load() {
        Ok(loaded) => examine(&mut report, &loaded, desk.now)?,
        Err(error) => report.fail("config", error.to_string(), "mend it; `orchctl config example` shows every key"),
    }
    if json {
        screen.json(&report)?;
    } else {
        report.lines().iter().try_for_each(|line| screen.line(line))?;
    }
    screen.flush()?;
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn examine(report: &mut Report, loaded: &Loaded, now: i64) -> Result<(), CtlError> {
    let Loaded { config, warnings, file } = loaded;
    let from = file.as_ref().map_or_else(|| "the environment alone".to_owned(), |f| f.display().to_string());
    match warnings.as_slice() {
        [] => report.ok("config", from),
        warnings => report.warn("config", warnings.join("; "), "mend it"),
    }
    if config.projects.is_empty() {
        report.fail("projects", "none: every webhook is ignored", "add a [[projects]] table, or run `orchctl init`");
    }
    here::permissions(report, file.as_deref());
    let known = here::database(report, config, now);
    here::disk(report, config);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        here::git(report, config).await;
        agents::check(report, config, &known.workers).await;
        match build_outside(config) {
            Ok(outside) => {
                let asked = Asked { config, outside: &outside, known, now };
                plane::check(report, &asked).await;
                gitea::check(report, &asked).await;
                telegram::check(report, &asked).await;
            }
            Err(error) => report.fail("services", format!("{error:#}"), "mend the address or the token"),
        }
    });
    Ok(())
}

/// Compares a server's clock with ours.
fn clock(report: &mut Report, whose: &str, theirs: Option<i64>, ours: i64) {
    let Some(theirs) = theirs else { return };
    let check = format!("{whose}.clock");
    // The header knows whole seconds, and our own moment is that of the start.
    let now = crate::clock::now_ms().max(ours);
    let off = theirs.abs_diff(now);
    if off <= CLOCK_MS {
        return report.ok(check, "agrees with ours");
    }
    let todo = "set both by NTP: the times of comments and moves are compared with ours";
    report.warn(check, format!("is {} s off ours", off / 1000), todo);
}

/// `3 min ago`.
fn age(now: i64, at: i64) -> String {
    let minutes = now.saturating_sub(at) / 60_000;
    match minutes {
        ..=0 => "just now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

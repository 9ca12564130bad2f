//! `orchctl doctor`: everything an installation needs is looked at, each with what was found and what to do. It changes
//! nothing, here or outside. What answers is asked at the same time, and no longer than a person waits.

mod address;
mod agents;
mod api;
mod deliveries;
mod gitea;
mod here;
mod owner;
mod plane;
mod report;
mod telegram;

use super::desk::Desk;
use super::error::CtlError;
use super::screen::Screen;
use crate::clients::Timing;
use crate::clients::gitea::GiteaClient;
use crate::context::{build_outside_within, git_settings, stranger_at_forge};
use crate::effects::Outside;
use crate::git::GitSettings;
use clap::Args;
pub use deliveries::wrong_secret;
pub use gitea::{NEEDED as NEEDED_SCOPES, sample_branch};
use here::Known;
use orch_common::config::{Config, Loaded};
use report::{Line, Report, Sheet};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// A clock that is further off makes words of people look older or newer than they are, in ms.
const CLOCK_MS: u64 = 5_000;
/// For one question.
const TIMING: Timing =
    Timing { connect: Duration::from_secs(3), total: Duration::from_secs(7), first_pause: Duration::from_millis(300) };
/// For all of them.
const WHOLE: Duration = Duration::from_secs(20);
/// A service that takes longer to say its version will hold everything up.
const SLOW: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Have the forge make a test delivery of each webhook, and wait for it (orch-api must run)
    #[arg(long)]
    deliver: bool,
}

/// What every check is given.
struct Asked<'a> {
    config: &'a Config,
    outside: &'a Outside,
    /// The forge, as anybody sees it.
    stranger: Option<&'a GiteaClient>,
    git: &'a GitSettings,
    known: &'a Known,
    deliver: bool,
    now: i64,
}

impl Asked<'_> {
    /// Where the forge's webhooks should lead; empty where it is not known how we are reached.
    fn hook_address(&self) -> String {
        let ours = self.config.worker.public_url.as_ref();
        ours.map(|url| format!("{}/webhook/gitea", url.as_str())).unwrap_or_default()
    }
}

/// Looks at everything; 1 where something does not work.
pub fn run(desk: &Desk, screen: &mut Screen<'_>, arguments: Arguments) -> Result<ExitCode, CtlError> {
    let Arguments { json, deliver } = arguments;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (report, told) = Report::open();
    let sheet = runtime.block_on(async {
        let looked = async {
            match desk.load() {
                Ok(loaded) => match owner::become_owner(&loaded.config.database.path) {
                    Ok(()) => examine(report, &loaded, deliver, desk.now).await,
                    Err(why) => report.fail("database", why, "run it as the user that owns the database"),
                },
                Err(error) => {
                    report.fail("config", error.to_string(), "mend it; `orchctl config example` shows every key");
                }
            }
        };
        tokio::join!(looked, show(screen, told, json)).1
    })?;
    // A name that is still being looked up holds nobody up.
    runtime.shutdown_background();
    if json {
        screen.json(&sheet)?;
    } else {
        screen.line(sheet.sum())?;
    }
    screen.flush()?;
    Ok(if sheet.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Shows each line as it comes.
async fn show(screen: &mut Screen<'_>, mut told: UnboundedReceiver<Line>, json: bool) -> Result<Sheet, CtlError> {
    let mut sheet = Sheet::default();
    while let Some(line) = told.recv().await {
        if !json {
            screen.line(line.text())?;
            screen.flush()?;
        }
        sheet.checks.push(line);
    }
    Ok(sheet)
}

async fn examine(report: Report, loaded: &Loaded, deliver: bool, now: i64) {
    let Loaded { config, warnings, file, hidden } = loaded;
    let from = file.as_ref().map_or_else(|| "the environment alone".to_owned(), |f| f.display().to_string());
    match warnings.as_slice() {
        [] => report.ok("config", from),
        warnings => report.warn("config", warnings.join("; "), "mend it"),
    }
    if let Some(folder) = hidden {
        let found = format!("the services' secrets in {} are not for this user to read", folder.display());
        return report.fail(
            "secrets",
            found,
            "run `sudo orchctl doctor`: it reads them, and goes on as the services' user",
        );
    }
    if config.projects.is_empty() {
        report.fail("projects", "none: every webhook is ignored", "add a [[projects]] table, or run `orchctl init`");
    }
    here::permissions(&report, file.as_deref());
    tokio::task::yield_now().await;
    let known = here::database(&report, config, now);
    here::disk(&report, config);
    tokio::task::yield_now().await;
    let built = build_outside_within(config, TIMING).and_then(|outside| Ok((outside, git_settings(config)?)));
    let (outside, git) = match built {
        Ok(built) => built,
        Err(error) => {
            return report.fail("services", format!("{error:#}"), "mend the address, the token or the [network]");
        }
    };
    let stranger = stranger_at_forge(config, TIMING).ok().flatten();
    let asked =
        Asked { config, outside: &outside, stranger: stranger.as_ref(), git: &git, known: &known, deliver, now };
    let everything = async {
        tokio::join!(
            here::git(&report, &asked),
            agents::check(&report, config, &known.workers),
            api::check(&report, &asked),
            plane::check(&report, &asked),
            gitea::check(&report, &asked),
            telegram::check(&report, &asked),
        );
    };
    if tokio::time::timeout(WHOLE, everything).await.is_err() {
        for check in report.unanswered() {
            let todo = "see that it is there and not overloaded, then look again";
            report.fail(check, format!("no answer within {} s", WHOLE.as_secs()), todo);
        }
    }
}

/// Compares a server's clock with ours.
fn clock(report: &Report, whose: &str, theirs: Option<i64>, ours: i64) {
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

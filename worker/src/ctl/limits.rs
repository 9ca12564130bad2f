//! `orchctl limits`: which services take no calls now - one asked for a pause, or gives no answers - and asking again at once
//! where a person knows that it does.

use super::AsJson;
use super::desk::{Desk, Open};
use super::error::{CtlError, Done};
use super::moment::{ago, iso};
use super::screen::Screen;
use super::table::Table;
use crate::effects::shared;
use clap::{Args, Subcommand};
use orch_common::store::{Conn, StoreError};
use orch_common::store::{jobs, outages};
use serde::Serialize;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    json: AsJson,
}

#[derive(Subcommand)]
enum Verb {
    /// Ask again at once, whatever a service asked for
    Lift {
        /// As listed; everything where it is left out
        what: Option<String>,
    },
}

/// One service, or repository, that takes no calls.
#[derive(Serialize)]
pub struct LimitView {
    pub what: String,
    /// A pause that it asked for ends then.
    pub until: Option<String>,
    /// It has given no answers since then.
    pub since: Option<String>,
    /// What it answered last.
    pub why: String,
    #[serde(skip)]
    at: i64,
}

pub fn run(desk: &Desk, screen: &mut Screen<'_>, Arguments { verb, json: AsJson { json } }: Arguments) -> Done {
    let open = desk.open()?;
    match verb {
        Some(Verb::Lift { what }) => lift(screen, &open, what.as_deref(), desk.now),
        None => {
            let all = open.read(|conn| all(conn, desk.now))?;
            if json {
                return Ok(screen.json(&all)?);
            }
            Ok(screen.table(&table(&all, desk.now), "none: every service takes calls")?)
        }
    }
}

/// Everything that takes no calls at `now`.
pub fn all(conn: &mut Conn, now: i64) -> Result<Vec<LimitView>, StoreError> {
    let mut all = paused(conn, now)?;
    all.extend(outages::all(conn)?.into_iter().map(|away| LimitView {
        what: away.scope,
        until: None,
        since: Some(iso(away.since)),
        why: away.words,
        at: away.since,
    }));
    Ok(all)
}

/// The pauses that were asked for.
pub fn paused(conn: &mut Conn, now: i64) -> Result<Vec<LimitView>, StoreError> {
    let paused = |(what, until): (&str, i64)| LimitView {
        what: what.to_owned(),
        until: Some(iso(until)),
        since: None,
        why: "it asked for a pause".to_owned(),
        at: until,
    };
    Ok(shared::limits(conn, now)?.into_iter().map(paused).collect())
}

/// A row for each.
pub fn table(all: &[LimitView], now: i64) -> Table {
    let mut table = Table::new(&["WHAT", "SINCE", "UNTIL", "LAST ANSWER"]);
    for limit in all {
        let shown = |is: bool| if is { ago(limit.at, now) } else { "-".to_owned() };
        table.row([limit.what.clone(), shown(limit.since.is_some()), shown(limit.until.is_some()), limit.why.clone()]);
    }
    table
}

fn lift(screen: &mut Screen<'_>, open: &Open, what: Option<&str>, now: i64) -> Done {
    let lifted = open.store.write_now(|conn| {
        let mut lifted = Vec::new();
        for limit in all(conn, now)?.into_iter().filter(|limit| what.is_none_or(|what| what == limit.what)) {
            match limit.until {
                Some(_) => shared::lift(conn, &limit.what, now)?,
                // What waits is woken; whoever finds that it is still away notes it anew.
                None => drop(outages::end(conn, &limit.what)?),
            }
            lifted.push(limit.what);
        }
        if !lifted.is_empty() {
            jobs::hasten_paused(conn)?;
        }
        Ok(lifted)
    })?;
    match (lifted.as_slice(), what) {
        ([], None) => screen.line("nothing to lift: every service takes calls")?,
        ([], Some(what)) => return Err(CtlError::NotFound(format!("'{what}' takes calls; see `orchctl limits`"))),
        (lifted, _) => {
            for what in lifted {
                screen.line(format!("lifted: {what} is asked again within 20 seconds"))?;
            }
        }
    }
    Ok(())
}

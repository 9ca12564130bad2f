//! The worker ends when the database's files are no longer those it opened: what it would go on to write, nobody else sees. What
//! it has committed is brought into the database first; agents go on, and the next worker adopts them.

use crate::context::Context;
use orch_common::domain::effect::Effect;
use orch_common::domain::messages::Message;
use orch_common::store::Files;
use std::sync::Arc;
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(1);
/// For the chat to be told.
const SAYING: Duration = Duration::from_secs(5);
/// What is under way has this long to come to its end; nothing of it can be written any more.
const ENDING: Duration = Duration::from_secs(10);

/// Looks until dropped; stops the worker where the files are gone, and gives the process no long time for it.
pub async fn watch(ctx: Arc<Context>) {
    let found = loop {
        tokio::time::sleep(EVERY).await;
        match ctx.store.files() {
            Files::Whole => {}
            found @ (Files::Lost | Files::Replaced) => break found,
        }
    };
    tracing::error!("{}", words(found));
    // Another database's people did nothing wrong.
    if found == Files::Lost {
        let store = ctx.store.clone();
        match tokio::task::spawn_blocking(move || store.rescue()).await {
            Ok(Ok(())) => tracing::error!("what this worker committed is in the database"),
            Ok(Err(error)) => {
                tracing::error!(%error, "not all of what was committed lately could be brought into the database")
            }
            Err(error) => tracing::error!(%error, "the database could not be looked at"),
        }
        let text = ctx.catalogue.render(&Message::DatabaseFilesLost);
        // At once: the database cannot be asked to remember it.
        if !matches!(tokio::time::timeout(SAYING, ctx.outside.send(&Effect::Telegram { text })).await, Ok(Ok(_))) {
            tracing::warn!("the chat could not be told");
        }
    }
    ctx.stopping.cancel();
    tokio::time::sleep(ENDING).await;
    tracing::error!("ending now; agents at work go on");
    std::process::exit(1);
}

/// Why the worker stops, if it is for its database.
pub fn trouble(ctx: &Context) -> Option<&'static str> {
    match ctx.store.files() {
        Files::Whole => None,
        found @ (Files::Lost | Files::Replaced) => Some(words(found)),
    }
}

const fn words(found: Files) -> &'static str {
    match found {
        Files::Whole => "the database is as it was opened",
        Files::Replaced => {
            "another database, or none, is in the place of the one that is open: this worker ends, to be started on that one"
        }
        Files::Lost => {
            "the database's -wal or -shm was taken away while it was open: this worker ends, and orch-api has to end too, before \
             the database is opened again"
        }
    }
}

//! Asks what is away whether it answers again, says so where it takes long, and wakes what waited.

use super::shut::{self, Shut};
use super::{Away, LAST_PAUSE, Scope, close, open, probe};
use crate::alerts;
use crate::clock::now_ms;
use crate::context::Context;
use orch_common::domain::messages::{Message, Moment};
use orch_common::store::{Conn, StoreError, outages};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often it is looked whether another worker knows more.
const LOOK: Duration = Duration::from_secs(1);

/// Watches until dropped.
pub async fn keep(ctx: Arc<Context>) {
    if let Err(error) = super::recall(&ctx).await {
        tracing::warn!(%error, "what was away before this start is not known");
    }
    loop {
        if ctx.outages.all().is_empty() {
            ctx.outages.news.notified().await;
        } else {
            let _ = tokio::time::timeout(LOOK, ctx.outages.news.notified()).await;
        }
        forget_what_is_over(&ctx).await;
        let due: Vec<Scope> = {
            let now = Instant::now();
            ctx.outages.all().iter().filter(|(_, away)| away.next <= now).map(|(scope, _)| scope.clone()).collect()
        };
        let mut asking = JoinSet::new();
        for scope in due {
            let ctx = Arc::clone(&ctx);
            asking.spawn(async move { ask_again(&ctx, &scope).await });
        }
        while asking.join_next().await.is_some() {}
    }
}

/// Another worker has found that it answers.
async fn forget_what_is_over(ctx: &Arc<Context>) {
    // Before the rows are read: an outage has its row first, so that one that begins meanwhile is not taken for over.
    let here: Vec<Scope> = ctx.outages.all().keys().cloned().collect();
    let Ok(known) = ctx.store.read(outages::all).await else { return };
    for scope in here.into_iter().filter(|scope| !known.iter().any(|outage| outage.scope == scope.to_string())) {
        tracing::info!(%scope, "answers again, as another worker knows");
        open(ctx, &scope);
    }
}

async fn ask_again(ctx: &Arc<Context>, scope: &Scope) {
    match probe::ask(ctx, scope).await {
        Ok(()) => end(ctx, scope).await,
        Err(down) => {
            let away = still_away(ctx, scope, &down);
            if let Some(away) = away
                && let Err(error) = note(ctx, scope, &away.words, away.shut).await
            {
                tracing::warn!(%error, %scope, "the outage could not be noted");
            }
        }
    }
}

/// Asks again after a longer pause; not before the service has asked for.
fn still_away(ctx: &Context, scope: &Scope, down: &probe::Down) -> Option<Away> {
    let mut all = ctx.outages.all();
    let away = all.get_mut(scope)?;
    away.pause = (away.pause * 2).min(LAST_PAUSE);
    away.next = Instant::now() + away.pause.max(down.not_before);
    away.words.clone_from(&down.words);
    away.shut = down.shut;
    if let Some(gate) = ctx.outside.gate_of(scope) {
        gate.close(&down.words);
    }
    Some(away.clone())
}

/// Notes what is known of an outage; people are told when it is time.
pub(super) async fn note(ctx: &Arc<Context>, scope: &Scope, words: &str, shut: Option<Shut>) -> Result<(), StoreError> {
    let (inner, scope, words) = (Arc::clone(ctx), scope.clone(), words.to_owned());
    ctx.store.write(move |c| tell(c, &inner, &scope, (&words, shut), now_ms())).await
}

/// Notes the newest words; people are told once: at once of what no waiting mends, else after some minutes.
fn tell(
    conn: &mut Conn,
    ctx: &Context,
    scope: &Scope,
    (words, shut): (&str, Option<Shut>),
    now: i64,
) -> Result<(), StoreError> {
    let name = scope.to_string();
    // Another worker may have ended it meanwhile.
    let Some(known) = outages::get(conn, &name)? else { return Ok(()) };
    if known.words != words {
        outages::note(conn, &name, words, now)?;
    }
    let after_ms = i64::try_from(ctx.config.worker.outage_alert_s).unwrap_or(i64::MAX / 1000).saturating_mul(1000);
    let sure = shut.is_some_and(|shut| shut.sure);
    if known.told || (!sure && now.saturating_sub(known.since) < after_ms) {
        return Ok(());
    }
    outages::note_told(conn, &name)?;
    if let Some(Shut { why, .. }) = shut {
        return shut::tell(conn, ctx, scope, (why, words), &shut::key_of(scope, known.since), now);
    }
    let (what, why) = (scope.for_people(), words.to_owned());
    let jobs = u64::try_from(outages::waiting(conn, &name)?).unwrap_or(0);
    let message = Message::OutsideAway { what, since: Moment(known.since), why, jobs };
    alert(conn, ctx, scope, &message, &format!("outage:{name}:{}", known.since), now)
}

/// What could not be sent to the chat is not told to the chat.
fn alert(
    conn: &mut Conn,
    ctx: &Context,
    scope: &Scope,
    message: &Message,
    key: &str,
    now: i64,
) -> Result<(), StoreError> {
    if *scope == Scope::Telegram {
        tracing::warn!(alert = message.name(), key, "alert");
        return Ok(());
    }
    alerts::raise(conn, ctx, None, message, key, now)
}

/// It answers: calls are sent again, then what waited is woken.
async fn end(ctx: &Arc<Context>, scope: &Scope) {
    let Some(away) = ctx.outages.all().get(scope).cloned() else { return };
    open(ctx, scope);
    let (inner, ended) = (Arc::clone(ctx), scope.clone());
    let woken = ctx
        .store
        .write(move |c| {
            let (name, now) = (ended.to_string(), now_ms());
            let Some((outage, woken)) = outages::end(c, &name)? else { return Ok(0) };
            if outage.told {
                let message = Message::OutsideBack { what: ended.for_people(), since: Moment(outage.since) };
                alert(c, &inner, &ended, &message, &format!("outage:{name}:{}:over", outage.since), now)?;
            }
            Ok(woken)
        })
        .await;
    match woken {
        Ok(woken) => tracing::info!(%scope, woken, since_ms = away.since_ms, "answers again; what waited goes on"),
        Err(error) => {
            tracing::warn!(%error, %scope, "the end of an outage could not be written; it is asked again");
            let down = probe::Down { words: away.words, not_before: Duration::ZERO, shut: away.shut };
            close(ctx, scope, away.since_ms, &down);
        }
    }
}

//! What one worker learns of the outside and all of them must heed: until when Plane takes no calls of the token, and
//! where the Telegram chat has moved. Kept in the database, asked for before a call and noted after it.

use crate::clock::now_ms;
use crate::context::Context;
use orch_common::store::{Conn, StoreError, cursors};

/// The end of Plane's pause, in ms since the epoch. The limit is the token's, so it is every worker's.
const PLANE_LIMIT: &str = "plane:limited_until";

fn chat_key(configured: &str) -> String {
    format!("telegram:chat:{configured}")
}

/// Takes over what is known. A failure to read is no reason not to call: the other side will say it again.
pub async fn recall(ctx: &Context) {
    let chat = ctx.outside.telegram.as_ref().map(|t| chat_key(t.configured_chat()));
    let known = ctx.store.read(move |c| read(c, chat.as_deref())).await;
    let (limit, chat) = known.unwrap_or_else(|error| {
        tracing::debug!(%error, "what other workers learnt could not be read");
        (None, None)
    });
    if let (Some(plane), Some(until)) = (&ctx.outside.plane, limit) {
        plane.note_limited(until);
    }
    if let (Some(telegram), Some(chat)) = (&ctx.outside.telegram, chat) {
        telegram.follow_to(&chat);
    }
}

fn read(conn: &mut Conn, chat: Option<&str>) -> Result<(Option<i64>, Option<String>), StoreError> {
    let limit = cursors::get(conn, PLANE_LIMIT)?.and_then(|until| until.parse().ok());
    let chat = chat.map(|key| cursors::get(conn, key)).transpose()?.flatten();
    Ok((limit, chat))
}

/// Writes what is new; without news nothing is written.
pub async fn remember(ctx: &Context) {
    let limit = ctx.outside.plane.as_ref().and_then(|plane| plane.limited_until_ms());
    let chat = ctx.outside.telegram.as_ref().and_then(|telegram| {
        let (configured, now) = (telegram.configured_chat(), telegram.chat_id());
        (configured != now).then(|| (chat_key(configured), now))
    });
    if limit.is_none() && chat.is_none() {
        return;
    }
    let key = chat.as_ref().map(|(key, _)| key.clone());
    let known = match ctx.store.read(move |c| read(c, key.as_deref())).await {
        Ok(known) => known,
        Err(error) => return tracing::debug!(%error, "what was learnt could not be compared"),
    };
    let limit = limit.filter(|until| known.0.is_none_or(|old| old < *until));
    let chat = chat.filter(|(_, now)| known.1.as_ref() != Some(now));
    if limit.is_none() && chat.is_none() {
        return;
    }
    let written = ctx.store.write(move |c| write(c, limit, chat.as_ref(), now_ms())).await;
    if let Err(error) = written {
        tracing::debug!(%error, "what was learnt could not be kept for other workers");
    }
}

fn write(conn: &mut Conn, limit: Option<i64>, chat: Option<&(String, String)>, now: i64) -> Result<(), StoreError> {
    if let Some(until) = limit {
        cursors::put(conn, PLANE_LIMIT, &until.to_string(), now)?;
    }
    match chat {
        Some((key, moved_to)) => cursors::put(conn, key, moved_to, now),
        None => Ok(()),
    }
}

//! What one worker learns of the outside and all of them must heed: until when Plane and Telegram take no calls of the
//! token, and where the chat has moved. Kept in the database, asked for before a call and noted after it.

use crate::clients::Word;
use crate::clock::now_ms;
use crate::context::Context;
use orch_common::store::{Conn, StoreError, cursors};

/// The end of Plane's pause, in ms since the epoch. The limit is the token's, so it is every worker's.
const PLANE_LIMIT: &str = "plane:limited_until";
/// The same of Telegram.
const TELEGRAM_LIMIT: &str = "telegram:limited_until";

/// What is known; limits only while they hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Learnt {
    plane: Option<Word>,
    telegram: Option<Word>,
    /// Where the configured chat has moved to.
    chat: Option<String>,
}

impl Learnt {
    fn is_empty(&self) -> bool {
        *self == Learnt::default()
    }
}

fn chat_key(configured: &str) -> String {
    format!("telegram:chat:{configured}")
}

fn chat_key_of(ctx: &Context) -> Option<String> {
    ctx.outside.telegram.as_ref().map(|telegram| chat_key(telegram.configured_chat()))
}

/// Takes over what is known. A failure to read is no reason not to call: the other side will say it again.
pub async fn recall(ctx: &Context) {
    let chat = chat_key_of(ctx);
    let known = ctx.store.read(move |c| read(c, chat.as_deref())).await;
    let Learnt { plane, telegram, chat } = known.unwrap_or_else(|error| {
        tracing::debug!(%error, "what other workers learnt could not be read");
        Learnt::default()
    });
    if let (Some(client), Some(word)) = (&ctx.outside.plane, plane) {
        client.limited().learn(word);
    }
    if let (Some(client), Some(word)) = (&ctx.outside.telegram, telegram) {
        client.limited().learn(word);
    }
    if let (Some(client), Some(chat)) = (&ctx.outside.telegram, chat) {
        client.follow_to(&chat);
    }
}

fn read(conn: &mut Conn, chat: Option<&str>) -> Result<Learnt, StoreError> {
    let (plane, telegram) = (word(conn, PLANE_LIMIT)?, word(conn, TELEGRAM_LIMIT)?);
    let chat = chat.map(|key| cursors::get(conn, key)).transpose()?.flatten();
    Ok(Learnt { plane, telegram, chat })
}

fn word(conn: &mut Conn, name: &str) -> Result<Option<Word>, StoreError> {
    let until = cursors::get(conn, name)?.and_then(|until| until.parse().ok());
    let said = cursors::stored_at(conn, name)?;
    Ok(until.zip(said).map(|(until, said)| Word { until, said }))
}

/// The services that take no calls now, each with the end of that (ms).
pub(crate) fn limits(conn: &mut Conn, now: i64) -> Result<Vec<(&'static str, i64)>, StoreError> {
    let mut limits = Vec::new();
    for (what, name) in [("plane", PLANE_LIMIT), ("telegram", TELEGRAM_LIMIT)] {
        let until = word(conn, name)?.map_or(0, Word::end);
        limits.extend((until > now).then_some((what, until)));
    }
    Ok(limits)
}

/// Somebody knows better: calls are taken at once. All workers learn it within seconds.
pub(crate) fn lift(conn: &mut Conn, what: &str, now: i64) -> Result<(), StoreError> {
    match what {
        "plane" => cursors::put(conn, PLANE_LIMIT, "0", now),
        "telegram" => cursors::put(conn, TELEGRAM_LIMIT, "0", now),
        _ => Ok(()),
    }
}

/// What this process knows by itself.
fn own(ctx: &Context) -> Learnt {
    let telegram = ctx.outside.telegram.as_ref();
    Learnt {
        plane: ctx.outside.plane.as_ref().and_then(|plane| plane.limited().word()),
        telegram: telegram.and_then(|telegram| telegram.limited().word()),
        chat: telegram.map(|t| t.chat_id()).filter(|now| telegram.is_some_and(|t| t.configured_chat() != now)),
    }
}

/// Writes what is new; without news nothing is written.
pub async fn remember(ctx: &Context) {
    let mut news = own(ctx);
    if news.is_empty() {
        return;
    }
    let key = chat_key_of(ctx);
    let asked = key.clone();
    let known = match ctx.store.read(move |c| read(c, asked.as_deref())).await {
        Ok(known) => known,
        Err(error) => return tracing::debug!(%error, "what was learnt could not be compared"),
    };
    news.plane = news.plane.filter(|word| known.plane.is_none_or(|old| old.said < word.said));
    news.telegram = news.telegram.filter(|word| known.telegram.is_none_or(|old| old.said < word.said));
    news.chat = news.chat.filter(|now| known.chat.as_ref() != Some(now));
    if news.is_empty() {
        return;
    }
    let written = ctx.store.write(move |c| write(c, &news, key.as_deref(), now_ms())).await;
    if let Err(error) = written {
        tracing::debug!(%error, "what was learnt could not be kept for other workers");
    }
}

fn write(conn: &mut Conn, news: &Learnt, chat_key: Option<&str>, now: i64) -> Result<(), StoreError> {
    for (name, word) in [(PLANE_LIMIT, news.plane), (TELEGRAM_LIMIT, news.telegram)] {
        if let Some(word) = word {
            cursors::put(conn, name, &word.until.to_string(), word.said)?;
        }
    }
    match (chat_key, &news.chat) {
        (Some(key), Some(moved_to)) => cursors::put(conn, key, moved_to, now),
        _ => Ok(()),
    }
}

//! Telegram's `sendMessage`. The token is part of every URL, so no URL leaves this module.

use super::call::{RETRY_AFTER_MAX_S, says};
use super::error::ApiError;
use super::gate::Gate;
use super::http::{Answer, Call, Http, Timing};
use super::limited::Limited;
use super::network::Network;
use super::pace::Pace;
use governor::Quota;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The public Bot API.
pub const PUBLIC_URL: &str = "https://api.telegram.org";

/// Which bot speaks in which chat.
#[derive(Clone)]
pub struct TelegramSettings {
    /// [`PUBLIC_URL`], or a Bot API server of one's own.
    pub url: String,
    pub token: String,
    /// A number (negative for groups) or `@channel`.
    pub chat_id: String,
}

impl fmt::Debug for TelegramSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TelegramSettings { url, token: _, chat_id } = self;
        f.debug_struct("TelegramSettings").field("url", url).field("token", &"***").field("chat_id", chat_id).finish()
    }
}

/// A client of one bot.
#[derive(Debug)]
pub struct TelegramClient {
    http: Http,
    token: Token,
    chat_id: String,
    /// Where the chat has moved to (a group that became a supergroup).
    moved_to: Mutex<Option<String>>,
    pace: Pace,
}

struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub message_id: i64,
    /// The chat's new id; the configuration should be changed to it.
    pub migrated_to: Option<String>,
    /// The markup was refused, so it was sent as plain text.
    pub plain: bool,
}

#[derive(Deserialize)]
struct Reply {
    ok: bool,
    #[serde(default)]
    result: Option<Message>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Message {
    message_id: i64,
}

#[derive(Deserialize, Default)]
struct Parameters {
    #[serde(default)]
    retry_after: Option<u64>,
    #[serde(default)]
    migrate_to_chat_id: Option<i64>,
}

impl TelegramClient {
    /// # Errors
    /// [`ApiError::Refused`] with status 0 where the settings cannot be used.
    pub fn new(settings: TelegramSettings) -> Result<Self, ApiError> {
        Self::with_timing(settings, Timing::default())
    }

    /// Reached as the installation says.
    ///
    /// # Errors
    /// As [`TelegramClient::new`].
    pub fn through(mut self, network: &Network) -> Result<Self, ApiError> {
        self.http = self.http.through(network)?;
        Ok(self)
    }

    /// As [`TelegramClient::new`], with other time limits.
    pub fn with_timing(settings: TelegramSettings, timing: Timing) -> Result<Self, ApiError> {
        let TelegramSettings { url, token, chat_id } = settings;
        let http = Http::new(&url, None, &token, timing)?;
        let pace = Pace::new(quotas());
        Ok(TelegramClient { http, token: Token(token), chat_id, moved_to: Mutex::new(None), pace })
    }

    /// For a server of one's own, which limits nobody.
    pub fn unhurried(mut self) -> Self {
        self.pace = Pace::new([]);
        self
    }

    /// The chat that messages go to now.
    pub fn chat_id(&self) -> String {
        self.moved_to.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(|| self.chat_id.clone())
    }

    /// The chat of the settings.
    pub fn configured_chat(&self) -> &str {
        &self.chat_id
    }

    /// How many workers send with this token.
    pub fn share_among(&self, workers: u32) {
        self.pace.share_among(workers);
    }

    /// Until when Telegram takes nothing, as it said here or to another worker.
    pub fn limited(&self) -> &Limited {
        &self.pace.limited
    }

    /// Where it is said that Telegram is away.
    pub fn gate(&self) -> &Gate {
        self.http.gate()
    }

    /// Takes a turn for the next message; `Some(wait)` = there is none before that time.
    pub fn keep_turn(&self) -> Option<Duration> {
        self.pace.keep_turn()
    }

    /// Asks whether Telegram answers this bot, also where it is known to be away.
    pub async fn probe(&self) -> Result<(), ApiError> {
        let call = Call::post([format!("bot{}", self.token.0).as_str(), "getMe"], json!({})).repeatable().probing();
        let answer: Value = self.http.send(&call).await?.json()?;
        says(answer.get("ok") == Some(&Value::Bool(true)), "that it is well")
    }

    /// The chat has moved there, as somebody learnt before us.
    pub fn follow_to(&self, chat: &str) {
        *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(chat.to_owned());
    }

    /// Sends `html` (Telegram's subset) to the chat. Where the markup is refused, `plain` goes instead; where the
    /// chat has moved, the message follows it.
    pub async fn send_message(&self, html: &str, plain: &str) -> Result<Told, ApiError> {
        let mut told = Told { message_id: 0, migrated_to: None, plain: false };
        // Three: as is, after a move, and as plain text.
        for _ in 0..3 {
            let text = if told.plain { plain } else { html };
            let answer = self.post(text, !told.plain).await?;
            let reply = self.reply(&answer)?;
            if let Some(message) = reply.result.filter(|_| reply.ok) {
                return Ok(Told { message_id: message.message_id, ..told });
            }
            if let Some(chat) = reply.parameters.migrate_to_chat_id {
                let chat = chat.to_string();
                *self.moved_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(chat.clone());
                told.migrated_to = Some(chat);
            } else if answer.status == 400 && !told.plain && reply.description.contains("can't parse entities") {
                told.plain = true;
            } else {
                return self.pace.limited.noting(Err(self.refusal(answer, reply.parameters.retry_after)));
            }
        }
        Err(ApiError::Refused { status: 400, body: "the chat keeps moving".into() })
    }

    /// The bot's own name, without `@`.
    pub async fn bot_name(&self) -> Result<String, ApiError> {
        self.ask("getMe", json!({}), "username").await
    }

    /// What the chat is: `private group supergroup channel`.
    pub async fn chat_kind(&self) -> Result<String, ApiError> {
        self.ask("getChat", json!({ "chat_id": self.chat_id() }), "type").await
    }

    /// One field of a method's result.
    async fn ask(&self, method: &str, body: Value, field: &str) -> Result<String, ApiError> {
        self.pace.turn().await?;
        let call = Call::post([format!("bot{}", self.token.0).as_str(), method], body).repeatable();
        let answer: Value = self.http.send(&call).await?.json()?;
        Ok(answer.pointer(&format!("/result/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    async fn post(&self, text: &str, html: bool) -> Result<Answer, ApiError> {
        let mut body = json!({
            "chat_id": self.chat_id(),
            "text": text,
            "link_preview_options": { "is_disabled": true },
        });
        if let Some(fields) = body.as_object_mut().filter(|_| html) {
            fields.insert("parse_mode".into(), "HTML".into());
        }
        self.pace.turn().await?;
        self.http.exchange(&Call::post([format!("bot{}", self.token.0).as_str(), "sendMessage"], body)).await
    }

    fn reply(&self, answer: &Answer) -> Result<Reply, ApiError> {
        match answer.json() {
            Ok(reply) => Ok(reply),
            Err(malformed) if (200..300).contains(&answer.status) => Err(malformed),
            Err(_) => {
                Ok(Reply { ok: false, result: None, description: String::new(), parameters: Parameters::default() })
            }
        }
    }

    fn refusal(&self, answer: Answer, retry_after: Option<u64>) -> ApiError {
        if let Some(retry_after_s) = retry_after {
            return ApiError::RateLimited { retry_after_s: retry_after_s.clamp(1, RETRY_AFTER_MAX_S) };
        }
        let why = "the answer holds neither a result nor an error".to_owned();
        self.http.check(answer).err().unwrap_or(ApiError::Malformed { why })
    }
}

/// One message a second, and at most 20 in any minute (the limit of a group): a burst of 5 and 15 more.
fn quotas() -> impl IntoIterator<Item = Quota> {
    let burst = NonZeroU32::MIN.saturating_add(4);
    let minute = Quota::with_period(Duration::from_secs(4)).map(|quota| quota.allow_burst(burst));
    std::iter::once(Quota::per_second(NonZeroU32::MIN)).chain(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_never_shown() {
        let settings = TelegramSettings { url: PUBLIC_URL.into(), token: "12:secret".into(), chat_id: "-1".into() };
        assert!(!format!("{settings:?}").contains("secret"));
        assert!(!format!("{:?}", TelegramClient::new(settings).unwrap()).contains("secret"));
    }

    #[test]
    fn twenty_a_minute_at_most() {
        let minute = quotas().into_iter().nth(1).unwrap();
        let refill = 60.0 / minute.replenish_interval().as_secs_f64();
        assert!(f64::from(minute.burst_size().get()) + refill <= 20.0);
    }
}

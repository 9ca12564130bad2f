//! Telegram, where it is configured: the bot and the chat.

use super::Asked;
use super::report::Report;
use crate::clients::ApiError;

pub async fn check(report: &mut Report, asked: &Asked<'_>) {
    let Some(telegram) = &asked.outside.telegram else {
        return report.ok("telegram", "not configured: messages are only logged");
    };
    match telegram.bot_name().await {
        Ok(name) => report.ok("telegram.token", format!("it is @{name}")),
        Err(ApiError::Unauthorized(_) | ApiError::NotFound) => {
            return report.fail("telegram.token", "Telegram does not know it", "ask @BotFather for the token");
        }
        Err(error) => return report.fail("telegram", error.to_string(), "see that Telegram is reachable from here"),
    }
    match telegram.chat_kind().await {
        Ok(kind) => report.ok("telegram.chat", format!("{} is a {kind}", telegram.chat_id())),
        Err(error) => {
            let todo = "add the bot to the chat; the id of a group is negative";
            report.fail("telegram.chat", format!("{}: {error}", telegram.chat_id()), todo);
        }
    }
}

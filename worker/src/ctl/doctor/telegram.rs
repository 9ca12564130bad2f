//! Telegram, where it is configured: the bot and the chat.

use super::Asked;
use super::report::Report;
use crate::clients::causes::{self, Service, Token, What, diagnose};

pub async fn check(report: &Report, asked: &Asked<'_>) {
    let Some(telegram) = &asked.outside.telegram else {
        return report.ok("telegram", "not configured: messages are only logged");
    };
    let of = causes::Asked { service: Service::Telegram, token: Token::Own, what: What::Account };
    match report.during("telegram.token", telegram.bot_name()).await {
        Ok(name) => report.ok("telegram.token", format!("it is @{name}")),
        Err(error) => return report.failed("telegram.token", diagnose(&of, &error)),
    }
    match report.during("telegram.chat", telegram.chat_kind()).await {
        Ok(kind) => report.ok("telegram.chat", format!("{} is a {kind}", telegram.chat_id())),
        Err(error) => {
            let todo = "add the bot to the chat; the id of a group is negative";
            report.fail("telegram.chat", format!("{}: {error}", telegram.chat_id()), todo);
        }
    }
}

//! Telegram: waiting, moving, markup, and errors without the token.

use super::telegram_at;
use orch_tests::fakes::{FakeTelegram, Fault};
use orch_worker::clients::ApiError;
use orch_worker::clients::telegram::{TelegramClient, TelegramSettings};

#[tokio::test]
async fn a_message_arrives() {
    let telegram = FakeTelegram::start();
    let told = telegram_at(telegram.url()).send_message("a &lt; b", "a < b").await.unwrap();
    assert_eq!((told.plain, told.migrated_to), (false, None));
    assert_eq!(telegram.messages(), ["a &lt; b"]);
    assert_eq!(telegram.chats(), [FakeTelegram::CHAT]);
}

#[tokio::test]
async fn a_flood_is_waited_for() {
    let telegram = FakeTelegram::start();
    telegram.flood(31);
    let client = telegram_at(telegram.url());
    assert_eq!(client.send_message("x", "x").await.unwrap_err(), ApiError::RateLimited { retry_after_s: 31 });
    assert!(matches!(client.send_message("x", "x").await, Err(ApiError::RateLimited { .. })));
    assert_eq!(telegram.requests().len(), 1, "the second was not even sent");
}

#[tokio::test]
async fn a_chat_that_moved_is_followed_and_remembered() {
    let telegram = FakeTelegram::start();
    telegram.move_chat(-1009);
    let client = telegram_at(telegram.url());
    assert_eq!(client.send_message("x", "x").await.unwrap().migrated_to.as_deref(), Some("-1009"));
    assert_eq!(client.chat_id(), "-1009");
    assert_eq!(client.send_message("y", "y").await.unwrap().migrated_to, None);
    assert_eq!(telegram.chats(), ["-1009", "-1009"]);
}

#[tokio::test]
async fn refused_markup_goes_as_plain_text() {
    let telegram = FakeTelegram::start();
    telegram.refuse_markup();
    let told = telegram_at(telegram.url()).send_message("<x>", "plain").await.unwrap();
    assert!(told.plain);
    assert_eq!(telegram.messages(), ["plain"]);
}

#[tokio::test]
async fn no_error_shows_the_token() {
    let telegram = FakeTelegram::start();
    let wrong = TelegramSettings { url: telegram.url().into(), token: "9:wrong".into(), chat_id: "1".into() };
    let error = TelegramClient::new(wrong).unwrap().send_message("x", "x").await.unwrap_err();
    assert!(matches!(error, ApiError::Unauthorized(_)), "{error}");
    telegram.fail_next(1, Fault::Cut);
    let cut = telegram_at(telegram.url()).send_message("x", "x").await.unwrap_err();
    assert!(cut.is_transient() && !cut.to_string().contains("telegram-fake-token"), "{cut}");
    let gone = telegram_at("http://127.0.0.1:1").send_message("x", "x").await.unwrap_err();
    assert!(gone.is_transient() && !format!("{gone:?}").contains("telegram-fake-token"), "{gone:?}");
}

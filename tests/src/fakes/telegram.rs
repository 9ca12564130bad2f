//! Telegram's `sendMessage`, and what is asked for a diagnosis.

use super::server::{Fault, Reply, Request, Server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A Bot API server with one bot.
pub struct FakeTelegram {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    messages: Vec<(String, String)>,
    /// The configured chat has become this one.
    moved_to: Option<i64>,
    /// The next messages with markup are refused.
    refuse_markup: bool,
    /// The next request is told to wait this long.
    flood_s: Option<u64>,
}

impl FakeTelegram {
    pub const TOKEN: &'static str = "123456:telegram-fake-token";
    pub const CHAT: &'static str = "-100200";

    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        FakeTelegram { server: Server::start(move |r| handle(&mut shared.lock().unwrap(), r)), state }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// The texts, in order.
    pub fn messages(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.iter().map(|(_, text)| text.clone()).collect()
    }

    /// The chats they went to.
    pub fn chats(&self) -> Vec<String> {
        self.state.lock().unwrap().messages.iter().map(|(chat, _)| chat.clone()).collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.server.fail("", "", times, fault);
    }

    /// The next `times` requests of `method` whose path contains `part` meet `fault`.
    pub fn fail_when(&self, method: &str, part: &str, times: usize, fault: Fault) {
        self.server.fail(method, part, times, fault);
    }

    /// No request meets a fault that was planned.
    pub fn heal(&self) {
        self.server.heal();
    }

    /// Every request meets `fault` from now on; `None`: no longer.
    pub fn fall_ill(&self, fault: Option<Fault>) {
        self.server.fall_ill(fault);
    }

    /// The group has become a supergroup.
    pub fn move_chat(&self, to: i64) {
        self.state.lock().unwrap().moved_to = Some(to);
    }

    pub fn refuse_markup(&self) {
        self.state.lock().unwrap().refuse_markup = true;
    }

    pub fn flood(&self, seconds: u64) {
        self.state.lock().unwrap().flood_s = Some(seconds);
    }
}

fn refused(status: u16, description: &str, parameters: Value) -> Reply {
    let mut body = json!({ "ok": false, "error_code": status, "description": description });
    if !parameters.is_null() {
        body["parameters"] = parameters;
    }
    Reply::json(status, body)
}

fn handle(state: &mut State, request: &Request) -> Reply {
    let segments = request.segments();
    let known = format!("bot{}", FakeTelegram::TOKEN);
    if segments.len() != 2 || !["sendMessage", "getMe", "getChat"].contains(&segments[1]) {
        return refused(404, "Not Found", Value::Null);
    }
    if segments[0] != known {
        return refused(401, "Unauthorized", Value::Null);
    }
    match segments[1] {
        "getMe" => return Reply::json(200, json!({ "ok": true, "result": { "id": 1, "username": "orch_test_bot" } })),
        "getChat" if request.json()["chat_id"] != json!(FakeTelegram::CHAT) => {
            return refused(400, "Bad Request: chat not found", Value::Null);
        }
        "getChat" => return Reply::json(200, json!({ "ok": true, "result": { "id": 1, "type": "supergroup" } })),
        _ => {}
    }
    let body = request.json();
    let chat = body["chat_id"].as_str().map(str::to_owned).unwrap_or_else(|| body["chat_id"].to_string());
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    if let Some(wait) = state.flood_s.take() {
        return refused(429, &format!("Too Many Requests: retry after {wait}"), json!({ "retry_after": wait }));
    }
    if let Some(to) = state.moved_to.filter(|to| chat != to.to_string()) {
        let why = "Bad Request: group chat was upgraded to a supergroup chat";
        return refused(400, why, json!({ "migrate_to_chat_id": to }));
    }
    if text.is_empty() {
        return refused(400, "Bad Request: message text is empty", Value::Null);
    }
    if state.refuse_markup && body.get("parse_mode").is_some() {
        return refused(400, "Bad Request: can't parse entities: Unsupported start tag", Value::Null);
    }
    state.messages.push((chat.clone(), text));
    let id = state.messages.len();
    Reply::json(200, json!({ "ok": true, "result": { "message_id": id, "chat": { "id": chat }, "date": 0 } }))
}

//! Calls of people and programs at the tests' forge, without the client that is to be tested.

use orch_tests::fakes::FakeGitea;
use orch_worker::clients::plain_client;
use serde_json::Value;

/// A call below `/repos/acme/widgets` as this account; the status, and the answer as JSON.
pub async fn call(forge: &FakeGitea, login: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
    let answer = send(forge, login, method, path, body, None).await;
    (answer.0, serde_json::from_str(&answer.2).unwrap_or(Value::Null))
}

/// The status, whole count of a list, and text of an answer.
pub async fn send(
    forge: &FakeGitea,
    login: &str,
    method: &str,
    path: &str,
    body: Value,
    range: Option<&str>,
) -> (u16, Option<String>, String) {
    let token = match login {
        FakeGitea::BOT => FakeGitea::TOKEN.to_owned(),
        FakeGitea::REVIEWER => FakeGitea::REVIEWER_TOKEN.to_owned(),
        other => FakeGitea::token_of(other),
    };
    let url = format!("{}/api/v1/repos/acme/widgets{path}", forge.url());
    let mut request = plain_client()
        .unwrap()
        .request(method.parse().unwrap(), url)
        .header("authorization", format!("token {token}"))
        .header("content-type", "application/json")
        .body(if body.is_null() { String::new() } else { body.to_string() });
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    let total = answer.headers().get("x-total-count").map(|n| n.to_str().unwrap().to_owned());
    (answer.status().as_u16(), total, answer.text().await.unwrap())
}

/// A text in an answer; empty where there is none.
pub fn of(json: &Value, at: &str) -> String {
    json.pointer(at).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The kind and action of each delivery, oldest first.
pub fn told(forge: &FakeGitea) -> Vec<String> {
    let one = |d: &orch_tests::fakes::Delivery| {
        let body: Value = serde_json::from_str(&d.body).unwrap();
        let kind = d.header("X-Gitea-Event-Type").unwrap_or_default();
        let word = [of(&body, "/action"), of(&body, "/state")].into_iter().find(|w| !w.is_empty()).unwrap_or_default();
        format!("{kind} {word}").trim_end().to_owned()
    };
    forge.deliveries().iter().map(one).collect()
}

//! What real senders sent, and what the documented ones send.

use super::api::{Api, GITEA_SECRET, REPO, Setup, fixture, gitea, plane, sign};
use super::http::Request;
use orch_common::store::deliveries::{EventPayload, Source};
use serde_json::Value;
use std::path::Path;

/// The captures of a real Plane, by name.
fn captures() -> Vec<(String, Request)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plane-real");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".body")?.to_owned()))
        .collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), capture(&name))).collect()
}

fn capture(name: &str) -> Request {
    let body = fixture(&format!("plane-real/{name}.body"));
    let recorded: Value = serde_json::from_slice(&fixture(&format!("plane-real/{name}.headers.json"))).unwrap();
    let mut request = Request::new("POST", "/webhook/plane").body(body);
    for line in recorded["header_lines_in_order"].as_array().unwrap() {
        let (header, value) = (line[0].as_str().unwrap(), line[1].as_str().unwrap());
        if !["Host", "Connection", "Content-Length"].contains(&header) {
            request = request.header(header, value);
        }
    }
    request
}

/// The events of the forge, with the headers it sends them with.
fn forge_events() -> Vec<(String, Request)> {
    let recorded: Value = serde_json::from_slice(&fixture("gitea/headers.json")).unwrap();
    let files = recorded["files"].as_object().unwrap();
    files
        .iter()
        .map(|(name, file)| {
            let mut request = Request::new("POST", "/webhook/gitea").body(fixture(&format!("gitea/{name}")));
            for (header, value) in file["headers"].as_object().unwrap() {
                request = request.header(header, value.as_str().unwrap());
            }
            (name.clone(), request)
        })
        .collect()
}

/// Sends each twice: queued once, with the body as it came.
fn each_is_queued_once(api: &Api, all: &[(String, Request)]) {
    for (name, request) in all {
        let (status, job) = api.send(request).outcome();
        assert_eq!(status, "queued", "{name}");
        let payload = api.payload(job.unwrap());
        let read: EventPayload<'_> = serde_json::from_str(&payload).unwrap();
        assert_eq!(read.body.get().as_bytes(), request.body.trim_ascii(), "{name}");
        assert_eq!(api.send(request).outcome(), ("duplicate".to_owned(), job), "{name}");
    }
    assert_eq!(api.queued_events(), all.len() as i64);
}

/// One byte changed, at the start, in the middle and at the end.
fn each_is_refused_if_changed(api: &Api, all: &[(String, Request)]) {
    for (name, request) in all {
        for at in [1, request.body.len() / 2, request.body.len() - 2] {
            let mut changed = request.clone();
            changed.body[at] ^= 1;
            let status = api.send(&changed).status;
            // After so many of them the answer is 429 instead, with the same meaning.
            assert!(matches!(status, 401 | 429), "{name} changed at {at}: {status}");
        }
    }
    assert_eq!(api.queued_events(), 0);
}

#[test]
fn what_a_real_plane_sent_is_queued_once_under_its_own_signature() {
    let (api, all) = (Setup::new().start(), captures());
    assert_eq!(all.len(), 34, "the captures of the fixtures' index");
    each_is_refused_if_changed(&api, &all);
    each_is_queued_once(&api, &all);
}

#[test]
fn what_gitea_sends_is_queued_once_under_its_own_signature() {
    let (api, all) = (Setup::new().start(), forge_events());
    assert!(all.len() >= 28);
    each_is_refused_if_changed(&api, &all);
    each_is_queued_once(&api, &all);
}

#[test]
fn a_retry_of_plane_is_a_duplicate_whatever_its_delivery_id() {
    let api = Setup::new().start();
    let first = capture("003-issue-updated");
    let (_, job) = api.send(&first).outcome();
    let mut retry = first.clone();
    retry.headers.retain(|(name, _)| name != "X-Plane-Delivery");
    let retry = retry.header("X-Plane-Delivery", "00000000-0000-4000-8000-00000000000a");
    assert_eq!(api.send(&retry).outcome(), ("duplicate".to_owned(), job));
}

#[test]
fn any_of_the_forges_signature_headers_will_do() {
    let api = Setup::new().start();
    let body = fixture("gitea/push.json");
    let signature = sign(GITEA_SECRET, &body);
    let prefixed = format!("sha256={signature}");
    let rows = [
        ("X-Gitea-Signature", signature.as_str()),
        ("X-Forgejo-Signature", &signature),
        ("X-Gogs-Signature", &signature),
        ("X-Hub-Signature-256", &prefixed),
    ];
    for (n, (header, value)) in rows.into_iter().enumerate() {
        let request = Request::new("POST", "/webhook/gitea")
            .header("X-Gitea-Event", "push")
            .header("X-Gitea-Delivery", &format!("delivery-{n}"))
            .header(header, value)
            .body(body.clone());
        assert_eq!(api.send(&request).outcome().0, "queued", "{header}");
    }
}

#[test]
fn a_form_is_signed_over_its_decoded_field() {
    let api = Setup::new().start();
    let json = fixture("gitea/push.json");
    let text = std::str::from_utf8(&json).unwrap();
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", text).finish();
    let of = |signature: &str, delivery: &str| {
        Request::new("POST", "/webhook/gitea")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("X-Gitea-Event", "push")
            .header("X-Gitea-Delivery", delivery)
            .header("X-Gitea-Signature", signature)
            .body(form.clone())
    };
    let over_the_body = sign(GITEA_SECRET, form.as_bytes());
    api.send(&of(&over_the_body, "a")).assert_problem(401);
    let (status, job) = api.send(&of(&sign(GITEA_SECRET, &json), "b")).outcome();
    assert_eq!(status, "queued");
    let payload = api.payload(job.unwrap());
    let read: EventPayload<'_> = serde_json::from_str(&payload).unwrap();
    assert_eq!((read.source, read.body.get()), (Source::Gitea, text.trim()));
}

#[test]
fn what_nobody_handles_is_ignored_and_the_log_says_why() {
    let api = Setup::new().start();
    let unknown_project = r#"{"event":"issue","data":{"id":"W","project":"11111111-2222-4333-8444-555555555555"}}"#;
    let unknown_repo = r#"{"repository":{"full_name":"stranger/things"}}"#;
    let known_repo = format!(r#"{{"repository":{{"full_name":"{REPO}"}}}}"#);
    let rows = [
        plane("issue", unknown_project.into()),
        plane("cycle", r#"{"event":"cycle","data":{}}"#.into()),
        gitea("push", "1", unknown_repo.into()),
        gitea("release", "2", known_repo.into()),
    ];
    for request in rows {
        assert_eq!(api.send(&request).outcome(), ("ignored".to_owned(), None), "{request:?}");
    }
    assert_eq!(api.queued_events(), 0);
    for named in ["11111111-2222-4333-8444-555555555555", "stranger/things", "cycle", "release"] {
        assert!(api.log().contains(named), "{named}");
    }
}

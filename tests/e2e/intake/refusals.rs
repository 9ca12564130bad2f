//! What is refused, and how.

use super::api::{Api, GITEA_SECRET, PLANE_SECRET, Setup, gitea, plane, push, sign, work_item};
use super::http::{Answer, Request, connect, exchange, read_one};
use orch_common::store::refusals::{self, Reason};
use std::io::Write;

const LIMIT: usize = 25 * 1024 * 1024;

#[test]
fn an_address_or_method_that_is_not_there() {
    let api = Setup::new().start();
    let rows = [
        ("GET", "/webhook/plane", 405, Some("POST")),
        ("PUT", "/webhook/gitea", 405, Some("POST")),
        ("POST", "/health", 405, Some("GET, HEAD")),
        ("DELETE", "/queue", 405, Some("GET, HEAD")),
        ("GET", "/", 404, None),
        ("POST", "/webhook", 404, None),
        ("GET", "/webhook/plane/x", 404, None),
    ];
    for (method, path, status, allow) in rows {
        let answer = api.send(&Request::new(method, path));
        assert_eq!(answer.assert_problem(status).header("allow"), allow, "{method} {path}");
    }
    let head = exchange(api.address, &Request::new("HEAD", "/health").bytes("close")).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 200") && head.ends_with(b"\r\n\r\n"), "HEAD has no body");
}

#[test]
fn a_signature_that_is_none() {
    let api = Setup::new().start();
    let good = push("x");
    let value = |header: &str, value: &str| {
        let mut request = good.clone();
        request.headers.retain(|(name, _)| name != "X-Gitea-Signature");
        request.header(header, value)
    };
    let signature = sign(GITEA_SECRET, &good.body);
    let rows = [
        value("X-Nothing", ""),
        value("X-Gitea-Signature", ""),
        value("X-Gitea-Signature", &signature[..63]),
        value("X-Gitea-Signature", &format!("sha256={signature}")),
        value("X-Gitea-Signature", &sign("another secret", &good.body)),
        value("X-Hub-Signature-256", "sha256="),
        value("X-Hub-Signature", &format!("sha1={signature}")),
        value("X-Plane-Signature", &sign(PLANE_SECRET, &good.body)),
    ];
    for request in rows {
        api.send(&request).assert_problem(401);
    }
    let mut plane = work_item("x");
    plane.headers.retain(|(name, _)| name != "X-Plane-Signature");
    api.send(&plane).assert_problem(401);
    api.send(&plane.header("X-Plane-Signature", "")).assert_problem(401);
    assert_eq!(api.queued_events(), 0);
    assert_eq!(api.send(&good).outcome().0, "queued");
}

#[test]
fn signed_nonsense() {
    let api = Setup::new().start();
    let rows: [&[u8]; 8] = [b"", b"nope", b"{", b"[]", b"null", b"{\"a\":1,}", b"{\"a\":\"\xff\"}", b"{\"data\":5}"];
    for body in rows {
        api.send(&plane("issue", body.to_vec())).assert_problem(400);
        if body != br#"{"data":5}"# {
            api.send(&gitea("push", "x", body.to_vec())).assert_problem(400);
        }
    }
    assert_eq!(api.queued_events(), 0);
}

#[test]
fn a_body_over_the_limit_is_refused_by_what_is_declared_and_by_what_comes() {
    let api = Setup::new().start();
    let some = push("x");
    // Declared: the answer comes before any of the body.
    let mut stream = connect(api.address).unwrap();
    stream.write_all(&some.head(&format!("Content-Length: {}\r\n", LIMIT + 1))).unwrap();
    read_one(&mut stream).unwrap().unwrap().assert_problem(413);
    // Chunked, which declares nothing.
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 0x10_0000], b"\r\n"].concat();
    let mut stream = connect(api.address).unwrap();
    stream.write_all(&some.head("Transfer-Encoding: chunked\r\n")).unwrap();
    for _ in 0..26 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    read_one(&mut stream).unwrap().unwrap().assert_problem(413);
    assert_eq!(api.queued_events(), 0);
}

#[test]
fn a_body_of_exactly_the_limit_is_accepted_in_either_form() {
    let api = Setup::new().start();
    let mut body = br#"{"repository":{"full_name":"acme/widgets"},"fill":""#.to_vec();
    body.resize(LIMIT - 2, b'x');
    body.extend_from_slice(b"\"}");
    assert_eq!(api.send(&gitea("push", "whole", body.clone())).outcome().0, "queued");
    let request = gitea("push", "chunked", body.clone());
    let mut bytes = request.head("Transfer-Encoding: chunked\r\nConnection: close\r\n");
    for chunk in body.chunks(1024 * 1024) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let mut stream = connect(api.address).unwrap();
    stream.write_all(&bytes).unwrap();
    assert_eq!(read_one(&mut stream).unwrap().unwrap().outcome().0, "queued");
}

#[test]
fn a_flood_without_signature_is_answered_429_and_never_limits_the_signed() {
    let api = Setup::new().start();
    let unsigned = Request::new("POST", "/webhook/gitea").body("{}");
    let forged = push("x").header("X-Forged", "1").body("{}");
    let answers: Vec<Answer> = (0..60).map(|n| api.send(if n % 2 == 0 { &unsigned } else { &forged })).collect();
    let limited: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!((1..60).contains(&limited.len()), "{} of 60", limited.len());
    for answer in limited {
        let seconds: u64 = answer.assert_problem(429).header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
    for n in 0..60 {
        assert_eq!(api.send(&push(&n.to_string())).outcome().0, "queued");
    }
}

#[test]
fn a_secret_that_is_not_set_is_never_a_reason_to_accept() {
    let api = Setup::new().without("ORCH_GITEA_WEBHOOK_SECRET").start();
    let answer = api.send(&push("x"));
    assert!(answer.assert_problem(503).header("retry-after").is_some());
    let mut unsigned = push("x");
    unsigned.headers.retain(|(name, _)| name != "X-Gitea-Signature");
    api.send(&unsigned).assert_problem(503);
    assert_eq!(api.queued_events(), 0);
    assert!(api.log().contains("ORCH_GITEA_WEBHOOK_SECRET is not set"), "{}", api.log());
    assert_eq!(api.send(&work_item("x")).outcome().0, "queued", "the other route works");
}

#[test]
fn no_secret_is_ever_logged() {
    let api = Setup::new().set("ORCH_API_READ_TOKEN", "the-read-token").set("ORCH_LOG", "trace").start();
    api.send(&push("x"));
    api.send(&work_item("x"));
    let log = api.log();
    for secret in [GITEA_SECRET, PLANE_SECRET, "the-read-token"] {
        assert!(!log.contains(secret));
    }
}

#[test]
fn each_refusal_of_a_senders_program_is_counted_by_its_reason() {
    let api = Setup::new().start();
    let good = push("x");
    let signed = |header: &str, value: &str| {
        let mut request = good.clone();
        request.headers.retain(|(name, _)| name != "X-Gitea-Signature");
        request.header(header, value)
    };
    api.send(&signed("X-Gitea-Signature", "")).assert_problem(401);
    api.send(&signed("X-Gitea-Signature", &sign("another secret", &good.body))).assert_problem(401);
    api.send(&signed("X-Gitea-Signature", &sign("another secret", &good.body))).assert_problem(401);
    api.send(&gitea("push", "x", b"nope".to_vec())).assert_problem(400);
    let other = br#"{"repository":{"full_name":"acme/unknown"}}"#.to_vec();
    assert_eq!(api.send(&gitea("push", "y", other)).outcome().0, "ignored");
    let mut stream = connect(api.address).unwrap();
    stream.write_all(&good.head(&format!("Content-Length: {}\r\n", LIMIT + 1))).unwrap();
    read_one(&mut stream).unwrap().unwrap().assert_problem(413);
    // Strangers knock at every door.
    api.send(&Request::new("POST", "/webhook/gitea").body(b"{}".to_vec())).assert_problem(401);
    let counted = |api: &Api| refusals::all(&mut api.store.connection().unwrap()).unwrap();
    api.until("all are written", |api| counted(api).iter().map(|r| r.count).sum::<i64>() >= 6);
    let mut found: Vec<(Reason, i64)> = counted(&api).iter().map(|r| (r.reason, r.count)).collect();
    found.sort_by_key(|(reason, _)| reason.as_str());
    let expected = [
        (Reason::TooLarge, 1),
        (Reason::Unknown, 1),
        (Reason::Unreadable, 1),
        (Reason::Unsigned, 1),
        (Reason::WrongSignature, 2),
    ];
    assert_eq!(found, expected);
}

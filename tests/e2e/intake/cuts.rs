//! Plane is never answered where the queue cannot take its webhook: the connection ends without one byte, because
//! any answer at all would count as delivered.

use super::api::{Api, Setup, plane, work_item};
use super::http::{connect, exchange};
use std::io::{Read, Write};

fn is_cut(api: &Api, bytes: &[u8]) {
    let came = exchange(api.address, bytes).unwrap();
    assert_eq!(String::from_utf8_lossy(&came), "", "not one byte may come back");
}

#[test]
fn without_a_secret_the_connection_is_cut_and_nothing_is_answered() {
    let api = Setup::new().without("ORCH_PLANE_WEBHOOK_SECRET").start();
    is_cut(&api, &work_item("x").bytes("close"));
    is_cut(&api, &work_item("x").bytes("keep-alive"));
    // A body that has not come yet, and one that is larger than any buffer on its way.
    is_cut(&api, &work_item("x").head("Content-Length: 1000\r\n"));
    is_cut(&api, &plane("issue", vec![b'x'; 20 * 1024 * 1024]).bytes("close"));
    // Two requests on the wire at once.
    is_cut(&api, &[work_item("x").bytes("keep-alive"), work_item("y").bytes("keep-alive")].concat());
    assert_eq!(api.queued_events(), 0);
    assert!(api.log().contains("ORCH_PLANE_WEBHOOK_SECRET is not set"), "{}", api.log());
}

#[test]
fn until_the_schema_is_current() {
    let api = Setup::new().not_migrated().start();
    is_cut(&api, &work_item("x").bytes("close"));
    api.send(&super::api::push("x")).assert_problem(503);
    let health = api.get("/health");
    assert_eq!(health.status, 200, "it lives");
    assert_eq!(health.json()["readiness"]["ready"], false, "{health:?}");
    assert_eq!(api.get("/health/ready").status, 503);
    assert_eq!(api.get("/health?ready=1").status, 503);
    api.get("/queue").assert_problem(503);

    api.store.migrate().unwrap();
    api.until("ready after the migration", |api| api.get("/health?ready=1").status == 200);
    assert_eq!(api.send(&work_item("x")).outcome().0, "queued");
}

#[test]
fn on_a_connection_that_was_answered_before() {
    let api = Setup::new().start();
    let mut stream = connect(api.address).unwrap();
    stream.write_all(&work_item("first").bytes("keep-alive")).unwrap();
    assert_eq!(super::http::read_one(&mut stream).unwrap().unwrap().outcome().0, "queued");
    let full = super::faults::FullDisk::of(&api);
    stream.write_all(&work_item("second").bytes("keep-alive")).unwrap();
    let mut came = Vec::new();
    let _reset_or_end = stream.read_to_end(&mut came);
    assert_eq!(came, b"", "not one byte may come back");
    drop(full);
    api.until("it is accepted later", |api| {
        work_item("second").send(api.address).is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn no_descriptor_is_left_behind() {
    let api = Setup::new().without("ORCH_PLANE_WEBHOOK_SECRET").start();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", api.pid())).unwrap().count();
    api.get("/health");
    let before = open();
    for n in 0..200 {
        is_cut(&api, &work_item(&n.to_string()).bytes("close"));
        api.get("/health");
    }
    api.until("all descriptors are closed", |_| open() <= before + 2);
}

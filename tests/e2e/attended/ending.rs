//! `kill -9` of a worker in the middle of what it runs itself.

use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::stack::{Stack, WORKER};
use orch_worker::agent::Identity;
use std::net::TcpListener;
use std::path::Path;

/// A process that a file of the scratch folder names.
fn process(path: &Path) -> Option<Identity> {
    Identity::of(std::fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok()?).ok()
}

/// Every process that has these bytes in its command line.
fn speaking_of(words: &str) -> Vec<Identity> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let speaks = |pid: &i32| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.windows(words.len()).any(|part| part == words.as_bytes()))
    };
    numbers.filter(speaks).filter_map(|pid| Identity::of(pid).ok()).filter(Identity::is_alive).collect()
}

#[test]
fn a_git_that_waits_for_a_silent_forge_ends_with_its_worker() {
    // It accepts (the system does, in its name) and never says a word.
    let forge = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("127.0.0.1:{}", forge.local_addr().unwrap().port());
    let mut stack = Stack::builder().project("remote", format!("http://{address}/acme/shop.git")).start();
    stack.plane().create_item("Add a greeting", "", &[]);
    // git, its helper for http, and the attendant of both.
    stack.wait("a fetch that hangs", || speaking_of(&address).len() >= 3);
    let all = speaking_of(&address);
    stack.kill_worker(WORKER);
    stack.wait("git to end", || all.iter().all(|process| !process.is_alive()) && speaking_of(&address).is_empty());
}

#[test]
fn tests_and_their_daemons_end_with_their_worker_and_are_run_again_by_the_next() {
    let begun = "(env -i /usr/bin/setsid /bin/sh -c '(/bin/sh -c \"echo \\$\\$ > ROOT/daemon.new; \
        /bin/mv ROOT/daemon.new ROOT/daemon; exec /bin/sleep 1000\") & exit' >/dev/null 2>&1 </dev/null &); \
        until test -s ROOT/daemon; do sleep 0.02; done; echo $$ > ROOT/tests; \
        while [ -e ROOT/hold-tests ]; do sleep 0.05; done";
    let mut stack = Stack::builder().without_worker().start();
    let root = stack.scene.root.to_string_lossy().into_owned();
    let config = std::fs::read_to_string(&stack.scene.config).unwrap();
    let mut config: toml::Table = config.parse().unwrap();
    let projects = config.get_mut("projects").and_then(toml::Value::as_array_mut).unwrap();
    let project = projects.first_mut().and_then(toml::Value::as_table_mut).unwrap();
    project.insert("test_command".into(), begun.replace("ROOT", &root).into());
    stack.scene.write_config(&config);
    stack.start_worker(WORKER);
    stack.give("hold-tests");
    let item = stack.approved("Login");
    let all = ["daemon", "tests"].map(|name| stack.wait_for(name, || process(&stack.signal(name))));
    stack.kill_worker(WORKER);
    stack.wait("the tests to end", || all.iter().all(|process| !process.is_alive()));
    std::fs::remove_file(stack.signal("daemon")).unwrap();
    std::fs::remove_file(stack.signal("hold-tests")).unwrap();
    stack.start_worker(WORKER);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let daemon = std::fs::read_to_string(stack.signal("daemon")).unwrap();
    assert!(Identity::of(daemon.trim().parse().unwrap()).is_err(), "a daemon outlived the tests");
}

//! The program as an operator meets it: what it prints, what it refuses, and that no secret is part of either.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SECRET: &str = "a-secret-that-must-not-be-seen";

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orch-api"));
    command.current_dir(dir).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("ORCH_API_BIND", "127.0.0.1:0").env("ORCH_PLANE_WEBHOOK_SECRET", SECRET);
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Ends the process and gives all it wrote to stderr.
fn log_of(mut child: Child) -> String {
    child.kill().unwrap();
    child.wait().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    log
}

/// Starts the program and waits for the line that says where it listens.
fn started(mut command: Command) -> (Child, String) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line)
}

#[test]
fn version_and_help() {
    let dir = tempfile::tempdir().unwrap();
    let version = program(dir.path()).arg("--version").output().unwrap();
    assert!(version.status.success());
    assert_eq!(text(&version).trim(), format!("orch-api {}", env!("CARGO_PKG_VERSION")));
    let help = program(dir.path()).arg("--help").output().unwrap();
    assert!(text(&help).contains("--config <FILE>") && !text(&help).contains(SECRET), "{}", text(&help));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.toml"), "[api]\nbnid = \"127.0.0.1:1\"\n").unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    type Row<'a> = (&'a [&'a str], (&'a str, &'a str), i32, &'a str);
    let rows: [Row<'_>; 5] = [
        (&["--nope"], ("A", "b"), 2, "--nope"),
        (&["--config", "missing.toml"], ("A", "b"), 2, "missing.toml"),
        (&["--config", "bad.toml"], ("A", "b"), 2, "bnid"),
        (&[], ("ORCH_API_BIND", "nowhere"), 2, "ORCH_API_BIND"),
        (&[], ("ORCH_API_BIND", &busy), 1, "ORCH_API_BIND"),
    ];
    for (arguments, (name, value), code, named) in rows {
        let output = program(dir.path()).args(arguments).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {name}: {}", text(&output));
        assert!(text(&output).contains(named), "{arguments:?} {name}: {}", text(&output));
        assert!(!text(&output).contains(SECRET));
    }
}

#[test]
fn it_makes_the_folder_of_the_database_and_says_what_is_not_set() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program(dir.path());
    command.env("ORCH_DB_PATH", "deep/er/orch.db");
    let (child, line) = started(command);
    assert!(line.starts_with("listening on 127.0.0.1:"), "{line}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !dir.path().join("deep/er/orch.db").exists() {
        assert!(std::time::Instant::now() < deadline, "no database was made");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let log = log_of(child);
    assert!(log.contains("ORCH_GITEA_WEBHOOK_SECRET is not set"), "{log}");
    assert!(log.contains("/webhook/gitea answers 503"), "{log}");
    assert!(!log.contains("ORCH_PLANE_WEBHOOK_SECRET") && !log.contains(SECRET), "{log}");
}

#[test]
fn a_folder_that_cannot_be_is_no_reason_not_to_listen() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let mut command = program(dir.path());
    command.env("ORCH_DB_PATH", "file/orch.db");
    let (child, line) = started(command);
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let answer = get(&address, "/health");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""ready":false"#), "{answer}");
    assert!(get(&address, "/health/ready").starts_with("HTTP/1.1 503"));
    assert!(!log_of(child).contains(SECRET));
}

fn get(address: &str, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

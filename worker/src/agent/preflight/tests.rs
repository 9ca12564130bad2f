use super::*;
use std::fs;

struct Program {
    dir: tempfile::TempDir,
    path: PathBuf,
}

fn program(body: &str) -> Program {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    write(&path, body);
    Program { dir, path }
}

/// Written by another process: one that forks while this one has the file open for writing makes it "busy".
fn write(path: &Path, body: &str) {
    let script = format!("#!/bin/sh\n{body}\n");
    let copied = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\"", "sh", &script])
        .arg(path)
        .status()
        .unwrap();
    assert!(copied.success());
}

async fn ask(body: &str) -> Result<String, String> {
    let program = program(body);
    ask_version(&program.path, None, Duration::from_secs(10)).await
}

#[test]
fn names_are_resolved_once_and_links_kept() {
    let program = program("exit 0");
    let dir = program.dir.path();
    std::os::unix::fs::symlink(&program.path, dir.join("link")).unwrap();
    fs::write(dir.join("plain"), "x").unwrap();
    let on = |bin: &str| resolve_on(bin, OsStr::new(&format!("/nonexistent:relative:{}", dir.display())));
    assert_eq!(on("agent").unwrap(), program.path);
    assert_eq!(on("link").unwrap(), dir.join("link"));
    assert_eq!(on("plain"), Err(ResolveError::NotOnPath("plain".into())));
    assert_eq!(on(""), Err(ResolveError::NotOnPath("".into())));
    let plain = dir.join("plain");
    assert_eq!(on(plain.to_str().unwrap()), Err(ResolveError::NotExecutable(plain)));
    assert_eq!(on("/no/such"), Err(ResolveError::Missing("/no/such".into())));
}

#[tokio::test]
async fn the_answer_is_judged() {
    assert_eq!(ask("echo '2.1.330 (Claude Code)'").await.unwrap(), "2.1.330 (Claude Code)");
    assert_eq!(ask("echo; printf 'v1\\033[0m\\nmore\\n'").await.unwrap(), "v1[0m");
    assert!(ask("exit 0").await.unwrap_err().contains("printed nothing"));
    let stub = ask("echo 'Error: native binary not installed.' >&2; exit 1").await.unwrap_err();
    assert!(stub.contains("exit status: 1") && stub.contains("native binary"), "{stub}");
    assert!(ask("kill -9 $$").await.unwrap_err().contains("signal: 9"));
    assert_eq!(ask("env | grep -cv -e ^ORCH_RUN_ID= -e ^PWD= -e ^_= -e ^SHLVL= ; echo").await.unwrap(), "0");
}

#[tokio::test]
async fn endless_output_is_no_answer_and_does_not_hang() {
    let err = ask("while :; do echo y; done").await.unwrap_err();
    assert!(err.contains("failed") || err.contains("signal"), "{err}");
}

#[tokio::test]
async fn a_silent_program_is_killed_with_all_it_started() {
    let program = program(
        "W=${0%/*}; (setsid sh -c \"echo \\$\\$ > $W/pid1; exec sleep 300\" &)\n\
         sleep 301 & echo $! > $W/pid2\n\
         trap '' TERM; echo $$ > $W/pid3; wait",
    );
    let started = Instant::now();
    let answer = ask_version(&program.path, None, Duration::from_secs(2)).await;
    assert!(answer.unwrap_err().contains("no answer within 2 s"));
    assert!(started.elapsed() < Duration::from_secs(12));
    for name in ["pid1", "pid2", "pid3"] {
        let pid: i32 = fs::read_to_string(program.dir.path().join(name)).unwrap().trim().parse().unwrap();
        assert!(!super::super::procfs::stat(pid).is_ok_and(|s| !s.is_gone()), "{name} lives");
    }
}

#[tokio::test]
async fn answers_are_kept_for_a_while_and_failures_too() {
    let program = program("echo x >> \"${0%/*}/asked\"; echo 1.0");
    let asked = || fs::read_to_string(program.dir.path().join("asked")).unwrap_or_default().len() / 2;
    let preflight = Preflight::new(program.path.to_str().unwrap(), None, Duration::from_secs(600));
    assert_eq!(preflight.last().await, None);
    let (a, b) = tokio::join!(preflight.check(), preflight.check());
    assert!(a.ok && a == b && a.path.as_deref() == Some(&program.path) && a.checked_at_ms > 0);
    assert_eq!((asked(), preflight.last().await), (1, Some(a)));
    write(&program.path, "exit 7");
    assert!(preflight.check().await.ok);
    assert!(!preflight.check_now().await.ok);
    write(&program.path, "echo 2.0");
    assert!(!preflight.check().await.ok, "a failure is kept too");
    assert_eq!(preflight.check_now().await.version.as_deref(), Some("2.0"));
    let short = Preflight::new(program.path.to_str().unwrap(), None, Duration::ZERO);
    fs::remove_file(&program.path).unwrap();
    assert!(short.check().await.reason.unwrap().contains("no such file"));
    write(&program.path, "echo 3.0");
    assert!(short.check().await.ok, "found as soon as it is there");
}

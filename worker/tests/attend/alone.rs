//! The program by itself.

use super::support::*;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn attended(args: &[&str]) -> Command {
    let mut command = Command::new(WORKER);
    command.args(["attend", "--parent", &std::process::id().to_string(), "--"]).args(args);
    command
}

#[test]
fn the_end_of_the_command_is_the_end_of_the_attendant() {
    for (line, code, signal) in [
        ("exit 0", Some(0), None),
        ("exit 3", Some(3), None),
        ("exit 255", Some(255), None),
        ("kill -SEGV $$", None, Some(11)),
        ("kill -ABRT $$", None, Some(6)),
        ("kill -TERM $$", None, Some(15)),
        ("kill -KILL $$", None, Some(9)),
        ("kill -PIPE $$", None, Some(13)),
        ("kill -USR1 $$", None, Some(10)),
        ("kill -QUIT $$", None, Some(3)),
    ] {
        let status = attended(&["sh", "-c", line]).status().unwrap();
        assert_eq!((status.code(), status.signal()), (code, signal), "{line}");
    }
    for (program, code) in [("no-such-tool", 127), ("/etc/passwd", 126), ("/", 126)] {
        let output = attended(&[program]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{program}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{program} cannot be started")));
    }
    let usage = Command::new(WORKER).args(["attend", "--parent", "x", "--", "true"]).output().unwrap();
    assert_eq!((usage.status.code(), usage.stdout.len()), (Some(2), 0));
}

#[test]
fn input_output_environment_and_folder_are_the_commands_and_it_leads_a_group_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let line = "pwd; echo $MARK; cat; echo error >&2; ps -o pgid= -p $$ | tr -d ' '; echo $$";
    let mut command = attended(&["sh", "-c", line]);
    command.current_dir(dir.path()).env_clear().env("PATH", "/usr/bin:/bin").env("MARK", "one");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let folder = dir.path().canonicalize().unwrap();
    assert_eq!(lines[..3], [folder.to_str().unwrap(), "one", "input"]);
    assert_eq!(lines[3], lines[4], "the group's leader");
    assert_eq!(output.stderr, b"error\n");
}

#[test]
fn what_the_command_left_ends_before_the_attendant_does() {
    let dir = tempfile::tempdir().unwrap();
    let status = attended(&["sh", "-c", &format!("{LEAVES_A_DAEMON}; exit 7")]).current_dir(dir.path()).status();
    assert_eq!(status.unwrap().code(), Some(7));
    assert_ended(number(dir.path(), "daemon"));
}

/// As by SIGKILL of the worker: the parent is gone at once and says nothing to anybody.
#[test]
fn everything_ends_when_the_parent_is_killed() {
    for line in ["sleep 1000", "trap '' TERM HUP INT; while :; do sleep 1000; done"] {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("echo $$ > command; {LEAVES_A_DAEMON}; {line}");
        let parent = "\"$0\" attend --parent $$ -- sh -c \"$1\" & echo $! > attendant; wait";
        let mut parent =
            Command::new("sh").args(["-c", parent, WORKER, &script]).current_dir(dir.path()).spawn().unwrap();
        let all = ["attendant", "command", "daemon"].map(|name| process(dir.path(), name));
        assert!(all.iter().all(|process| process.is_alive()));
        parent.kill().unwrap();
        parent.wait().unwrap();
        all.iter().for_each(assert_gone);
    }
}

#[test]
fn nothing_is_started_for_a_parent_that_is_not_the_parent() {
    let dir = tempfile::tempdir().unwrap();
    for parent in ["1", "0", "-1", "2147483647"] {
        let mut command = Command::new(WORKER);
        command.args(["attend", "--parent", parent, "--", "touch", "ran"]).current_dir(dir.path());
        assert_eq!(command.output().unwrap().status.code(), Some(126), "{parent}");
    }
    assert!(!dir.path().join("ran").exists());
}

#[test]
fn memory_is_limited_from_the_first_instruction() {
    let mut command = Command::new(WORKER);
    let parent = std::process::id().to_string();
    command.args(["attend", "--parent", &parent, "--memory", "1073741824", "--", "sh", "-c", "ulimit -v"]);
    assert_eq!(command.output().unwrap().stdout, b"1048576\n");
}

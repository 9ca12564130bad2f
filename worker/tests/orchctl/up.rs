//! `up`, with scripts in the place of its two siblings.

use super::support::{ORCHCTL, PATIENCE, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// Ends well when it is asked to.
const POLITE: &str = "trap 'echo bye; exit 0' TERM; echo up \"$@\"; while :; do sleep 0.02; done";

struct Up {
    child: Child,
    lines: Receiver<String>,
}

/// Programs beside a copy of `orchctl`.
fn install(world: &World, api: &str, worker: &str) {
    let bin = world.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let own = bin.join("orchctl");
    orch_testkit::place_program(ORCHCTL.as_ref(), &own);
    for (name, script) in [("orch-api", api), ("orch-worker", worker)] {
        write_program(&bin.join(name), script);
    }
}

fn write_program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn up(world: &World) -> Up {
    let mut command = Command::new(world.path("bin/orchctl"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.arg("--config").arg(world.path("orch.toml")).arg("up").spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    Up { child, lines }
}

impl Up {
    /// Waits for lines with these beginnings, in any order.
    fn sees(&self, wanted: &[&str]) -> Vec<String> {
        let (mut left, mut seen) = (wanted.to_vec(), Vec::new());
        while !left.is_empty() {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{left:?} never came: {e}"));
            left.retain(|beginning| !line.starts_with(beginning));
            seen.push(line);
        }
        seen
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// Takes its time to end well; asked a second time, it does not.
const SLOW: &str = "n=0; trap 'n=$((n+1)); echo asked $n; [ $n -lt 2 ] || exit 130' TERM; echo up; \
                    while [ $n -eq 0 ]; do sleep 0.02; done; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.05; done; exit 0";
/// Has to be asked twice.
const STUBBORN: &str = "n=0; trap 'n=$((n+1)); echo asked $n; [ $n -lt 2 ] || exit 130' TERM; echo up; \
                        while :; do sleep 0.02; done";

#[test]
fn a_signal_stops_both_once() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let world = World::bare();
        install(&world, POLITE, SLOW);
        let up = up(&world);
        let lines = up.sees(&["api     | up", "worker  | up"]);
        assert!(lines.iter().any(|line| line.starts_with("api     | up --config ") && line.contains("orch.toml")));
        assert!(world.path("data/orch.db").exists(), "the schema is there before they start");
        up.signal(signal);
        up.sees(&["api     | bye", "worker  | asked 1", "orchctl | stopped; agents at work go on"]);
        assert_eq!(up.code(), Some(0));
    }
}

#[test]
fn the_death_of_one_stops_the_other_with_its_code() {
    for (script, code) in [("exit 7", 7), ("kill -KILL $$", 137)] {
        let world = World::bare();
        install(&world, POLITE, &format!("until [ -e '{}' ]; do sleep 0.02; done; {script}", world.at("go")));
        let up = up(&world);
        up.sees(&["api     | up"]);
        std::fs::write(world.path("go"), "").unwrap();
        up.sees(&["api     | bye"]);
        assert_eq!(up.code(), Some(code));
    }
}

#[test]
fn a_second_signal_is_passed_on() {
    let world = World::bare();
    install(&world, POLITE, STUBBORN);
    let up = up(&world);
    up.sees(&["api     | up", "worker  | up"]);
    up.signal(Signal::SIGINT);
    up.sees(&["worker  | asked 1"]);
    up.signal(Signal::SIGINT);
    up.sees(&["worker  | asked 2"]);
    assert_eq!(up.code(), Some(130));
}

#[test]
fn without_its_siblings_it_says_how_to_get_them() {
    let world = World::bare();
    install(&world, POLITE, POLITE);
    std::fs::remove_file(world.path("bin/orch-api")).unwrap();
    let mut command = Command::new(world.path("bin/orchctl"));
    let output = command.env_clear().arg("--config").arg(world.path("orch.toml")).arg("up").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cargo build"));
}

#[test]
fn without_a_project_it_says_how_to_configure_one() {
    let world = World::bare();
    install(&world, POLITE, POLITE);
    let file = world.path("orch.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.split("[[projects]]").next().unwrap()).unwrap();
    let output =
        Command::new(world.path("bin/orchctl")).env_clear().arg("--config").arg(&file).arg("up").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("orchctl init"));
    assert!(!world.path("data/orch.db").exists(), "nothing was made");
}

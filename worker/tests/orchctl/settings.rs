//! `config`, and what is wrong before any command begins.

use super::support::{ORCHCTL, SECRET, World};
use std::process::Command;

#[test]
fn check_shows_what_is_in_effect_and_no_secret() {
    let world = World::bare();
    let output = world.command(&["config", "check"]).env("ORCH_MAX_CONCURRENCY", "7").env("ORCH_MAXX", "1").output();
    let output = output.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "max_concurrency = 7",
        "api_token = \"***\"",
        "# name is not set",
        "# warning: unknown variable ORCH_MAXX",
        "repo = \"team/shop\"",
        "env = { KEY = \"***\" }",
        "orch-worker skips or refuses what needs it: ORCH_PLANE_URL",
        "timeout_overrides = {}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(SECRET));
}

/// What `check` prints can be used as a file.
#[test]
fn what_check_prints_is_toml() {
    let world = World::bare();
    let text = world.ctl(&["config", "check"]).ok();
    let parsed: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(parsed["worker"]["max_concurrency"].as_integer(), Some(1));
    assert_eq!(parsed["projects"][0]["id_prefix"].as_str(), Some("ET"));
}

#[test]
fn the_example_is_accepted_as_it_is() {
    let world = World::bare();
    let example = world.ctl(&["config", "example"]).ok();
    assert!(example.contains("# max_concurrency = 1\n") && example.contains("ORCH_PLANE_API_TOKEN_FILE"), "{example}");
    std::fs::write(world.path("orch.toml"), example).unwrap();
    assert!(world.ctl(&["config", "check"]).ok().contains("every webhook is ignored"));
}

#[test]
fn a_bad_configuration_stops_every_command_but_the_example() {
    let world = World::bare();
    std::fs::write(world.path("orch.toml"), "[worker]\nmax_concurency = 2\n").unwrap();
    for arguments in [&["status"][..], &["config", "check"], &["migrate"], &["up"], &["restore", "x"], &["runs"]] {
        let error = world.ctl(arguments).fails(2);
        assert!(error.contains("did you mean max_concurrency?"), "{arguments:?}: {error}");
    }
    world.ctl(&["config", "example"]).ok();
    std::fs::remove_file(world.path("orch.toml")).unwrap();
    assert!(world.ctl(&["status"]).fails(2).contains("cannot be read"));
}

#[test]
fn a_wrong_command_line_is_2() {
    for arguments in [&[][..], &["wish"], &["jobs", "--nonsense"], &["tasks", "reject", "ET-001"], &["backup"]] {
        let output = Command::new(ORCHCTL).args(arguments).env_clear().output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    let help = Command::new(ORCHCTL).arg("--help").env_clear().env("ORCH_GITEA_TOKEN", SECRET).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("Exit codes") && !text.contains(SECRET), "{text}");
}

/// `orchctl config example | head -1`.
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let world = World::bare();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = world.command(&["config", "example"]);
    let output = command.stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

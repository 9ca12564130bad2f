//! What the Makefile and the scripts around the tests promise.

use super::root;
use orch_testkit::needs::{self, Need};
use std::process::{Command, Output};

/// What make would run, with cargo building in another folder.
fn dry_run(target: &str) -> String {
    let mut make = Command::new("make");
    make.args(["--dry-run", target]).current_dir(root()).env("CARGO_TARGET_DIR", "/elsewhere/of cargo");
    let output = make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").output().expect("make runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("make says text")
}

#[test]
fn demo_and_run_build_the_programs_alone_and_start_them_where_cargo_builds() {
    if !needs::all(&[Need::Program("make")]) {
        return;
    }
    for (target, command) in [("demo", "demo"), ("run", "up")] {
        let build = "cargo build -p orch-api -p orch-worker --bins\n";
        assert_eq!(dry_run(target), format!("{build}'/elsewhere/of cargo/debug/orchctl' {command}\n"));
    }
}

/// `tests/run.sh` with a shell line in the place of cargo.
fn run(line: &str, tmpdir: Option<&str>) -> Output {
    let mut command = Command::new("tests/run.sh");
    command.args(["sh", "-c", line]).current_dir(root()).env_remove("TMPDIR").env_remove("ORCH_TEST_SKIPS");
    command.envs(tmpdir.map(|folder| ("TMPDIR", folder))).output().expect("a shell runs")
}

#[test]
fn a_run_of_the_tests_keeps_its_exit_code_and_names_and_counts_what_was_skipped() {
    let output =
        run("echo 'two: no moon' >> \"$ORCH_TEST_SKIPS\"; echo 'one: no sun' >> \"$ORCH_TEST_SKIPS\"; exit 3", None);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(said.ends_with("2 tests were skipped:\none: no sun\ntwo: no moon\n"), "{said}");
    let output = run("true", None);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("No test was skipped.\n"), "{output:?}");
}

#[test]
fn scratch_folders_are_made_where_tmpdir_says_and_are_gone_after_the_run() {
    let own = tempfile::tempdir().unwrap();
    let asked = own.path().to_str().unwrap();
    let of = |output: &Output| {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines().find_map(|line| line.strip_prefix("here: ").map(str::to_owned)).expect("the folder")
    };
    let line = "echo here: ${TMPDIR:-/tmp}";
    assert_eq!(of(&run(line, Some(asked))), asked);
    let folder = of(&run(line, None));
    assert!(folder == "/tmp" || !std::path::Path::new(&folder).exists(), "{folder}");
}

//! `orchctl demo`, as somebody meets it first.

use orch_tests::stack::programs;
use std::process::{Command, Output};

fn shell(line: &str) -> Output {
    // As from any other folder, and as somebody without a configuration.
    let path = std::env::var_os("PATH").unwrap_or_default();
    Command::new("sh").args(["-c", line]).current_dir("/").env_clear().env("PATH", path).output().unwrap()
}

#[test]
fn the_demonstration_ends_well_and_what_it_prints_works_as_printed() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("a demo");
    let orchctl = programs().join("orchctl");
    let played = Command::new(&orchctl).args(["demo", "--dir"]).arg(&folder).output().unwrap();
    let said = String::from_utf8(played.stdout).unwrap();
    assert!(played.status.success(), "{said}\n{}", String::from_utf8_lossy(&played.stderr));
    assert!(said.contains("DEMO-001 is done"), "{said}");

    let (_, rest) = said.split_once("Look closer:\n").expect("what to do next");
    let commands: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    let [show, log, git, remove, init] = commands[..] else { panic!("{commands:?}") };
    for (line, shows) in [(show, "review"), (log, "14-deploy.md"), (git, "14-deploy.md")] {
        let output = shell(line);
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && shown.contains(shows), "{line}: {output:?}");
    }
    // Asks nothing here, but is understood.
    let output = shell(&format!("{init} --help"));
    assert!(output.status.success(), "{init}: {output:?}");
    assert!(remove.starts_with("rm -r ") && shell(remove).status.success(), "{remove}");
    assert!(!folder.exists());
}

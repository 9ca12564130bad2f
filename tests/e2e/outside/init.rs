//! `orchctl init`, the real program, by conversation and by flags.

use orch_common::config::Config;
use orch_tests::fakes::{FakeGitea, FakePlane};
use orch_tests::stack::programs;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const OURS: &str = "https://orch.example.test";

fn init(dir: &Path, arguments: &[&str], env: &[(&str, &str)], typed: &str) -> Output {
    let mut command = Command::new(programs().join("orchctl"));
    command.arg("init").args(arguments).env_clear().envs(env.iter().copied()).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_conversation_ends_in_a_file_that_loads_and_a_hook_that_is_there() {
    let (dir, gitea) = (tempfile::tempdir().unwrap(), FakeGitea::start());
    gitea.add_plain_repo("widgets");
    let typed = [
        "not a url",
        "https://plane.example.test",
        "acme",
        FakePlane::TOKEN,
        "ET",
        FakePlane::PROJECT,
        "plane_wh_typed",
        gitea.url(),
        FakeGitea::TOKEN,
        "acme/widgets",
        "",
        "",
        "make test",
        OURS,
        "",
    ]
    .join("\n");
    let output = init(dir.path(), &[], &[], &typed);
    assert!(output.status.success(), "{}", said(&output));
    let file = dir.path().join("orch.toml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let config = Config::load(Some(&file), &BTreeMap::new()).unwrap().config;
    let project = config.projects.iter().next().unwrap();
    assert_eq!((project.repo.as_str(), project.id_prefix.as_str()), ("acme/widgets", "WIDGETS"));
    assert_eq!(config.plane.webhook_secret.unwrap().expose(), "plane_wh_typed");
    assert!(config.gitea.webhook_secret.unwrap().expose().len() >= 32);
    assert_eq!(gitea.hooks("widgets").len(), 1);
    assert_eq!(gitea.hooks("widgets")[0].1, format!("{OURS}/webhook/gitea"));
    let text = said(&output);
    assert!(text.contains(&format!("URL: {OURS}/webhook/plane")) && text.contains("Issue comment"), "{text}");
    for secret in [FakePlane::TOKEN, FakeGitea::TOKEN, "plane_wh_typed"] {
        assert!(!text.contains(secret), "{text}");
    }

    let before = std::fs::read(&file).unwrap();
    let again = init(dir.path(), &[], &[], &typed);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read(&file).unwrap(), before, "never overwritten");

    let hooks = |more: &[&str]| init(dir.path(), &[&["--hooks-only"], more].concat(), &[], "");
    assert!(hooks(&[]).status.success());
    let first = gitea.hooks("widgets");
    assert_eq!(first.len(), 1, "known by its address");
    gitea.forget_requests();
    assert!(hooks(&["--replace-hooks"]).status.success());
    let second = gitea.hooks("widgets");
    assert!(second.len() == 1 && second[0].0 != first[0].0);
    let order: Vec<String> = gitea.requests().iter().map(|r| r.method.clone()).filter(|m| m != "GET").collect();
    assert_eq!(order, ["POST", "DELETE"], "the new one first");
}

#[test]
fn flags_ask_nothing_and_secrets_stay_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["--yes", "--no-hooks", "--plane-project", FakePlane::PROJECT, "--repo", "acme/widgets"];
    let env = [("ORCH_GITEA_WEBHOOK_SECRET", "from-the-environment")];
    let output = init(dir.path(), &arguments, &env, "");
    assert!(output.status.success(), "{}", said(&output));
    let text = std::fs::read_to_string(dir.path().join("orch.toml")).unwrap();
    assert!(!text.contains("from-the-environment") && text.contains("ORCH_GITEA_WEBHOOK_SECRET"), "{text}");
}

#[test]
fn what_is_missing_or_wrong_writes_nothing() {
    let table: [(&[&str], &str, i32, &str); 4] = [
        (&["--yes"], "", 2, "--plane-project is needed"),
        (&["--yes", "--plane-project", "ET"], "", 2, "a UUID"),
        (&["--yes", "--plane-project", FakePlane::PROJECT, "--repo", "widgets"], "", 2, "owner/name"),
        (&[], "https://plane.example.test\n", 1, "the input ended"),
    ];
    for (arguments, typed, code, words) in table {
        let dir = tempfile::tempdir().unwrap();
        let output = init(dir.path(), arguments, &[], typed);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        assert!(!dir.path().join("orch.toml").exists());
    }
}

//! `orchctl init`, the real program, by conversation and by flags.

use orch_common::config::Config;
use orch_common::store::deliveries::Source;
use orch_common::store::refusals::{self, Reason, Refused};
use orch_common::store::{Store, StoreOptions};
use orch_tests::fakes::{FakeGitea, FakePlane, Right};
use orch_tests::stack::programs;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
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
    let (dir, gitea, plane) = (tempfile::tempdir().unwrap(), FakeGitea::start(), FakePlane::start());
    gitea.add_plain_repo("widgets");
    let page = format!("{}/acme/widgets/pulls/7?tab=files#L3", gitea.url());
    let typed = [
        "not a url",
        &format!("{}/acme/projects/{}/issues/", plane.url(), FakePlane::PROJECT),
        "",
        "plane_api_wrong",
        FakePlane::TOKEN,
        "ET",
        "",
        "plane_wh_typed",
        "http://127.0.0.1:1/acme/widgets",
        &page,
        "a-wrong-token",
        FakeGitea::TOKEN,
        "acme/nothing",
        "",
        "",
        "trunk",
        "main",
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
    assert_eq!((project.repo.as_str(), project.id_prefix.as_str()), ("acme/widgets", "ET"), "Plane's own prefix");
    assert_eq!(project.default_branch, "main");
    assert_eq!(config.gitea.url.unwrap().as_str(), gitea.url(), "of the page's address, the forge's part");
    assert_eq!(config.plane.url.unwrap().as_str(), plane.url());
    assert_eq!(config.plane.workspace.as_deref(), Some("acme"));
    assert_eq!(config.plane.webhook_secret.unwrap().expose(), "plane_wh_typed");
    assert!(config.gitea.webhook_secret.unwrap().expose().len() >= 32);
    assert_eq!(gitea.hooks("widgets").len(), 1);
    assert_eq!(gitea.hooks("widgets")[0].1, format!("{OURS}/webhook/gitea"));
    let text = said(&output);
    assert!(text.contains(&format!("URL: {OURS}/webhook/plane")) && text.contains("Work item comments"), "{text}");
    for words in [
        "Plane does not know the token of plane.api_token",
        "a UUID",
        "nothing listens at the address of the forge",
        "Gitea 1.26.0",
        &format!("{}/user/settings/applications", gitea.url()),
        "the forge does not know the token of gitea.token",
        "it is 'orch-bot'",
        "acme/nothing is not there",
        "acme/widgets has no branch trunk",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for secret in [FakePlane::TOKEN, FakeGitea::TOKEN, "plane_wh_typed", "a-wrong-token"] {
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
        (&[], "http://127.0.0.1:1\n", 1, "the input ended"),
    ];
    for (arguments, typed, code, words) in table {
        let dir = tempfile::tempdir().unwrap();
        let output = init(dir.path(), arguments, &[], typed);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
        assert!(!dir.path().join("orch.toml").exists());
    }
}

/// The configuration of one repository, as `init` leaves it.
fn configured(dir: &Path, gitea: &FakeGitea) {
    let text = format!(
        "[database]\npath = \"orch.db\"\n[worker]\npublic_url = \"{OURS}\"\n[gitea]\nurl = \"{}\"\ntoken = \"{}\"\n\
         webhook_secret = \"g\"\n[[projects]]\nplane_project = \"{}\"\nrepo = \"acme/widgets\"\nid_prefix = \"ET\"\n",
        gitea.url(),
        FakeGitea::TOKEN,
        FakePlane::PROJECT
    );
    std::fs::write(dir.join("orch.toml"), text).unwrap();
}

#[test]
fn a_webhook_that_is_not_as_it_should_be_is_replaced() {
    let (dir, gitea) = (tempfile::tempdir().unwrap(), FakeGitea::start());
    gitea.add_plain_repo("widgets");
    configured(dir.path(), &gitea);
    let hooks_only = || init(dir.path(), &["--hooks-only"], &[], "");
    assert!(hooks_only().status.success());
    let faults: [fn(&mut Value); 5] = [
        |h| h["active"] = json!(false),
        |h| h["type"] = json!("slack"),
        |h| h["branch_filter"] = json!("main"),
        |h| h["events"] = json!(["push"]),
        |h| h["config"]["content_type"] = json!("xml"),
    ];
    for fault in faults {
        let before = gitea.hooks("widgets")[0].0;
        gitea.change_hooks("widgets", fault);
        let output = hooks_only();
        assert!(output.status.success(), "{}", said(&output));
        let now = gitea.hooks("widgets");
        assert!(now.len() == 1 && now[0].0 != before, "{}", said(&output));
        assert!(said(&hooks_only()).contains("as it should be"));
        assert_eq!(gitea.hooks("widgets"), now, "what is right is left alone");
    }
    // Deliveries came that were signed with another secret: nobody can see that at the webhook itself.
    let before = gitea.hooks("widgets")[0].0;
    let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
    let refused = Refused { source: Source::Gitea, reason: Reason::WrongSignature, count: 1, first_at: 1, last_at: 1 };
    store.write_now(|conn| refusals::add(conn, &[refused])).unwrap();
    let output = hooks_only();
    assert!(output.status.success() && said(&output).contains("another secret"), "{}", said(&output));
    assert_ne!(gitea.hooks("widgets")[0].0, before);
}

#[test]
fn what_cannot_be_mended_fails_and_says_what_to_do() {
    let (dir, gitea) = (tempfile::tempdir().unwrap(), FakeGitea::start());
    gitea.add_plain_repo("widgets");
    configured(dir.path(), &gitea);
    gitea.set_right(FakeGitea::BOT, Right::Write);
    let output = init(dir.path(), &["--hooks-only"], &[], "");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(
        text.contains("is no admin of acme/widgets") && text.contains("by hand") && text.contains("Branch filter: *"),
        "{text}"
    );
    gitea.suspend(FakeGitea::BOT);
    let output = init(dir.path(), &["--hooks-only"], &[], "");
    assert!(output.status.code() == Some(1) && said(&output).contains("may not sign in"), "{}", said(&output));
    std::fs::write(dir.path().join("orch.toml"), "").unwrap();
    let output = init(dir.path(), &["--hooks-only"], &[], "");
    assert_eq!(output.status.code(), Some(1), "none was installed: {}", said(&output));
}

#[test]
fn an_answer_that_does_not_work_is_kept_if_it_is_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = "http://127.0.0.1:1";
    let typed = [
        "",
        FakePlane::PROJECT,
        "",
        nobody,
        nobody,
        "t",
        "t",
        "acme/widgets",
        "acme/widgets",
        "",
        "main",
        "main",
        "",
        "",
    ];
    let output = init(dir.path(), &["--no-hooks"], &[], &format!("{}\n", typed.join("\n")));
    assert!(output.status.success(), "{}", said(&output));
    let config = Config::load(Some(&dir.path().join("orch.toml")), &BTreeMap::new()).unwrap().config;
    assert_eq!(config.gitea.url.unwrap().as_str(), nobody);
    assert!(said(&output).contains("kept as it is"));
}

#[test]
fn a_secret_is_not_shown_while_it_is_typed() {
    let (dir, gitea) = (tempfile::tempdir().unwrap(), FakeGitea::start());
    gitea.add_plain_repo("widgets");
    let program = programs().join("orchctl");
    let line = format!("{} init --no-hooks", program.display());
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).current_dir(dir.path());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SHELL", "/bin/sh");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = String::new();
    // Each answer is typed when its question is there, as a person does.
    let answers = [
        ("no Plane):", ""),
        ("(its id):", FakePlane::PROJECT),
        ("set it later):", "typed-secret-one"),
        ("no Gitea):", gitea.url()),
        ("in Gitea:", FakeGitea::TOKEN),
        ("owner/name:", "acme/widgets"),
    ];
    let mut from = 0;
    for (question, answer) in answers {
        while !seen[from..].contains(question) {
            let mut piece = [0; 512];
            let read = output.read(&mut piece).unwrap();
            assert!(read > 0, "{question}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        from = seen.len();
        input.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    drop(input);
    let _ = child.kill();
    let _ = output.read_to_string(&mut seen);
    let _ = child.wait();
    assert!(seen.contains(FakePlane::PROJECT), "what is no secret is shown: {seen}");
    assert!(seen.contains("it is 'orch-bot'"), "{seen}");
    assert!(!seen.contains("typed-secret-one") && !seen.contains(FakeGitea::TOKEN), "{seen}");
}

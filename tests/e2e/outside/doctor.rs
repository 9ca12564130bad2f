//! `orchctl doctor`, the real program, against installations that lack one thing each: the line that says so, what to
//! do, and the exit code.

use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_tests::stack::{git, programs};
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings, NewHook};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

const SCOPES: &str = "gitea.scopes acme/widgets";
/// An address of the outside, without a name that would have to be looked up.
const OURS: &str = "http://192.0.2.10:8500";

/// An installation in which everything is in order.
struct Place {
    dir: TempDir,
    plane: FakePlane,
    gitea: FakeGitea,
    telegram: FakeTelegram,
    replaced: Vec<(String, String)>,
}

impl Place {
    fn new() -> Place {
        let (plane, gitea, telegram) = (FakePlane::start(), FakeGitea::start(), FakeTelegram::start());
        gitea.add_plain_repo("widgets");
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main", "seed"]);
        git(&dir.path().join("seed"), &["commit", "-q", "--allow-empty", "-m", "Begin"]);
        git(dir.path(), &["clone", "-q", "--bare", "seed", "widgets.git"]);
        let claude = dir.path().join("claude");
        std::fs::write(&claude, "#!/bin/sh\necho '2.1.0 (Claude Code)'\n").unwrap();
        std::fs::set_permissions(&claude, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Place { dir, plane, gitea, telegram, replaced: Vec::new() }
    }

    /// Another text in the configuration.
    fn with(mut self, from: &str, to: &str) -> Place {
        self.replaced.push((from.to_owned(), to.to_owned()));
        self
    }

    fn hook(self, url: &str) -> Place {
        let settings = GiteaSettings {
            url: self.gitea.url().into(),
            owner: FakeGitea::OWNER.into(),
            token: FakeGitea::TOKEN.into(),
        };
        let client = GiteaClient::new(settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(client.create_hook("widgets", NewHook { url, secret: "s" })).unwrap();
        self
    }

    /// The checks by name, and the exit code.
    fn examine(&self) -> (Vec<(String, String, String)>, i32) {
        let mut text = format!(
            "[database]\npath = \"{0}/orch.db\"\n[worker]\nrepos_dir = \"{0}/repos\"\nruns_dir = \"{0}/runs\"\n\
             public_url = \"{OURS}\"\n[agent]\nclaude_bin = \"{0}/claude\"\n[plane]\nurl = \"{1}\"\nworkspace = \"acme\"\n\
             api_token = \"{2}\"\nwebhook_secret = \"w\"\n[gitea]\nurl = \"{3}\"\ntoken = \"{4}\"\nwebhook_secret = \"g\"\n\
             [telegram]\nbot_token = \"{5}\"\nchat_id = \"{6}\"\napi_url = \"{7}\"\n\
             [[projects]]\nplane_project = \"{8}\"\nrepo = \"acme/widgets\"\nid_prefix = \"ET\"\n\
             remote = \"{0}/widgets.git\"\n",
            self.dir.path().display(),
            self.plane.url(),
            FakePlane::TOKEN,
            self.gitea.url(),
            FakeGitea::TOKEN,
            FakeTelegram::TOKEN,
            FakeTelegram::CHAT,
            self.telegram.url(),
            FakePlane::PROJECT,
        );
        for (from, to) in &self.replaced {
            assert!(text.contains(from.as_str()), "{from}");
            text = text.replace(from.as_str(), to);
        }
        let file = self.dir.path().join("orch.toml");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        doctor(&["--config", file.to_str().unwrap(), "doctor", "--json"])
    }
}

fn doctor(arguments: &[&str]) -> (Vec<(String, String, String)>, i32) {
    let path = std::env::var_os("PATH").unwrap();
    let mut command = Command::new(programs().join("orchctl"));
    let output = command.args(arguments).env_clear().env("PATH", path).current_dir("/").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    let line = |v: &Value| {
        let text = |key: &str| v[key].as_str().unwrap_or_default().to_owned();
        (text("check"), text("level"), format!("{} -> {}", text("found"), text("todo")))
    };
    (report["checks"].as_array().unwrap().iter().map(line).collect(), output.status.code().unwrap())
}

/// The level of a check and its words.
fn line<'a>(lines: &'a [(String, String, String)], check: &str) -> (&'a str, &'a str) {
    let found = lines.iter().find(|(name, _, _)| name == check);
    let (_, level, words) = found.unwrap_or_else(|| panic!("no line {check} in {lines:#?}"));
    (level, words)
}

#[test]
fn nothing_configured_is_said_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    std::fs::write(&file, "").unwrap();
    let (lines, code) = doctor(&["--config", file.to_str().unwrap(), "doctor", "--json"]);
    for check in ["projects", "plane", "plane.webhook_secret", "gitea", "gitea.webhook_secret"] {
        assert_eq!(line(&lines, check).0, "FAIL", "{check}");
    }
    assert_eq!(line(&lines, "telegram").0, "ok");
    assert_eq!(code, 1);
}

#[test]
fn a_configuration_that_does_not_load_is_a_line_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    std::fs::write(&file, "[plane]\nurl = \"nope\"\n").unwrap();
    let (lines, code) = doctor(&["--config", file.to_str().unwrap(), "doctor", "--json"]);
    assert_eq!((lines.len(), line(&lines, "config").0, code), (1, "FAIL", 1));
}

#[test]
fn each_fault_has_its_line() {
    let hook = format!("{OURS}/webhook/gitea");
    let good = || Place::new().hook(&hook);
    let reviewer = format!("token = \"{0}\"\nreviewer_token = \"{0}\"", FakeGitea::TOKEN);
    let token = format!("token = \"{}\"", FakeGitea::TOKEN);
    let ours = format!("public_url = \"{OURS}\"");
    let guest = good();
    guest.plane.set_bot_role(5);
    let off = good();
    off.gitea.switch_hooks("widgets", false);
    let second = |token: &str| format!("token = \"{}\"\nreviewer_token = \"{token}\"", FakeGitea::TOKEN);
    let scoped = |scopes: &[&str]| {
        let place = good();
        place.gitea.give_only(scopes);
        place
    };
    let at = |url: &str| {
        let place = Place::new().hook(&format!("{url}/webhook/gitea"));
        place.with(&ours, &format!("public_url = \"{url}\""))
    };
    let table: [(&str, Place, &str, &str); 15] = [
        ("a guest", guest, "plane.role", "Member"),
        ("Plane's token", good().with(FakePlane::TOKEN, "plane_api_other"), "plane.token", "API token"),
        ("Plane's workspace", good().with("\"acme\"\napi", "\"other\"\napi"), "plane.project ET", "Member"),
        ("the forge's token", good().with(&token, "token = \"other\""), "gitea.token", "new token"),
        ("the repository", good().with("acme/widgets", "acme/nothing"), "gitea.repo acme/nothing", "collaborator"),
        ("no hook", Place::new(), "gitea.hook acme/widgets", "init --hooks-only"),
        ("hook elsewhere", Place::new().hook("http://x.test/webhook/gitea"), "gitea.hook acme/widgets", "x.test"),
        ("hook off", off, "gitea.hook acme/widgets", "switch it on"),
        ("one account twice", good().with(&token, &reviewer), "gitea.reviewer", "second account"),
        ("the second's token", good().with(&token, &second("other")), "gitea.reviewer", "new token"),
        ("no scope for users", scoped(&["write:repository", "write:issue"]), "gitea.token", "read:user"),
        ("a token that only reads", scoped(&["read:user", "read:repository"]), SCOPES, "write:repository"),
        ("a token without comments", scoped(&["read:user", "write:repository"]), SCOPES, "may not comment"),
        ("an address of the inside", at("http://10.0.0.7:8500"), "plane.address", "WEBHOOK_ALLOWED_HOSTS=10.0.0.7"),
        ("the chat", good().with(FakeTelegram::CHAT, "-1"), "telegram.chat", "add the bot"),
    ];
    for (what, place, check, words) in table {
        let (lines, code) = place.examine();
        let (level, said) = line(&lines, check);
        assert_eq!((level, code), ("FAIL", 1), "{what}: {lines:#?}");
        assert!(said.contains(words), "{what}: {said}");
        // A repository that is not there cannot be cloned either; nothing else is blamed for anything.
        let others = lines.iter().filter(|(name, level, _)| level == "FAIL" && name != check);
        let others: Vec<_> = others.filter(|(name, _, _)| !name.starts_with("git ")).collect();
        assert!(others.is_empty(), "{what}: {others:#?}");
    }
}

#[test]
fn what_plane_never_takes_is_said_whatever_it_was_told() {
    let hook = |url: &str| Place::new().hook(&format!("{url}/webhook/gitea"));
    for (url, words) in [("http://orch:8500", "dot"), ("http://localhost", "name the port")] {
        let place = hook(url).with(&format!("public_url = \"{OURS}\""), &format!("public_url = \"{url}\""));
        let (lines, code) = place.examine();
        let said =
            lines.iter().any(|(name, level, said)| name == "plane.address" && level == "FAIL" && said.contains(words));
        assert!(said && code == 1, "{url}: {lines:#?}");
    }
}

#[test]
fn a_reviewer_account_is_one_that_sees_the_repository() {
    let second = format!("token = \"{}\"\nreviewer_token = \"{}\"", FakeGitea::TOKEN, FakeGitea::REVIEWER_TOKEN);
    let token = format!("token = \"{}\"", FakeGitea::TOKEN);
    let gate = "id_prefix = \"ET\"\nreview_gate = \"review_approved\"";
    let place = || Place::new().hook(&format!("{OURS}/webhook/gitea")).with(&token, &second);
    let place = || place().with("id_prefix = \"ET\"", gate);
    let (lines, code) = place().examine();
    let (level, said) = line(&lines, "gitea.reviewer");
    assert_eq!((level, code), ("ok", 0), "{lines:#?}");
    assert!(said.contains(FakeGitea::REVIEWER), "{said}");
    let blind = place();
    blind.gitea.hide_from_reviewer();
    let (lines, code) = blind.examine();
    let (level, said) = line(&lines, "gitea.reviewer");
    assert_eq!((level, code), ("FAIL", 1), "{lines:#?}");
    assert!(said.contains("does not see acme/widgets"), "{said}");
}

#[test]
fn what_is_in_order_is_said_to_be() {
    let place = Place::new().hook(&format!("{OURS}/webhook/gitea"));
    let (lines, code) = place.examine();
    assert_eq!(code, 0, "{lines:#?}");
    for check in [
        "plane.token",
        "plane.clock",
        "plane.account",
        "plane.role",
        "plane.project ET",
        "plane.members ET",
        "plane.states ET",
        "gitea.token",
        "gitea.repo acme/widgets",
        SCOPES,
        "claude",
        "plane.address",
        "gitea.hook acme/widgets",
        "gitea.reviewer",
        "telegram.token",
        "telegram.chat",
        "git",
        "agent.user",
    ] {
        assert_eq!(line(&lines, check).0, "ok", "{check}: {:?}", line(&lines, check));
    }
    assert!(line(&lines, "plane.states ET").1.contains("Needs Input"));
    let all = format!("{lines:?}");
    for secret in [FakePlane::TOKEN, FakeGitea::TOKEN, FakeTelegram::TOKEN] {
        assert!(!all.contains(secret));
    }
}

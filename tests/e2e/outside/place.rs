//! An installation for `orchctl doctor`, in which everything is in order until a test says otherwise.

use orch_common::store::{Conn, Store, StoreOptions};
use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_tests::stack::{git, programs};
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings, NewHook};
use serde_json::Value;
use std::process::Command;
use tempfile::TempDir;

/// An address of the outside, without a name that would have to be looked up.
pub(super) const OURS: &str = "http://192.0.2.10:8500";

/// A proxy that is not there.
pub(super) const NO_PROXY: &str = "proxy = \"http://127.0.0.1:9\"";

/// An installation in which everything is in order.
pub(super) struct Place {
    pub dir: TempDir,
    pub plane: FakePlane,
    pub gitea: FakeGitea,
    pub telegram: FakeTelegram,
    replaced: Vec<(String, String)>,
    /// Further arguments.
    pub more: &'static [&'static str],
}

impl Place {
    pub(super) fn new() -> Place {
        Place::of(FakeGitea::start())
    }

    pub(super) fn of(gitea: FakeGitea) -> Place {
        let (plane, telegram) = (FakePlane::start(), FakeTelegram::start());
        gitea.add_plain_repo("widgets");
        // Nothing has happened there since its webhook was made.
        gitea.set_updated("widgets", 1_000_000_000_000);
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main", "seed"]);
        git(&dir.path().join("seed"), &["commit", "-q", "--allow-empty", "-m", "Begin"]);
        git(dir.path(), &["clone", "-q", "--bare", "seed", "widgets.git"]);
        let claude = dir.path().join("claude");
        std::fs::write(&claude, "#!/bin/sh\necho '2.1.0 (Claude Code)'\n").unwrap();
        std::fs::set_permissions(&claude, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Place { dir, plane, gitea, telegram, replaced: Vec::new(), more: &[] }
    }

    /// Another text in the configuration.
    pub(super) fn with(mut self, from: &str, to: &str) -> Place {
        self.replaced.push((from.to_owned(), to.to_owned()));
        self
    }

    pub(super) fn hook(self, url: &str) -> Place {
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

    /// With the forge as the test wants it.
    pub(super) fn forge(self, change: impl FnOnce(&FakeGitea)) -> Place {
        change(&self.gitea);
        self
    }

    /// More lines of the project's table.
    pub(super) fn project(self, lines: &str) -> Place {
        self.with("id_prefix = \"ET\"", &format!("id_prefix = \"ET\"\n{lines}"))
    }

    /// With a database in which these things have come.
    pub(super) fn knowing(self, change: impl FnOnce(&mut Conn)) -> Place {
        change(&mut self.store().connection().unwrap());
        self
    }

    /// The database, made where there was none.
    pub(super) fn store(&self) -> Store {
        Store::open_and_migrate(&StoreOptions::new(self.dir.path().join("orch.db"))).unwrap()
    }

    /// The checks by name, and the exit code. A proxy that is not there keeps [`OURS`] from being waited for; what is on loopback is
    /// reached past it.
    pub(super) fn examine(&self) -> (Vec<(String, String, String)>, i32) {
        let mut text = format!(
            "[database]\npath = \"{0}/orch.db\"\n[worker]\nrepos_dir = \"{0}/repos\"\nruns_dir = \"{0}/runs\"\n\
             public_url = \"{OURS}\"\n[agent]\nclaude_bin = \"{0}/claude\"\n[plane]\nurl = \"{1}\"\nworkspace = \"acme\"\n\
             api_token = \"{2}\"\nwebhook_secret = \"w\"\n[gitea]\nurl = \"{3}\"\ntoken = \"{4}\"\nwebhook_secret = \"g\"\n\
             [network]\n{NO_PROXY}\n\
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
        doctor(&[&["--config", file.to_str().unwrap(), "doctor", "--json"], self.more].concat())
    }
}

pub(super) fn doctor(arguments: &[&str]) -> (Vec<(String, String, String)>, i32) {
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
pub(super) fn line<'a>(lines: &'a [(String, String, String)], check: &str) -> (&'a str, &'a str) {
    let found = lines.iter().find(|(name, _, _)| name == check);
    let (_, level, words) = found.unwrap_or_else(|| panic!("no line {check} in {lines:#?}"));
    (level, words)
}

//! The scratch world of one stack: a bare repository as the forge's, the agent program, the configuration.

use super::programs::programs;
use crate::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_testkit::git;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The name of the repository at the forge.
pub const REPO: &str = "shop";

/// The project's tests: red where the feature says so. What runs is told in files beside the repository.
const TESTS: &str = "#!/bin/sh\n\
    # Usage: run.sh FOLDER; FOLDER/hold-tests makes it wait, FOLDER/no-tool lets it find no compiler.\n\
    echo x >> \"$1/tests-begun\"\n\
    while [ -e \"$1/hold-tests\" ]; do sleep 0.05; done\n\
    [ -e \"$1/no-tool\" ] && exit 127\n\
    if grep -q red feature.txt 2>/dev/null; then echo 'expected green, found red'; exit 1; fi\n\
    echo 'all green'\n";

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Scene {
    pub root: PathBuf,
    pub config: PathBuf,
    pub database: PathBuf,
    pub runs: PathBuf,
    pub script: PathBuf,
    /// The bare repository.
    pub forge: PathBuf,
}

impl Scene {
    pub fn at(root: &Path) -> Scene {
        Scene {
            root: root.to_owned(),
            config: root.join("orch.toml"),
            database: root.join("orchestrator.db"),
            runs: root.join("runs"),
            script: root.join("script.json"),
            forge: root.join("forge/acme/shop.git"),
        }
    }

    pub fn make_repository(&self) {
        let seed = self.root.join("seed");
        std::fs::create_dir_all(seed.join("tests")).expect("a folder");
        std::fs::write(seed.join("README.md"), "# Shop\n").expect("a file");
        std::fs::write(seed.join("tests/run.sh"), TESTS).expect("a file");
        git(&seed, &["init", "--quiet", "--initial-branch=main"]);
        git(&seed, &["add", "--all"]);
        git(&seed, &["commit", "--quiet", "-m", "A shop"]);
        std::fs::create_dir_all(self.forge.parent().expect("a parent")).expect("a folder");
        git(&self.root, &["clone", "--quiet", "--bare", "seed", &self.forge.to_string_lossy()]);
    }

    /// The program that stands for the agent CLI.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    pub fn write_agent(&self) {
        let orchctl = programs().join("orchctl");
        let text = format!(
            "#!/bin/sh\nexec '{}' scripted-agent --script '{}' -- \"$@\"\n",
            orchctl.display(),
            self.script.display()
        );
        // Renamed into place: a program that is open for writing cannot be run.
        let fresh = self.root.join("agent.new");
        std::fs::write(&fresh, text).expect("a file");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&fresh, mode).expect("a mode");
        std::fs::rename(fresh, self.agent()).expect("a rename");
    }

    /// Everything quick: a test waits for what happens, not for intervals.
    pub fn configuration(&self, plane: Option<&FakePlane>, gitea: Option<&FakeGitea>) -> Table {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut config = toml::toml! {
            [api]
            bind = "127.0.0.1:0"
            threads = 1
            [plane]
            calls_per_minute = 60000
            [worker]
            poll_interval_s = 0.2
            heartbeat_s = 1
            heartbeat_dead_s = 30
            reconcile_s = 3600
            ci_settle_s = 0
            [agent]
            kill_grace_s = 2
            timeout_s = 300
            [resilience]
            backoff_base_s = 1
            backoff_max_s = 4
        };
        set(&mut config, "database.path", text(&self.database));
        set(&mut config, "worker.repos_dir", text(&self.root.join("repos")));
        set(&mut config, "worker.runs_dir", text(&self.runs));
        set(&mut config, "agent.claude_bin", text(&self.agent()));
        set(&mut config, "plane.webhook_secret", FakePlane::WEBHOOK_SECRET);
        set(&mut config, "gitea.webhook_secret", FakeGitea::WEBHOOK_SECRET);
        if let Some(plane) = plane {
            set(&mut config, "plane.url", plane.url());
            set(&mut config, "plane.workspace", FakePlane::WORKSPACE);
            set(&mut config, "plane.api_token", FakePlane::TOKEN);
        }
        if let Some(gitea) = gitea {
            set(&mut config, "gitea.url", gitea.url());
            set(&mut config, "gitea.token", FakeGitea::TOKEN);
        }
        let mut project = toml::toml! {
            repo = "acme/shop"
            id_prefix = "ET"
        };
        set(&mut project, "plane_project", FakePlane::PROJECT);
        set(&mut project, "remote", text(&self.forge));
        set(&mut project, "test_command", format!("sh tests/run.sh '{}'", self.root.display()));
        config.insert("projects".into(), Value::Array(vec![Value::Table(project)]));
        config
    }

    pub fn telegram(config: &mut Table, telegram: &FakeTelegram) {
        set(config, "telegram.api_url", telegram.url());
        set(config, "telegram.bot_token", FakeTelegram::TOKEN);
        set(config, "telegram.chat_id", FakeTelegram::CHAT);
    }

    pub fn write_config(&self, config: &Table) {
        std::fs::write(&self.config, config.to_string()).expect("the configuration can be written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&self.config, mode).expect("a mode");
    }
}

/// Sets `section.key` of a table, or a key at its top.
pub fn set(table: &mut Table, path: &str, value: impl Into<Value>) {
    match path.split_once('.') {
        None => drop(table.insert(path.to_owned(), value.into())),
        Some((section, key)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            inner.as_table_mut().expect("a section").insert(key.to_owned(), value.into());
        }
    }
}

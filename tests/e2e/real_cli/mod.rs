//! The whole installation with the real agent CLI in the place of the scripted one, talking to a scripted model on
//! loopback: what the CLI really does in each situation, and what becomes of the run, the job, the account and
//! the task. Long; run by `make test-long`, except for one that is quick where the program is already there.

mod account;
mod apart;
mod install;
mod limits;
mod provider;
mod sessions;
mod work;

use orch_common::domain::breaker::{Breaker, BreakerState};
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::runs::Run;
use orch_tests::model_api::{Answer, Call, Message, ModelApi};
use orch_tests::stack::{Builder, Stack, git};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::Table;

/// A key that is one only in its shape.
const KEY: &str = "dummy-key";

/// An installation whose agents are the real CLI, and the model they talk to.
struct Case {
    // First: agents end before the model does.
    stack: Stack,
    api: ModelApi,
    item: String,
    /// Where the CLI keeps its sessions.
    home: tempfile::TempDir,
}

/// Where the agents find the model, and how short their patience is.
struct Setting {
    env: Table,
    builder: Builder,
}

impl Setting {
    /// Every failure shows at once; what a test changes wins.
    fn quick() -> Setting {
        let mut env = Table::new();
        for (name, value) in [("ANTHROPIC_API_KEY", KEY), ("CLAUDE_CODE_MAX_RETRIES", "0")] {
            env.insert(name.into(), value.into());
        }
        // Many failures in a row are a test's business, not the breaker's.
        let builder = Stack::builder()
            .set("resilience.breaker_threshold", 100)
            .set("resilience.transient_max_attempts", 100)
            .set("resilience.backoff_max_s", 1);
        Setting { env, builder }
    }

    fn env(mut self, name: &str, value: &str) -> Setting {
        self.env.insert(name.into(), value.into());
        self
    }

    fn without_env(mut self, name: &str) -> Setting {
        self.env.remove(name);
        self
    }

    fn set(mut self, path: &str, value: impl Into<toml::Value>) -> Setting {
        self.builder = self.builder.set(path, value);
        self
    }

    /// Starts everything, with one work item for the analyst.
    fn start(self, cli: &Path, api: ModelApi) -> Case {
        self.start_with(cli, api, |_| {})
    }

    /// The same, with more in the repository: `add` writes it into a checkout.
    fn start_with(self, cli: &Path, api: ModelApi, add: impl FnOnce(&Path)) -> Case {
        let setting = self.env_default("ANTHROPIC_BASE_URL", &api.url());
        let home = tempfile::Builder::new().prefix("orch-home-").tempdir().expect("a folder");
        // For a user of its own to pass through.
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o711)).expect("a mode");
        let builder = setting.builder.project("env", setting.env);
        let builder = builder.set("agent.claude_bin", cli.to_string_lossy().into_owned());
        let stack = builder.set("agent.home", home.path().join("agent").to_string_lossy().into_owned()).start();
        let seed = stack.scene.root.join("seed");
        add(&seed);
        git(&seed, &["add", "--all"]);
        git(&seed, &["commit", "--quiet", "--allow-empty", "-m", "More"]);
        git(&seed, &["push", "--quiet", &stack.scene.forge.to_string_lossy(), "HEAD:main"]);
        let (item, _) = stack.plane().create_item("Add a greeting", "<p>Say hello.</p>", &[]);
        Case { stack, api, item, home }
    }

    fn env_default(mut self, name: &str, value: &str) -> Setting {
        self.env.entry(name).or_insert_with(|| value.into());
        self
    }
}

impl Case {
    /// Waits until the task has had this many runs that are over; gives all its runs.
    fn wait_ended(&self, count: usize) -> Vec<Run> {
        self.stack.wait_for(&format!("{count} runs to end"), || {
            self.stack.task(&self.item)?;
            let runs = self.stack.runs(&self.item);
            let ended = runs.iter().filter(|r| r.outcome.is_some()).count();
            (ended >= count).then_some(runs)
        })
    }

    /// The folder that the agents work in.
    fn worktree(&self) -> PathBuf {
        self.stack.scene.root.join("repos/acme/shop/work/ET-001")
    }

    /// Waits for the analysis to be taken.
    fn wait_analysed(&self) -> Vec<Run> {
        self.stack.wait_task(&self.item, Stage::Analysis, TaskState::WaitingApproval);
        self.stack.settle();
        self.stack.runs(&self.item)
    }
}

/// The outcomes of runs, in order.
fn outcomes(runs: &[Run]) -> Vec<&str> {
    runs.iter().map(|r| r.outcome.map_or("open", RunOutcome::as_str)).collect()
}

fn is_open(breaker: &Breaker) -> bool {
    matches!(breaker.state, BreakerState::Open { .. })
}

const DOCUMENTS: [&str; 4] = ["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.md"];
const FOLDER: &str = "docs/work-items/ET-001";

/// The analyst's work by the CLI's own tools: one document by `Write`, the others by the shell, a commit, a last word.
/// Each call is answered by what the conversation has come to, so it goes on after an interruption.
fn analysis() -> impl FnMut(&Call) -> Answer + Send + 'static {
    |call| {
        let told = call.conversation();
        let written = told.contains("# requirements by Write");
        match (written, told.contains("by the agent itself")) {
            (false, _) => {
                let path = format!("{}/{FOLDER}/{}", call.working_folder(), DOCUMENTS[0]);
                let input = json!({ "file_path": path, "content": "# requirements by Write\n" });
                Message::default().text("I write the first document.").tool("Write", input).say()
            }
            (true, false) => {
                let rest = DOCUMENTS[1..].join(" ");
                Answer::bash(&format!(
                    "cd {FOLDER} && for f in {rest}; do echo \"# $f by Bash\" > $f; done && cd - && \
                     git add --all && git commit --quiet -m 'ET-001: the analysis, by the agent itself'"
                ))
            }
            (true, true) => Answer::text("The analysis is written and committed."),
        }
    }
}

/// The only run there is.
fn analyst(runs: &[Run]) -> &Run {
    let [run] = runs else { panic!("one run was expected: {:?}", outcomes(runs)) };
    assert_eq!(run.role, Role::Analyst);
    run
}

//! What one gate of one task needs to be looked at, and collecting just that.

use super::run::end_interrupted;
use super::{Cancelled, Checked, TestCommand, TestLimits, TestRun, forge, read_artifacts, run_tests};
use crate::clock::now_ms;
use crate::context::Context;
use crate::git::{Checkout, GitError, Judged, SubmoduleFolder, SubmoduleRules};
use orch_common::config::{CommandLine, Project};
use orch_common::domain::fault::Fault;
use orch_common::domain::gate::{Evidence, Gate, TestEnd, TestEvidence};
use orch_common::domain::stage::CommitId;
use orch_common::store::tasks::Task;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The folder of the tests' output, in the folder of the runs.
pub const TEST_LOGS: &str = "tests";

/// One look at one gate of one task.
pub struct Look<'a> {
    pub ctx: &'a Context,
    pub project: &'a Project,
    pub task: &'a Task,
    /// The branch's head, published: all evidence is taken on it, none from a folder that an agent worked in.
    pub head: &'a CommitId,
    pub gate: Gate,
    /// A person approved since the analyst's last run.
    pub approved: bool,
}

impl Look<'_> {
    /// Collects what this gate asks for, all of it on `head`.
    pub async fn collect(&self) -> Result<Evidence, GitError> {
        let asks_the_pull = matches!(self.gate, Gate::ReviewApproved | Gate::PrMerged);
        Ok(Evidence {
            head: self.head.clone(),
            artifacts: self.artifacts().await?,
            tests: if self.gate == Gate::TestsLocal { Some(self.tests().await?) } else { None },
            ci: if self.gate == Gate::CiGreen { Some(self.checked().ask().await) } else { None },
            pull: if asks_the_pull { forge::pull(self).await? } else { None },
            forge: self.ctx.outside.gitea.is_some(),
            approved: self.approved,
        })
    }

    fn checked(&self) -> Checked<'_> {
        Checked { ctx: self.ctx, project: self.project, task: self.task, head: self.head }
    }

    async fn artifacts(&self) -> Result<BTreeMap<String, String>, GitError> {
        let (ctx, task) = (self.ctx, self.task);
        read_artifacts(&ctx.repos, &task.repo, &task.key, self.head, &self.project.artifacts, &ctx.stopping).await
    }

    /// Runs the project's tests in a checkout of exactly this commit, with the rights of the agents' user where they have
    /// one of their own: it is an agent's code that runs.
    async fn tests(&self) -> Result<TestEvidence, GitError> {
        let Some(line) = &self.project.test_command else { return Ok(unknown_command()) };
        let command = match line {
            CommandLine::Shell(text) => TestCommand::Shell(text.clone()),
            CommandLine::Program(argv) => TestCommand::Argv(argv.clone()),
        };
        let checkout = self.checkout().await?;
        let tenant = self.ctx.tenant.as_ref();
        let home = tenant.map(|t| ("HOME".to_owned(), t.home.to_string_lossy().into_owned()));
        let own = self.project.env.iter().map(|(k, v)| (k.clone(), v.expose().to_owned()));
        let env: Vec<(String, String)> = home.into_iter().chain(own).collect();
        let limits = TestLimits { timeout: Duration::from_secs(self.project.test_timeout_s), ..TestLimits::default() };
        let (log, user) = (self.log_file()?, tenant.map(|t| (t.uid, t.gid)));
        let attendant = self.ctx.attendant.as_ref();
        let run = TestRun { command: &command, dir: &checkout.path, log: &log, limits, env: &env, user, attendant };
        // Only the run of the tests is the machine's work; making their checkout is not worth a place.
        let place = tokio::select! {
            () = self.ctx.stopping.cancelled() => return Err(GitError::Cancelled),
            place = self.ctx.test_places.acquire() => place,
        };
        let _place = place.map_err(|_| GitError::Cancelled)?;
        run_tests(run, &self.ctx.stopping).await.map_err(|Cancelled| GitError::Cancelled)
    }

    /// The judged commit, and nothing that is not in it but the caches that the project names.
    async fn checkout(&self) -> Result<Checkout, GitError> {
        let (repos, task) = (&self.ctx.repos, self.task);
        let checkout = repos.checkout(&task.repo, &task.key, self.ctx.tenant.as_ref())?;
        end_interrupted(&checkout.path).await;
        let judged = Judged { commit: self.head, branch: &task.branch, base: &task.base };
        repos.check_out_for_tests(&checkout, judged, &self.project.test_caches, &self.ctx.stopping).await?;
        let remote = self.ctx.remote(self.project)?;
        let rules = SubmoduleRules { remote: &remote, hosts: &self.project.submodule_hosts };
        let git_dir = checkout.path.join(".git");
        let into = SubmoduleFolder { folder: &checkout.path, git_dir: &git_dir, tenant: self.ctx.tenant.as_ref() };
        repos.submodules_into(&task.repo, self.head, &rules, &into, &self.ctx.stopping).await?;
        Ok(checkout)
    }

    /// Where the whole output goes: beside the runs, named after the task and the time.
    fn log_file(&self) -> Result<PathBuf, GitError> {
        let folder = self.ctx.runs_dir.join(TEST_LOGS);
        let io = |source| GitError::Io { what: format!("making {}", folder.display()), source };
        std::fs::create_dir_all(&folder).map_err(io)?;
        Ok(folder.join(format!("{}-{}.log", self.task.key, now_ms())))
    }
}

fn unknown_command() -> TestEvidence {
    TestEvidence {
        command: String::new(),
        duration_ms: 0,
        end: TestEnd::Unfit { fault: Fault::NoTests, why: "the project has no test_command".into() },
        tail: String::new(),
        output_sha256: None,
    }
}

//! What one gate of one task needs to be looked at, and collecting just that.

use super::{Cancelled, TestCommand, TestLimits, TestRun, forge, read_artifacts, run_tests};
use crate::clock::now_ms;
use crate::context::Context;
use crate::git::{GitError, Tenant, Worktree};
use orch_common::config::{CommandLine, Project};
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
    pub worktree: &'a Worktree,
    /// The branch's head, published.
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
            ci: if self.gate == Gate::CiGreen { Some(forge::ci(self).await) } else { None },
            pull: if asks_the_pull { forge::pull(self).await? } else { None },
            approved: self.approved,
        })
    }

    async fn artifacts(&self) -> Result<BTreeMap<String, String>, GitError> {
        let (ctx, task) = (self.ctx, self.task);
        read_artifacts(&ctx.repos, &task.repo, &task.key, self.head, &self.project.artifacts, &ctx.stopping).await
    }

    /// Runs the project's tests on exactly this commit; what they leave in the worktree is thrown away.
    async fn tests(&self) -> Result<TestEvidence, GitError> {
        let Some(line) = &self.project.test_command else { return Ok(unknown_command()) };
        let command = match line {
            CommandLine::Shell(text) => TestCommand::Shell(text.clone()),
            CommandLine::Program(argv) => TestCommand::Argv(argv.clone()),
        };
        let (repos, cancel) = (&self.ctx.repos, &self.ctx.stopping);
        let log = self.log_file()?;
        let env: Vec<(String, String)> =
            self.project.env.iter().map(|(k, v)| (k.clone(), v.expose().to_owned())).collect();
        let attendant = self.ctx.attendant.as_ref();
        let limits = TestLimits { timeout: Duration::from_secs(self.project.test_timeout_s), ..TestLimits::default() };
        let run = TestRun {
            command: &command,
            dir: &self.worktree.path,
            log: &log,
            limits,
            env: &env,
            user: None,
            attendant,
        };
        if let Some(tenant) = &self.ctx.tenant {
            return self.tests_of_tenant(tenant, run).await;
        }
        repos.mark_scratch(self.worktree)?;
        let evidence = run_tests(run, cancel).await.map_err(|Cancelled| GitError::Cancelled)?;
        repos.discard_changes(self.worktree, cancel).await?;
        Ok(evidence)
    }

    /// The same with the rights of the agents' user: it is an agent's code that runs.
    async fn tests_of_tenant(&self, tenant: &Tenant, run: TestRun<'_>) -> Result<TestEvidence, GitError> {
        let (repos, cancel) = (&self.ctx.repos, &self.ctx.stopping);
        let shop = repos.workshop(self.worktree, tenant)?;
        repos.furnish(self.worktree, &self.task.base, &shop, cancel).await?;
        repos.clear(&shop, cancel).await?;
        let inside = repos.head_inside(&shop, cancel).await?;
        if inside != *self.head {
            let tail = format!("the workshop is at {} and not at {}", inside.short(), self.head.short());
            return Err(GitError::Other { tail });
        }
        let home = ("HOME".to_owned(), tenant.home.to_string_lossy().into_owned());
        let env: Vec<(String, String)> = std::iter::once(home).chain(run.env.iter().cloned()).collect();
        let run = TestRun { dir: &shop.path, env: &env, user: Some((tenant.uid, tenant.gid)), ..run };
        let evidence = run_tests(run, cancel).await.map_err(|Cancelled| GitError::Cancelled)?;
        repos.clear(&shop, cancel).await?;
        Ok(evidence)
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
        end: TestEnd::Infra { why: "the project has no test_command".into() },
        tail: String::new(),
    }
}

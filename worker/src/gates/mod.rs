//! Gates: collecting the evidence. What it is worth is judged elsewhere, by pure code.

mod artifacts;
mod command;
mod forge;

use crate::context::Context;
use crate::git::{GitError, Worktree};
use orch_common::config::Project;
use orch_common::domain::gate::{Evidence, Gate, TestEnd, TestEvidence};
use orch_common::domain::stage::CommitId;
use orch_common::store::tasks::Task;

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
        Ok(Evidence {
            head: self.head.clone(),
            artifacts: artifacts::read(self).await?,
            tests: match self.gate {
                Gate::TestsLocal => Some(self.tests().await),
                _ => None,
            },
            ci: match self.gate {
                Gate::CiGreen => Some(forge::ci(self).await),
                _ => None,
            },
            pull: match self.gate {
                Gate::ReviewApproved | Gate::PrMerged => forge::pull(self).await?,
                _ => None,
            },
            approved: self.approved,
        })
    }

    async fn tests(&self) -> TestEvidence {
        match &self.project.test_command {
            Some(line) => command::run(self, line).await,
            None => TestEvidence {
                command: String::new(),
                duration_ms: 0,
                end: TestEnd::Infra { why: "the project has no test_command".into() },
                tail: String::new(),
            },
        }
    }
}

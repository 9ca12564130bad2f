//! The merge, as a part of the look at a task that waits for it: asks the task's own pull request by its number, and where
//! the project says so merges exactly the judged head. Whatever comes of it is read from facts - is it merged, where are the
//! ends, what is in the base - and a merge that is refused is a reason to wait, never a failed job.

use super::evidence::judged_last;
use super::facts::{facts, history};
use super::merge_lease::MergeLease;
use super::seen::Seen;
use crate::clients::ApiError;
use crate::clients::gitea::{Branch, GiteaClient, NewMerge, Pull, standing};
use crate::context::Context;
use crate::gates::Checked;
use crate::git::{GitError, Joins, Landed, Merge, Worktree};
use orch_common::domain::checks::{CheckState, OWN_CONTEXT_PREFIX, Unfinished};
use orch_common::domain::decide::{Changed, Decision, Finding, MergePolicy, Policy, Trigger, decide};
use orch_common::domain::gate::{CiEvidence, FailReason, Gate, GateOutcome, Waiting};
use orch_common::domain::merge::{self, Ends, Hold, MergeStyle, Next, Refused, after, before, styles};
use orch_common::domain::pipeline::Pipeline;
use orch_common::domain::stage::{CommitId, Stage};
use orch_common::domain::task::History;
use orch_common::domain::words::Command;
use orch_common::failpoint::{self, Point};
use orch_common::store::jobs::Job;
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError};
use std::time::Duration;

/// How often, and after which pause, a forge that is still computing is asked again in place.
const ASKED: usize = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Another merge of the repository is over soon, in ms.
const LEASE_WAIT_MS: i64 = 1_000;
/// The longest pause between two looks, in ms.
pub(super) const LONGEST_PAUSE_MS: i64 = 60_000;

/// One look at one merge.
pub(super) struct Merging<'a> {
    pub seen: &'a Seen<'a>,
    pub job: &'a Job,
    pub policy: &'a Policy,
    pub trigger: &'a Trigger,
    /// Where the task stood when the job was made.
    pub said_at: Option<Stage>,
    pub judged: &'a CommitId,
    /// The judged head as the forge has it: this commit is merged and no other. `judged` may have documents beyond it.
    pub head: &'a CommitId,
    pub changed: Changed,
}

/// What a look at a merge came to.
pub(super) enum Step {
    Found {
        outcome: GateOutcome,
        hold: Option<Hold>,
    },
    /// Nobody has to act; again, at the latest after so many ms.
    Later {
        why: String,
        within_ms: i64,
    },
}

impl Step {
    fn holds(hold: Hold) -> Step {
        Step::Found { outcome: GateOutcome::Waiting(Waiting::Merge), hold: Some(hold) }
    }

    fn waits(on: Waiting) -> Step {
        Step::Found { outcome: GateOutcome::Waiting(on), hold: None }
    }

    const fn fails(reason: FailReason) -> Step {
        Step::Found { outcome: GateOutcome::Fail(reason), hold: None }
    }

    const fn passes() -> Step {
        Step::Found { outcome: GateOutcome::Pass, hold: None }
    }

    const fn later(why: String) -> Step {
        Step::Later { why, within_ms: LONGEST_PAUSE_MS }
    }
}

/// Why nothing could be found out; the look is made again.
#[derive(Debug, thiserror::Error)]
pub(super) enum MergeError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge does not answer.
    #[error("{0}")]
    Away(ApiError),
}

impl From<ApiError> for MergeError {
    fn from(error: ApiError) -> MergeError {
        MergeError::Away(error)
    }
}

impl Merging<'_> {
    /// Looks, and merges where that is wanted and the forge lets it. What was kept back for the merge is published after it.
    pub(super) async fn look(&self) -> Result<Step, MergeError> {
        let step = self.find().await?;
        if self.judged != self.head && matches!(&step, Step::Found { outcome: GateOutcome::Pass, .. }) {
            let (ctx, task) = (self.seen.ctx, self.seen.task);
            let worktree = self.worktree().await?;
            let pushed = ctx.repos.push(&worktree, &ctx.remote(self.seen.project)?, &ctx.stopping).await?;
            tracing::info!(head = %pushed.head, key = task.key, "the documents follow the merge");
        }
        Ok(step)
    }

    async fn worktree(&self) -> Result<Worktree, GitError> {
        let (ctx, task) = (self.seen.ctx, self.seen.task);
        ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, &ctx.stopping).await
    }

    async fn find(&self) -> Result<Step, MergeError> {
        let (Some(gitea), Some(_)) = (&self.seen.ctx.outside.gitea, self.seen.task.pull) else {
            let on = if self.seen.ctx.outside.gitea.is_some() { Waiting::PullMissing } else { Waiting::Merge };
            return Ok(Step::waits(on));
        };
        let Some(pull) = self.seen.pull().await? else { return Ok(Step::holds(Hold::Gone)) };
        let Some(base) = self.base().await? else {
            return Ok(Step::holds(Hold::Rule { words: format!("there is no branch {}", self.seen.task.base) }));
        };
        let joins = self.joins(&base).await?;
        match () {
            () if pull.merged => self.merged(pull, &base).await,
            // Somebody merged it by hand, which the forge need not notice.
            () if joins == Joins::InBase => Ok(Step::passes()),
            () if !pull.is_open() => Ok(Step::waits(Waiting::PullClosed)),
            () if self.policy.merge != MergePolicy::OnDeploy => Ok(Step::waits(Waiting::Merge)),
            () => self.merge_when_ready(gitea, pull.clone(), &base, &joins).await,
        }
    }

    /// The base as the mirror has it: of the last fetch.
    async fn base(&self) -> Result<Option<CommitId>, GitError> {
        self.seen.ctx.repos.forge_head(&self.seen.task.repo, &self.seen.task.base, &self.seen.ctx.stopping).await
    }

    async fn joins(&self, base: &CommitId) -> Result<Joins, GitError> {
        self.seen.ctx.repos.joins(&self.seen.task.repo, base, self.head, &self.seen.ctx.stopping).await
    }

    /// It is merged: done if the base has what was judged and no more, or if a person takes it as it is.
    async fn merged(&self, pull: &Pull, base: &CommitId) -> Result<Step, MergeError> {
        let mut landed = landed(self.seen.ctx, (self.seen.task, &self.policy.pipeline), self.head, pull, base).await?;
        if !landed.is_whole()
            && let Some(base) = self.fetched_base().await?
        {
            // It may have been merged since the last fetch.
            landed =
                self::landed(self.seen.ctx, (self.seen.task, &self.policy.pipeline), self.head, pull, &base).await?;
        }
        let approves = matches!(self.trigger, Trigger::Command { command: Command::Approve, .. });
        if landed.is_whole() || approves {
            return Ok(Step::passes());
        }
        Ok(Step::holds(Hold::Otherwise { by: pull.merger(), missing: landed.missing, unjudged: landed.unjudged }))
    }

    async fn merge_when_ready(
        &self,
        gitea: &GiteaClient,
        pull: Pull,
        base: &CommitId,
        joins: &Joins,
    ) -> Result<Step, MergeError> {
        let mut pull = pull;
        for asked in 1..=ASKED {
            match before(&ends(&pull), &self.seen.task.base, self.head.as_str()) {
                Next::Hold(hold) => return Ok(Step::holds(hold)),
                // The forge has no better word for a conflict than for not knowing yet; git has.
                _ if matches!(joins, Joins::Conflicts(_)) => break,
                Next::Later { .. } if asked < ASKED => {
                    tokio::time::sleep(PAUSE).await;
                    let Some(now) = gitea.pull(&self.seen.task.repo, pull.number).await? else {
                        return Ok(Step::holds(Hold::Gone));
                    };
                    pull = now;
                }
                Next::Later { why } => return Ok(Step::later(why)),
                Next::Merge | Next::OtherStyle | Next::BringUpToDate => break,
            }
        }
        if let Joins::Conflicts(files) = joins {
            return Ok(self.conflicts(files));
        }
        let Some(lease) = MergeLease::take(self.seen.ctx, self.job.id, &self.seen.task.repo).await? else {
            let why = format!("another merge in {} is under way", self.seen.task.repo);
            return Ok(Step::Later { why, within_ms: LEASE_WAIT_MS });
        };
        let step = self.merge_alone(gitea, &pull, base).await;
        lease.give_back(self.seen.ctx).await;
        step
    }

    fn conflicts(&self, files: &[String]) -> Step {
        Step::fails(FailReason::BaseMoved { base: self.seen.task.base.clone(), files: files.to_vec() })
    }

    /// No other merge of the repository is under way: asks once more what may have changed since, and merges.
    async fn merge_alone(&self, gitea: &GiteaClient, pull: &Pull, base: &CommitId) -> Result<Step, MergeError> {
        let repo = &self.seen.task.repo;
        let Some(branch) = gitea.branch(repo, &self.seen.task.base).await? else {
            return Ok(Step::later(format!("there is no branch {}", self.seen.task.base)));
        };
        let mut base = base.clone();
        if branch.head() != base.as_str() {
            base = self.fetched_base().await?.unwrap_or(base);
        }
        let joins = self.joins(&base).await?;
        if let Joins::Conflicts(files) = &joins {
            return Ok(self.conflicts(files));
        }
        let settings = gitea.repo(repo).await?;
        if settings.archived {
            return Ok(Step::holds(Hold::Archived));
        }
        if let Some(step) = self.checks(&branch).await {
            return Ok(step);
        }
        if !self.is_wanted().await? {
            return Ok(Step::waits(Waiting::Merge));
        }
        let title = format!("{}: {}", self.seen.task.key, self.seen.task.title);
        for style in styles(&settings.default_merge_style, &settings.allowed_styles()) {
            let up_to_date = joins == Joins::UpToDate;
            if style == MergeStyle::FastForwardOnly && !up_to_date {
                return self.bring_up_to_date().await;
            }
            let new = NewMerge {
                style,
                head: self.head,
                title: &title,
                message: "",
                delete_branch: settings.default_delete_branch_after_merge && self.judged == self.head,
            };
            let answer = gitea.merge(repo, pull.number, new).await;
            failpoint::here(Point::AdvanceMerged);
            tracing::info!(number = pull.number, %style, status = answer.status, words = %answer.words, "merge asked for");
            let now = gitea.pull(repo, pull.number).await?;
            if let Some(pull) = now.as_ref().filter(|pull| pull.merged) {
                let base = self.fetched_base().await?.unwrap_or(base);
                // The forge has held the merge to the judged head.
                return match answer.status {
                    200..=299 => Ok(Step::passes()),
                    _ => self.merged(pull, &base).await,
                };
            }
            let refused = Refused {
                status: answer.status,
                words: &answer.words,
                style,
                up_to_date,
                approvals: branch.rule.required_approvals,
                rejected_by: self.rejected_by(gitea, pull.number).await?,
                checks: self.not_green(gitea).await?,
            };
            match after(&refused) {
                Next::Hold(hold) => return Ok(Step::holds(hold)),
                Next::Later { why } => return Ok(Step::later(why)),
                Next::BringUpToDate => return self.bring_up_to_date().await,
                Next::OtherStyle | Next::Merge => {}
            }
        }
        Ok(Step::holds(Hold::Style))
    }

    async fn fetched_base(&self) -> Result<Option<CommitId>, GitError> {
        let remote = self.seen.ctx.remote(self.seen.project)?;
        self.seen.ctx.repos.fetch(&self.seen.task.repo, &remote, &self.seen.ctx.stopping).await?;
        self.base().await
    }

    /// The base is merged into the branch, which the whole road then judges anew.
    async fn bring_up_to_date(&self) -> Result<Step, MergeError> {
        let (ctx, task) = (self.seen.ctx, self.seen.task);
        let worktree = self.worktree().await?;
        let remote = ctx.remote(self.seen.project)?;
        match ctx.repos.bring_up_to_date(&worktree, &task.base, &remote, &ctx.stopping).await {
            Ok(head) => tracing::info!(%head, base = %task.base, "the base was merged into the branch"),
            Err(GitError::Conflict { paths, .. }) => return Ok(self.conflicts(&paths)),
            Err(other) => return Err(other.into()),
        }
        Ok(self.conflicts(&[]))
    }

    /// CI of the very head, where the project or the base's rule asks for it. A head of which CI says nothing is left to
    /// that rule: what the pipeline asks for was found on a commit that covers it. A person's approval goes on without.
    async fn checks(&self, branch: &Branch) -> Option<Step> {
        let asked = branch.rule.enable_status_check
            || !self.seen.project.required_checks.is_empty()
            || self.policy.pipeline.steps().iter().any(|step| step.gate == Some(Gate::CiGreen));
        let approves = matches!(self.trigger, Trigger::Command { command: Command::Approve, .. });
        if !asked || approves {
            return None;
        }
        match (Checked { seen: self.seen, base: Some(branch), head: self.head }).ask().await {
            CiEvidence::Success => None,
            CiEvidence::Failure { checks } => Some(Step::fails(FailReason::CiFailed { checks })),
            CiEvidence::Unavailable { why } => Some(Step::later(why)),
            CiEvidence::Waiting { on: Unfinished::Nothing, names, .. } if names.is_empty() => None,
            CiEvidence::Waiting { on: Unfinished::Settling, again_in_ms, .. } => {
                let why = "more checks may come".to_owned();
                Some(Step::Later { why, within_ms: again_in_ms.unwrap_or(LONGEST_PAUSE_MS).min(LONGEST_PAUSE_MS) })
            }
            CiEvidence::Waiting { names, .. } => Some(Step::holds(Hold::Checks { names })),
        }
    }

    /// The checks of the head that stand in the way, by name.
    async fn not_green(&self, gitea: &GiteaClient) -> Result<Vec<String>, ApiError> {
        let status = gitea.combined_status(&self.seen.task.repo, self.head.as_str()).await?;
        let others = gitea.checks(&status).into_iter().filter(|c| !c.context.starts_with(OWN_CONTEXT_PREFIX));
        Ok(others.filter(|c| c.state != CheckState::Passed).map(|c| c.context).collect())
    }

    /// Who of those who may speak asks for changes.
    async fn rejected_by(&self, gitea: &GiteaClient, number: i64) -> Result<Vec<String>, ApiError> {
        let all = gitea.all_reviews(&self.seen.task.repo, number).await?;
        let speakers = self.seen.speakers().await?;
        let against = standing(&all).into_iter().filter(|r| r.rejects() && speakers.voice(r).is_some());
        Ok(against.filter_map(|r| r.user.as_ref().map(|user| user.login.clone())).collect())
    }

    /// Right before the merge: with it the task would be done, as far as anybody has said until now. A pause, a word or a
    /// moved task is in the way, whatever the forge would do.
    async fn is_wanted(&self) -> Result<bool, StoreError> {
        let (seen, job, trigger, policy) =
            (self.seen.task.clone(), self.job.id, self.trigger.clone(), self.policy.clone());
        let (said_at, changed) = (self.said_at, self.changed);
        let ask = move |c: &mut Conn| {
            let Some(now) = tasks::get(c, seen.id)?.filter(|now| now.stage_version == seen.stage_version) else {
                return Ok(false);
            };
            let history = History { said_at, ..history(c, &now, &policy, job)? };
            let finding = Finding {
                gate: Some(merge::GATE),
                outcome: GateOutcome::Pass,
                fingerprint: String::new(),
                questions: None,
                verdict: None,
                changed,
                checks: Vec::new(),
                hold: None,
            };
            let decision = decide(&facts(&now)?, &trigger, Some(&finding), &history, &policy);
            Ok(matches!(decision, Decision::Apply(change) if change.stage > now.stage))
        };
        self.seen.ctx.store.read(ask).await
    }
}

/// What a merge of the pull request brought into its base, compared with the commit that was judged last: what came to the
/// branch since, and was merged with it, nobody has judged. `head` where nothing was bound to a commit.
pub(crate) async fn landed(
    ctx: &Context,
    (task, pipeline): (&Task, &Pipeline),
    head: &CommitId,
    pull: &Pull,
    base: &CommitId,
) -> Result<Landed, GitError> {
    let judged = judged_last(ctx, task, pipeline).await?;
    let commit: Option<CommitId> = pull.merge_commit_sha.as_deref().and_then(|sha| sha.parse().ok());
    let documents = format!("docs/work-items/{}", task.key);
    let judged = judged.as_ref().unwrap_or(head);
    let merge = Merge { base, judged, commit: commit.as_ref(), documents: &documents };
    ctx.repos.landed(&task.repo, merge, &ctx.stopping).await
}

fn ends(pull: &Pull) -> Ends {
    let base = if pull.base.r#ref.is_empty() { &pull.base.label } else { &pull.base.r#ref };
    Ends { base: base.clone(), head: pull.head.sha.clone(), draft: pull.draft, mergeable: pull.mergeable }
}

//! What CI says of a commit, for the gate `ci_green` and right before a merge: which checks count, how they stand, and of those
//! that failed the ends of their logs.

use super::job_log::readable;
use crate::clients::ApiError;
use crate::clients::gitea::{Branch, GiteaClient};
use crate::clock::now_ms;
use crate::engine::{Seen, covers};
use crate::git::GitError;
use orch_common::config::WithoutChecks;
use orch_common::domain::checks::{Check, OWN_CONTEXT_PREFIX, Terms, Unfinished, Verdict, judge};
use orch_common::domain::gate::{CiEvidence, FailedCheck, Gate};
use orch_common::domain::stage::CommitId;
use orch_common::store::ci_jobs::{self, CiJob};
use orch_common::store::{Conn, StoreError, gates, jobs};
use url::Url;

/// Failed checks that are told of, and those whose logs are fetched.
const MOST_CHECKS: usize = 20;
const MOST_LOGS: usize = 5;
/// Bytes of a log that are read: some two hundred lines with their times.
const LOG_BYTES: usize = 64 << 10;
/// A pull request that is not opened within this time is no longer waited for, in ms.
const PULL_COMES_MS: i64 = 300_000;

/// A commit of a task whose checks are asked for.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    pub seen: &'a Seen<'a>,
    /// The base as it was just read, where it was.
    pub base: Option<&'a Branch>,
    pub head: &'a CommitId,
}

/// What the store knows of the commit.
struct Known {
    /// When the gate was first looked at on it, by our clock.
    since: Option<i64>,
    /// When the task's pull request was opened, by our clock.
    pull_at: Option<i64>,
}

/// A failure to ask.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Outside(#[from] ApiError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Checked<'_> {
    /// What CI says of the commit. [`Unfinished::Nothing`] without names: CI has said nothing, and nothing is required.
    pub async fn ask(&self) -> CiEvidence {
        let Some(gitea) = &self.seen.ctx.outside.gitea else {
            return CiEvidence::Unavailable { why: "the forge is not configured".into() };
        };
        match self.ask_of(gitea).await {
            Ok(evidence) => evidence,
            Err(trouble) => CiEvidence::Unavailable { why: trouble.to_string() },
        }
    }

    async fn ask_of(&self, gitea: &GiteaClient) -> Result<CiEvidence, Trouble> {
        let Seen { ctx, project, task, .. } = *self.seen;
        let required = self.required().await?;
        let status = gitea.combined_status(&task.repo, self.head.as_str()).await?;
        let ours = now_ms();
        let now = status.server_time.unwrap_or(ours);
        let checks = gitea.checks(&status);
        let known = self.known(ours).await?;
        let worker = &ctx.config.worker;
        let settle_ms = ms(worker.ci_settle_s);
        let stirred_at = known.pull_at.map(|at| at + (now - ours));
        let terms = Terms { required: &required, now, settle_ms, stirred_at };
        match judge(&checks, &terms) {
            Verdict::Passed => Ok(CiEvidence::Success),
            Verdict::Failed(failed) => Ok(CiEvidence::Failure { checks: self.with_logs(gitea, failed).await? }),
            Verdict::Waiting { on, names, again_in_ms } => {
                let overdue = match on {
                    Unfinished::Nothing => known.since.is_some_and(|since| ours - since >= ms(worker.ci_silence_s)),
                    Unfinished::Running => newest(&checks).is_some_and(|at| now - at >= ms(worker.ci_late_s)),
                    Unfinished::Settling | Unfinished::Cancelled => false,
                };
                let silent = on == Unfinished::Nothing && overdue && names.is_empty();
                if silent && (self.is_covered().await? || project.without_checks == WithoutChecks::Pass) {
                    tracing::info!(task = %task.key, head = %self.head, "no checks of its own");
                    return Ok(CiEvidence::Success);
                }
                Ok(CiEvidence::Waiting { on, names, overdue, again_in_ms })
            }
        }
    }

    /// The project's list, else the contexts of the base's rule; empty = all count. Our own are never asked for.
    async fn required(&self) -> Result<Vec<String>, ApiError> {
        let listed = &self.seen.project.required_checks;
        if !listed.is_empty() {
            return Ok(listed.clone());
        }
        let base = match self.base {
            Some(base) => Some(base),
            None => self.seen.base().await?,
        };
        let rule = base.map(|base| &base.rule).filter(|rule| rule.enable_status_check);
        let mut contexts = rule.and_then(|rule| rule.status_check_contexts.clone()).unwrap_or_default();
        contexts.retain(|context| !context.starts_with(OWN_CONTEXT_PREFIX));
        Ok(contexts)
    }

    /// An earlier head of the task passed the gate, and this one differs from it in nothing that was judged: the forge starts no
    /// CI for documents where the workflow names other paths, and none for what a job of its own pushed.
    async fn is_covered(&self) -> Result<bool, Trouble> {
        let task = self.seen.task.id;
        let passed = self.seen.ctx.store.read(move |conn| gates::last_pass(conn, task, Gate::CiGreen)).await?;
        match passed.and_then(|row| row.head) {
            Some(head) => Ok(covers(self.seen.ctx, self.seen.task, &head, self.head).await?),
            None => Ok(false),
        }
    }

    async fn known(&self, now: i64) -> Result<Known, StoreError> {
        let (task, head) = (self.seen.task.id, self.head.to_string());
        let read = move |conn: &mut Conn| {
            let since = gates::first_looked(conn, task, Gate::CiGreen, &head)?;
            Ok(Known { since, pull_at: pull_at(conn, task, now)? })
        };
        self.seen.ctx.store.read(read).await
    }

    /// The failed checks with the ends of their logs, as far as the forge's deliveries told where those are.
    async fn with_logs(&self, gitea: &GiteaClient, failed: Vec<Check>) -> Result<Vec<FailedCheck>, Trouble> {
        let (mut all, mut logs) = (Vec::new(), 0);
        for check in failed.into_iter().take(MOST_CHECKS) {
            let job = self.job_of(&check).await?;
            let log = match &job {
                Some(job) if logs < MOST_LOGS => self.log(gitea, job).await,
                Some(_) | None => None,
            };
            logs += usize::from(log.is_some());
            let mut failed = check.failed(log);
            let steps: Vec<&str> = job.iter().flat_map(|job| job.steps.lines()).collect();
            if !steps.is_empty() {
                failed.says = format!("{}, at: {}", failed.says, steps.join(", "));
            }
            all.push(failed);
        }
        Ok(all)
    }

    /// The job that a check is of: a status names it by its page, and only a delivery told its id.
    async fn job_of(&self, check: &Check) -> Result<Option<CiJob>, StoreError> {
        let Some(page) = check.link.as_deref().and_then(page_of) else { return Ok(None) };
        let repo = self.seen.project.repo.to_lowercase();
        let job = self.seen.ctx.store.read(move |conn| ci_jobs::get(conn, &repo, &page)).await?;
        Ok(job.filter(|job| job.sha == self.head.as_str()))
    }

    /// Without a log there are still the names.
    async fn log(&self, gitea: &GiteaClient, job: &CiJob) -> Option<String> {
        match gitea.job_log_end(&self.seen.task.repo, job.job, LOG_BYTES).await {
            Ok(log) => log.as_ref().map(readable).filter(|text| !text.is_empty()),
            Err(error) => {
                tracing::warn!(%error, job = job.job, "the log of a failed check could not be read");
                None
            }
        }
    }
}

/// The path of a job's page, by which its deliveries and its statuses name it.
pub(crate) fn page_of(link: &str) -> Option<String> {
    let path = Url::parse(link).ok()?.path().to_owned();
    (path.contains("/actions/runs/") && path.len() <= 500).then_some(path)
}

/// When the task's pull request was opened, or now while that is under way: it starts runs of its own.
fn pull_at(conn: &mut Conn, task: i64, now: i64) -> Result<Option<i64>, StoreError> {
    let Some(job) = jobs::by_dedupe_key(conn, &format!("effect:t{task}:pull"))? else { return Ok(None) };
    Ok(match job.finished_at {
        Some(at) => Some(at),
        None if now - job.created_at < PULL_COMES_MS => Some(now),
        None => None,
    })
}

/// The time of the newest word about a commit that is not ours.
fn newest(checks: &[Check]) -> Option<i64> {
    checks.iter().filter(|c| !c.context.starts_with(OWN_CONTEXT_PREFIX)).map(|c| c.at).max()
}

fn ms(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)
}

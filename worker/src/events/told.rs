//! What an event tells beside what it is about: where a branch is, which job of CI has which id, that the forge tells of statuses
//! at all. It is kept whoever did it, and whether or not that moves a task.

use super::{Event, GiteaChange, GiteaEvent, Parsed};
use crate::context::Context;
use crate::gates::page_of;
use orch_common::store::ci_jobs::{self, CiJob};
use orch_common::store::heard::{self, Heard};
use orch_common::store::{Conn, StoreError, cursors};

/// How long the forge counts as one that tells of statuses after it has told of one, and how often that is noted, in ms.
const TELLS_FOR_MS: i64 = 24 * 3_600_000;
const NOTED_EVERY_MS: i64 = 3_600_000;

/// What is to be kept of one event.
#[derive(Debug)]
pub(super) struct Told {
    /// As configured.
    repo: String,
    heard: Option<Heard>,
    job: Option<CiJob>,
    /// It is a delivery about a status.
    status: bool,
}

impl Told {
    /// `delivered`: it was told by a webhook, and not found by asking.
    pub(super) fn of(ctx: &Context, parsed: &Parsed<Event>, delivered: bool) -> Option<Told> {
        let Parsed::Event(Event::Gitea(event)) = parsed else { return None };
        let project = ctx.config.projects.by_repo(&format!("{}/{}", event.owner, event.repo))?;
        let status = delivered && matches!(event.what, GiteaChange::Status { .. });
        let repo = project.repo.clone();
        let told = Told { heard: event.heard(), job: job(&repo, event), status, repo };
        (told.heard.is_some() || told.job.is_some() || told.status).then_some(told)
    }

    pub(super) fn keep(&self, conn: &mut Conn, now: i64) -> Result<(), StoreError> {
        if let Some(heard) = &self.heard {
            heard::note(conn, &self.repo, heard, now)?;
        }
        if let Some(job) = &self.job {
            ci_jobs::note(conn, &CiJob { at: now, ..job.clone() })?;
        }
        if self.status && now - last_status(conn, &self.repo)?.unwrap_or(0) >= NOTED_EVERY_MS {
            cursors::put(conn, &cursor(&self.repo), &now.to_string(), now)?;
        }
        Ok(())
    }
}

fn job(repo: &str, event: &GiteaEvent) -> Option<CiJob> {
    let GiteaChange::Workflow { sha, job: Some(job), .. } = &event.what else { return None };
    let steps = job.failed_steps.join("\n");
    Some(CiJob { repo: repo.to_lowercase(), page: page_of(&job.page)?, job: job.id, sha: sha.clone(), steps, at: 0 })
}

/// Whether the forge tells of this repository's statuses by webhook: it has done so within a day.
pub(crate) fn tells_of_statuses(conn: &mut Conn, repo: &str, now: i64) -> Result<bool, StoreError> {
    Ok(last_status(conn, repo)?.is_some_and(|at| now - at < TELLS_FOR_MS))
}

fn last_status(conn: &mut Conn, repo: &str) -> Result<Option<i64>, StoreError> {
    Ok(cursors::get(conn, &cursor(repo))?.and_then(|at| at.parse().ok()))
}

fn cursor(repo: &str) -> String {
    format!("gitea:statuses:{}", repo.to_lowercase())
}

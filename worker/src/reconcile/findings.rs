//! What asking brought, and keeping it: event jobs and the positions of the lists in one transaction, so that a
//! position never stands behind something that was not kept.

use super::{RoundError, silence};
use crate::events::{GiteaChange, Observed, ObservedPayload};
use crate::give_up::is_given_up;
use orch_common::domain::job::JobKind;
use orch_common::domain::order;
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::{Conn, StoreError, cursors};

/// One thing that a webhook would have told.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// Names the deed, so that it is queued once however often it is found.
    pub key: String,
    /// When it happened, in ms by the source's clock.
    pub at: i64,
    pub event: Observed,
}

/// The work item or the branch of a finding; empty where it names neither.
pub(super) type About = String;

impl Finding {
    pub(super) fn new(key: impl Into<String>, at: i64, event: Observed) -> Finding {
        Finding { key: format!("seen:{}", key.into()), at, event }
    }

    fn about(&self) -> About {
        match &self.event {
            Observed::Plane(event) => event.work_item.clone(),
            Observed::Gitea(event) => match &event.what {
                GiteaChange::Push { branch, .. }
                | GiteaChange::Pull { branch, .. }
                | GiteaChange::Review { branch, .. }
                | GiteaChange::BranchCreated { branch }
                | GiteaChange::BranchDeleted { branch }
                | GiteaChange::Workflow { branch, .. } => branch.clone(),
                GiteaChange::Status { .. } | GiteaChange::Comment { .. } => About::new(),
            },
        }
    }

    /// Among whose events it has its turn; the same as of a delivery.
    fn order(&self) -> String {
        match &self.event {
            Observed::Plane(event) => order::of_item(event.project.as_deref().unwrap_or_default(), &event.work_item),
            Observed::Gitea(event) => {
                let about = if let GiteaChange::Status { sha, .. } = &event.what { sha.clone() } else { self.about() };
                order::at_forge(&format!("{}/{}", event.owner, event.repo), Some(&about))
            }
        }
    }
}

/// Everything of one project at one source.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub found: Vec<Finding>,
    /// Where the list was left: name and time (ms).
    pub position: Option<(String, i64)>,
    /// Why not everything could be asked for; what was found so far counts all the same.
    pub trouble: Option<RoundError>,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty() && self.position.is_none()
    }

    pub(super) fn push(&mut self, key: impl Into<String>, at: i64, event: Observed) {
        self.found.push(Finding::new(key, at, event));
    }

    pub(super) fn extend(&mut self, found: Option<Finding>) {
        self.found.extend(found);
    }

    /// Queues what is new and moves the position; what the new event jobs are about, one entry each.
    pub(super) fn keep(&self, conn: &mut Conn, now: i64) -> Result<Vec<About>, StoreError> {
        let mut new = Vec::new();
        for finding in &self.found {
            if queue(conn, finding, now)? {
                new.push(finding);
            }
        }
        if let Some((name, at)) = &self.position {
            cursors::put(conn, name, &at.to_string(), now)?;
        }
        silence::note(conn, &new, now)?;
        Ok(new.into_iter().map(Finding::about).collect())
    }
}

fn queue(conn: &mut Conn, finding: &Finding, now: i64) -> Result<bool, StoreError> {
    let repo = match &finding.event {
        Observed::Plane(_) => None,
        Observed::Gitea(event) => Some(format!("{}/{}", event.owner, event.repo)),
    };
    let payload = serde_json::to_string(&ObservedPayload { observed: finding.event.clone() })
        .map_err(|e| StoreError::Corrupt(format!("a finding cannot be written: {e}")))?;
    if is_given_up(conn, repo.as_deref(), &payload)? {
        return Ok(false);
    }
    let job = NewJob {
        kind: JobKind::Event,
        role: None,
        repo,
        task_id: None,
        payload,
        dedupe_key: Some(finding.key.clone()),
        order_key: Some(finding.order()),
        available_at: None,
    };
    Ok(jobs::enqueue(conn, &job, now)?.is_some())
}

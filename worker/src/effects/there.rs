//! Whether what an effect writes is there already. Asked where it may have been sent before: an answer was lost, a worker was
//! killed while it waited, or the service refuses what it has done. Neither Plane nor the forge makes one of two that come at
//! the same time; what is there twice all the same, the reconciler removes.

use super::pulls::{Known, found_pull, own_pull};
use super::send::{Outside, Sent, Stop, WantedState, has_status};
use crate::clients::gitea::{NewPull, NewStatus, Pull};
use orch_common::domain::effect::Effect;

impl Outside {
    /// What is there of it; `None` = nothing, or nothing that can be found.
    pub(super) async fn there(&self, effect: &Effect, known: &Known) -> Result<Option<Sent>, Stop> {
        let known = &Known { untried: false, ..known.clone() };
        let found = match effect {
            Effect::PlaneComment { project, work_item, key, .. } => {
                let id = self.plane()?.comment_under(project, work_item, key).await?;
                id.map(|id| format!("comment {id}"))
            }
            Effect::PlaneState { project, work_item, name, group } => {
                let plane = self.plane()?;
                let wanted = self.state_id(plane, project, WantedState { name, group: *group }).await?;
                let now = plane.work_item(project, work_item).await?.state.id;
                (now == wanted).then(|| format!("state {name}"))
            }
            Effect::PlaneLink { project, work_item, url, .. } => {
                let links = self.plane()?.links(project, work_item).await?;
                links.iter().any(|link| link.url == *url).then(|| format!("link {url}"))
            }
            Effect::GiteaBranch { repo, branch, .. } => {
                self.gitea()?.branch(repo, branch).await?.map(|_| format!("branch {branch}"))
            }
            Effect::GiteaPull { repo, branch, base, .. } => {
                let wanted = NewPull { branch, base, title: "", body: "" };
                let found = found_pull(self.gitea()?, repo, &wanted, known).await?;
                return Ok(found.map(|p| Sent::Pull { number: p.number, existed: true, url: p.html_url }));
            }
            Effect::GiteaComment { repo, branch, key, .. } => {
                let Some(own) = own_pull(self.gitea()?, repo, branch, known).await? else { return Ok(None) };
                let there = !self.gitea()?.comments_under(repo, own.number, key).await?.is_empty();
                there.then(|| format!("comment on #{}", own.number))
            }
            Effect::GiteaReview { repo, branch, key, .. } => {
                let Some(reviewer) = self.reviewer.as_deref() else { return Ok(None) };
                let own = own_pull(self.gitea()?, repo, branch, known).await?.filter(Pull::is_open);
                let Some(own) = own else { return Ok(None) };
                let there = !reviewer.reviews_under(repo, own.number, key).await?.is_empty();
                there.then(|| format!("review of #{}", own.number))
            }
            Effect::GiteaStatus { repo, head, context, state, description, target } => {
                let new = NewStatus { context, state: *state, description, target_url: target.as_deref() };
                has_status(self.gitea()?, repo, head, new).await?.then(|| format!("{context} {state}"))
            }
            // Who is asked already is not asked again by the write itself; a message has no name to find it by.
            Effect::GiteaAsk { .. }
            | Effect::GiteaMerge { .. }
            | Effect::GiteaGiveUp { .. }
            | Effect::GiteaReopen { .. }
            | Effect::Telegram { .. } => None,
        };
        Ok(found.map(|detail| Sent::AlreadyThere { detail }))
    }
}

//! Whether a repository takes something of ours; one that was renamed is found again by its id and followed.

use super::Scope;
use super::probe::Down;
use super::shut::Shut;
use crate::alerts;
use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, Repo};
use crate::clock::now_ms;
use crate::context::Context;
use crate::rules::sample_branch;
use orch_common::domain::messages::Message;
use orch_common::store::{Conn, StoreError, repositories};
use std::sync::Arc;
use std::time::Duration;

/// Asks for the repository that is configured as `repo`.
pub(super) async fn ask(ctx: &Arc<Context>, gitea: &GiteaClient, repo: &str) -> Result<(), Down> {
    let name = repo.to_owned();
    let known = ctx.store.read(move |c| repositories::get(c, &name)).await.ok().flatten();
    let asked = gitea.probe_repo(repo).await;
    let is_it = |found: &Repo| known.as_ref().is_none_or(|known| found.id == 0 || found.id == known.id);
    let found = match (&known, asked) {
        (_, Ok(found)) if is_it(&found) => Ok(found),
        // Another one has taken the name, or there is none of it any more.
        (Some(known), asked) if asked.is_ok() || asked.as_ref().is_err_and(ApiError::may_be_of_everything) => {
            match gitea.probe_id(known.id).await {
                Ok(moved) => Ok(moved),
                Err(_) => asked,
            }
        }
        (_, asked) => asked,
    };
    let found = found.map_err(|error| Down::of(&Scope::Repo(repo.to_owned()), error))?;
    if let Err(error) = follow(ctx, gitea, repo, &found).await {
        tracing::warn!(%error, repo, "the repository's name could not be noted");
    }
    let shut = match Shut::of_repository(&found) {
        Some((shut, words)) => Some((shut, words.to_owned())),
        None => by_rule(ctx, gitea, repo, found.permissions.admin).await,
    };
    match shut {
        Some((shut, words)) => {
            Err(Down { words: format!("{repo}: {words}"), not_before: Duration::ZERO, shut: Some(shut) })
        }
        None => Ok(()),
    }
}

/// The rule of the forge that keeps tasks' branches out; what cannot be asked keeps nothing out.
async fn by_rule(ctx: &Context, gitea: &GiteaClient, repo: &str, admin: bool) -> Option<(Shut, String)> {
    let branch = sample_branch(ctx.config.projects.by_repo(repo)?);
    match gitea.shut_out_by(repo, &branch, admin).await {
        Ok(rule) => {
            rule.map(|rule| (Shut::RULE, format!("the rule of '{rule}' covers tasks' branches, such as {branch}")))
        }
        Err(error) => {
            tracing::warn!(%error, repo, "whether a branch rule keeps the account out could not be asked");
            None
        }
    }
}

/// Notes what the repository is called, and calls it so from now on.
async fn follow(ctx: &Arc<Context>, gitea: &GiteaClient, repo: &str, found: &Repo) -> Result<(), StoreError> {
    if found.id == 0 {
        return Ok(());
    }
    let (repo, id, name) = (repo.to_owned(), found.id, found.full_name.clone());
    let new = gitea.names().learn(&repo, &name);
    let noted = (repo.clone(), name.clone());
    if !ctx
        .store
        .read(move |c| Ok(repositories::get(c, &noted.0)?.is_none_or(|known| (known.id, known.name) != (id, noted.1))))
        .await?
    {
        return Ok(());
    }
    let inner = Arc::clone(ctx);
    ctx.store
        .write(move |c: &mut Conn| {
            let changed = repositories::note(c, &repo, id, &name)?;
            if !changed || !new || name.eq_ignore_ascii_case(&repo) {
                return Ok(());
            }
            tracing::warn!(repo, name, "the repository was renamed at the forge; it is called so from now on");
            let message = Message::RepositoryRenamed { repo: repo.clone(), name: name.clone() };
            alerts::raise(c, &inner, None, &message, &format!("renamed:{repo}:{name}"), now_ms())
        })
        .await
}

//! The question whether something outside answers: the cheapest that an account, an address and a repository which are in order
//! always answer.

use super::shut::Shut;
use super::{Scope, repository};
use crate::clients::ApiError;
use crate::clients::plane::PlaneClient;
use crate::context::Context;
use crate::git::{GitError, probe};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The least role at Plane that may write.
const MEMBER: i32 = 15;
/// Bytes that must fit on a disk with room.
const ROOM: usize = 4 << 20;

/// It is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Down {
    /// What was answered.
    pub words: String,
    /// The service asked not to be called for so long.
    pub not_before: Duration,
    /// Only a person ends it.
    pub shut: Option<Shut>,
}

impl Down {
    /// By an answer of the scope.
    pub fn of(scope: &Scope, error: ApiError) -> Down {
        let not_before = Duration::from_secs(error.retry_after().unwrap_or(0));
        Down { words: error.to_string(), not_before, shut: Shut::of(scope, &error) }
    }

    /// By something else than an answer.
    fn words(words: String) -> Down {
        Down { words, not_before: Duration::ZERO, shut: None }
    }
}

/// Asks now. What is not configured is not away.
pub(super) async fn ask(ctx: &Arc<Context>, scope: &Scope) -> Result<(), Down> {
    let outside = &ctx.outside;
    let answer = match scope {
        Scope::Plane => match &outside.plane {
            Some(plane) => plane.probe().await,
            None => Ok(()),
        },
        Scope::Project(id) => match &outside.plane {
            Some(plane) => return ask_for_project(plane, scope, id).await,
            None => Ok(()),
        },
        Scope::Telegram => match &outside.telegram {
            Some(telegram) => telegram.probe().await,
            None => Ok(()),
        },
        Scope::Gitea => match &outside.gitea {
            Some(gitea) => gitea.probe().await,
            None => Ok(()),
        },
        Scope::Reviewer => match &outside.reviewer {
            Some(gitea) => gitea.probe().await,
            None => Ok(()),
        },
        Scope::Repo(repo) => match &outside.gitea {
            Some(gitea) => return repository::ask(ctx, gitea, repo).await,
            None => Ok(()),
        },
        Scope::Git(repo) => return ask_git(ctx, repo).await,
        Scope::Disk(_) => return ask_disk(ctx).await,
    };
    answer.map_err(|error| Down::of(scope, error))
}

async fn ask_for_project(plane: &PlaneClient, scope: &Scope, id: &str) -> Result<(), Down> {
    let project = plane.probe_project(id).await.map_err(|error| Down::of(scope, error))?;
    match project.member_role {
        // It is seen, and no card of it may be moved.
        Some(role) if role < MEMBER => {
            Err(Down::words(format!("the account is a guest of the project {id}: it may not move its work items")))
        }
        Some(_) | None => Ok(()),
    }
}

async fn ask_git(ctx: &Context, repo: &str) -> Result<(), Down> {
    let Some(project) = ctx.config.projects.by_repo(repo) else { return Ok(()) };
    let asked = match ctx.remote_now(project) {
        Ok(remote) => probe::shows_a_branch(ctx.repos.settings(), &remote, &ctx.stopping).await,
        Err(error) => Err(error),
    };
    match asked {
        // Whoever asked stops; nothing is known.
        Ok(true) | Err(GitError::Cancelled) => Ok(()),
        Ok(false) if is_empty(ctx, repo).await => Ok(()),
        Ok(false) => Err(Down::words("git is shown no branch of the repository".to_owned())),
        Err(error) => Err(Down::words(error.to_string())),
    }
}

/// Whether the forge says that nothing was pushed there yet; without a forge git's word is taken.
async fn is_empty(ctx: &Context, repo: &str) -> bool {
    match &ctx.outside.gitea {
        Some(gitea) => gitea.probe_repo(repo).await.is_ok_and(|found| found.empty),
        None => true,
    }
}

/// Whether some room is left where work is kept.
async fn ask_disk(ctx: &Context) -> Result<(), Down> {
    let folders = [ctx.config.worker.repos_dir.clone(), ctx.runs_dir.clone()];
    let tried = tokio::task::spawn_blocking(move || folders.iter().try_for_each(|folder| write_some(folder)));
    let down = |error: &dyn std::fmt::Display| Down::words(error.to_string());
    tried.await.map_err(|error| down(&error))?.map_err(|error| down(&error))
}

fn write_some(folder: &Path) -> std::io::Result<()> {
    let mut file = tempfile_in(folder)?;
    file.write_all(&vec![0; ROOM])?;
    file.sync_all()
}

/// A file without a name: it is gone with its handle.
fn tempfile_in(folder: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = i32::try_from(rustix::fs::OFlags::TMPFILE.bits()).unwrap_or_default();
    File::options().write(true).mode(0o600).custom_flags(flags).open(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_was_asked_for_is_kept() {
        let down = Down::of(&Scope::Gitea, ApiError::RateLimited { retry_after_s: 42 });
        assert_eq!(down.not_before, Duration::from_secs(42));
        assert!(down.words.contains("42"), "and shown: {}", down.words);
        assert_eq!(Down::of(&Scope::Gitea, ApiError::NotFound).not_before, Duration::ZERO);
    }
}

//! The question whether something outside answers: the cheapest that an account, an address and a repository which are in order
//! always answer.

use super::Scope;
use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, Repo};
use crate::clients::plane::PlaneClient;
use crate::context::Context;
use crate::git::{GitError, probe};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
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
}

impl From<ApiError> for Down {
    fn from(error: ApiError) -> Down {
        let not_before = Duration::from_secs(error.retry_after().unwrap_or(0));
        Down { words: error.to_string(), not_before }
    }
}

/// Asks now. What is not configured is not away.
pub(super) async fn ask(ctx: &Context, scope: &Scope) -> Result<(), Down> {
    let outside = &ctx.outside;
    match scope {
        Scope::Plane => match &outside.plane {
            Some(plane) => Ok(plane.probe().await?),
            None => Ok(()),
        },
        Scope::Project(id) => match &outside.plane {
            Some(plane) => ask_for_project(plane, id).await,
            None => Ok(()),
        },
        Scope::Telegram => match &outside.telegram {
            Some(telegram) => Ok(telegram.probe().await?),
            None => Ok(()),
        },
        Scope::Gitea => match &outside.gitea {
            Some(gitea) => Ok(gitea.probe().await?),
            None => Ok(()),
        },
        Scope::Reviewer => match &outside.reviewer {
            Some(gitea) => Ok(gitea.probe().await?),
            None => Ok(()),
        },
        Scope::Repo(repo) => match &outside.gitea {
            Some(gitea) => ask_for_repository(gitea, repo).await,
            None => Ok(()),
        },
        Scope::Git(repo) => ask_git(ctx, repo).await,
        Scope::Disk(_) => ask_disk(ctx).await,
    }
}

async fn ask_for_project(plane: &PlaneClient, id: &str) -> Result<(), Down> {
    match plane.probe_project(id).await?.member_role {
        // It is seen, and no card of it may be moved.
        Some(role) if role < MEMBER => {
            let words = format!("the account is a guest of the project {id}: it may not move its work items");
            Err(Down { words, not_before: Duration::ZERO })
        }
        Some(_) | None => Ok(()),
    }
}

async fn ask_for_repository(gitea: &GiteaClient, repo: &str) -> Result<(), Down> {
    match out_of_order(&gitea.probe_repo(repo).await?) {
        Some(why) => Err(Down { words: format!("{repo} {why}"), not_before: Duration::ZERO }),
        None => Ok(()),
    }
}

/// Why nothing can be written to a repository that is there.
fn out_of_order(repo: &Repo) -> Option<&'static str> {
    match () {
        () if repo.archived => Some("is archived"),
        () if !repo.permissions.push => Some("may not be written by this account"),
        () => None,
    }
}

async fn ask_git(ctx: &Context, repo: &str) -> Result<(), Down> {
    let Some(project) = ctx.config.projects.by_repo(repo) else { return Ok(()) };
    let asked = match crate::context::remote_of(&ctx.config, project) {
        Ok(remote) => probe::answers(ctx.repos.settings(), &remote, &ctx.stopping).await,
        Err(error) => Err(error),
    };
    match asked {
        // Whoever asked stops; nothing is known.
        Ok(()) | Err(GitError::Cancelled) => Ok(()),
        Err(error) => Err(Down { words: error.to_string(), not_before: Duration::ZERO }),
    }
}

/// Whether some room is left where work is kept.
async fn ask_disk(ctx: &Context) -> Result<(), Down> {
    let folders = [ctx.config.worker.repos_dir.clone(), ctx.runs_dir.clone()];
    let tried = tokio::task::spawn_blocking(move || folders.iter().try_for_each(|folder| write_some(folder)));
    let down = |error: &dyn std::fmt::Display| Down { words: error.to_string(), not_before: Duration::ZERO };
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
    fn a_repository_that_takes_nothing_is_out_of_order() {
        let told = |extra: serde_json::Value| {
            let mut row = serde_json::json!({ "id": 1, "name": "shop", "full_name": "acme/shop" });
            for (key, value) in extra.as_object().unwrap() {
                row[key] = value.clone();
            }
            serde_json::from_value::<Repo>(row).unwrap()
        };
        let may = serde_json::json!({ "push": true, "pull": true, "admin": false });
        let may_read = serde_json::json!({ "push": false, "pull": true, "admin": false });
        assert_eq!(out_of_order(&told(serde_json::json!({ "permissions": may }))), None);
        assert!(out_of_order(&told(serde_json::json!({ "permissions": may_read }))).is_some());
        assert!(out_of_order(&told(serde_json::json!({ "permissions": may, "archived": true }))).is_some());
    }

    #[test]
    fn a_wait_that_was_asked_for_is_kept() {
        let down = Down::from(ApiError::RateLimited { retry_after_s: 42 });
        assert_eq!(down.not_before, Duration::from_secs(42));
        assert!(down.words.contains("42"), "and shown: {}", down.words);
        assert_eq!(Down::from(ApiError::NotFound).not_before, Duration::ZERO);
    }
}

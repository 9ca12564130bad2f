//! The artifacts of a work item, read from the commit: what lies uncommitted in the worktree is no evidence, and a
//! link is no file.

use super::Look;
use crate::git::GitError;
use orch_common::domain::names::{ArtifactDir, WorkItemKey};
use std::collections::BTreeMap;

/// Bytes of an artifact that are looked at.
const CAP: usize = 64 * 1024;

/// Name -> content of every artifact that exists on the look's commit.
pub(super) async fn read(look: &Look<'_>) -> Result<BTreeMap<String, String>, GitError> {
    let key: WorkItemKey =
        look.task.key.parse().map_err(|e| GitError::Other { tail: format!("the task's key: {e}") })?;
    let dir = ArtifactDir::of(&key);
    let names: Vec<&str> = look.project.artifacts.all().collect();
    let paths: Vec<String> = names.iter().map(|name| dir.file(name)).collect();
    let (repos, cancel) = (&look.ctx.repos, &look.ctx.stopping);
    let mut found = BTreeMap::new();
    for file in repos.files_at(&look.task.repo, look.head, &paths, cancel).await? {
        let Some(name) = names.iter().zip(&paths).find(|(_, path)| file.path == **path) else {
            continue;
        };
        let bytes = repos.content(&look.task.repo, &file, CAP, cancel).await?;
        found.insert((*name.0).to_owned(), String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(found)
}

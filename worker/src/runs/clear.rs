//! A verdict counts for the round it was given in. Before a role judges anew, what it (or an earlier round) left in
//! its files goes, so that a run that writes nothing can not pass, or fail, on old words. The history keeps them.

use crate::context::Context;
use crate::git::{GitError, Identity, Worktree};
use orch_common::domain::gate::ArtifactNames;
use orch_common::domain::names::{ArtifactDir, WorkItemKey};
use orch_common::domain::stage::Role;
use orch_common::store::tasks::Task;

/// The files in which a role gives its verdict.
fn verdicts(role: Role, names: &ArtifactNames) -> Vec<&str> {
    match role {
        Role::Reviewer => names.review.iter().map(String::as_str).collect(),
        Role::Tester => vec![&names.test_report],
        Role::Architect => vec![&names.conflict],
        Role::Analyst | Role::Developer | Role::Deployer => Vec::new(),
    }
}

/// Removes the verdicts of earlier rounds from the branch, in a commit of its own; nothing where there are none.
pub(super) async fn old_verdicts(
    ctx: &Context,
    task: &Task,
    role: Role,
    names: &ArtifactNames,
    worktree: &Worktree,
) -> Result<(), GitError> {
    let key: WorkItemKey = task.key.parse().map_err(|e| GitError::Other { tail: format!("the task's key: {e}") })?;
    let dir = ArtifactDir::of(&key);
    let paths: Vec<String> = verdicts(role, names).into_iter().map(|name| dir.file(name)).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let head = ctx.repos.head(worktree, &ctx.stopping).await?;
    let there = ctx.repos.files_at(&task.repo, &head, &paths, &ctx.stopping).await?;
    if there.is_empty() {
        return Ok(());
    }
    for file in &there {
        let path = worktree.path.join(&file.path);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(GitError::Io { what: format!("removing {}", path.display()), source }),
        }
    }
    let message = format!("{}: the {role} judges anew", task.key);
    let author = Identity { name: "orch".into(), email: "orch@orch.invalid".into() };
    ctx.repos.commit_all(worktree, &message, &author, &ctx.stopping).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_judge_begin_with_a_clean_sheet() {
        let names = ArtifactNames::default();
        assert_eq!(verdicts(Role::Reviewer, &names), ["12-review.md", "09-review.md"]);
        assert_eq!(verdicts(Role::Tester, &names), ["13-test-report.md"]);
        assert_eq!(verdicts(Role::Architect, &names), ["10-conflict.md"]);
        for role in [Role::Analyst, Role::Developer, Role::Deployer] {
            assert_eq!(verdicts(role, &names), [""; 0], "{role}");
        }
    }
}

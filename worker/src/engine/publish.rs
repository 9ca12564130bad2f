//! Making an agent's work visible: uncommitted work is committed, the forge's commits are joined, the branch is
//! pushed. Every step may be repeated.

use super::evidence::{forget_ours, note_joined, note_ours, unread};
use super::kept_back::approved_head;
use super::seen::Seen;
use crate::clients::gitea::Pull;
use crate::context::Context;
use crate::git::{GitError, Identity, LfsFault, Remote, SubmoduleRules, Worktree};
use crate::mend::{Mender, of_git};
use crate::runs::leftovers::after_look;
use orch_common::domain::clash::Clash;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::{CommitId, Role};
use orch_common::failpoint::{self, Point};
use orch_common::store::heard;
use orch_common::store::tasks::Task;
use std::path::PathBuf;

/// LFS objects that are named to people.
const NAMED: usize = 20;

/// The task's branch.
pub(super) struct Published {
    /// What is judged.
    pub head: CommitId,
    /// What the forge has; another one only where documents are kept back (see `kept_back`).
    pub at_forge: CommitId,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error(transparent)]
    Git(GitError),
    /// Why a person has to act before anything is published.
    #[error("{}", .0.name())]
    Stopped(Box<Message>),
    /// Files that only people may change, as the forge does not have them yet.
    #[error("{} protected file(s) are changed", .0.len())]
    Protected(Vec<PathBuf>),
    /// Why nothing is published until a person has mended something at the forge; it is looked at again and again.
    #[error("{}", .0.name())]
    Held(Box<Message>),
    /// What people pushed cannot be joined with what was committed here: whoever works there joins it.
    #[error("both sides of the branch clash")]
    Clash(Box<Clash>),
}

impl From<GitError> for PublishError {
    fn from(error: GitError) -> Self {
        match needs_a_person(&error) {
            Some(message) => PublishError::Stopped(Box::new(message)),
            None => PublishError::Git(error),
        }
    }
}

/// What people are told of an error that only they can mend; the others go away by themselves, or are an agent's.
pub fn needs_a_person(error: &GitError) -> Option<Message> {
    match error {
        GitError::Lfs(LfsFault::NoProgram { objects }) => Some(Message::LfsNoProgram { objects: *objects as u64 }),
        GitError::Lfs(LfsFault::NoContent { oids }) => {
            Some(Message::LfsNoContent { oids: oids.iter().take(NAMED).cloned().collect() })
        }
        GitError::Submodule(fault) => {
            let (path, url) = (fault.path.clone(), fault.url.clone());
            Some(Message::SubmoduleMissing { path, url, why: fault.why })
        }
        GitError::BadName { .. }
        | GitError::NotFound { .. }
        | GitError::AuthFailed { .. }
        | GitError::Unavailable { .. }
        | GitError::Conflict { .. }
        | GitError::Diverged { .. }
        | GitError::Rejected { .. }
        | GitError::Declined { .. }
        | GitError::InUse { .. }
        | GitError::TooLarge { .. }
        | GitError::Timeout { .. }
        | GitError::NoSpace
        | GitError::Corrupt { .. }
        | GitError::Cancelled
        | GitError::Io { .. }
        | GitError::Other { .. } => person_needed(of_git(error), &error.to_string()),
    }
}

/// What people are told at once of what only they can mend.
pub fn person_needed(mender: Mender, words: &str) -> Option<Message> {
    match mender {
        Mender::Person(fault) => Some(Message::NeedsAPerson { fault, words: words.to_owned() }),
        Mender::Time | Mender::Disk | Mender::Agent | Mender::Refusal => None,
    }
}

/// What a task waits for at the forge, by this error.
pub fn held_by(task: &Task, error: &GitError) -> Option<Message> {
    let (why, words) = error.refusal()?;
    Some(Message::PushRefused { branch: task.branch.parse().ok()?, why, words })
}

/// Whether somebody deleted or renamed the task's branch; one whose pull request is merged may go.
pub async fn branch_gone(ctx: &Context, task: &Task, worktree: &Worktree) -> Result<Option<Message>, GitError> {
    if !ctx.repos.is_gone(worktree, &ctx.stopping).await? {
        return Ok(None);
    }
    let mut pull = None;
    if let (Some(gitea), Some(number)) = (&ctx.outside.gitea, task.pull) {
        let asked = gitea.pull(&task.repo, number).await;
        pull = asked.map_err(|e| GitError::Unavailable { tail: format!("pull request #{number}: {e}") })?;
    }
    Ok(gone_with(task, pull.as_ref()))
}

/// What is said of a branch that is gone, beside its pull request; `None` = that is merged.
pub fn gone_with(task: &Task, pull: Option<&Pull>) -> Option<Message> {
    if pull.is_some_and(|pull| pull.merged) {
        return None;
    }
    // It follows its branch to a new name, and is closed when that is deleted.
    let renamed = pull.filter(|pull| pull.is_open() && pull.branch() != task.branch);
    let renamed = renamed.map(|pull| pull.branch().to_owned());
    Some(Message::BranchGone { branch: task.branch.parse().ok()?, renamed })
}

/// Brings the worktree and the forge's branch together. `role` worked there, if anybody did.
pub(super) async fn publish(seen: &Seen<'_>, role: Option<Role>) -> Result<Published, PublishError> {
    match publish_or_say(seen, role).await {
        Err(PublishError::Git(error)) => Err(match held_by(seen.task, &error) {
            Some(message) => PublishError::Held(Box::new(message)),
            None => PublishError::Git(error),
        }),
        other => other,
    }
}

async fn publish_or_say(seen: &Seen<'_>, role: Option<Role>) -> Result<Published, PublishError> {
    let Seen { ctx, project, task, .. } = *seen;
    let remote = ctx.remote(project)?;
    let cancel = &ctx.stopping;
    if let Some(role) = role
        && let Some(published) = publish_onward(seen, &remote, role).await?
    {
        return Ok(published);
    }
    ctx.repos.fetch(&task.repo, &remote, cancel).await?;
    failpoint::here(Point::AdvanceFetched);
    let worktree = ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await?;
    failpoint::here(Point::AdvanceWorktree);
    if let Some(role) = role {
        take_work(ctx, &worktree, task, role).await?;
        failpoint::here(Point::AdvanceWorkCommitted);
    }
    if ctx.repos.is_gone(&worktree, cancel).await? {
        return match branch_gone(ctx, task, &worktree).await? {
            Some(message) => Err(PublishError::Held(Box::new(message))),
            // It was merged and tidied away: nothing is to be published any more.
            None => {
                let head = ctx.repos.head(&worktree, cancel).await?;
                Ok(Published { at_forge: head.clone(), head })
            }
        };
    }
    let brought = match bring_together(seen, &worktree, &remote, role.is_some()).await {
        Err(PublishError::Git(error)) => Err(match ctx.repos.clash_of(&worktree, &error, cancel).await? {
            Some(clash) => PublishError::Clash(Box::new(clash)),
            None => PublishError::Git(error),
        }),
        other => other,
    };
    // Whatever was in the way and had to be kept is told, also where nothing could be published.
    after_look(ctx, task).await?;
    brought
}

/// Pushes what a role left, where the forge has nothing on the branch that is not known here: then there is nothing to fetch
/// and to join. `None` = that is not so, or cannot be told without a look at the forge.
async fn publish_onward(seen: &Seen<'_>, remote: &Remote, role: Role) -> Result<Option<Published>, PublishError> {
    let Seen { ctx, project, task, .. } = *seen;
    let cancel = &ctx.stopping;
    // What only people may change is compared with what the forge has now.
    if !project.protected_paths.is_empty() || !ctx.repos.is_in_order(&task.repo, cancel).await? {
        return Ok(None);
    }
    let worktree = ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await?;
    failpoint::here(Point::AdvanceWorktree);
    take_work(ctx, &worktree, task, role).await?;
    failpoint::here(Point::AdvanceWorkCommitted);
    let pushed = push_onward(seen, &worktree, remote).await;
    after_look(ctx, task).await?;
    match pushed {
        // A fetch finds what is damaged.
        Err(PublishError::Git(GitError::Corrupt { .. } | GitError::Other { .. })) => Ok(None),
        other => other,
    }
}

async fn push_onward(seen: &Seen<'_>, worktree: &Worktree, remote: &Remote) -> Result<Option<Published>, PublishError> {
    let Seen { ctx, task, .. } = *seen;
    let cancel = &ctx.stopping;
    refuse_unpublished_submodules(seen, worktree, remote).await?;
    let head = ctx.repos.head(worktree, cancel).await?;
    // What is judged where it is may be that only if the forge has nothing else.
    if approved_head(seen, worktree, &head).await?.is_some() {
        return Ok(None);
    }
    let (repo, branch) = (task.repo.clone(), task.branch.clone());
    let heard = ctx.store.read(move |c| heard::of_repo(c, &repo)).await.map_err(unread)?;
    let heard = heard.into_iter().flatten().find(|heard| heard.branch == branch).and_then(|heard| heard.head);
    let unpublished = ctx.repos.unpublished_commits(worktree, cancel).await?;
    note_ours(ctx, task, unpublished.clone()).await?;
    let pushed = ctx.repos.push_onward(worktree, heard.as_ref(), remote, cancel).await;
    // All of it, also what an earlier try noted: what is still unpublished after the fetch is noted then.
    if matches!(pushed, Ok(None) | Err(GitError::Declined { .. })) {
        forget_ours(ctx, task, unpublished).await?;
    }
    let Some(pushed) = pushed? else { return Ok(None) };
    Ok(Some(Published { at_forge: pushed.head.clone(), head: pushed.head }))
}

/// A commit that points to what nobody can fetch is of no use to anybody.
async fn refuse_unpublished_submodules(
    seen: &Seen<'_>,
    worktree: &Worktree,
    remote: &Remote,
) -> Result<(), PublishError> {
    let Seen { ctx, project, .. } = *seen;
    let rules = SubmoduleRules { remote, hosts: &project.submodule_hosts };
    let missing = ctx.repos.unpublished_submodules(worktree, &project.default_branch, &rules, &ctx.stopping).await?;
    match missing {
        Some((path, url, commit)) => {
            let message = Message::SubmoduleUnpublished { path, url, commit: commit.to_string() };
            Err(PublishError::Stopped(Box::new(message)))
        }
        None => Ok(()),
    }
}

/// Commits what was left uncommitted; out of the workshop, where the agents have one.
async fn take_work(ctx: &Context, worktree: &Worktree, task: &Task, role: Role) -> Result<(), GitError> {
    let cancel = &ctx.stopping;
    let author = Identity { name: format!("orch {role}"), email: format!("{role}@orch.invalid") };
    let message = format!("{}: work of the {role} at {}", task.key, task.stage);
    if let Some(tenant) = &ctx.tenant {
        let shop = ctx.repos.workshop(worktree, tenant)?;
        return ctx.repos.collect(worktree, &shop, Some((&message, &author)), cancel).await;
    }
    if let Some(commit) = ctx.repos.commit_all(worktree, &message, &author, cancel).await? {
        tracing::info!(%commit, "uncommitted work was committed");
    }
    Ok(())
}

/// Joins what the forge has, as it was just fetched, then pushes. Nothing is pushed that touches what the project protects.
async fn bring_together(
    seen: &Seen<'_>,
    worktree: &Worktree,
    remote: &Remote,
    worked: bool,
) -> Result<Published, PublishError> {
    let Seen { ctx, project, task, .. } = *seen;
    let cancel = &ctx.stopping;
    let joined = ctx.repos.join_moved(worktree, cancel).await?;
    note_joined(ctx, task, &joined).await?;
    let protected = &project.protected_paths;
    let touched = ctx.repos.protected_paths_unpublished(worktree, &project.default_branch, protected, cancel).await?;
    if !touched.is_empty() {
        return Err(PublishError::Protected(touched));
    }
    // What the forge has nowhere is our roles' work, whenever it is published.
    note_ours(ctx, task, ctx.repos.unpublished_commits(worktree, cancel).await?).await?;
    // What is judged next is what the forge has: also commits of an agent that did not end well are published first.
    if worked || ctx.repos.has_unpublished(worktree, &project.default_branch, cancel).await? {
        refuse_unpublished_submodules(seen, worktree, remote).await?;
        let head = ctx.repos.head(worktree, cancel).await?;
        if let Some(at_forge) = approved_head(seen, worktree, &head).await? {
            tracing::info!(%head, %at_forge, "documents are kept back: a push would cost an approval");
            return Ok(Published { head, at_forge });
        }
        let head = ctx.repos.push(worktree, remote, cancel).await?.head;
        return Ok(Published { at_forge: head.clone(), head });
    }
    let head = ctx.repos.head(worktree, cancel).await?;
    Ok(Published { at_forge: head.clone(), head })
}

//! What agents leave in the mirror, which all tasks of a repository share: stashes, and refs of their own. Each is
//! attributed to the task whose worktree knows its commit, kept there, and taken out of the others' way.

use super::call::Call;
use super::error::GitError;
use super::nested::small_file;
use super::repos::Repos;
use super::worktree::Site;
use orch_common::domain::leftover::LeftKind;
use orch_common::domain::stage::CommitId;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// Where a worktree's HEAD has been; a longer log is not read.
const HEAD_LOG: u64 = 16 << 20;
/// Refs and stashes that are looked at in one accounting.
const MOST: usize = 500;

/// An entry of the shared stash.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stash {
    commit: CommitId,
    parent: String,
    message: String,
}

impl Repos {
    /// Moves this task's stashes out of the mirror's, where the next agent of any task would find them.
    pub(super) async fn keep_stashes(
        &self,
        w: &Site,
        others: &[String],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let all = self.stashes(w, cancel).await?;
        let owners = Owners::of(w);
        for stash in all.iter().filter(|stash| owners.has_stash(w, others, stash)) {
            self.keep(w, LeftKind::Stash, &stash.message, &stash.commit, cancel).await?;
            self.drop_stash(w, &stash.commit, cancel).await?;
        }
        Ok(())
    }

    async fn stashes(&self, w: &Site, cancel: &CancellationToken) -> Result<Vec<Stash>, GitError> {
        if self.resolve(&w.mirror, "refs/stash", cancel).await?.is_none() {
            return Ok(Vec::new());
        }
        let call =
            Call::bare(&w.mirror).args(["log", "-z", "--walk-reflogs", "--format=%H%n%P%n%gs", "refs/stash", "--"]);
        let listed = self.git(&w.mirror, call, cancel).await?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        Ok(text.split('\0').filter_map(stash).take(MOST).collect())
    }

    /// Another agent may stash meanwhile, and entries have only numbers: a wrong one that went is put back.
    async fn drop_stash(&self, w: &Site, commit: &CommitId, cancel: &CancellationToken) -> Result<(), GitError> {
        let before = self.stashes(w, cancel).await?;
        let Some(number) = before.iter().position(|stash| stash.commit == *commit) else { return Ok(()) };
        if before.len() == 1 {
            let gone = Call::bare(&w.mirror).args(["update-ref", "-d", "refs/stash", commit.as_str()]);
            return self.git(&w.mirror, gone, cancel).await.map(drop);
        }
        let entry = format!("refs/stash@{{{number}}}");
        let delete = Call::bare(&w.mirror).args(["reflog", "delete", "--updateref", "--rewrite", &entry]);
        self.git(&w.mirror, delete, cancel).await?;
        let after = self.stashes(w, cancel).await?;
        for wrong in before.iter().filter(|stash| stash.commit != *commit && !after.contains(stash)) {
            let store = w.call().args(["stash", "store", "--message", &wrong.message, wrong.commit.as_str()]);
            self.git(&w.mirror, store, cancel).await?;
        }
        Ok(())
    }

    /// Keeps branches, tags and other refs of this task's agents, and removes them from the names that all tasks share.
    pub(super) async fn keep_refs(
        &self,
        w: &Site,
        others: &[String],
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let owners = Owners::of(w);
        for (name, object) in self.foreign_refs(w, others, cancel).await? {
            let Some(commit) = self.resolve(&w.mirror, &name, cancel).await? else { continue };
            let certain = !name.starts_with("refs/heads/");
            if owners.in_use.contains(&name) || !owners.has_commit(commit.as_str(), certain) {
                continue;
            }
            let kept = self.keep(w, LeftKind::Ref, &name, &commit, cancel).await?;
            if !kept || owners.own_worktrees.contains(&name) {
                continue;
            }
            let gone = Call::bare(&w.mirror).args(["update-ref", "--no-deref", "-d", &name, &object]);
            self.git(&w.mirror, gone, cancel).await?;
        }
        for admin in &owners.detached {
            if let Some(commit) = self.head_of(w, admin, cancel).await?
                && owners.has_commit(commit.as_str(), true)
            {
                self.keep(w, LeftKind::Worktree, &admin.to_string_lossy(), &commit, cancel).await?;
            }
        }
        Ok(())
    }

    /// Refs that neither the forge nor Orch made, with what they hold.
    async fn foreign_refs(
        &self,
        w: &Site,
        others: &[String],
        cancel: &CancellationToken,
    ) -> Result<Vec<(String, String)>, GitError> {
        let call = Call::bare(&w.mirror).args(["for-each-ref", "--format=%(refname) %(objectname)"]);
        let listed = String::from_utf8_lossy(&self.git(&w.mirror, call, cancel).await?.stdout).into_owned();
        let of_a_task = |name: &str| {
            name.strip_prefix("refs/heads/").is_some_and(|b| b == w.branch || others.iter().any(|o| o == b))
        };
        let ours = |name: &str| {
            ["refs/remotes/", "refs/orch/", "refs/replace/"].iter().any(|p| name.starts_with(p)) || name == "refs/stash"
        };
        let pairs = listed.lines().filter_map(|line| line.split_once(' '));
        let foreign = pairs.filter(|(name, _)| !ours(name) && !of_a_task(name)).take(MOST);
        Ok(foreign.map(|(name, object)| (name.to_owned(), object.to_owned())).collect())
    }
}

/// `<id> LF <parents> LF <message>`
fn stash(record: &str) -> Option<Stash> {
    let mut lines = record.trim_start_matches('\n').splitn(3, '\n');
    let (id, parents, message) = (lines.next()?, lines.next()?, lines.next().unwrap_or_default());
    let parent = parents.split(' ').next().unwrap_or_default().to_owned();
    Some(Stash { commit: id.parse().ok()?, parent, message: message.trim_end().to_owned() })
}

/// The branch in the message that git itself gives a stash.
fn branch_of(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("WIP on ").or_else(|| message.strip_prefix("On "))?;
    rest.split_once(": ").map(|(branch, _)| branch)
}

/// What the worktrees of a mirror know of commits.
struct Owners {
    mine: String,
    theirs: Vec<String>,
    /// Refs that another task's agent has checked out.
    in_use: Vec<String>,
    /// Refs that are checked out in worktrees which agents made.
    own_worktrees: Vec<String>,
    /// Worktrees which agents made.
    detached: Vec<PathBuf>,
}

impl Owners {
    fn of(w: &Site) -> Owners {
        let mut owners = Owners {
            mine: head_log(&w.admin),
            theirs: Vec::new(),
            in_use: Vec::new(),
            own_worktrees: Vec::new(),
            detached: Vec::new(),
        };
        let entries = std::fs::read_dir(w.mirror.join("worktrees")).into_iter().flatten().filter_map(Result::ok);
        for admin in entries.map(|entry| entry.path()).filter(|path| *path != w.admin) {
            let head = small_file(&admin.join("HEAD"), 1024).unwrap_or_default();
            let head = String::from_utf8_lossy(&head).trim_end().to_owned();
            let on = head.strip_prefix("ref: ").map(str::to_owned);
            if admin.join(super::worktree::READY).symlink_metadata().is_ok() {
                owners.theirs.push(head_log(&admin));
                owners.in_use.extend(on);
            } else {
                owners.own_worktrees.extend(on);
                owners.detached.push(admin);
            }
        }
        owners
    }

    /// This task's unless another one's worktree alone has been at the commit; `certain`: only where this one has been.
    fn has_commit(&self, commit: &str, certain: bool) -> bool {
        let mine = self.mine.contains(commit);
        mine || (!certain && !self.theirs.iter().any(|log| log.contains(commit)))
    }

    fn has_stash(&self, w: &Site, others: &[String], stash: &Stash) -> bool {
        match branch_of(&stash.message) {
            Some(branch) if branch == w.branch => return true,
            Some(branch) if others.iter().any(|other| other == branch) => return false,
            Some(_) | None => {}
        }
        // Made on a branch of its own, or on none: by who has been there.
        let went = branch_of(&stash.message).map(|branch| format!(" to {branch}\n"));
        let went_there = |log: &String| went.as_ref().is_some_and(|words| log.contains(words));
        if went_there(&self.mine) || self.theirs.iter().any(went_there) {
            return went_there(&self.mine);
        }
        self.has_commit(&stash.parent, false)
    }
}

fn head_log(admin: &std::path::Path) -> String {
    String::from_utf8_lossy(&small_file(&admin.join("logs/HEAD"), HEAD_LOG).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stash_is_read_and_its_branch_found() {
        let id = "a".repeat(40);
        let read = stash(&format!("\n{id}\nb c\nWIP on feature/ET-1: abc first: line\n")).unwrap();
        assert_eq!((read.commit.as_str(), read.parent.as_str()), (id.as_str(), "b"));
        assert_eq!(branch_of(&read.message), Some("feature/ET-1"));
        assert_eq!(branch_of("On (no branch): mine"), Some("(no branch)"));
        assert_eq!(branch_of("something of its own"), None);
        assert_eq!(stash(""), None);
    }
}

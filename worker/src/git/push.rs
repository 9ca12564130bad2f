//! Publishing a task's branch. Never forced: what the forge has is only ever added to.

use super::call::Call;
use super::command::Output;
use super::error::{GitError, clean_tail};
use super::remote::Remote;
use super::repos::Repos;
use super::worktree::{Site, Worktree};
use orch_common::domain::stage::CommitId;
use tokio_util::sync::CancellationToken;

/// The branch is on the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the forge's branch points to now.
    pub head: CommitId,
    /// False when it already did.
    pub changed: bool,
}

impl Repos {
    /// Pushes the branch's head to the same branch of the forge. When the forge moved on, what it has is
    /// merged (see [`Repos::refresh`]) and the push tried once more. Harmless to repeat.
    pub async fn push(
        &self,
        worktree: &Worktree,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<Pushed, GitError> {
        match self.push_once(worktree, remote, cancel).await {
            Err(GitError::Rejected { tail }) => {
                tracing::info!(key = worktree.key, %tail, "the forge moved on; joining and pushing again");
                self.refresh(worktree, remote, cancel).await?;
                self.push_once(worktree, remote, cancel).await
            }
            other => other,
        }
    }

    /// Pushes the branch's head without fetching before, if the forge has of the branch just what the mirror has of it, and the
    /// head goes on from there. `heard`: what the forge said of a branch that the mirror has not got yet. `None` = it has
    /// something else, and has it still: fetch and join first.
    pub async fn push_onward(
        &self,
        worktree: &Worktree,
        heard: Option<&CommitId>,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<Option<Pushed>, GitError> {
        let (w, mirror, head) = (worktree, &worktree.mirror, self.head(worktree, cancel).await?);
        let there = match self.resolve(mirror, &w.origin_ref(), cancel).await? {
            Some(there) => Some(there),
            None => match heard {
                Some(heard) if self.has_commit(mirror, heard, cancel).await? => Some(heard.clone()),
                Some(_) => return Ok(None),
                None => None,
            },
        };
        // What was there when both agreed last must be part of it: else it was deleted, or written anew.
        let goes_on = match (self.resolve(mirror, &w.synced_ref(), cancel).await?, &there) {
            (None, None) => true,
            (Some(_), None) => false,
            (None, Some(there)) => self.is_ancestor(mirror, there, &head, cancel).await?,
            (Some(synced), Some(there)) => {
                (synced == *there || self.is_ancestor(mirror, &synced, there, cancel).await?)
                    && self.is_ancestor(mirror, there, &head, cancel).await?
            }
        };
        if !goes_on {
            return Ok(None);
        }
        // Never a force: the head has all of what is expected there. Whatever else is there refuses it.
        let expected = format!("--force-with-lease={}:{}", w.branch_ref(), there.as_ref().map_or("", CommitId::as_str));
        match self.push_head(w, head, Some(expected), remote, cancel).await {
            Err(GitError::Rejected { tail }) => {
                tracing::info!(key = w.key, %tail, "the forge has something else there");
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    async fn push_once(&self, w: &Site, remote: &Remote, cancel: &CancellationToken) -> Result<Pushed, GitError> {
        let head = self.head(w, cancel).await?;
        self.push_head(w, head, None, remote, cancel).await
    }

    async fn push_head(
        &self,
        w: &Site,
        head: CommitId,
        expected: Option<String>,
        remote: &Remote,
        cancel: &CancellationToken,
    ) -> Result<Pushed, GitError> {
        self.send_lfs(&w.mirror, &head, remote, cancel).await?;
        let spec = format!("{head}:{}", w.branch_ref());
        let call = Call::bare(&w.mirror)
            .args(["push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags"])
            .args(expected)
            .args(["--recurse-submodules=no", "--", remote.url(), &spec])
            .network(remote, self.settings().network_timeout);
        let output = self.try_git(&w.mirror, call, cancel).await?;
        let changed = verdict(&output, &w.branch_ref())?;
        {
            // A fetch under way has noted where this ref was, and would find it moved.
            let _lock = self.lock(&self.place(&w.repo)?, cancel).await?;
            self.set_ref(&w.mirror, &w.origin_ref(), &head, cancel).await?;
        }
        self.set_ref(&w.mirror, &w.synced_ref(), &head, cancel).await?;
        Ok(Pushed { head, changed })
    }
}

/// Reads the line about our ref (`<flag> TAB <from>:<to> TAB <summary> (<reason>)`): whether it changed.
fn verdict(output: &Output, full_ref: &str) -> Result<bool, GitError> {
    let text = String::from_utf8_lossy(&output.stdout);
    let ours = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, '\t');
        let (flag, spec, summary) = (parts.next()?, parts.next()?, parts.next()?);
        spec.rsplit_once(':').filter(|(_, to)| *to == full_ref).map(|_| (flag, summary))
    });
    match ours {
        Some(("=", _)) if output.code == 0 => Ok(false),
        Some(("!", summary)) => Err(refusal(summary, &output.stderr)),
        Some(_) if output.code == 0 => Ok(true),
        Some(_) | None => Err(output.error()),
    }
}

/// `[rejected]` is git's own check; `[remote rejected]` the forge's, of which a lost race for the ref is
/// nobody's rule and worth another try.
fn refusal(summary: &str, stderr: &[u8]) -> GitError {
    let race = ["cannot lock ref", "failed to update ref", "fetch first", "reference already exists"];
    let said = format!("{} {}", clean_tail(summary.as_bytes()), clean_tail(stderr));
    if summary.starts_with("[rejected]") || race.iter().any(|words| summary.contains(words)) {
        GitError::Rejected { tail: said }
    } else if summary.starts_with("[remote rejected]") {
        GitError::Declined { why: said }
    } else {
        GitError::Unavailable { tail: said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(code: i32, stdout: &str) -> Output {
        Output { code, stdout: stdout.into(), stderr: b"error: failed to push some refs".to_vec() }
    }

    #[test]
    fn the_line_about_our_ref_decides() {
        let read = |code, text| verdict(&output(code, text), "refs/heads/f");
        assert!(!read(0, "To x\n=\tabc:refs/heads/f\t[up to date]\nDone\n").unwrap());
        assert!(read(0, "To x\n \tabc:refs/heads/f\ta..b\nDone\n").unwrap());
        assert!(read(0, "To x\n*\tabc:refs/heads/f\t[new branch]\nDone\n").unwrap());
        let rejected = read(1, "To x\n!\tabc:refs/heads/f\t[rejected] (fetch first)\n").unwrap_err();
        assert!(matches!(rejected, GitError::Rejected { .. }), "{rejected:?}");
        let other = read(1, "To x\n!\tabc:refs/heads/f\t[rejected] (stale info)\n").unwrap_err();
        assert!(matches!(other, GitError::Rejected { .. }), "{other:?}");
        let race = read(1, "To x\n!\tabc:refs/heads/f\t[remote rejected] (failed to update ref)\n").unwrap_err();
        assert!(matches!(race, GitError::Rejected { .. }), "{race:?}");
        let hook = read(1, "To x\n!\tabc:refs/heads/f\t[remote rejected] (pre-receive hook declined)\n").unwrap_err();
        assert!(matches!(hook, GitError::Declined { .. }), "{hook:?}");
        let lost = read(1, "To x\n!\tabc:refs/heads/f\t[remote failure] (remote failed to report status)\n");
        assert!(matches!(lost.unwrap_err(), GitError::Unavailable { .. }));
        assert!(read(128, "").is_err() && read(0, "").is_err());
    }
}

//! One forge, one person, one installation, in a folder of their own.

use crate::git::{GitSettings, Identity, Remote, Repos, Worktree};
use orch_common::domain::stage::CommitId;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const REPO: &str = "team/app";

pub struct World {
    pub dir: TempDir,
    pub repos: Repos,
    pub remote: Remote,
    pub cancel: CancellationToken,
}

impl World {
    /// The forge has `main` with one commit.
    pub fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let forge = dir.path().join("forge.git");
        git(dir.path(), &["init", "--quiet", "--bare", "-b", "main", "forge.git"]);
        git(dir.path(), &["init", "--quiet", "-b", "main", "person"]);
        let repos = Repos::open(&dir.path().join("repos"), GitSettings::default()).unwrap();
        let remote = Remote::new(&format!("file://{}", forge.display()), None).unwrap();
        let world = World { repos, remote, cancel: CancellationToken::new(), dir };
        world.person(&["remote", "add", "origin", &forge.display().to_string()]);
        world.person_commits("README.md", "hello\n");
        world.person(&["push", "--quiet", "origin", "main"]);
        world
    }

    pub fn forge(&self) -> PathBuf {
        self.dir.path().join("forge.git")
    }

    pub fn person_dir(&self) -> PathBuf {
        self.dir.path().join("person")
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("repos/team/app").canonicalize().unwrap()
    }

    pub fn mirror(&self) -> PathBuf {
        self.home().join("mirror.git")
    }

    /// A person's git in the person's clone.
    pub fn person(&self, args: &[&str]) -> String {
        git(&self.person_dir(), args)
    }

    pub fn person_commits(&self, file: &str, text: &str) {
        std::fs::write(self.person_dir().join(file), text).unwrap();
        self.person(&["add", "-A"]);
        self.person(&["commit", "--quiet", "-m", &format!("person writes {file}")]);
    }

    /// The person checks `branch` out as the forge has it, writes and pushes.
    pub fn person_pushes(&self, branch: &str, file: &str, text: &str) {
        self.person(&["fetch", "--quiet", "origin"]);
        self.person(&["checkout", "--quiet", "-B", branch, &format!("origin/{branch}")]);
        self.person_commits(file, text);
        self.person(&["push", "--quiet", "origin", branch]);
    }

    pub fn on_forge(&self, full_ref: &str) -> String {
        git(&self.forge(), &["rev-parse", full_ref])
    }

    /// A mirror and the worktree of `key` on `feature/<key>`.
    pub async fn worktree(&self, key: &str) -> Worktree {
        self.repos.ensure_mirror(REPO, &self.remote, &self.cancel).await.unwrap();
        self.again(key).await
    }

    pub async fn again(&self, key: &str) -> Worktree {
        self.repos.ensure_worktree(REPO, key, &format!("feature/{key}"), "main", &self.cancel).await.unwrap()
    }

    pub async fn commit(&self, w: &Worktree) -> Option<CommitId> {
        self.repos.commit_all(w, "Agent's work\n\nwith a body", &agent(), &self.cancel).await.unwrap()
    }

    pub async fn head(&self, w: &Worktree) -> CommitId {
        self.repos.head(w, &self.cancel).await.unwrap()
    }
}

pub fn agent() -> Identity {
    Identity { name: "Agent".into(), email: "agent@example.org".into() }
}

pub fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Plain git, as a person or an agent would run it: repository configuration and hooks do count.
pub fn git(folder: &Path, args: &[&str]) -> String {
    orch_testkit::output_of(plain_git(folder, args))
}

pub fn plain_git(folder: &Path, args: &[&str]) -> Command {
    orch_testkit::git_command("Person", folder, args)
}

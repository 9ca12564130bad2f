//! What the fake forge does to a bare git repository.

use super::gitea::PullRow;
use std::path::Path;
use std::process::Command;

fn git(bare: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(bare)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "Forge"), ("GIT_AUTHOR_EMAIL", "forge@acme.test")])
        .envs([("GIT_COMMITTER_NAME", "Forge"), ("GIT_COMMITTER_EMAIL", "forge@acme.test")])
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(out) } else { Err(format!("{out}{}", String::from_utf8_lossy(&output.stderr))) }
}

/// The commit a branch points to.
pub fn head(bare: &Path, branch: &str) -> Option<String> {
    git(bare, &["rev-parse", "--verify", "--quiet", &format!("refs/heads/{branch}")]).ok()
}

pub fn set_branch(bare: &Path, branch: &str, sha: &str) {
    git(bare, &["update-ref", &format!("refs/heads/{branch}"), sha]).unwrap();
}

pub fn delete_branch(bare: &Path, branch: &str) {
    git(bare, &["update-ref", "-d", &format!("refs/heads/{branch}")]).unwrap();
}

/// Merges `head` into the pull request's base and gives the new commit; `Err`: the conflict.
pub fn merge(bare: &Path, pull: &PullRow, head: &str, style: &str) -> Result<String, String> {
    let base = self::head(bare, &pull.base).ok_or("the base is gone")?;
    let tree = git(bare, &["merge-tree", "--write-tree", &base, head])?;
    let tree = tree.lines().next().unwrap_or_default().to_owned();
    let title = format!("Merge pull request '{}' (#{})", pull.title, pull.number);
    let mut commit = vec!["commit-tree", &tree, "-m", &title, "-p", &base];
    if style != "squash" {
        commit.extend(["-p", head]);
    }
    let merged = git(bare, &commit)?;
    set_branch(bare, &pull.base, &merged);
    Ok(merged)
}

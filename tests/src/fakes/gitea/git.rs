//! What the fake forge does to a bare git repository.

use super::PullRow;
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

/// The names of all branches.
pub fn branches(bare: &Path) -> Vec<String> {
    let all = git(bare, &["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"]).unwrap();
    all.lines().map(str::to_owned).collect()
}

pub fn has_commit(bare: &Path, sha: &str) -> bool {
    git(bare, &["cat-file", "-e", &format!("{sha}^{{commit}}")]).is_ok()
}

pub fn set_branch(bare: &Path, branch: &str, sha: &str) {
    git(bare, &["update-ref", &format!("refs/heads/{branch}"), sha]).unwrap();
}

pub fn delete_branch(bare: &Path, branch: &str) {
    git(bare, &["update-ref", "-d", &format!("refs/heads/{branch}")]).unwrap();
}

/// Whether everything of `old` is in `new`.
pub fn is_in(bare: &Path, old: &str, new: &str) -> bool {
    git(bare, &["merge-base", "--is-ancestor", old, new]).is_ok()
}

/// The tree that both make together; `Err`: the conflict in git's words.
pub fn merged_tree(bare: &Path, base: &str, head: &str) -> Result<String, String> {
    let told = git(bare, &["merge-tree", "--write-tree", base, head])?;
    Ok(told.lines().next().unwrap_or_default().to_owned())
}

/// Why nothing was merged.
pub enum Refusal {
    Conflict(String),
    /// Only a fast forward is allowed, and the base has moved.
    BaseMoved,
}

/// Merges `head` into the pull request's base in this style and gives the new commit.
pub fn merge(bare: &Path, pull: &PullRow, head: &str, style: &str) -> Result<String, Refusal> {
    let base = self::head(bare, &pull.base).ok_or_else(|| Refusal::Conflict("the base is gone".into()))?;
    let title = format!("Merge pull request '{}' (#{})", pull.title, pull.number);
    let merged = match style {
        "fast-forward-only" if !is_in(bare, &base, head) => return Err(Refusal::BaseMoved),
        "fast-forward-only" => head.to_owned(),
        "rebase" => replayed(bare, &base, head)?,
        "rebase-merge" => {
            let top = replayed(bare, &base, head)?;
            committed(bare, &format!("{top}^{{tree}}"), &title, &[&base, &top])
        }
        _ => {
            let tree = merged_tree(bare, &base, head).map_err(Refusal::Conflict)?;
            let parents: &[&str] = if style == "squash" { &[&base] } else { &[&base, head] };
            committed(bare, &tree, &title, parents)
        }
    };
    set_branch(bare, &pull.base, &merged);
    Ok(merged)
}

/// Each commit of `head` that `base` lacks, on top of it.
fn replayed(bare: &Path, base: &str, head: &str) -> Result<String, Refusal> {
    let all = git(bare, &["rev-list", "--reverse", "--no-merges", &format!("{base}..{head}")]).unwrap();
    let mut top = base.to_owned();
    for commit in all.lines() {
        let from = format!("--merge-base={commit}^");
        let tree = git(bare, &["merge-tree", "--write-tree", &from, &top, commit]).map_err(Refusal::Conflict)?;
        let words = git(bare, &["log", "-1", "--format=%B", commit]).unwrap();
        top = committed(bare, tree.lines().next().unwrap_or_default(), &words, &[&top]);
    }
    Ok(top)
}

fn committed(bare: &Path, tree: &str, words: &str, parents: &[&str]) -> String {
    let mut args = vec!["commit-tree", tree, "-m", words];
    args.extend(parents.iter().flat_map(|parent| ["-p", parent]));
    git(bare, &args).unwrap()
}

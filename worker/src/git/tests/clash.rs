//! Two sides of a branch that cannot be joined by themselves.

use super::world::{REPO, World, git, write};
use crate::git::GitError;
use orch_common::domain::clash::NAMED;
use orch_common::domain::leftover::LeftKind;

#[tokio::test]
async fn both_sides_of_a_conflict_are_read_out_and_cut() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "README.md", "human\n");
    for n in 0..NAMED + 3 {
        write(&tree.path, "README.md", &format!("agent {n}\n"));
        w.commit(&tree).await.unwrap();
    }
    let err = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
    let clash = w.repos.clash_of(&tree, &err, &w.cancel).await.unwrap().expect("a clash");
    assert_eq!((clash.rewritten, clash.files.as_slice()), (false, ["README.md".to_owned()].as_slice()));
    assert_eq!(clash.ours, w.head(&tree).await.as_str());
    assert_eq!(clash.theirs, w.on_forge("refs/heads/feature/ET-1"));
    let subject = git(&w.person_dir(), &["log", "-1", "--format=%h %an: %s"]);
    assert_eq!(clash.their_commits, [subject]);
    assert_eq!((clash.our_commits.len(), clash.our_commits.last().map(String::as_str)), (NAMED + 1, Some("+3")));
    assert_eq!(w.repos.kept(REPO, "ET-1", &w.cancel).await.unwrap(), [], "the branch has it all");
}

#[tokio::test]
async fn what_is_no_clash_of_commits_is_none() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let (ours, theirs) = (w.head(&tree).await, w.head(&tree).await);
    let dirt = GitError::Conflict { ours, theirs, paths: Vec::new() };
    for error in [dirt, GitError::NoSpace, GitError::Declined { why: "no".into() }] {
        assert_eq!(w.repos.clash_of(&tree, &error, &w.cancel).await.unwrap(), None, "{error:?}");
    }
}

#[tokio::test]
async fn commits_under_a_rewritten_branch_are_kept_once_and_the_branch_gives_way() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "a", "published");
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    write(&tree.path, "b", "unpublished");
    let ours = w.commit(&tree).await.unwrap();
    w.person(&["checkout", "--quiet", "-B", "feature/ET-1", "main"]);
    w.person_commits("human", "x");
    w.person(&["push", "--quiet", "--force", "origin", "feature/ET-1"]);
    let theirs = w.on_forge("refs/heads/feature/ET-1");
    for _ in 0..2 {
        let err = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
        let clash = w.repos.clash_of(&tree, &err, &w.cancel).await.unwrap().expect("a clash");
        assert!(clash.rewritten && clash.files.is_empty(), "{clash:?}");
        assert_eq!((clash.our_commits.len(), clash.their_commits.len()), (2, 1), "{clash:?}");
    }
    w.repos.give_way(&tree, &theirs.parse().unwrap(), &w.cancel).await.unwrap();
    assert_eq!(w.head(&tree).await.as_str(), theirs);
    assert!(tree.path.join("human").exists() && !tree.path.join("a").exists() && !tree.path.join("b").exists());
    let kept = w.repos.kept(REPO, "ET-1", &w.cancel).await.unwrap();
    assert_eq!(kept.iter().map(|left| left.kind).collect::<Vec<_>>(), [LeftKind::Rewritten], "{kept:?}");
    assert_eq!(kept[0].commit.as_deref(), Some(ours.as_str()));
    assert!(!w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap().changed, "the forge stays as it was put");
}

#[tokio::test]
async fn published_commits_that_a_person_dropped_are_kept_unless_the_forge_has_them_elsewhere() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "a", "1");
    let ours = w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person(&["fetch", "--quiet", "origin"]);
    w.person(&["push", "--quiet", "origin", "origin/feature/ET-1:refs/heads/saved"]);
    w.person(&["push", "--quiet", "--force", "origin", "main:refs/heads/feature/ET-1"]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(w.repos.kept(REPO, "ET-1", &w.cancel).await.unwrap(), [], "the forge has them");

    w.person(&["push", "--quiet", "origin", ":saved"]);
    w.person(&["push", "--quiet", "origin", &format!("{ours}:refs/heads/feature/ET-1")]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person(&["push", "--quiet", "--force", "origin", "main:refs/heads/feature/ET-1"]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    let kept = w.repos.kept(REPO, "ET-1", &w.cancel).await.unwrap();
    assert_eq!(kept.first().and_then(|left| left.commit.clone()).as_deref(), Some(ours.as_str()), "{kept:?}");
}

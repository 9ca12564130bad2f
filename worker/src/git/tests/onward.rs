//! A push without a fetch before it: made only where the forge has nothing that is not known here, and otherwise nothing happens.

use super::world::{World, git, write};
use crate::git::{GitError, Worktree};
use orch_common::domain::stage::CommitId;
use std::os::unix::fs::PermissionsExt;

const BRANCH: &str = "refs/heads/feature/ET-1";

/// A task whose branch was published once.
async fn published() -> (World, Worktree) {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "first", "1");
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    (w, tree)
}

async fn work(w: &World, tree: &Worktree) -> CommitId {
    write(&tree.path, "second", "2");
    w.commit(tree).await.unwrap()
}

/// Whether it was pushed; where it was not, branch and forge are as they were.
async fn onward(w: &World, tree: &Worktree, heard: Option<&CommitId>) -> bool {
    let at_forge = || git(&w.forge(), &["for-each-ref"]);
    let (before, head) = (at_forge(), w.head(tree).await);
    let pushed = w.repos.push_onward(tree, heard, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(w.head(tree).await, head);
    match &pushed {
        Some(pushed) => {
            assert_eq!(pushed.head, head);
            assert_eq!(w.on_forge(BRANCH), head.as_str());
            let known = w.repos.forge_head("team/app", "feature/ET-1", &w.cancel).await.unwrap();
            assert_eq!(known, Some(head), "no fetch is needed to know it");
        }
        None => assert_eq!(at_forge(), before),
    }
    pushed.is_some()
}

#[tokio::test]
async fn what_goes_on_from_what_the_forge_has_is_pushed_and_may_be_pushed_again() {
    let (w, tree) = published().await;
    work(&w, &tree).await;
    // Whatever others do elsewhere.
    w.person(&["checkout", "--quiet", "-B", "other", "main"]);
    w.person_commits("other.txt", "x");
    w.person(&["push", "--quiet", "origin", "other", "other:main"]);
    assert!(onward(&w, &tree, None).await);
    assert!(onward(&w, &tree, None).await, "as after an answer that was lost");
}

#[tokio::test]
async fn what_a_person_did_to_the_branch_is_in_the_way_and_stays() {
    type Deed = fn(&World);
    let deeds: [(&str, Deed); 4] = [
        ("pushed", |w| w.person_pushes("feature/ET-1", "human", "x")),
        ("rewritten", |w| {
            w.person(&["checkout", "--quiet", "-B", "feature/ET-1", "main"]);
            w.person_commits("human", "x");
            w.person(&["push", "--quiet", "--force", "origin", "feature/ET-1"]);
        }),
        ("cut back", |w| drop(w.person(&["push", "--quiet", "--force", "origin", "main:feature/ET-1"]))),
        ("deleted", |w| drop(w.person(&["push", "--quiet", "origin", ":feature/ET-1"]))),
    ];
    for (what, deed) in deeds {
        for known in [false, true] {
            let (w, tree) = published().await;
            work(&w, &tree).await;
            deed(&w);
            if known {
                w.repos.fetch("team/app", &w.remote, &w.cancel).await.unwrap();
            }
            // What was pushed on top, and is known, is missing in ours; all else was published once and is gone.
            assert!(!onward(&w, &tree, None).await, "{what}, known: {known}");
        }
    }
}

/// Otherwise nobody would see that it is not our roles' work.
#[tokio::test]
async fn a_persons_commit_that_an_agent_fetched_by_itself_is_in_the_way() {
    let (w, tree) = published().await;
    w.person_pushes("feature/ET-1", "human", "x");
    git(&tree.path, &["pull", "--quiet", "--no-edit", &w.forge().display().to_string(), "feature/ET-1"]);
    work(&w, &tree).await;
    assert!(!onward(&w, &tree, None).await);
}

#[tokio::test]
async fn a_history_that_an_agent_rewrote_is_not_pushed_over_the_old_one() {
    let (w, tree) = published().await;
    git(&tree.path, &["commit", "--quiet", "--amend", "-m", "better"]);
    assert!(!onward(&w, &tree, None).await);
}

/// The branch is made at the forge while the repository is fetched for the first time.
#[tokio::test]
async fn a_branch_that_was_made_meanwhile_is_known_by_what_was_heard() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let base: CommitId = w.on_forge("refs/heads/main").parse().unwrap();
    git(&w.forge(), &["update-ref", BRANCH, base.as_str()]);
    work(&w, &tree).await;
    assert!(!onward(&w, &tree, None).await, "nobody told of it");
    let unknown: CommitId = "1".repeat(40).parse().unwrap();
    assert!(!onward(&w, &tree, Some(&unknown)).await);
    assert!(onward(&w, &tree, Some(&base)).await);
    assert!(onward(&w, &tree, Some(&unknown)).await, "what was pushed is known better");
}

#[tokio::test]
async fn a_hooks_refusal_is_said() {
    let (w, tree) = published().await;
    work(&w, &tree).await;
    write(&w.forge(), "hooks/pre-receive", "#!/bin/sh\necho 'branch is protected' >&2\nexit 1\n");
    std::fs::set_permissions(w.forge().join("hooks/pre-receive"), PermissionsExt::from_mode(0o755)).unwrap();
    let refused = w.repos.push_onward(&tree, None, &w.remote, &w.cancel).await;
    assert!(matches!(&refused, Err(GitError::Declined { why }) if why.contains("protected")), "{refused:?}");
}

#[tokio::test]
async fn a_mirror_that_is_gone_or_damaged_is_not_in_order() {
    let (w, tree) = published().await;
    let in_order = || w.repos.is_in_order("team/app", &w.cancel);
    assert!(in_order().await.unwrap());
    std::fs::write(w.mirror().join("refs/remotes/origin/feature/ET-1"), "").unwrap();
    assert!(!in_order().await.unwrap(), "a ref that a power cut left empty");
    std::fs::remove_dir_all(w.mirror()).unwrap();
    assert!(!in_order().await.unwrap());
    drop(tree);
}

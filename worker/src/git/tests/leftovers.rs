//! States that a killed or confused agent leaves its worktree in.

use super::world::{World, git, plain_git, write};

#[tokio::test]
async fn locks_of_a_killed_git_are_removed() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&w.mirror(), "worktrees/ET-1/index.lock", "");
    write(&w.mirror(), "worktrees/ET-1/HEAD.lock", "");
    write(&w.mirror(), "refs/heads/feature/ET-1.lock", "");
    write(&tree.path, "a", "1");
    assert!(w.commit(&tree).await.is_some());
}

#[tokio::test]
async fn a_broken_or_missing_index_is_made_anew_and_the_work_kept() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    // Ignored but tracked: an index made from the folder alone would drop it.
    write(&tree.path, "kept.log", "1");
    w.commit(&tree).await.unwrap();
    write(&tree.path, ".gitignore", "*.log\n");
    w.commit(&tree).await.unwrap();
    let index = w.mirror().join("worktrees/ET-1/index");
    for n in 0..2 {
        if n == 0 {
            std::fs::write(&index, "DIRC rubbish").unwrap()
        } else {
            std::fs::remove_file(&index).unwrap()
        }
        write(&tree.path, "work", &format!("{n}"));
        let head = w.commit(&tree).await.unwrap();
        let files = git(&w.mirror(), &["ls-tree", "-r", "--name-only", head.as_str()]);
        assert_eq!(files, ".gitignore\nREADME.md\nkept.log\nwork");
    }
}

#[tokio::test]
async fn commits_on_another_branch_or_none_are_taken_over() {
    for how in [&["checkout", "--quiet", "-b", "my-fix"][..], &["checkout", "--quiet", "--detach"]] {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        git(&tree.path, how);
        write(&tree.path, "a", "1");
        git(&tree.path, &["add", "-A"]);
        git(&tree.path, &["commit", "--quiet", "-m", "beside"]);
        let beside = git(&tree.path, &["rev-parse", "HEAD"]);
        write(&tree.path, "b", "2");
        let head = w.commit(&tree).await.unwrap();
        assert_eq!(git(&w.mirror(), &["rev-parse", &format!("{head}^")]), beside);
        assert_eq!(git(&tree.path, &["symbolic-ref", "HEAD"]), "refs/heads/feature/ET-1");
        assert_eq!(w.again("ET-1").await.head, head);
    }
}

#[tokio::test]
async fn unrelated_history_and_an_orphan_branch_are_preserved_and_left() {
    for orphan in [false, true] {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        write(&tree.path, "a", "1");
        let ours = w.commit(&tree).await.unwrap();
        git(
            &tree.path,
            if orphan {
                &["checkout", "--quiet", "--orphan", "x"]
            } else {
                &["checkout", "--quiet", "--detach", "HEAD^"]
            },
        );
        write(&tree.path, "beside", "2");
        if !orphan {
            git(&tree.path, &["add", "-A"]);
            git(&tree.path, &["commit", "--quiet", "-m", "beside"]);
        }
        let committed = w.commit(&tree).await;
        // What was committed elsewhere stays there; what was only lying around goes to the task's branch.
        assert_eq!(committed.is_some(), orphan);
        assert_eq!(tree.path.join("beside").exists(), orphan);
        let base = if orphan { "HEAD^" } else { "HEAD" };
        assert_eq!(git(&tree.path, &["rev-parse", base]), ours.as_str());
        assert_eq!(git(&w.mirror(), &["show", "refs/orch/preserved/ET-1/1^{commit}:beside"]), "2");
    }
}

#[tokio::test]
async fn half_a_rebase_goes_back_to_the_branch() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "README.md", "agent\n");
    let ours = w.commit(&tree).await.unwrap();
    w.person_pushes("main", "README.md", "human\n");
    w.repos.fetch("team/app", &w.remote, &w.cancel).await.unwrap();
    assert!(!plain_git(&tree.path, &["rebase", "origin/main"]).output().unwrap().status.success());
    assert_eq!(w.commit(&tree).await, None);
    assert_eq!(w.head(&tree).await, ours);
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "agent\n");
    assert!(git(&tree.path, &["status"]).starts_with("On branch feature/ET-1"), "no rebase is in progress");
    assert!(!w.mirror().join("worktrees/ET-1/rebase-merge").exists());
}

#[tokio::test]
async fn half_a_merge_that_was_resolved_in_the_files_is_finished() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "README.md", "agent\n");
    w.commit(&tree).await.unwrap();
    w.person_pushes("main", "README.md", "human\n");
    w.repos.fetch("team/app", &w.remote, &w.cancel).await.unwrap();
    assert!(!plain_git(&tree.path, &["merge", "origin/main"]).output().unwrap().status.success());
    write(&tree.path, "README.md", "both\n");
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(git(&w.mirror(), &["rev-parse", &format!("{head}^2")]), w.on_forge("refs/heads/main"));
    assert_eq!(git(&w.mirror(), &["show", &format!("{head}:README.md")]), "both");
    assert_eq!(w.commit(&tree).await, None);
}

#[tokio::test]
async fn a_refresh_that_was_killed_half_way_is_taken_back() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "README.md", "agent\n");
    let ours = w.commit(&tree).await.unwrap();
    w.person_pushes("main", "README.md", "human\n");
    w.repos.fetch("team/app", &w.remote, &w.cancel).await.unwrap();
    // As our own merge leaves it when the worker dies in it.
    assert!(!plain_git(&tree.path, &["merge", "origin/main"]).output().unwrap().status.success());
    write(&w.mirror(), "worktrees/ET-1/orch-changing", "");
    write(&w.mirror(), "worktrees/ET-1/index.lock", "");
    assert_eq!(w.commit(&tree).await, None, "no conflict markers are committed");
    assert_eq!(w.head(&tree).await, ours);
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "agent\n");
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "");
    assert!(!w.mirror().join("worktrees/ET-1/MERGE_HEAD").exists());
    write(&tree.path, "next", "1");
    assert!(w.commit(&tree).await.is_some(), "and only once");
}

#[tokio::test]
async fn tidying_packs_and_loses_nothing() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "a", "1");
    let head = w.commit(&tree).await.unwrap();
    w.repos.tidy("team/app", &w.cancel).await.unwrap();
    assert!(git(&w.mirror(), &["count-objects"]).starts_with("0 objects"));
    assert_eq!(w.again("ET-1").await.head, head);
    w.repos.tidy("team/never-cloned", &w.cancel).await.unwrap();
}

use super::world::{REPO, World, git, write};
use crate::git::GitError;

#[tokio::test]
async fn a_new_worktree_starts_at_the_base_and_is_found_again_with_its_work() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    assert_eq!(tree.head.as_str(), w.on_forge("refs/heads/main"));
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "hello\n");
    assert_eq!(git(&tree.path, &["symbolic-ref", "HEAD"]), "refs/heads/feature/ET-1");
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "", "an agent's git sees a clean folder");
    write(&tree.path, "half.txt", "half done");
    let again = w.again("ET-1").await;
    assert_eq!((&again.head, &again.path), (&tree.head, &tree.path));
    assert!(again.path.join("half.txt").exists());
}

#[tokio::test]
async fn the_forges_branch_is_preferred_to_the_base() {
    let w = World::new();
    w.person(&["push", "--quiet", "origin", "main:feature/ET-1"]);
    w.person_pushes("feature/ET-1", "theirs", "1");
    let tree = w.worktree("ET-1").await;
    assert_eq!(tree.head.as_str(), w.on_forge("refs/heads/feature/ET-1"));
    assert!(tree.path.join("theirs").exists());
}

#[tokio::test]
async fn two_keys_side_by_side_and_one_key_twice() {
    let w = World::new();
    w.repos.ensure_mirror(REPO, &w.remote, &w.cancel).await.unwrap();
    let (a, b, a2) = tokio::join!(w.again("ET-1"), w.again("ET-2"), w.again("ET-1"));
    assert_ne!(a.path, b.path);
    assert_eq!(a.path, a2.path);
    write(&a.path, "only-a", "1");
    write(&b.path, "only-b", "2");
    let (ca, cb) = tokio::join!(w.commit(&a), w.commit(&b));
    assert_ne!(ca.unwrap(), cb.unwrap());
    assert!(!a.path.join("only-b").exists() && !b.path.join("only-a").exists());
}

#[tokio::test]
async fn two_tasks_never_share_a_branch() {
    let w = World::new();
    w.worktree("ET-1").await;
    let shared = w.repos.ensure_worktree(REPO, "ET-2", "feature/ET-1", "main", &w.cancel).await.unwrap_err();
    assert!(matches!(&shared, GitError::InUse { by, .. } if by == "ET-1"), "{shared:?}");
    w.repos.remove_worktree(REPO, "ET-1", &w.cancel).await.unwrap();
    w.repos.ensure_worktree(REPO, "ET-2", "feature/ET-1", "main", &w.cancel).await.unwrap();
}

#[tokio::test]
async fn broken_worktrees_are_rebuilt_and_their_work_preserved() {
    type Break = fn(&World, &std::path::Path);
    let ways: &[(&str, Break)] = &[
        ("git forgot it", |w, _| std::fs::remove_dir_all(w.mirror().join("worktrees")).unwrap()),
        ("never finished", |w, _| std::fs::remove_file(w.mirror().join("worktrees/ET-1/orch-ready")).unwrap()),
    ];
    for (what, break_it) in ways {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        write(&tree.path, "committed", "1");
        let head = w.commit(&tree).await.unwrap();
        write(&tree.path, "loose", "uncommitted");
        break_it(&w, &tree.path);
        let again = w.again("ET-1").await;
        assert_eq!(again.head, head, "{what}");
        assert!(again.path.join("committed").exists() && !again.path.join("loose").exists(), "{what}");
        let saved = git(&w.mirror(), &["show", "refs/orch/preserved/ET-1/1^{commit}:loose"]);
        assert_eq!(saved, "uncommitted", "{what}");
        assert_eq!(git(&again.path, &["status", "--porcelain"]), "", "{what}");
    }
}

#[tokio::test]
async fn a_first_fill_that_was_cut_short_is_made_again_and_is_nobodys_work() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let admin = w.mirror().join("worktrees/ET-1");
    // As a killed worker leaves it: a file half written, the change open, the folder not finished.
    let file = git(&tree.path, &["ls-files"]).lines().last().unwrap().to_owned();
    write(&tree.path, &file, "hal");
    std::fs::write(admin.join("orch-changing"), "").unwrap();
    std::fs::remove_file(admin.join("orch-ready")).unwrap();
    for name in ["heads", "remotes/origin"].map(|place| format!("refs/{place}/{}", tree.branch)) {
        write(&w.mirror(), &format!("{name}.lock"), "");
    }
    write(&w.mirror(), "refs/orch/synced/ET-1.lock", "");
    let again = w.again("ET-1").await;
    assert_eq!(again.head, tree.head);
    assert_eq!(git(&w.mirror(), &["update-ref", "refs/orch/synced/ET-1", again.head.as_str()]), "", "no lock is left");
    assert_eq!(git(&again.path, &["status", "--porcelain"]), "");
    assert_eq!(git(&w.mirror(), &["for-each-ref", "refs/orch/preserved"]), "", "there is nothing to tell anybody");
}

#[tokio::test]
async fn a_folder_without_its_git_is_linked_again_and_its_files_stay_the_work() {
    type Break = fn(&World, &std::path::Path);
    let ways: &[(&str, Break)] = &[
        ("no .git", |_, tree| std::fs::remove_file(tree.join(".git")).unwrap()),
        (".git is a repository of its own", |_, tree| {
            std::fs::remove_file(tree.join(".git")).unwrap();
            git(tree, &["init", "--quiet"]);
        }),
        (".git leads elsewhere", |w, tree| {
            std::fs::write(tree.join(".git"), format!("gitdir: {}\n", w.person_dir().join(".git").display())).unwrap();
        }),
        (".git is a link to a folder of somebody else's", |w, tree| {
            std::fs::remove_file(tree.join(".git")).unwrap();
            std::os::unix::fs::symlink(w.person_dir().join(".git"), tree.join(".git")).unwrap();
        }),
    ];
    for (what, break_it) in ways {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        write(&tree.path, "committed", "1");
        let head = w.commit(&tree).await.unwrap();
        write(&tree.path, "loose", "uncommitted");
        break_it(&w, &tree.path);
        let again = w.again("ET-1").await;
        assert_eq!(again.head, head, "{what}");
        assert!(again.path.join("committed").exists() && again.path.join("loose").exists(), "{what}");
        assert_eq!(git(&again.path, &["status", "--porcelain"]), "?? loose", "{what}");
        let head = w.commit(&again).await.unwrap();
        assert_eq!(git(&w.mirror(), &["show", &format!("{head}:loose")]), "uncommitted", "{what}");
        assert!(w.person_dir().join(".git/HEAD").exists(), "{what}");
    }
}

#[tokio::test]
async fn a_missing_folder_and_a_symlink_in_its_place() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    std::fs::remove_dir_all(&tree.path).unwrap();
    assert!(w.again("ET-1").await.path.join("README.md").exists());
    let elsewhere = w.dir.path().join("elsewhere");
    std::fs::rename(&tree.path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &tree.path).unwrap();
    let again = w.again("ET-1").await;
    assert!(again.path.symlink_metadata().unwrap().is_dir() && elsewhere.join("README.md").exists());
}

#[tokio::test]
async fn preserving_twice_keeps_both() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    for text in ["first", "second"] {
        write(&tree.path, "loose", text);
        std::fs::remove_file(w.mirror().join("worktrees/ET-1/orch-ready")).unwrap();
        w.again("ET-1").await;
    }
    let saved = |n: u32| git(&w.mirror(), &["show", &format!("refs/orch/preserved/ET-1/{n}^{{commit}}:loose")]);
    assert_eq!((saved(1), saved(2)), ("first".into(), "second".into()));
}

#[tokio::test]
async fn removing_keeps_the_branch_and_may_be_repeated() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "a", "1");
    let head = w.commit(&tree).await.unwrap();
    for _ in 0..2 {
        w.repos.remove_worktree(REPO, "ET-1", &w.cancel).await.unwrap();
        assert!(!tree.path.exists());
    }
    assert_eq!(git(&w.mirror(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(w.again("ET-1").await.head, head);
}

#[tokio::test]
async fn names_that_would_be_something_else_are_refused() {
    let w = World::new();
    w.repos.ensure_mirror(REPO, &w.remote, &w.cancel).await.unwrap();
    for (repo, key, branch, base) in [
        (REPO, "ET-1", "--upload-pack=x", "main"),
        (REPO, "ET-1", "feature/x", "--upload-pack=x"),
        (REPO, "../ET-1", "feature/x", "main"),
        (REPO, "-f", "feature/x", "main"),
        ("../app", "ET-1", "feature/x", "main"),
        ("team/../../x", "ET-1", "feature/x", "main"),
        (REPO, "ET-1", "a..b", "main"),
    ] {
        let err = w.repos.ensure_worktree(repo, key, branch, base, &w.cancel).await.unwrap_err();
        assert!(matches!(err, GitError::BadName { .. }) && !err.is_infra(), "{err:?}");
    }
    let work: Vec<_> = std::fs::read_dir(w.home().join("work")).unwrap().collect();
    assert!(work.is_empty(), "{work:?}");
}

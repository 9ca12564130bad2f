use super::world::{World, agent, git, write};
use crate::git::{GitError, Refreshed};
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn commit_and_push_once_and_then_nothing_more() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    assert_eq!(w.commit(&tree).await, None, "nothing to commit");
    write(&tree.path, "src/a.rs", "fn a() {}\n");
    std::fs::remove_file(tree.path.join("README.md")).unwrap();
    assert!(w.repos.is_dirty(&tree, &w.cancel).await.unwrap());
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(w.commit(&tree).await, None);
    assert!(!w.repos.is_dirty(&tree, &w.cancel).await.unwrap());
    let shown = git(&w.mirror(), &["show", "-s", "--format=%an %ae %cn %B", head.as_str()]);
    assert_eq!(shown.trim(), "Agent agent@example.org Agent Agent's work\n\nwith a body");
    for changed in [true, false] {
        let pushed = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
        assert_eq!((pushed.head, pushed.changed), (head.clone(), changed));
        assert_eq!(w.on_forge("refs/heads/feature/ET-1"), head.as_str());
    }
    let known = w.repos.forge_head("team/app", "feature/ET-1", &w.cancel).await.unwrap();
    assert_eq!(known, Some(head), "no fetch is needed to know it");
}

#[tokio::test]
async fn one_task_may_push_while_another_fetches() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let pushes = async {
        for n in 0..30 {
            write(&tree.path, "a.txt", &n.to_string());
            w.commit(&tree).await;
            w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
        }
    };
    let fetches = async {
        loop {
            w.repos.fetch("team/app", &w.remote, &w.cancel).await.unwrap();
        }
    };
    // Whoever finishes first ends the race; a fetch never does, but by an error.
    tokio::select! {
        () = pushes => {}
        () = fetches => {}
    }
}

#[tokio::test]
async fn odd_names_and_messages_survive() {
    use std::os::unix::ffi::OsStrExt;
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let names: &[&[u8]] = &[b"a\nb", b"-rf", b":(top)x", b"\xff\xfe", b"tab\there", b"*", b"\"q\"", b"sp ace/"];
    for name in names {
        let path = tree.path.join(std::ffi::OsStr::from_bytes(name.strip_suffix(b"/").unwrap_or(name)));
        std::fs::write(path, "x").unwrap();
    }
    let odd = crate::git::Identity { name: "<evil>\n".into(), email: "a\0b".into() };
    let head = w.repos.commit_all(&tree, "-F /etc/passwd\n\0", &odd, &w.cancel).await;
    let head = head.unwrap().unwrap();
    let mut changed = w.repos.changed_files("team/app", &tree.head, &head, &w.cancel).await.unwrap();
    changed.sort();
    let mut wanted: Vec<_> = names
        .iter()
        .map(|n| std::path::PathBuf::from(std::ffi::OsStr::from_bytes(n.strip_suffix(b"/").unwrap_or(n))))
        .collect();
    wanted.sort();
    assert_eq!(changed, wanted);
}

#[tokio::test]
async fn the_forge_ahead_is_a_fast_forward() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    assert_eq!(w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap(), Refreshed::Unchanged);
    write(&tree.path, "a", "1");
    let first = w.commit(&tree).await.unwrap();
    assert_eq!(w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap(), Refreshed::Unchanged);
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "b", "2");
    let done = w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    let to = w.head(&tree).await;
    assert_eq!(done, Refreshed::FastForwarded { from: first, to: to.clone() });
    assert_eq!(to.as_str(), w.on_forge("refs/heads/feature/ET-1"));
    assert!(tree.path.join("b").exists());
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn what_a_person_pushed_while_the_agent_worked_is_merged_and_published() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "human.txt", "human");
    write(&tree.path, "agent.txt", "agent");
    let ours = w.commit(&tree).await.unwrap();
    let pushed = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert!(pushed.changed);
    assert_eq!(w.on_forge("refs/heads/feature/ET-1"), pushed.head.as_str());
    assert_eq!(git(&w.mirror(), &["rev-parse", &format!("{}^1", pushed.head)]), ours.as_str());
    assert!(tree.path.join("human.txt").exists() && tree.path.join("agent.txt").exists());
}

#[tokio::test]
async fn a_conflict_changes_nothing_and_names_the_files() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "README.md", "human\n");
    write(&tree.path, "README.md", "agent\n");
    let ours = w.commit(&tree).await.unwrap();
    for _ in 0..2 {
        let err = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
        assert!(!err.is_infra());
        let GitError::Conflict { ours: o, theirs, paths } = err else { panic!("{err:?}") };
        assert_eq!((o, paths), (ours.clone(), vec!["README.md".to_owned()]));
        assert_eq!(theirs.as_str(), w.on_forge("refs/heads/feature/ET-1"));
        assert_eq!(w.head(&tree).await, ours);
        assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "agent\n");
        assert_eq!(git(&tree.path, &["status", "--porcelain"]), "");
    }
}

#[tokio::test]
async fn uncommitted_work_in_the_way_is_a_conflict_and_stays() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "README.md", "human\n");
    write(&tree.path, "README.md", "not committed\n");
    let err = w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap_err();
    assert!(matches!(&err, GitError::Conflict { paths, .. } if paths.is_empty()), "{err:?}");
    assert_eq!(std::fs::read_to_string(tree.path.join("README.md")).unwrap(), "not committed\n");
}

#[tokio::test]
async fn a_branch_rewritten_by_a_person_is_taken_unless_we_hold_more() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "a", "1");
    let first = w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    rewrite(&w, "human-1");
    let done = w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    let to = w.head(&tree).await;
    assert_eq!(done, Refreshed::Replaced { from: first, to: to.clone() });
    assert!(tree.path.join("human-1").exists() && !tree.path.join("a").exists());

    write(&tree.path, "b", "unpublished");
    let ours = w.commit(&tree).await.unwrap();
    rewrite(&w, "human-2");
    let err = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
    assert!(matches!(&err, GitError::Diverged { ours: o, .. } if *o == ours), "{err:?}");
    assert_eq!(w.head(&tree).await, ours, "nothing is lost");
}

/// The person replaces the branch by one commit on `main`.
fn rewrite(w: &World, file: &str) {
    w.person(&["checkout", "--quiet", "-B", "feature/ET-1", "main"]);
    w.person_commits(file, "x");
    w.person(&["push", "--quiet", "--force", "origin", "feature/ET-1"]);
}

#[tokio::test]
async fn a_branch_deleted_on_the_forge_is_pushed_again() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person(&["push", "--quiet", "origin", ":feature/ET-1"]);
    assert_eq!(w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap(), Refreshed::Unchanged);
    assert!(w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap().changed);
}

#[tokio::test]
async fn the_forges_own_refusal_is_told_apart() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let hook = w.forge().join("hooks/pre-receive");
    write(&w.forge(), "hooks/pre-receive", "#!/bin/sh\necho 'branch is protected' >&2\nexit 1\n");
    std::fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).unwrap();
    let err = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
    assert!(matches!(&err, GitError::Declined { why } if why.contains("protected")), "{err:?}");
}

#[tokio::test]
async fn an_ignored_file_stays_out() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, ".gitignore", "target/\n");
    write(&tree.path, "target/cache", "warm");
    let head = w.repos.commit_all(&tree, "x", &agent(), &w.cancel).await.unwrap().unwrap();
    assert_eq!(git(&w.mirror(), &["ls-tree", "-r", "--name-only", head.as_str()]), ".gitignore\nREADME.md");
    assert_eq!(w.commit(&tree).await, None);
    assert!(tree.path.join("target/cache").exists(), "caches stay warm");
}

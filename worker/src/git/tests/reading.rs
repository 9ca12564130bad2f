use super::world::{REPO, World, git, write};
use crate::git::Round;
use orch_common::domain::decide::Changed;
use orch_common::domain::stage::CommitId;
use std::path::PathBuf;

#[tokio::test]
async fn the_log_and_the_changes_since_the_fork() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    git(&tree.path, &["mv", "README.md", "READ ME"]);
    let first = w.commit(&tree).await.unwrap();
    write(&tree.path, "src/deep/a.rs", "x");
    let second = w.commit(&tree).await.unwrap();
    // The base moves on: what others did there is not the branch's change.
    w.person_pushes("main", "others.txt", "x");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let base = w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap();
    let log = w.repos.log_since(REPO, &base, &second, 10, &w.cancel).await.unwrap();
    assert_eq!(log.iter().map(|e| &e.id).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!((log[0].author.as_str(), log[0].subject.as_str()), ("Agent", "Agent's work"));
    assert!(log[0].committed_at > 1_700_000_000_000);
    assert_eq!(w.repos.log_since(REPO, &base, &second, 1, &w.cancel).await.unwrap().len(), 1);
    assert!(w.repos.log_since(REPO, &second, &second, 10, &w.cancel).await.unwrap().is_empty());
    let changed = w.repos.changed_files(REPO, &base, &second, &w.cancel).await.unwrap();
    assert_eq!(changed, ["READ ME", "README.md", "src/deep/a.rs"].map(PathBuf::from));
}

#[tokio::test]
async fn changes_of_protected_paths_are_named() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    for file in [".gitea/workflows/ci.yml", "src/a.rs", "deploy/prod/key.pem", "Makefile"] {
        write(&tree.path, file, "x");
    }
    let head = w.commit(&tree).await.unwrap();
    for (patterns, wanted) in [
        (&[".gitea"][..], &[".gitea/workflows/ci.yml"][..]),
        (&["/.gitea/**"], &[".gitea/workflows/ci.yml"]),
        (&["**/*.pem", "Makefile"], &["Makefile", "deploy/prod/key.pem"]),
        (&["*.pem"], &[]),
        (&["deploy/*"], &["deploy/prod/key.pem"]),
        (&["nothing", "--output=/tmp/x"], &[]),
        (&[":(exclude)src"], &[]),
        (&[], &[]),
    ] {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let hit = w.repos.protected_paths_changed(REPO, &tree.head, &head, &patterns, &w.cancel).await.unwrap();
        assert_eq!(hit, wanted.iter().map(PathBuf::from).collect::<Vec<_>>(), "{patterns:?}");
    }
}

#[tokio::test]
async fn histories_that_share_nothing_are_compared_as_they_are() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let lone = git(&tree.path, &["commit-tree", "-m", "lone", "HEAD^{tree}"]).parse().unwrap();
    assert!(w.repos.changed_files(REPO, &tree.head, &lone, &w.cancel).await.unwrap().is_empty());
    let unknown = "1".repeat(40).parse().unwrap();
    assert!(w.repos.changed_files(REPO, &tree.head, &unknown, &w.cancel).await.is_err());
}

#[tokio::test]
async fn what_a_round_changed() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let in_round = async |began: Option<&CommitId>, head: &CommitId| {
        let round = Round { base: "main", began_at: began.cloned(), documents: "docs/work-items/ET-1".into() };
        w.repos.changed_in_round(REPO, &round, head, &w.cancel).await.unwrap()
    };
    let base = tree.head.clone();
    assert_eq!(in_round(None, &base).await, Changed::Nothing);
    git(&tree.path, &["commit", "--quiet", "--allow-empty", "-m", "nothing"]);
    assert_eq!(in_round(Some(&base), &w.head(&tree).await).await, Changed::Nothing, "an empty commit");

    write(&tree.path, "docs/work-items/ET-1/01-brd.md", "x");
    let documents = w.commit(&tree).await.unwrap();
    assert_eq!(in_round(None, &documents).await, Changed::Documents);
    write(&tree.path, "docs/work-items/ET-10/01-brd.md", "x");
    let neighbours = w.commit(&tree).await.unwrap();
    assert_eq!(in_round(Some(&documents), &neighbours).await, Changed::Work, "another item's are no notes of this one");
    git(&tree.path, &["rm", "-rq", "docs/work-items/ET-10"]);
    let undone = w.commit(&tree).await.unwrap();
    assert_eq!(in_round(Some(&documents), &undone).await, Changed::Nothing, "taken back");
    assert_eq!(in_round(Some(&neighbours), &undone).await, Changed::Documents, "the base has no more than that");

    // A base that was merged in is nobody's work.
    w.person_pushes("main", "others.txt", "x");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    git(&tree.path, &["merge", "--quiet", "--no-edit", "refs/remotes/origin/main"]);
    let merged = w.head(&tree).await;
    assert_eq!(in_round(Some(&undone), &merged).await, Changed::Documents);

    write(&tree.path, "src/a.rs", "x");
    let code = w.commit(&tree).await.unwrap();
    assert_eq!(in_round(Some(&merged), &code).await, Changed::Work);
    assert_eq!(in_round(Some(&code), &code).await, Changed::Nothing, "that was the round before");
    git(&tree.path, &["update-index", "--chmod=+x", "src/a.rs"]);
    git(&tree.path, &["commit", "--quiet", "-m", "mode"]);
    assert_eq!(in_round(Some(&code), &w.head(&tree).await).await, Changed::Work, "a mode is content");
    let unknown = "1".repeat(40).parse().unwrap();
    assert_eq!(in_round(Some(&unknown), &code).await, Changed::Work, "a rewritten branch: only the base is known");
}

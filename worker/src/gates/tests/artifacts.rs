use crate::gates::read_artifacts;
use crate::git::{GitSettings, Identity, Remote, Repos};
use orch_common::domain::gate::ArtifactNames;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn artifacts_come_from_the_commit_and_symlinks_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| orch_testkit::git(dir.path(), args);
    git(&["init", "--quiet", "--bare", "forge.git"]);
    git(&["init", "--quiet", "person"]);
    git(&["-C", "person", "commit", "--quiet", "--allow-empty", "-m", "x"]);
    git(&["-C", "person", "push", "--quiet", "../forge.git", "main"]);
    let cancel = CancellationToken::new();
    let repos = Repos::open(&dir.path().join("repos"), GitSettings::default()).unwrap();
    let remote = Remote::new(&format!("file://{}/forge.git", dir.path().display()), None).unwrap();
    repos.ensure_mirror("a/b", &remote, &cancel).await.unwrap();
    let tree = repos.ensure_worktree("a/b", "ET-1", "feature/x", "main", &cancel).await.unwrap();

    let folder = tree.path.join("docs/work-items/ET-1");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(dir.path().join("secret"), "result: PASS").unwrap();
    std::fs::write(folder.join("01-brd.md"), "the requirements").unwrap();
    std::fs::write(folder.join("02-trz.md"), "").unwrap();
    std::fs::write(folder.join("06-adr.md"), "я".repeat(100_000)).unwrap();
    std::fs::write(folder.join("unknown.md"), "not asked for").unwrap();
    std::os::unix::fs::symlink(dir.path().join("secret"), folder.join("13-test-report.md")).unwrap();
    std::fs::create_dir(folder.join("12-review.md")).unwrap();
    std::fs::write(folder.join("12-review.md/inner"), "a folder is no file").unwrap();
    let author = Identity { name: "A".into(), email: "a@x".into() };
    let head = repos.commit_all(&tree, "work", &author, &cancel).await.unwrap().unwrap();
    std::fs::write(folder.join("01-brd.md"), "changed after the commit").unwrap();
    std::fs::write(folder.join("10-conflict.md"), "never committed").unwrap();

    let names = ArtifactNames::default();
    let found = read_artifacts(&repos, "a/b", "ET-1", &head, &names, &cancel).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["01-brd.md", "02-trz.md", "06-adr.md"]);
    assert_eq!((found["01-brd.md"].as_str(), found["02-trz.md"].as_str()), ("the requirements", ""));
    assert_eq!(found["06-adr.md"], "я".repeat(32 << 10));
    assert!(read_artifacts(&repos, "a/b", "ET-2", &head, &names, &cancel).await.unwrap().is_empty());

    // The folder itself as a symlink: nothing behind it is part of the commit.
    std::fs::rename(&folder, tree.path.join("docs/elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", &folder).unwrap();
    let head = repos.commit_all(&tree, "trick", &author, &cancel).await.unwrap().unwrap();
    assert!(read_artifacts(&repos, "a/b", "ET-1", &head, &names, &cancel).await.unwrap().is_empty());
}

//! What git itself makes of files is neither committed nor held against anybody; what an agent makes of them is.

use super::workshop::{collect, does, furnished, nobody};
use super::world::{REPO, World, git, plain_git, write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files that `git add` makes another blob of as soon as it looks at them, and the attributes by which it does.
const ODD: [(&str, &[u8], &str); 6] = [
    ("auto.txt", b"a\r\nb\r\n", "auto.txt text"),
    ("crlf.txt", b"a\r\nb\r\n", "crlf.txt text eol=crlf"),
    ("mixed.txt", b"a\r\nb\n", "mixed.txt text eol=crlf"),
    ("ident.txt", b"$Id: of old $\nx\n", "ident.txt ident"),
    ("wide.txt", b"\xef\xbb\xbfa\n", "wide.txt working-tree-encoding=UTF-16"),
    ("legacy.txt", b"a\r\n", "legacy.txt crlf"),
];

/// The forge's `main` has the files, and attributes that came later, without a commit that normalises them.
fn odd_world() -> World {
    let w = World::new();
    for (file, bytes, _) in ODD {
        std::fs::write(w.person_dir().join(file), bytes).unwrap();
        w.person(&["add", file]);
    }
    w.person(&["commit", "--quiet", "-m", "files"]);
    let attributes: String = ODD.iter().map(|(_, _, line)| format!("{line}\n")).collect();
    write(&w.person_dir(), ".gitattributes", &attributes);
    w.person(&["add", ".gitattributes"]);
    w.person(&["commit", "--quiet", "-m", "attributes"]);
    w.person(&["push", "--quiet", "origin", "main"]);
    w
}

/// The same bytes again: git no longer knows the file by its times.
fn touch_all(folder: &Path) {
    for (file, _, _) in ODD {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        std::fs::write(folder.join(file), bytes).unwrap();
    }
}

#[tokio::test]
async fn what_a_fresh_checkout_makes_of_files_is_not_committed() {
    let w = odd_world();
    let tree = w.worktree("ET-1").await;
    touch_all(&tree.path);
    let seen = git(&tree.path, &["diff", "--name-only"]);
    let all: Vec<&str> = ODD.iter().map(|(file, _, _)| *file).collect();
    assert!(all.iter().filter(|file| seen.contains(**file)).count() >= 4, "git itself calls them changed: {seen}");
    assert_eq!(w.commit(&tree).await, None, "nobody has changed anything");
    touch_all(&tree.path);
    write(&tree.path, "own.txt", "own\n");
    let head = w.commit(&tree).await.unwrap();
    let changed = w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap();
    assert_eq!(changed, [PathBuf::from("own.txt")]);
    let protected = ["*.txt".to_owned()];
    let held = w.repos.protected_paths_changed(REPO, &tree.head, &head, &protected, &w.cancel).await.unwrap();
    assert_eq!(held, [PathBuf::from("own.txt")]);
}

#[tokio::test]
async fn what_an_agent_changes_in_such_files_is_committed() {
    let w = odd_world();
    let tree = w.worktree("ET-1").await;
    touch_all(&tree.path);
    std::fs::write(tree.path.join("crlf.txt"), "a\r\nb\r\nc\r\n").unwrap();
    std::fs::set_permissions(tree.path.join("ident.txt"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_file(tree.path.join("auto.txt")).unwrap();
    let head = w.commit(&tree).await.unwrap();
    let mut changed = w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap();
    changed.sort();
    assert_eq!(changed, ["auto.txt", "crlf.txt", "ident.txt"].map(PathBuf::from));
    assert_eq!(git(&tree.path, &["cat-file", "blob", "HEAD:crlf.txt"]), "a\nb\nc", "as its attributes want it");
    let ident = git(&tree.path, &["ls-tree", "HEAD", "ident.txt"]);
    assert!(ident.starts_with("100755"), "{ident}");
    assert_eq!(git(&tree.path, &["cat-file", "blob", "HEAD:ident.txt"]), "$Id: of old $\nx", "only its mode");
}

#[tokio::test]
async fn an_agent_that_changes_attributes_gets_them() {
    let w = odd_world();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, ".gitattributes", "*.txt -text\n");
    write(&tree.path, "auto.txt", "a\r\nz\r\n");
    let head = w.commit(&tree).await.unwrap();
    let changed = w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap();
    assert!(changed.contains(&PathBuf::from("auto.txt")) && changed.contains(&PathBuf::from(".gitattributes")));
    let kept = plain_git(&tree.path, &["cat-file", "blob", "HEAD:auto.txt"]).output().unwrap().stdout;
    assert_eq!(kept, b"a\r\nz\r\n");
}

#[tokio::test]
async fn a_file_in_another_encoding_than_its_attributes_say_does_not_stop_the_commit() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, ".gitattributes", "*.rc working-tree-encoding=UTF-16\n");
    write(&tree.path, "plain.rc", "plain\n");
    write(&tree.path, "own.txt", "own\n");
    let head = w.commit(&tree).await.unwrap();
    let changed = w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap();
    assert_eq!(changed, [".gitattributes", "own.txt", "plain.rc"].map(PathBuf::from));
    assert_eq!(git(&tree.path, &["cat-file", "blob", "HEAD:plain.rc"]), "plain");
}

#[tokio::test]
async fn no_program_of_an_attribute_runs() {
    let w = World::new();
    let mark = w.dir.path().join("ran");
    let tree = w.worktree("ET-1").await;
    write(&tree.path, ".gitattributes", "*.x filter=evil\n*.y filter=lfs\n");
    for key in ["filter.evil.clean", "filter.lfs.clean", "filter.lfs.process"] {
        git(&tree.path, &["config", key, &format!("touch {}", mark.display())]);
    }
    write(&tree.path, "a.x", "x\n");
    write(&tree.path, "a.y", "y\n");
    w.commit(&tree).await.unwrap();
    assert!(!mark.exists());
}

#[tokio::test]
async fn what_git_made_of_a_file_is_not_in_the_way_of_a_merge() {
    let w = odd_world();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "own.txt", "own\n");
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person(&["fetch", "--quiet", "origin"]);
    w.person(&["checkout", "--quiet", "--force", "-B", "feature/ET-1", "origin/feature/ET-1"]);
    std::fs::write(w.person_dir().join("crlf.txt"), "new\r\n").unwrap();
    w.person(&["add", "crlf.txt"]);
    w.person(&["commit", "--quiet", "-m", "person"]);
    w.person(&["push", "--quiet", "origin", "feature/ET-1"]);
    touch_all(&tree.path);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(std::fs::read(tree.path.join("crlf.txt")).unwrap(), b"new\r\n");
}

#[tokio::test]
async fn the_same_holds_for_agents_with_a_user_of_their_own() {
    let w = odd_world();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    let before = w.head(&worktree).await;
    does(&tenant, &shop.path, "for f in *.txt; do cat $f > x && cat x > $f; done; rm x; echo own > own");
    collect(&w, &worktree, &shop).await.unwrap();
    let head = w.head(&worktree).await;
    let changed = w.repos.changed_files(REPO, &before, &head, &w.cancel).await.unwrap();
    assert_eq!(changed, [PathBuf::from("own")]);
}

//! What is read from a commit's tree, and what the forge has of a branch.

use super::world::{REPO, World, git, plain_git, write};
use crate::git::{GitSettings, Repos};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

#[tokio::test]
async fn unpublished_is_what_the_forge_never_had() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let unpublished = || w.repos.has_unpublished(&tree, "main", &w.cancel);
    assert!(!unpublished().await.unwrap(), "nothing beyond the base");
    write(&tree.path, "a", "1");
    w.commit(&tree).await.unwrap();
    assert!(unpublished().await.unwrap(), "the forge has no such branch");
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert!(!unpublished().await.unwrap());
    write(&tree.path, "b", "2");
    w.commit(&tree).await.unwrap();
    assert!(unpublished().await.unwrap(), "the forge's branch is behind");
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    w.person(&["push", "--quiet", "origin", ":feature/ET-1"]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    assert!(!unpublished().await.unwrap(), "it was there, and a person has deleted it");
}

/// An object of the mirror, made without any folder.
fn object(mirror: &Path, args: &[&str], input: &[u8]) -> String {
    let mut git = plain_git(mirror, args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    git.stdin.take().unwrap().write_all(input).unwrap();
    let output = git.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn blob(mirror: &Path, text: &[u8]) -> String {
    object(mirror, &["hash-object", "-w", "--stdin"], text)
}

#[tokio::test]
async fn what_has_a_files_name_is_judged_as_what_it_is_in_the_tree() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let (mirror, head) = (w.mirror(), tree.head.to_string());
    let text = blob(&mirror, b"verdict: APPROVED\n");
    let (target, inner) =
        (blob(&mirror, b"plain.md"), object(&mirror, &["mktree"], format!("100644 blob {text}\tx\n").as_bytes()));
    let lines = [
        format!("100644 blob {text}\tplain.md"),
        format!("100755 blob {text}\tprogram.md"),
        format!("120000 blob {target}\tlink.md"),
        format!("160000 commit {head}\tsubmodule.md"),
        format!("040000 tree {inner}\tfolder.md"),
        format!("100644 blob {text}\tотчёт *.md"),
        format!("100644 blob {text}\tсписок.md"),
        format!("100644 blob {}\tempty.md", blob(&mirror, b"")),
    ];
    let folder = object(&mirror, &["mktree"], (lines.join("\n") + "\n").as_bytes());
    let top =
        object(&mirror, &["mktree"], format!("040000 tree {folder}\tdocs\n120000 blob {target}\tlinked\n").as_bytes());
    let commit = git(&mirror, &["commit-tree", "-m", "odd", &top]).parse().unwrap();
    // In the folder there is something else of each name.
    for name in ["plain.md", "link.md", "absent.md"] {
        write(&tree.path, "docs/any", "");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.path.join("docs").join(name),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
    }
    let names = ["plain", "program", "link", "submodule", "folder", "absent", "отчёт *", "*", "empty"];
    let mut paths: Vec<String> = names.iter().map(|n| format!("docs/{n}.md")).collect();
    paths.extend(["docs/folder.md/x".to_owned(), "linked/plain.md".to_owned(), "docs".to_owned(), "docs/".to_owned()]);
    let files = w.repos.files_at(REPO, &commit, &paths, &w.cancel).await.unwrap();
    let mut found: Vec<(&str, u64)> = files.iter().map(|f| (f.path.as_str(), f.size)).collect();
    found.sort_unstable();
    let wanted = [
        ("docs/empty.md", 0),
        ("docs/folder.md/x", 18),
        ("docs/plain.md", 18),
        ("docs/program.md", 18),
        ("docs/отчёт *.md", 18),
    ];
    assert_eq!(found, wanted);
    for file in &files {
        let whole = if file.size == 0 { "" } else { "verdict: APPROVED\n" };
        assert_eq!(w.repos.content(REPO, file, 1000, &w.cancel).await.unwrap(), whole.as_bytes(), "{}", file.path);
        let cut = w.repos.content(REPO, file, 7, &w.cancel).await.unwrap();
        assert_eq!(cut, &whole.as_bytes()[..whole.len().min(7)]);
    }
}

#[tokio::test]
async fn a_giant_file_is_read_to_where_it_is_cut_and_nobody_holds_the_rest() {
    giant_files([400 << 20]).await;
}

#[tokio::test]
#[ignore = "slow: it makes an object of 1 GB"]
async fn a_file_of_1_gb_is_read_to_where_it_is_cut() {
    giant_files([1 << 30]).await;
}

/// A git that may have 256 MB reads the beginnings of larger files, loose or packed.
async fn giant_files<const N: usize>(sizes: [u64; N]) {
    let mut w = World::new();
    w.worktree("ET-1").await;
    let (mirror, giant) = (w.mirror(), w.dir.path().join("giant").display().to_string());
    let mut lines = String::new();
    for size in sizes {
        std::fs::write(&giant, "verdict: APPROVED\n").unwrap();
        std::fs::File::options().write(true).open(&giant).unwrap().set_len(size).unwrap();
        let id = object(&mirror, &["-c", "core.bigFileThreshold=1m", "hash-object", "-w", "--", &giant], b"");
        lines += &format!("100644 blob {id}\t{size}.md\n");
    }
    let top = object(&mirror, &["mktree"], lines.as_bytes());
    let commit = git(&mirror, &["commit-tree", "-m", "giant", &top]).parse().unwrap();
    let program = w.dir.path().join("small-git");
    std::fs::write(&program, "#!/bin/sh\nulimit -v 262144\nexec git \"$@\"\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    w.repos = Repos::open(&w.dir.path().join("repos"), GitSettings { program, ..GitSettings::default() }).unwrap();
    for packed in [false, true] {
        if packed {
            git(&mirror, &["update-ref", "refs/heads/giant", &format!("{commit}")]);
            git(&mirror, &["-c", "core.bigFileThreshold=1m", "repack", "-qad"]);
            assert!(git(&mirror, &["count-objects"]).starts_with("0 objects"));
        }
        for size in sizes {
            let files = w.repos.files_at(REPO, &commit, &[format!("{size}.md")], &w.cancel).await.unwrap();
            assert_eq!(files[0].size, size);
            let start = w.repos.content(REPO, &files[0], 64 << 10, &w.cancel).await.unwrap();
            assert!(start.len() == 64 << 10 && start.starts_with(b"verdict: APPROVED\n\0"), "{size}");
        }
    }
}

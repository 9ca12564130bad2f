//! Git LFS with the real git-lfs: pointers stay pointers, and their content is at the forge before the commit is.

use super::lfs_server::LfsServer;
use super::workshop::{collect, does, furnished, nobody};
use super::world::{REPO, World, git, write};
use crate::git::{AuthHeader, GitError, GitSettings, LfsFault, Remote, Repos, Worktree};
use orch_testkit::needs::{self, Need};
use std::path::{Path, PathBuf};

const LFS: &[Need] = &[Need::Program("git-lfs")];

/// The forge's `main` keeps `*.bin` in LFS and has `big.bin` with this content.
fn lfs_world(content: &str) -> Option<World> {
    if !needs::all(LFS) {
        return None;
    }
    let w = World::new();
    w.person(&["lfs", "install", "--local"]);
    write(&w.person_dir(), ".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n");
    w.person_commits("big.bin", content);
    w.person(&["push", "--quiet", "origin", "main"]);
    assert!(w.person(&["cat-file", "blob", "HEAD:big.bin"]).starts_with("version https://git-lfs"));
    Some(w)
}

/// A clone by somebody with git-lfs: `git lfs fsck` is content, and this is what a file holds there.
fn cloned(w: &World, branch: &str, file: &str) -> String {
    let name = uuid::Uuid::new_v4().to_string();
    git(w.dir.path(), &["clone", "--quiet", "--no-checkout", &format!("file://{}", w.forge().display()), &name]);
    let clone = w.dir.path().join(name);
    git(&clone, &["lfs", "install", "--local"]);
    git(&clone, &["checkout", "--quiet", branch]);
    git(&clone, &["lfs", "fetch", "--all"]);
    git(&clone, &["lfs", "fsck"]);
    std::fs::read_to_string(clone.join(file)).unwrap()
}

/// Somebody with git-lfs has the content in the folder.
fn pull(tree: &Worktree, content: &str) {
    let filters = ["-c", "filter.lfs.smudge=git-lfs smudge -- %f", "-c", "filter.lfs.clean=git-lfs clean -- %f"];
    let required = ["-c", "filter.lfs.process=git-lfs filter-process", "-c", "filter.lfs.required=true"];
    git(&tree.path, &[&filters[..], &required, &["lfs", "pull"]].concat());
    assert_eq!(std::fs::read_to_string(tree.path.join("big.bin")).unwrap(), content);
}

fn blob(tree: &Worktree, path: &str) -> String {
    git(&tree.path, &["cat-file", "blob", &format!("HEAD:{path}")])
}

async fn changed(w: &World, tree: &Worktree) -> Vec<PathBuf> {
    let head = w.head(tree).await;
    w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap()
}

#[tokio::test]
async fn content_that_somebody_pulled_leaves_the_pointer_as_it_is() {
    let Some(w) = lfs_world("large\n") else { return };
    let tree = w.worktree("ET-1").await;
    let pointer = std::fs::read_to_string(tree.path.join("big.bin")).unwrap();
    assert!(pointer.starts_with("version https://git-lfs"), "our checkouts have pointers");
    pull(&tree, "large\n");
    assert_eq!(w.commit(&tree).await, None);
    write(&tree.path, "own.txt", "own\n");
    w.commit(&tree).await.unwrap();
    assert_eq!(changed(&w, &tree).await, [PathBuf::from("own.txt")]);
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(cloned(&w, "feature/ET-1", "big.bin"), "large\n");
}

#[tokio::test]
async fn new_content_becomes_a_pointer_and_reaches_the_forge_first() {
    let Some(w) = lfs_world("large\n") else { return };
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "big.bin", "larger\n");
    write(&tree.path, "sub/new.bin", "new\n");
    write(&tree.path, "empty.bin", "");
    w.commit(&tree).await.unwrap();
    assert!(blob(&tree, "big.bin").starts_with("version https://git-lfs"));
    assert!(blob(&tree, "sub/new.bin").contains("\nsize 4"));
    assert_eq!(w.commit(&tree).await, None, "the content in the folder is no change any more");
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(cloned(&w, "feature/ET-1", "big.bin"), "larger\n");
    assert_eq!(cloned(&w, "feature/ET-1", "sub/new.bin"), "new\n");
}

#[tokio::test]
async fn an_agents_own_commits_bring_their_content_along() {
    let Some(w) = lfs_world("large\n") else { return };
    let tree = w.worktree("ET-1").await;
    let filters = ["-c", "filter.lfs.clean=git-lfs clean -- %f", "-c", "filter.lfs.required=true"];
    write(&tree.path, "own.bin", "by its filter\n");
    git(&tree.path, &[&filters[..], &["add", "own.bin"]].concat());
    git(&tree.path, &[&filters[..], &["commit", "--quiet", "-m", "agent"]].concat());
    // Without a filter the agent commits content; the branch gets its pointer all the same.
    write(&tree.path, "raw.bin", "raw\n");
    git(&tree.path, &["add", "raw.bin"]);
    git(&tree.path, &["commit", "--quiet", "-m", "agent, without git-lfs"]);
    assert_eq!(blob(&tree, "raw.bin"), "raw");
    w.commit(&tree).await.unwrap();
    assert!(blob(&tree, "raw.bin").starts_with("version https://git-lfs"));
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(cloned(&w, "feature/ET-1", "own.bin"), "by its filter\n");
    assert_eq!(cloned(&w, "feature/ET-1", "raw.bin"), "raw\n");
}

/// A folder of programs without git-lfs.
fn path_without_lfs(w: &World) -> String {
    let programs = w.dir.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let path = std::env::var("PATH").unwrap();
    for name in ["git", "sh", "git-receive-pack", "git-upload-pack"] {
        let found = path.split(':').map(|dir| Path::new(dir).join(name)).find(|p| p.is_file());
        std::os::unix::fs::symlink(found.unwrap(), programs.join(name)).unwrap();
    }
    programs.display().to_string()
}

#[tokio::test]
async fn without_git_lfs_nothing_is_pushed_and_everything_is_kept() {
    let Some(w) = lfs_world("large\n") else { return };
    let settings = GitSettings { env: vec![("PATH".into(), path_without_lfs(&w))], ..GitSettings::default() };
    let poor = Repos::open(&w.dir.path().join("repos"), settings).unwrap();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "own.txt", "own\n");
    w.commit(&tree).await.unwrap();
    poor.push(&tree, &w.remote, &w.cancel).await.unwrap();
    let before = w.on_forge("refs/heads/feature/ET-1");
    write(&tree.path, "big.bin", "larger\n");
    poor.commit_all(&tree, "work", &super::world::agent(), &w.cancel).await.unwrap().unwrap();
    assert!(blob(&tree, "big.bin").starts_with("version https://git-lfs"), "never the content itself");
    let error = poor.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
    assert!(matches!(error, GitError::Lfs(LfsFault::NoProgram { objects: 1 })), "{error:?}");
    assert!(!error.is_infra());
    assert_eq!(w.on_forge("refs/heads/feature/ET-1"), before);
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(cloned(&w, "feature/ET-1", "big.bin"), "larger\n");
}

#[tokio::test]
async fn a_pointer_without_content_is_not_published_and_one_from_history_is() {
    let Some(w) = lfs_world("first\n") else { return };
    w.person_commits("big.bin", "second\n");
    w.person(&["push", "--quiet", "origin", "main"]);
    let tree = w.worktree("ET-1").await;
    let first = git(&tree.path, &["cat-file", "blob", "HEAD~1:big.bin"]);
    write(&tree.path, "big.bin", &format!("{first}\n"));
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(cloned(&w, "feature/ET-1", "big.bin"), "first\n");
    let nowhere = "0".repeat(64);
    write(
        &tree.path,
        "lie.bin",
        &format!("version https://git-lfs.github.com/spec/v1\noid sha256:{nowhere}\nsize 5\n"),
    );
    w.commit(&tree).await.unwrap();
    let error = w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap_err();
    assert!(matches!(&error, GitError::Lfs(LfsFault::NoContent { oids }) if *oids == [nowhere]), "{error:?}");
}

#[tokio::test]
async fn content_in_the_folder_is_not_in_the_way_of_a_merge() {
    let Some(w) = lfs_world("large\n") else { return };
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "own.txt", "own\n");
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    pull(&tree, "large\n");
    w.person_pushes("feature/ET-1", "big.bin", "a person's\n");
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    let pointer = std::fs::read_to_string(tree.path.join("big.bin")).unwrap();
    assert!(pointer.contains("size 11"), "{pointer}");
}

#[tokio::test]
async fn the_branch_does_not_say_where_content_is_sent_to() {
    if !needs::all(LFS) {
        return;
    }
    let (w, ours, theirs) = (World::new(), LfsServer::start(), LfsServer::start());
    let tree = w.worktree("ET-1").await;
    let elsewhere = format!("http://127.0.0.1:{}/evil", theirs.port);
    write(&tree.path, ".lfsconfig", &format!("[lfs]\n\turl = {elsewhere}\n\tpushurl = {elsewhere}\n"));
    write(&tree.path, ".gitattributes", "*.bin filter=lfs -text\n");
    write(&tree.path, "a.bin", "abc");
    git(&tree.path, &["config", "lfs.url", &elsewhere]);
    let head = w.commit(&tree).await.unwrap();
    let forge = format!("http://127.0.0.1:{}", ours.port);
    let auth = Some(AuthHeader::token("s3cret", &forge.parse().unwrap()).unwrap());
    let remote = Remote::new(&format!("{forge}/team/app.git"), auth).unwrap();
    w.repos.send_lfs(&w.mirror(), &head, &remote, &w.cancel).await.unwrap();
    let seen = ours.seen.lock().unwrap();
    assert_eq!(seen.objects.values().collect::<Vec<_>>(), [b"abc"]);
    assert_eq!(seen.requests[0].0, "/team/app.git/info/lfs/objects/batch");
    assert!(seen.requests.iter().all(|(_, who)| who.as_deref() == Some("token s3cret")), "{seen:?}");
    assert!(theirs.seen.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn agents_with_a_user_of_their_own_keep_pointers_too() {
    let Some(w) = lfs_world("large\n") else { return };
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    does(&tenant, &shop.path, "printf 'large\\n' > big.bin; printf 'raw\\n' > raw.bin; echo own > own.txt");
    let add = "git -c filter.lfs.clean='git-lfs clean -- %f' -c filter.lfs.required=true add own.bin";
    does(
        &tenant,
        &shop.path,
        &format!(
            "printf 'by its filter\\n' > own.bin; {add} && git -c filter.lfs.clean='git-lfs clean -- %f' commit -qm agent"
        ),
    );
    collect(&w, &worktree, &shop).await.unwrap();
    let mut files = changed(&w, &worktree).await;
    files.sort();
    assert_eq!(files, ["own.bin", "own.txt", "raw.bin"].map(PathBuf::from));
    w.repos.push(&worktree, &w.remote, &w.cancel).await.unwrap();
    for (file, content) in [("big.bin", "large\n"), ("raw.bin", "raw\n"), ("own.bin", "by its filter\n")] {
        assert_eq!(cloned(&w, "feature/ET-1", file), content);
    }
}

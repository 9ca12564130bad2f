//! Submodules of a project are in the agent's folder before it starts, or the error says why not.

use super::workshop::{collect, does, furnished, nobody};
use super::world::{REPO, World, git, write};
use crate::git::{GitError, Remote, SubmoduleFolder, SubmoduleRules, Worktree};
use orch_common::config::SubmoduleHost;
use orch_common::domain::submodule::SubmoduleWhy;
use std::path::{Path, PathBuf};

/// A repository beside the forge's, with one file, and a clone of it to work in.
fn library(w: &World, name: &str, text: &str) -> PathBuf {
    git(w.dir.path(), &["init", "--quiet", "--bare", "-b", "main", &format!("{name}.git")]);
    let clone = w.dir.path().join(name);
    git(w.dir.path(), &["clone", "--quiet", &w.dir.path().join(format!("{name}.git")).display().to_string(), name]);
    commit(&clone, "lib.txt", text);
    clone
}

fn commit(clone: &Path, file: &str, text: &str) -> String {
    write(clone, file, text);
    git(clone, &["add", "-A"]);
    git(clone, &["commit", "--quiet", "-m", file]);
    git(clone, &["push", "--quiet", "origin", "HEAD:main"]);
    git(clone, &["rev-parse", "HEAD"])
}

/// Registers a submodule in a clone, and pushes.
fn register(clone: &Path, path: &str, url: &str, commit: &str) {
    let file = clone.join(".gitmodules");
    let before = std::fs::read_to_string(&file).unwrap_or_default();
    let entry = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
    if !before.contains(&format!("path = {path}\n")) {
        std::fs::write(file, format!("{before}{entry}")).unwrap();
    }
    git(clone, &["add", ".gitmodules"]);
    git(clone, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    git(clone, &["commit", "--quiet", "-m", "submodule"]);
    git(clone, &["push", "--quiet", "origin", "HEAD:main"]);
}

async fn furnish(w: &World, tree: &Worktree, hosts: &[&str]) -> Result<(), GitError> {
    let hosts: Vec<SubmoduleHost> = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let rules = SubmoduleRules { remote: &w.remote, hosts: &hosts };
    w.repos.furnish_submodules(tree, None, &rules, &w.cancel).await
}

fn why(error: GitError) -> SubmoduleWhy {
    let GitError::Submodule(fault) = error else { panic!("{error:?}") };
    fault.why
}

#[tokio::test]
async fn a_submodule_is_there_at_the_recorded_commit_and_follows_it() {
    let w = World::new();
    let lib = library(&w, "lib", "one\n");
    let first = git(&lib, &["rev-parse", "HEAD"]);
    commit(&lib, "lib.txt", "two\n");
    register(&w.person_dir(), "deps/lib", "../lib.git", &first);
    let tree = w.worktree("ET-1").await;
    furnish(&w, &tree, &[]).await.unwrap();
    assert_eq!(std::fs::read_to_string(tree.path.join("deps/lib/lib.txt")).unwrap(), "one\n");
    assert_eq!(git(&tree.path.join("deps/lib"), &["rev-parse", "HEAD"]), first);
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "", "it is no change");
    assert_eq!(w.commit(&tree).await, None);

    // Again is harmless, and what the agent has begun in it stays.
    write(&tree.path, "deps/lib/new.txt", "begun\n");
    furnish(&w, &tree, &[]).await.unwrap();
    assert!(tree.path.join("deps/lib/new.txt").exists());
    let third = commit(&lib, "lib.txt", "three\n");
    register(&w.person_dir(), "deps/lib", "../lib.git", &third);
    w.person(&["push", "--quiet", "origin", "main:feature/ET-1"]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    furnish(&w, &tree, &[]).await.unwrap();
    assert_eq!(std::fs::read_to_string(tree.path.join("deps/lib/lib.txt")).unwrap(), "three\n");
}

#[tokio::test]
async fn submodules_of_submodules_are_there_up_to_a_depth() {
    let w = World::new();
    let mut inner = library(&w, "lib0", "innermost\n");
    for level in 1..=5 {
        let outer = library(&w, &format!("lib{level}"), "x\n");
        register(&outer, "in", &format!("../lib{}.git", level - 1), &git(&inner, &["rev-parse", "HEAD"]));
        inner = outer;
    }
    let four = w.dir.path().join("lib4");
    register(&w.person_dir(), "dep", "../lib4.git", &git(&four, &["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    furnish(&w, &tree, &[]).await.unwrap();
    let deep = tree.path.join("dep/in/in/in/in/lib.txt");
    assert_eq!(std::fs::read_to_string(deep).unwrap(), "innermost\n");
    register(&w.person_dir(), "dep5", "../lib5.git", &git(&inner, &["rev-parse", "HEAD"]));
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let other = w.again("ET-2").await;
    assert_eq!(why(furnish(&w, &other, &[]).await.unwrap_err()), SubmoduleWhy::Depth);
}

#[tokio::test]
async fn what_must_not_be_fetched_is_refused_with_its_reason_and_nothing_is_run() {
    let secret = World::new();
    let mark = secret.dir.path().join("ran");
    let ext = format!("ext::sh -c touch% {}", mark.display());
    let local = format!("file://{}", secret.forge().display());
    let option = format!("-u touch {}", mark.display());
    for (path, url, hosts, expected) in [
        ("lib", ext.as_str(), &[][..], SubmoduleWhy::Address),
        ("lib", &local, &[], SubmoduleWhy::Address),
        ("lib", &option, &[], SubmoduleWhy::Address),
        ("lib", "../../elsewhere/lib.git", &[], SubmoduleWhy::Address),
        ("lib", "https://elsewhere.example/lib.git", &[], SubmoduleWhy::Host),
        ("lib", "git@elsewhere.example:lib.git", &["https://elsewhere.example"], SubmoduleWhy::Host),
        ("lib", "../nowhere.git", &[], SubmoduleWhy::Commit),
    ] {
        let w = World::new();
        register(&w.person_dir(), path, url, &w.person(&["rev-parse", "HEAD"]));
        let tree = w.worktree("ET-1").await;
        let error = furnish(&w, &tree, hosts).await.unwrap_err();
        assert!(!error.is_infra(), "{error}");
        assert_eq!(why(error), expected, "{url}");
        assert!(!tree.path.join(path).join(".git").exists());
    }
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_commit_that_the_remote_has_not_is_said_and_a_server_that_does_not_answer_is_waited_for() {
    let w = World::new();
    library(&w, "lib", "one\n");
    let unknown = "1".repeat(40);
    register(&w.person_dir(), "lib", "../lib.git", &unknown);
    let tree = w.worktree("ET-1").await;
    let error = furnish(&w, &tree, &[]).await.unwrap_err();
    assert!(error.to_string().contains("submodule lib (../lib.git)"), "{error}");
    assert_eq!(why(error), SubmoduleWhy::Commit);

    let w = World::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("http://127.0.0.1:{port}");
    register(&w.person_dir(), "lib", &format!("{host}/lib.git"), &unknown);
    let tree = w.worktree("ET-1").await;
    let error = furnish(&w, &tree, &[&host]).await.unwrap_err();
    assert!(matches!(error, GitError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_not_followed() {
    let w = World::new();
    let lib = library(&w, "lib", "one\n");
    register(&w.person_dir(), "deps/lib", "../lib.git", &git(&lib, &["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    let outside = w.dir.path().join("outside");
    std::fs::create_dir_all(outside.join("lib")).unwrap();
    std::fs::remove_dir_all(tree.path.join("deps")).unwrap();
    std::os::unix::fs::symlink(&outside, tree.path.join("deps")).unwrap();
    assert_eq!(why(furnish(&w, &tree, &[]).await.unwrap_err()), SubmoduleWhy::Path);
    assert_eq!(std::fs::read_dir(outside.join("lib")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_pointer_is_published_only_to_a_commit_that_its_remote_has() {
    let w = World::new();
    let lib = library(&w, "lib", "one\n");
    register(&w.person_dir(), "lib", "../lib.git", &git(&lib, &["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    furnish(&w, &tree, &[]).await.unwrap();
    let rules = SubmoduleRules { remote: &w.remote, hosts: &[] };
    let ask = || w.repos.unpublished_submodules(&tree, "main", &rules, &w.cancel);
    assert_eq!(ask().await.unwrap(), None);
    let inside = tree.path.join("lib");
    write(&inside, "lib.txt", "the agent's\n");
    git(&inside, &["commit", "--quiet", "-am", "agent"]);
    git(&tree.path, &["add", "lib"]);
    git(&tree.path, &["commit", "--quiet", "-m", "pointer"]);
    let commit = git(&inside, &["rev-parse", "HEAD"]);
    let (path, url, found) = ask().await.unwrap().unwrap();
    assert_eq!((path.as_str(), url.ends_with("/lib.git"), found.to_string()), ("lib", true, commit.clone()));
    git(&inside, &["push", "--quiet", &w.dir.path().join("lib.git").display().to_string(), "HEAD:refs/heads/agent"]);
    assert_eq!(ask().await.unwrap(), None);
}

#[tokio::test]
async fn what_is_planted_in_a_submodules_repository_does_not_run() {
    let w = World::new();
    let lib = library(&w, "lib", "one\n");
    register(&w.person_dir(), "lib", "../lib.git", &git(&lib, &["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    furnish(&w, &tree, &[]).await.unwrap();
    let (inside, mark) = (tree.path.join("lib"), w.dir.path().join("ran"));
    git(&inside, &["config", "filter.evil.smudge", &format!("touch {}", mark.display())]);
    write(&inside, ".gitattributes", "* filter=evil\n");
    let second = commit(&lib, "lib.txt", "two\n");
    register(&w.person_dir(), "lib", "../lib.git", &second);
    w.person(&["push", "--quiet", "origin", "main:feature/ET-1"]);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    furnish(&w, &tree, &[]).await.unwrap();
    assert_eq!(std::fs::read_to_string(inside.join("lib.txt")).unwrap(), "two\n");
    assert!(!mark.exists());
}

#[tokio::test]
async fn a_checkout_elsewhere_gets_them_too() {
    let w = World::new();
    let lib = library(&w, "lib", "one\n");
    register(&w.person_dir(), "lib", "../lib.git", &git(&lib, &["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    let (folder, git_dir) = (w.dir.path().join("checkout"), w.dir.path().join("checkout.git"));
    git(w.dir.path(), &["init", "--quiet", "--separate-git-dir", &git_dir.display().to_string(), "checkout"]);
    let into = SubmoduleFolder { folder: &folder, git_dir: &git_dir, tenant: None };
    let rules = SubmoduleRules { remote: &w.remote, hosts: &[] };
    w.repos.submodules_into(REPO, &tree.head, &rules, &into, &w.cancel).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("lib/lib.txt")).unwrap(), "one\n");
}

#[tokio::test]
async fn agents_with_a_user_of_their_own_own_their_submodules() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let lib = library(&w, "lib", "one\n");
    register(&w.person_dir(), "deps/lib", "../lib.git", &git(&lib, &["rev-parse", "HEAD"]));
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    let rules = SubmoduleRules { remote: &w.remote, hosts: &[] };
    for _ in 0..2 {
        w.repos.furnish_submodules(&worktree, Some(&shop), &rules, &w.cancel).await.unwrap();
        let said =
            does(&tenant, &shop.path, "cat deps/lib/lib.txt; git status --short; git -C deps/lib status --short");
        assert_eq!(said, "one");
    }
    does(&tenant, &shop.path, "echo mine > deps/lib/lib.txt; git -C deps/lib commit -qam mine; echo own > own");
    collect(&w, &worktree, &shop).await.unwrap();
    assert_eq!(
        w.repos.files_at(REPO, &w.head(&worktree).await, &["own".to_owned()], &w.cancel).await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn the_credentials_of_a_submodule_are_those_of_its_own_server() {
    let w = World::new();
    let remote = Remote::new("http://127.0.0.1:1/team/app.git", None).unwrap();
    let rules = SubmoduleRules { remote: &remote, hosts: &[] };
    register(&w.person_dir(), "lib", "http://user:hunter2@127.0.0.1:1/lib.git", &w.person(&["rev-parse", "HEAD"]));
    let tree = w.worktree("ET-1").await;
    let error = w.repos.furnish_submodules(&tree, None, &rules, &w.cancel).await.unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(why(error), SubmoduleWhy::Address);
}

//! An agent may write anything into its worktree and the mirror. None of it may run inside our calls.

use super::world::{REPO, World, git, plain_git, write};
use crate::git::Worktree;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A script that leaves a mark when it runs.
fn trap(w: &World) -> (PathBuf, PathBuf) {
    let (script, mark) = (w.dir.path().join("trap.sh"), w.dir.path().join("sprung"));
    std::fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", mark.display())).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    (script, mark)
}

/// Everything that the engine does with a worktree, with something to do for each step.
async fn whole_round(w: &World, tree: &Worktree, n: u32) {
    write(&tree.path, "work.txt", &format!("round {n}"));
    assert!(w.commit(tree).await.is_some());
    w.repos.push(tree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", &format!("human-{n}"), "x");
    write(&tree.path, "more.txt", &format!("round {n}"));
    let head = w.commit(tree).await.unwrap();
    w.repos.push(tree, &w.remote, &w.cancel).await.unwrap();
    let tree = w.again("ET-1").await;
    assert!(!w.repos.is_dirty(&tree, &w.cancel).await.unwrap());
    w.repos.changed_files(REPO, &head, &tree.head, &w.cancel).await.unwrap();
    w.repos.log_since(REPO, &head, &tree.head, 10, &w.cancel).await.unwrap();
}

const HOOKS: &[&str] = &[
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-push",
    "post-checkout",
    "post-merge",
    "pre-merge-commit",
    "reference-transaction",
    "post-index-change",
    "post-rewrite",
    "fsmonitor-watchman",
];

fn plant_hooks(folder: &Path, script: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for hook in HOOKS {
        std::fs::copy(script, folder.join(hook)).unwrap();
    }
}

#[tokio::test]
async fn planted_hooks_and_configuration_do_not_run() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let (script, mark) = trap(&w);
    plant_hooks(&w.mirror().join("hooks"), &script);
    plant_hooks(&w.mirror().join("worktrees/ET-1/hooks"), &script);
    plant_hooks(&tree.path.join(".githooks"), &script);
    write(&tree.path, ".gitattributes", "* filter=evil diff=evil merge=evil\n");
    write(&w.mirror(), "info/attributes", "* filter=evil diff=evil merge=evil\n");
    let run = script.display();
    let evil = format!(
        "[core]\n\thooksPath = .githooks\n\tfsmonitor = {run}\n\tsshCommand = {run}\n\tpager = {run}\n\teditor = {run}\n\
         \taskPass = {run}\n\talternateRefsCommand = {run}\n[filter \"evil\"]\n\tclean = {run}\n\tsmudge = {run}\n\
         \tprocess = {run}\n\trequired = true\n[merge \"evil\"]\n\tdriver = {run}\n[diff]\n\texternal = {run}\n\
         [diff \"evil\"]\n\ttextconv = {run}\n\tcommand = {run}\n[gpg]\n\tprogram = {run}\n[commit]\n\tgpgSign = true\n\
         [credential]\n\thelper = !{run}\n[extensions]\n\tworktreeConfig = true\n[remote \"origin\"]\n\turl = ext::{run}\n\
         \tuploadpack = {run}\n\treceivepack = {run}\n[url \"ext::{run} \"]\n\tinsteadOf = file://\n\
         [gc]\n\tauto = 1\n\trecentObjectsHook = {run}\n[include]\n\tpath = {run}\n"
    );
    for n in 1..=2 {
        let config = w.mirror().join("config");
        let honest = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("{honest}{evil}")).unwrap();
        write(&w.mirror(), "worktrees/ET-1/config.worktree", &evil);
        whole_round(&w, &tree, n).await;
        assert_eq!(std::fs::read_to_string(&config).unwrap(), honest);
    }
    assert!(!mark.exists(), "{}", std::fs::read_to_string(&mark).unwrap());
    // The trap itself works: a plain git in the same place steps into it.
    assert!(!w.mirror().join("hooks").exists());
    plant_hooks(&w.mirror().join("hooks"), &script);
    std::fs::write(
        w.mirror().join("config"),
        format!("[core]\n\tbare = true\n\thooksPath = {}\n", w.mirror().join("hooks").display()),
    )
    .unwrap();
    plain_git(&tree.path, &["commit", "--quiet", "--allow-empty", "-m", "x"]).output().unwrap();
    assert!(mark.exists());
}

#[tokio::test]
async fn a_git_file_that_leads_to_another_repository_is_not_followed() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let (script, mark) = trap(&w);
    let evil = w.dir.path().join("evil");
    git(w.dir.path(), &["init", "--quiet", "evil"]);
    plant_hooks(&evil.join(".git/hooks"), &script);
    git(&evil, &["config", "core.fsmonitor", &script.display().to_string()]);
    std::fs::write(tree.path.join(".git"), format!("gitdir: {}\n", evil.join(".git").display())).unwrap();
    std::fs::write(w.mirror().join("worktrees/ET-1/commondir"), format!("{}\n", evil.join(".git").display())).unwrap();
    write(&w.mirror(), "commondir", &evil.join(".git").display().to_string());
    write(&tree.path, "a", "1");
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap().head, head);
    assert!(!mark.exists());
}

#[tokio::test]
async fn nested_repositories_become_files_and_submodules_stay_and_neither_is_entered() {
    let w = World::new();
    let (script, mark) = trap(&w);
    // The person's repository has a submodule.
    let commit = w.person(&["rev-parse", "HEAD"]);
    w.person(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},sub")]);
    write(&w.person_dir(), ".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ext::sh -c id\n\tupdate = !id\n");
    w.person(&["add", ".gitmodules"]);
    w.person(&["commit", "--quiet", "-m", "submodule"]);
    w.person(&["push", "--quiet", "origin", "main"]);
    let tree = w.worktree("ET-1").await;
    for name in ["sub", "cloned", "odd\nname"] {
        let nested = tree.path.join(name);
        std::fs::create_dir_all(&nested).unwrap();
        git(&nested, &["init", "--quiet"]);
        write(&nested, "inner", "x");
        git(&nested, &["add", "inner"]);
        git(&nested, &["commit", "--quiet", "-m", "inner"]);
        git(&nested, &["config", "core.fsmonitor", &script.display().to_string()]);
        write(&nested, "inner", "y");
        plant_hooks(&nested.join(".git/hooks"), &script);
    }
    std::fs::remove_file(&mark).ok();
    write(&tree.path, "own", "1");
    let head = w.commit(&tree).await.unwrap();
    let changed = w.repos.changed_files(REPO, &tree.head, &head, &w.cancel).await.unwrap();
    assert_eq!(changed, ["cloned/inner", "odd\nname/inner", "own"].map(PathBuf::from));
    assert_eq!(git(&w.mirror(), &["show", &format!("{head}:cloned/inner")]), "y");
    assert_eq!(git(&w.mirror(), &["rev-parse", &format!("{head}:sub")]), commit, "the pointer of the submodule");
    assert_eq!(w.commit(&tree).await, None);
    w.repos.refresh(&tree, &w.remote, &w.cancel).await.unwrap();
    w.repos.is_dirty(&tree, &w.cancel).await.unwrap();
    assert!(!mark.exists(), "{}", std::fs::read_to_string(&mark).unwrap());
}

#[tokio::test]
async fn replacement_objects_do_not_change_what_a_commit_says() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "docs/work-items/ET-1/12-review.md", "REQUEST_CHANGES");
    let honest = w.commit(&tree).await.unwrap();
    let blob = git(&tree.path, &["rev-parse", "HEAD:docs/work-items/ET-1/12-review.md"]);
    write(w.dir.path(), "forged", "APPROVED");
    let forged = git(&tree.path, &["hash-object", "-w", &w.dir.path().join("forged").display().to_string()]);
    git(&tree.path, &["replace", &blob, &forged]);
    let path = ["docs/work-items/ET-1/12-review.md".to_owned()];
    let files = w.repos.files_at(REPO, &honest, &path, &w.cancel).await.unwrap();
    let content = w.repos.content(REPO, &files[0], 100, &w.cancel).await.unwrap();
    assert_eq!(content, b"REQUEST_CHANGES");
}

#[tokio::test]
async fn a_tag_named_like_the_branch_is_not_taken_for_it() {
    let w = World::new();
    let main = w.on_forge("refs/heads/main");
    w.person(&["checkout", "--quiet", "-b", "x"]);
    w.person_commits("evil", "x");
    w.person(&["tag", "feature/ET-1"]);
    w.person(&["tag", "main"]);
    w.person(&["push", "--quiet", "origin", "refs/tags/feature/ET-1", "refs/tags/main", "HEAD:refs/heads/x"]);
    let tree = w.worktree("ET-1").await;
    assert_eq!(tree.head.as_str(), main);
    write(&tree.path, "a", "1");
    let head = w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(w.on_forge("refs/heads/feature/ET-1"), head.as_str());
}

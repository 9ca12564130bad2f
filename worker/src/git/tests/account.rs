//! The accounting at the end of a run: each thing that an agent left is on the branch, or kept and named.

use super::world::{REPO, World, agent, git, write};
use crate::git::{Ended, Worktree};
use orch_common::domain::leftover::{LeftKind, Leftover};
use std::path::Path;
use std::process::Command;

/// A line of the agent's shell.
fn does(dir: &Path, line: &str) {
    let mut command = Command::new("sh");
    command.args(["-ec", line]).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Agent").env(format!("GIT_{who}_EMAIL"), "agent@example.org");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

async fn account(w: &World, key: &str, others: &[&str], well: bool) -> Vec<Leftover> {
    let others: Vec<String> = others.iter().map(|key| format!("feature/{key}")).collect();
    let branch = format!("feature/{key}");
    let ended = Ended { repo: REPO, key, branch: &branch, base: "main", others: &others, well };
    w.repos.account(&ended, None, &w.cancel).await.unwrap()
}

fn kinds(found: &[Leftover]) -> Vec<LeftKind> {
    found.iter().map(|left| left.kind).collect()
}

/// A file of a kept piece.
fn kept(w: &World, left: &Leftover, file: &str) -> String {
    git(&w.mirror(), &["show", &format!("{}^{{commit}}:{file}", left.kept.as_ref().expect("a ref"))])
}

async fn one(w: &World, tree: &Worktree, line: &str, well: bool) -> Vec<Leftover> {
    does(&tree.path, line);
    let found = account(w, "ET-1", &[], well).await;
    assert_eq!(
        account(w, "ET-1", &[], well).await.iter().filter(|l| l.kept.is_some()).count(),
        found.iter().filter(|l| l.kept.is_some()).count(),
        "{line}: a second accounting finds nothing new"
    );
    found
}

#[tokio::test]
async fn a_run_that_left_nothing_beside_its_work_is_not_talked_about() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = "echo 1 > a; git add a; git commit -qm a; echo 2 > b; git tag v1; git stash list";
    does(&tree.path, line);
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(account(&w, "ET-1", &[], true).await, []);
    assert_eq!(account(&w, "ET-1", &[], false).await, []);
}

#[tokio::test]
async fn stashes_are_kept_and_gone_from_what_all_tasks_share() {
    let w = World::new();
    let (tree, other) = (w.worktree("ET-1").await, w.worktree("ET-2").await);
    does(&tree.path, "echo one > one; git stash -qu; echo two > two; git add two; git stash push -qm second");
    does(&other.path, "echo theirs > theirs; git stash -qu");
    let found = account(&w, "ET-1", &["ET-2"], true).await;
    assert_eq!(kinds(&found), [LeftKind::Stash, LeftKind::Stash]);
    assert_eq!(git(&w.mirror(), &["show", &format!("{}^{{commit}}:two", found[0].kept.as_ref().unwrap())]), "two");
    assert_eq!(git(&w.mirror(), &["show", &format!("{}^3:one", found[1].kept.as_ref().unwrap())]), "one");
    assert!(found[0].name.contains("second"), "{found:?}");
    // The other task's is where it was.
    assert_eq!(git(&other.path, &["stash", "list", "--format=%gs"]).lines().count(), 1);
    does(&other.path, "git stash pop -q; test -e theirs");
    assert_eq!(account(&w, "ET-2", &["ET-1"], true).await, []);
    assert_eq!(git(&tree.path, &["stash", "list"]), "");
}

#[tokio::test]
async fn a_stash_made_on_a_branch_of_its_own_or_on_none_belongs_to_who_was_there() {
    for leave in ["git checkout -q -b mine", "git checkout -q --detach; git commit -q --allow-empty -m x"] {
        let w = World::new();
        let (tree, _other) = (w.worktree("ET-1").await, w.worktree("ET-2").await);
        does(&tree.path, &format!("{leave}; echo one > one; git stash -qu"));
        assert_eq!(account(&w, "ET-2", &["ET-1"], true).await, [], "{leave}");
        let found = account(&w, "ET-1", &["ET-2"], true).await;
        assert!(kinds(&found).contains(&LeftKind::Stash), "{leave}: {found:?}");
    }
}

#[tokio::test]
async fn branches_tags_and_other_refs_are_kept_and_taken_out_of_the_shared_names() {
    for (name, make) in [
        (
            "refs/heads/idea",
            "git checkout -q -b idea; echo i > i; git add i; git commit -qm idea; git checkout -q feature/ET-1",
        ),
        ("refs/tags/idea", "echo i > i; git add i; git commit -qm idea; git tag idea; git reset -q --hard HEAD^"),
        (
            "refs/mine/x",
            "echo i > i; git add i; git commit -qm idea; git update-ref refs/mine/x HEAD; git reset -q --hard HEAD^",
        ),
    ] {
        let w = World::new();
        let (tree, _other) = (w.worktree("ET-1").await, w.worktree("ET-2").await);
        does(&tree.path, make);
        assert_eq!(account(&w, "ET-2", &["ET-1"], true).await, [], "{name}: it is not theirs");
        let found = account(&w, "ET-1", &["ET-2"], true).await;
        assert_eq!((kinds(&found), found[0].name.as_str()), (vec![LeftKind::Ref], name));
        assert_eq!(kept(&w, &found[0], "i"), "i");
        assert_eq!(git(&w.mirror(), &["for-each-ref", "--format=%(refname)", name]), "", "{name}");
        assert!(git(&w.mirror(), &["for-each-ref"]).contains("refs/heads/feature/ET-2"));
    }
}

#[tokio::test]
async fn tags_of_the_forge_and_branches_of_other_tasks_are_left_alone() {
    let w = World::new();
    w.person(&["tag", "v1"]);
    w.person(&["push", "--quiet", "origin", "v1"]);
    let (_tree, other) = (w.worktree("ET-1").await, w.worktree("ET-2").await);
    write(&other.path, "x", "1");
    w.commit(&other).await.unwrap();
    w.repos.remove_worktree(REPO, "ET-2", &w.cancel).await.unwrap();
    assert_eq!(account(&w, "ET-1", &["ET-2"], false).await, []);
    let refs = git(&w.mirror(), &["for-each-ref", "--format=%(refname)"]);
    assert!(refs.contains("refs/tags/v1") && refs.contains("refs/heads/feature/ET-2"), "{refs}");
}

#[tokio::test]
async fn work_on_a_branch_of_its_own_is_taken_or_kept() {
    let follows = "git checkout -q -b mine; echo 1 > a; git add a; git commit -qm a";
    let diverges = "echo 0 > base; git add base; git commit -qm base; git checkout -q --detach HEAD^; echo 1 > a; git add a; \
        git commit -qm a; echo loose > loose";
    let w = World::new();
    let found = one(&w, &w.worktree("ET-1").await, follows, true).await;
    assert!(kinds(&found).contains(&LeftKind::Taken), "{found:?}");
    assert_eq!(git(&w.mirror(), &["show", "feature/ET-1:a"]), "1");
    let w = World::new();
    let found = one(&w, &w.worktree("ET-1").await, diverges, true).await;
    assert_eq!(kinds(&found), [LeftKind::Head, LeftKind::Files], "{found:?}");
    assert_eq!((kept(&w, &found[0], "a"), kept(&w, &found[1], "loose")), ("1".into(), "loose".into()));
}

#[tokio::test]
async fn a_repository_begun_again_gives_its_files_to_the_branch_and_its_history_to_a_ref() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = "rm .git; git init -q; echo 1 > a; git add .; git commit -qm first; echo 2 > a; git add .; git commit -qm second; \
        git checkout -q -b idea; echo i > i; git add i; git commit -qm idea; git checkout -q -; echo 3 > b";
    let found = one(&w, &tree, line, true).await;
    assert_eq!(kinds(&found), [LeftKind::Link, LeftKind::Repository, LeftKind::Repository], "{found:?}");
    let texts: Vec<String> = found[1..].iter().map(|left| kept(&w, left, "a")).collect();
    assert_eq!(texts, ["2", "2"]);
    let head = w.commit(&tree).await.unwrap();
    let names = git(&w.mirror(), &["ls-tree", "-r", "--name-only", head.as_str()]);
    assert_eq!(names, "README.md\na\nb");
    assert_eq!(git(&w.mirror(), &["rev-list", "--count", head.as_str()]), "2", "on top of the branch");
}

#[tokio::test]
async fn a_clone_in_the_place_of_the_folders_repository_that_follows_the_branch_is_the_work() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = format!(
        "rm -r .git README.md; git clone -q {} tmp; mv tmp/.git tmp/README.md .; rm -r tmp; echo 1 > a; git add .; git commit -qm a",
        w.forge().display()
    );
    let found = one(&w, &tree, &line, true).await;
    assert_eq!(kinds(&found), [LeftKind::Link, LeftKind::Taken], "{found:?}");
    assert_eq!(git(&w.mirror(), &["show", "feature/ET-1:a"]), "1");
    assert_eq!(w.commit(&tree).await, None);
}

#[tokio::test]
async fn a_nested_repository_is_named_and_its_history_kept() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = "mkdir app; cd app; git init -q; echo 1 > a; git add .; git commit -qm first; echo 2 > a; git commit -qam second";
    let found = one(&w, &tree, line, true).await;
    assert_eq!(kinds(&found), [LeftKind::Nested, LeftKind::History], "{found:?}");
    assert_eq!((found[0].name.as_str(), found[1].name.as_str()), ("app", "app"));
    assert_eq!(git(&w.mirror(), &["show", &format!("{}^{{commit}}^:a", found[1].kept.as_ref().unwrap())]), "1");
}

#[tokio::test]
async fn what_was_staged_and_then_changed_is_kept_and_what_is_in_the_folder_is_not_kept_twice() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let found = one(&w, &tree, "echo staged > a; echo same > b; git add a b; echo later > a; rm README.md", true).await;
    assert_eq!(kinds(&found), [LeftKind::Index], "{found:?}");
    assert_eq!((found[0].name.as_str(), kept(&w, &found[0], "a").as_str()), ("a", "staged"));
}

#[tokio::test]
async fn the_files_of_a_run_that_did_not_end_well_are_kept_where_they_lie_and_under_a_ref() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = "echo 1 > committed; git add .; git commit -qm c; echo half > half; git update-index --skip-worktree README.md; \
        echo hidden > README.md";
    let found = one(&w, &tree, line, false).await;
    assert_eq!(kinds(&found), [LeftKind::Commits, LeftKind::Files], "{found:?}");
    assert_eq!(found[0].kept.as_deref(), Some("refs/heads/feature/ET-1"));
    assert_eq!((kept(&w, &found[1], "half"), kept(&w, &found[1], "README.md")), ("half".into(), "hidden".into()));
    assert!(found[1].name.contains("half"), "{found:?}");
    assert_eq!(std::fs::read_to_string(tree.path.join("half")).unwrap(), "half\n");
    assert!(
        git(&tree.path, &["ls-files", "-v"]).lines().all(|line| line.starts_with('H')),
        "no flag of the agent's is left"
    );
    w.repos.put_aside(&tree, None, &w.cancel).await.unwrap();
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "");
    assert_eq!(kept(&w, &found[1], "half"), "half");
}

#[tokio::test]
async fn a_worktree_of_the_agents_own_is_kept_with_its_files() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line =
        "git worktree add -q .worktrees/x -b x; cd .worktrees/x; echo c > c; git add c; git commit -qm c; echo l > l";
    let found = one(&w, &tree, line, true).await;
    let own = found.iter().find(|left| left.kind == LeftKind::Worktree).expect("the worktree");
    assert_eq!((kept(&w, own, "c"), kept(&w, own, "l"), own.name.as_str()), ("c".into(), "l".into(), ".worktrees/x"));
    assert_eq!(w.commit(&tree).await, None, "it is no part of the work");
}

#[tokio::test]
async fn what_cannot_be_read_and_a_pointer_without_files_are_named() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let line = "rm README.md; mkfifo README.md; mkdir hollow; \
        git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),hollow; git commit -qm hollow";
    let found = one(&w, &tree, line, true).await;
    assert_eq!(kinds(&found), [LeftKind::Pointer, LeftKind::Unread], "{found:?}");
    assert_eq!((found[0].name.as_str(), found[1].name.as_str()), ("hollow", "README.md"));
}

#[tokio::test]
async fn a_submodule_that_moved_is_kept_and_its_pointer_stays() {
    let w = World::new();
    let lib = w.dir.path().join("lib");
    git(w.dir.path(), &["init", "-q", "lib"]);
    does(&lib, "echo l > l; git add .; git commit -qm lib");
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    w.person(&[&add[..], &[&lib.display().to_string(), "lib"]].concat());
    w.person(&["commit", "-qm", "lib"]);
    w.person(&["push", "--quiet", "origin", "main"]);
    let tree = w.worktree("ET-1").await;
    does(&tree.path, "git -c protocol.file.allow=always submodule --quiet update --init");
    assert_eq!(account(&w, "ET-1", &[], true).await, []);
    let found = one(&w, &tree, "cd lib; echo m > m; git add m; git commit -qm more; echo d > d", true).await;
    assert!(found.iter().all(|left| left.kind == LeftKind::Submodule && left.name == "lib"), "{found:?}");
    let texts: Vec<bool> = found
        .iter()
        .map(|left| {
            let name = format!("{}^{{commit}}", left.kept.as_ref().unwrap());
            git(&w.mirror(), &["ls-tree", "--name-only", &name]).contains('d')
        })
        .collect();
    assert_eq!(texts, [false, true], "the commit, and the files");
    assert_eq!(w.commit(&tree).await, None);
}

#[tokio::test]
async fn ten_thousand_files_are_committed_and_accounted_for_in_bounded_time() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    for folder in 0..100 {
        let dir = tree.path.join(format!("many/{folder}"));
        std::fs::create_dir_all(&dir).unwrap();
        for file in 0..100 {
            std::fs::write(dir.join(format!("{file}.txt")), format!("{folder} {file}")).unwrap();
        }
    }
    let began = std::time::Instant::now();
    let found = account(&w, "ET-1", &[], false).await;
    assert_eq!(kinds(&found), [LeftKind::Files]);
    w.repos.commit_all(&tree, "many", &agent(), &w.cancel).await.unwrap().unwrap();
    assert!(began.elapsed().as_secs() < 120, "{:?}", began.elapsed());
    assert_eq!(git(&w.mirror(), &["ls-tree", "-r", "--name-only", "feature/ET-1"]).lines().count(), 10_001);
}

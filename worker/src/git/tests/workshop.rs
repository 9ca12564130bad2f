//! Agents with a user of their own: work goes in and comes back, and nothing else can be had or moved from there.

use super::world::{REPO, World, agent, git, write};
use crate::git::{Ended, GitError, Tenant, Workshop, Worktree};
use nix::unistd::User;
use orch_common::domain::leftover::{LeftKind, Leftover};
use orch_testkit::needs::{self, Need};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Who the agents are: only root can be somebody else.
pub fn nobody(w: &World) -> Option<Tenant> {
    if !needs::all(&[Need::Root, Need::User("nobody")]) {
        return None;
    }
    let user = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
    let home = w.dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    chown(&home, Some(uid), Some(gid)).unwrap();
    // The scratch folder itself is private; who is let through still cannot look around.
    std::fs::set_permissions(w.dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
    Some(Tenant { uid, gid, home })
}

/// A shell line as the agents' user, in `dir`: whether it worked, and what it said.
fn as_tenant(tenant: &Tenant, dir: &Path, line: &str) -> (bool, String) {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(dir).uid(tenant.uid).gid(tenant.gid).env("HOME", &tenant.home);
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Agent").env(format!("GIT_{who}_EMAIL"), "agent@example.org");
    }
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
}

pub fn does(tenant: &Tenant, dir: &Path, line: &str) -> String {
    let (ok, said) = as_tenant(tenant, dir, line);
    assert!(ok, "{line}: {said}");
    said
}

pub async fn furnished(w: &World, tenant: &Tenant, key: &str) -> (Worktree, Workshop) {
    let worktree = w.worktree(key).await;
    let shop = w.repos.workshop(&worktree, tenant).unwrap();
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    (worktree, shop)
}

pub async fn collect(w: &World, worktree: &Worktree, shop: &Workshop) -> Result<(), GitError> {
    w.repos.collect(worktree, shop, Some(("the rest", &agent())), &w.cancel).await
}

#[tokio::test]
async fn work_comes_back_and_goes_in_again() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    assert_eq!(
        does(&tenant, &shop.path, "cat README.md; git branch --show-current; git status --short"),
        "hello\nfeature/ET-1"
    );
    does(
        &tenant,
        &shop.path,
        "echo a > a.txt && git add . && git commit -qm 'by the agent' && mkdir d && echo b > d/b.txt",
    );
    collect(&w, &worktree, &shop).await.unwrap();
    assert_eq!(git(&worktree.path, &["log", "--format=%an: %s", "-2"]), "Agent: the rest\nAgent: by the agent");
    assert_eq!(std::fs::read_to_string(worktree.path.join("d/b.txt")).unwrap(), "b\n");
    let head = w.head(&worktree).await;
    collect(&w, &worktree, &shop).await.unwrap();
    assert_eq!(w.head(&worktree).await, head, "nothing new is no commit");

    // A person adds to the branch while the agent works on: both are kept, and the agent sees it.
    w.repos.push(&worktree, &w.remote, &w.cancel).await.unwrap();
    w.person_pushes("feature/ET-1", "p.txt", "person\n");
    does(&tenant, &shop.path, "echo c > c.txt; git add .; git commit -qm more; echo open > open.txt");
    w.repos.refresh(&worktree, &w.remote, &w.cancel).await.unwrap();
    w.repos.collect(&worktree, &shop, None, &w.cancel).await.unwrap();
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    assert_eq!(does(&tenant, &shop.path, "cat p.txt c.txt open.txt"), "person\nc\nopen");
    assert_eq!(w.repos.head_inside(&shop, &w.cancel).await.unwrap(), w.head(&worktree).await);
    w.repos.remove_workshop(REPO, "ET-1").await.unwrap();
    assert!(!shop.path.exists());
}

#[tokio::test]
async fn nothing_but_the_tasks_branch_can_be_read() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    w.person(&["checkout", "--quiet", "-b", "secret"]);
    w.person_commits("secret.txt", "do not tell\n");
    w.person(&["push", "--quiet", "origin", "secret"]);
    let secret = w.on_forge("refs/heads/secret");
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    let (other, _) = furnished(&w, &tenant, "ET-2").await;
    for (line, what) in [
        (format!("cat {}/config", w.mirror().display()), "the mirror's settings"),
        (format!("ls {}", w.mirror().display()), "the mirror"),
        (format!("ls {}", worktree.path.display()), "the worker's own worktree"),
        (format!("ls {}", other.path.display()), "another task's worktree"),
        (format!("ls {}", w.dir.path().join("repos").display()), "the list of repositories"),
        (format!("git cat-file -e {secret}"), "an object of another branch"),
        (format!("git fetch -q {} secret", w.mirror().display()), "another branch"),
    ] {
        let (ok, said) = as_tenant(&tenant, &shop.path, &line);
        assert!(!ok, "{what} can be had: {said}");
    }
    let refs = does(&tenant, &shop.path, "git for-each-ref --format='%(refname)'");
    assert_eq!(refs, "refs/heads/feature/ET-1\nrefs/remotes/origin/feature/ET-1\nrefs/remotes/origin/main");
    assert_eq!(does(&tenant, &shop.path, "git log --all --format=%s"), "person writes README.md");
}

#[tokio::test]
async fn what_is_planted_in_a_workshop_runs_with_an_agents_rights_or_not_at_all() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    let traces = tenant.home.join("traces");
    let trap = format!("#!/bin/sh\nid -u >> {0}\ncat\n", traces.display());
    write(&tenant.home, "trap", &trap);
    std::fs::set_permissions(tenant.home.join("trap"), PermissionsExt::from_mode(0o755)).unwrap();
    let plant = "T=$HOME/trap; for h in pre-commit post-checkout post-merge reference-transaction post-index-change; do \
         mkdir -p .git/hooks; cp $T .git/hooks/$h; done; \
         git config core.fsmonitor $T; git config filter.x.clean $T; git config filter.x.smudge $T; \
         git config uploadpack.packObjectsHook $T; git config core.sshCommand $T; git config gpg.program $T; \
         echo '* filter=x' > .gitattributes; echo x > x.txt; touch .git/index.lock .git/config.lock .git/packed-refs.lock .git/refs/heads/feature/ET-1.lock; \
         ln -s /etc/passwd .git/HEAD.lock";
    does(&tenant, &shop.path, plant);
    collect(&w, &worktree, &shop).await.unwrap();
    w.person_pushes("main", "later.txt", "later\n");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    w.repos.push(&worktree, &w.remote, &w.cancel).await.unwrap();
    let ran = std::fs::read_to_string(&traces).unwrap_or_default();
    assert!(ran.lines().all(|uid| uid == tenant.uid.to_string()), "somebody else ran it: {ran}");
    assert!(ran.contains(&tenant.uid.to_string()), "the trap itself works");
    assert_eq!(w.on_forge("refs/heads/feature/ET-1"), w.head(&worktree).await.to_string());
    assert!(Path::new("/etc/passwd").exists());
}

#[tokio::test]
async fn an_agent_that_left_its_branch_or_broke_its_repository_harms_only_itself() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    does(&tenant, &shop.path, "git checkout -q -b mine && echo m > m.txt && git add . && git commit -qm mine");
    collect(&w, &worktree, &shop).await.unwrap();
    assert!(worktree.path.join("m.txt").exists(), "what is checked out is the work");
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    assert_eq!(does(&tenant, &shop.path, "git branch --show-current; cat m.txt"), "feature/ET-1\nm");

    let head = w.head(&worktree).await;
    does(&tenant, &shop.path, "git checkout -q --orphan other && git commit -qm unrelated --allow-empty");
    collect(&w, &worktree, &shop).await.unwrap();
    let kept = w.repos.kept(REPO, "ET-1", &w.cancel).await.unwrap();
    assert_eq!(kept.iter().map(|left| left.kind).collect::<Vec<_>>(), [LeftKind::Head], "a history of nothing we know");
    assert_eq!(w.head(&worktree).await, head);
    does(&tenant, &shop.path, "rm -rf .git && ln -s /etc .git");
    assert!(collect(&w, &worktree, &shop).await.is_ok(), "no repository, no work");
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    assert_eq!(w.repos.head_inside(&shop, &w.cancel).await.unwrap(), head, "it is made anew");
    assert!(Path::new("/etc/passwd").exists());
}

async fn account(w: &World, tenant: &Tenant, well: bool) -> Vec<Leftover> {
    let ended = Ended { repo: REPO, key: "ET-1", branch: "feature/ET-1", base: "main", others: &[], well };
    w.repos.account(&ended, Some(tenant), &w.cancel).await.unwrap()
}

fn kept(w: &World, left: &Leftover, file: &str) -> String {
    git(&w.mirror(), &["show", &format!("{}^{{commit}}:{file}", left.kept.as_ref().unwrap())])
}

#[tokio::test]
async fn what_is_left_in_a_workshop_is_kept_in_the_mirror() {
    for (what, line, wanted, file) in [
        ("a stash", "echo s > s; git add s; git stash -q", vec![LeftKind::Stash], "s"),
        (
            "a branch",
            "git checkout -q -b x; echo s > s; git add s; git commit -qm s; git checkout -q -",
            vec![LeftKind::Ref],
            "s",
        ),
        ("an index", "echo s > s; git add s; rm s", vec![LeftKind::Index], "s"),
        (
            "a nested repository",
            "mkdir n; cd n; git init -q; echo s > s; git add s; git commit -qm s",
            vec![LeftKind::Nested, LeftKind::History],
            "s",
        ),
        (
            "a repository begun again",
            "rm -rf .git; git init -q; echo s > s; git add .; git commit -qm s",
            vec![LeftKind::Link, LeftKind::Repository],
            "s",
        ),
    ] {
        let w = World::new();
        let Some(tenant) = nobody(&w) else { return };
        let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
        does(&tenant, &shop.path, line);
        let found = account(&w, &tenant, true).await;
        assert_eq!(found.iter().map(|left| left.kind).collect::<Vec<_>>(), wanted, "{what}: {found:?}");
        assert_eq!(kept(&w, found.last().unwrap(), file), "s", "{what}");
        assert_eq!(account(&w, &tenant, true).await.iter().filter(|l| l.kept.is_some()).count(), 1, "{what}: once");
        collect(&w, &worktree, &shop).await.unwrap();
        let names = git(&w.mirror(), &["ls-tree", "-r", "--name-only", "feature/ET-1"]);
        let work = match what {
            "a nested repository" => "README.md\nn/s",
            "a repository begun again" => "README.md\ns",
            _ => "README.md",
        };
        assert_eq!(names, work, "{what}");
    }
}

#[tokio::test]
async fn a_workshop_whose_git_is_gone_keeps_its_files_as_the_work() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    does(&tenant, &shop.path, "echo c > c; git add c; git commit -qm c; echo l > l; rm -rf .git");
    assert_eq!(account(&w, &tenant, true).await.iter().map(|left| left.kind).collect::<Vec<_>>(), [LeftKind::Link]);
    collect(&w, &worktree, &shop).await.unwrap();
    assert_eq!(git(&w.mirror(), &["ls-tree", "-r", "--name-only", "feature/ET-1"]), "README.md\nc\nl");
}

#[tokio::test]
async fn flags_of_a_workshops_index_hide_nothing_and_a_run_that_did_not_end_well_is_kept() {
    let w = World::new();
    let Some(tenant) = nobody(&w) else { return };
    let (worktree, shop) = furnished(&w, &tenant, "ET-1").await;
    does(&tenant, &shop.path, "git update-index --skip-worktree README.md; echo hidden > README.md; echo n > n");
    let found = account(&w, &tenant, false).await;
    assert_eq!(found.iter().map(|left| left.kind).collect::<Vec<_>>(), [LeftKind::Files]);
    assert_eq!((kept(&w, &found[0], "README.md"), kept(&w, &found[0], "n")), ("hidden".into(), "n".into()));
    assert_eq!(does(&tenant, &shop.path, "git ls-files -v; cat n"), "H README.md\nn");
    w.repos.furnish(&worktree, "main", &shop, &w.cancel).await.unwrap();
    assert!(does(&tenant, &shop.path, "git for-each-ref --format='%(refname)'").contains("refs/orch/preserved/ET-1/1"));
    does(&tenant, &shop.path, "git update-index --assume-unchanged README.md");
    collect(&w, &worktree, &shop).await.unwrap();
    assert_eq!(git(&w.mirror(), &["show", "feature/ET-1:README.md"]), "hidden");
}

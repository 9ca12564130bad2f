//! Where the project's tests run: exactly the judged commit, and nothing that they do there reaches further. Each case
//! with the worker's own user and, as root, with one of the agents' own.

use super::workshop::nobody;
use super::world::{REPO, World, git, plain_git, write};
use crate::gates::{TestCommand, TestLimits, TestRun, run_tests};
use crate::git::{Checkout, GitError, Judged, Tenant, Worktree};
use orch_common::domain::gate::{TestEnd, TestEvidence};
use orch_common::domain::stage::CommitId;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

/// A world with a task's worktree, once for each user that tests may run as.
struct Site {
    w: World,
    tree: Worktree,
    tenant: Option<Tenant>,
}

async fn sites() -> Vec<Site> {
    let mut sites = Vec::new();
    for own_user in [false, true] {
        let w = World::new();
        let tenant = if own_user { nobody(&w) } else { None };
        if own_user == tenant.is_some() {
            let tree = w.worktree("ET-1").await;
            sites.push(Site { w, tree, tenant });
        }
    }
    sites
}

impl Site {
    fn place(&self) -> Checkout {
        self.w.repos.checkout(REPO, "ET-1", self.tenant.as_ref()).unwrap()
    }

    async fn try_check_out(&self, commit: &CommitId, caches: &[&str]) -> Result<Checkout, GitError> {
        let (to, caches) = (self.place(), caches.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>());
        let judged = Judged { commit, branch: "feature/ET-1", base: "main" };
        self.w.repos.check_out_for_tests(&to, judged, &caches, &self.w.cancel).await.map(|()| to)
    }

    async fn check_out(&self, commit: &CommitId, caches: &[&str]) -> Checkout {
        self.try_check_out(commit, caches).await.unwrap()
    }

    /// The project's tests, as the gate runs them.
    async fn tests(&self, checkout: &Checkout, line: &str) -> TestEvidence {
        let (command, log) = (TestCommand::Shell(line.into()), self.w.dir.path().join("log"));
        let mut env: Vec<(String, String)> = ["AUTHOR", "COMMITTER"]
            .iter()
            .flat_map(|who| [(format!("GIT_{who}_NAME"), "T".into()), (format!("GIT_{who}_EMAIL"), "t@x".into())])
            .collect();
        env.push(("GIT_CONFIG_GLOBAL".into(), "/dev/null".into()));
        env.extend(self.tenant.iter().map(|t| ("HOME".to_owned(), t.home.display().to_string())));
        let user = self.tenant.as_ref().map(|t| (t.uid, t.gid));
        let limits = TestLimits::default();
        let run =
            TestRun { command: &command, dir: &checkout.path, log: &log, limits, env: &env, user, attendant: None };
        run_tests(run, &self.w.cancel).await.unwrap()
    }

    async fn green(&self, checkout: &Checkout, line: &str) -> String {
        let evidence = self.tests(checkout, line).await;
        assert_eq!(evidence.end, TestEnd::Exited { code: 0 }, "{line}: {}", evidence.tail);
        evidence.tail.trim_end().to_owned()
    }
}

/// Every path below `top` but git's own, with what is there: `f` text, `x` text of a program, `l` target, `d` folder.
fn contents(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            let about = path.symlink_metadata().unwrap();
            if name == ".git" {
                continue;
            }
            let what = if about.is_dir() {
                folders.push(path);
                "d".to_owned()
            } else if about.is_symlink() {
                format!("l{}", std::fs::read_link(&path).unwrap().display())
            } else {
                let kind = if about.mode() & 0o100 == 0 { "f" } else { "x" };
                format!("{kind}{}", std::fs::read_to_string(&path).unwrap())
            };
            found.insert(name, what);
        }
    }
    found
}

fn expected(parts: &[(&str, &str)]) -> BTreeMap<String, String> {
    parts.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect()
}

#[tokio::test]
async fn a_checkout_is_exactly_the_judged_commit() {
    for site in sites().await {
        let Site { w, tree, .. } = &site;
        let base = w.on_forge("refs/heads/main");
        write(&tree.path, "tests/run.sh", "exit 1\n");
        write(&tree.path, "feature.txt", "red\n");
        write(&tree.path, ".gitignore", "*.env\n");
        std::fs::set_permissions(tree.path.join("tests/run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        symlink("tests/run.sh", tree.path.join("link")).unwrap();
        let red = w.commit(tree).await.unwrap();
        // All that a folder can pretend: index flags, what is ignored, staged, changed, new, removed.
        git(&tree.path, &["tag", "v1", red.as_str()]);
        git(&tree.path, &["tag", "-a", "-m", "x", "v0", &base]);
        git(&tree.path, &["update-index", "--skip-worktree", "feature.txt"]);
        git(&tree.path, &["update-index", "--assume-unchanged", "tests/run.sh"]);
        write(&tree.path, "feature.txt", "green\n");
        write(&tree.path, "tests/run.sh", "exit 0\n");
        write(&tree.path, "only.env", "ignored\n");
        write(&tree.path, "new.txt", "new\n");
        write(&tree.path, "staged.txt", "staged\n");
        git(&tree.path, &["add", "staged.txt"]);
        std::fs::remove_file(tree.path.join("README.md")).unwrap();
        let before = contents(&tree.path);

        let checkout = site.check_out(&red, &[]).await;
        let whole = expected(&[
            (".gitignore", "f*.env\n"),
            ("README.md", "fhello\n"),
            ("feature.txt", "fred\n"),
            ("link", "ltests/run.sh"),
            ("tests", "d"),
            ("tests/run.sh", "xexit 1\n"),
        ]);
        assert_eq!(contents(&checkout.path), whole);
        assert_eq!(contents(&tree.path), before, "the agent's folder is as it was");
        for (line, says) in [
            ("git status --porcelain --ignored", ""),
            ("git rev-parse HEAD refs/remotes/origin/feature/ET-1", &format!("{red}\n{red}") as &str),
            ("git symbolic-ref -q HEAD || echo detached", "detached"),
            ("git rev-parse origin/main", &base),
            ("git diff --name-only origin/main...HEAD", ".gitignore\nfeature.txt\nlink\ntests/run.sh"),
            ("git ls-files -v | cut -c1 | sort -u", "H"),
            ("git tag; git describe --tags", "v0\nv1\nv1"),
            ("git for-each-ref refs/heads refs/orch refs/replace; git stash list; git remote", ""),
            ("git fsck --no-dangling 2>&1", ""),
            ("./link; echo $?", "1"),
        ] {
            assert_eq!(site.green(&checkout, line).await, says, "{line}");
        }
        // The next one is at the same path, also for a commit of the past.
        let next = site.check_out(&base.parse().unwrap(), &[]).await;
        assert_eq!((&next.path, contents(&next.path)), (&checkout.path, expected(&[("README.md", "fhello\n")])));
        assert_eq!(
            w.repos.tree_at(REPO, &red, &w.cancel).await.unwrap().as_str(),
            git(&w.mirror(), &["rev-parse", &format!("{red}^{{tree}}")])
        );
    }
}

/// Refs, what they lead to, and the folders of the agent.
fn all_that_is_not_the_tests(site: &Site) -> (String, BTreeMap<String, String>, String, String) {
    let (mirror, path) = (site.w.mirror(), &site.tree.path);
    let refs = git(&mirror, &["for-each-ref", "--format=%(refname) %(objectname)"]);
    git(&mirror, &["fsck", "--connectivity-only", "--no-dangling"]);
    let status = git(path, &["status", "--porcelain", "--ignored", "--branch"]);
    let outer = git(site.w.dir.path(), &["log", "--all", "--format=%H"]);
    (refs, contents(path), status, outer)
}

#[tokio::test]
async fn what_tests_do_to_their_checkout_ends_there() {
    for site in sites().await {
        let Site { w, tree, .. } = &site;
        // The installation's folder lies in somebody's repository.
        git(w.dir.path(), &["init", "--quiet", "-b", "outer"]);
        git(w.dir.path(), &["commit", "--quiet", "--allow-empty", "-m", "outer"]);
        write(&tree.path, "work.txt", "work\n");
        write(&tree.path, ".gitignore", "cache/\n");
        let head = w.commit(tree).await.unwrap();
        write(&tree.path, "dirty.txt", "the agent's\n");
        write(&tree.path, "cache/x", "the agent's\n");
        let whole = expected(&[(".gitignore", "fcache/\n"), ("README.md", "fhello\n"), ("work.txt", "fwork\n")]);
        let before = all_that_is_not_the_tests(&site);
        for (line, ends) in [
            ("echo x > work.txt; echo x > new.txt; git add -A; git commit -qm 'by the tests'", 0),
            ("git checkout -qB feature/ET-1; git commit -qm x --allow-empty; git branch -f main; git tag v9", 0),
            ("echo x > work.txt; echo y > y; git stash -qu; git update-ref refs/orch/preserved/ET-1 HEAD", 0),
            ("git update-ref -d refs/remotes/origin/main; git update-ref refs/remotes/origin/feature/ET-1 HEAD~1", 0),
            ("git reflog expire --expire=now --all; git gc -q --prune=now; git repack -qad; git prune", 0),
            ("git update-index --skip-worktree work.txt; rm work.txt; git config core.hooksPath /tmp; mkdir cache", 0),
            ("git worktree add -q --detach inner; git replace HEAD HEAD~1; git clean -xffdq; exit 3", 3),
            ("rm -rf .git; git add -A && git commit -qm 'in a repository above'", 128),
            ("rm -rf .git work.txt; git init -q; git add -A; git commit -qm begun", 0),
            ("git push -q origin HEAD:refs/heads/feature/ET-1", 128),
            ("mkdir -p a/b; echo x > a/b/c; chmod 000 a/b a .git; chmod 000 .", 0),
            ("rm -rf \"$PWD\"; exit 4", 4),
            ("rm -rf \"$PWD\"; ln -s / \"$PWD\" 2>/dev/null; exit 0", 0),
            ("ln -s / root; ln -s .. up; mkfifo fifo; ln work.txt hard", 0),
            ("for i in 1 2 3 4 5 6 7 8; do mkdir -p d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d; cd d/d/d/d/d/d/d/d; done", 0),
        ] {
            let checkout = site.check_out(&head, &[]).await;
            assert_eq!(contents(&checkout.path), whole, "before: {line}");
            let evidence = site.tests(&checkout, line).await;
            assert_eq!(evidence.end, TestEnd::Exited { code: ends }, "{line}: {}", evidence.tail);
            assert_eq!(all_that_is_not_the_tests(&site), before, "{line}");
        }
        let last = site.check_out(&head, &[]).await;
        assert_eq!(contents(&last.path), whole);
        assert_eq!(
            w.commit(tree).await.map(|c| git(&w.mirror(), &["show", &format!("{c}:dirty.txt")])),
            Some("the agent's".into())
        );
    }
}

#[tokio::test]
async fn caches_stay_where_the_project_names_them_and_nothing_else_does() {
    let caches = ["target", "web/node_modules", "gone/deep"];
    for site in sites().await {
        let Site { w, tree, .. } = &site;
        write(&tree.path, "web/app.js", "app\n");
        let head = w.commit(tree).await.unwrap();
        let fresh = expected(&[("README.md", "fhello\n"), ("web", "d"), ("web/app.js", "fapp\n")]);
        let checkout = site.check_out(&head, &caches).await;
        assert_eq!(contents(&checkout.path), fresh);
        let fill = "mkdir -p target/debug web/node_modules gone/deep && echo t > target/debug/t && echo n > web/node_modules/n \
                    && echo g > gone/deep/g && echo j | tee web/junk gone/junk junk && chmod 000 target/debug";
        site.green(&checkout, fill).await;
        let inode = checkout.path.join("target").metadata().unwrap().ino();

        let checkout = site.check_out(&head, &caches).await;
        let mut warm = fresh.clone();
        warm.extend(expected(&[("target", "d"), ("web/node_modules", "d"), ("web/node_modules/n", "fn\n")]));
        warm.extend(expected(&[("gone", "d"), ("gone/deep", "d"), ("gone/deep/g", "fg\n")]));
        warm.extend(expected(&[("target/debug", "d"), ("target/debug/t", "ft\n")]));
        std::fs::set_permissions(checkout.path.join("target/debug"), PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(contents(&checkout.path), warm);
        assert_eq!(checkout.path.join("target").metadata().unwrap().ino(), inode, "moved, not copied");
        site.green(&checkout, "echo more >> target/debug/t; echo more > gone/more").await;

        // The worker was killed while they waited beside: they are not lost.
        let waiting = checkout.path.with_extension("caches");
        std::fs::DirBuilder::new().create(&waiting).unwrap();
        std::fs::set_permissions(&waiting, PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::rename(checkout.path.join("web/node_modules"), waiting.join("web%2Fnode_modules")).unwrap();
        std::fs::remove_dir_all(checkout.path.join(".git")).unwrap();
        let checkout = site.check_out(&head, &caches).await;
        warm.extend(expected(&[("target/debug/t", "ft\nmore\n")]));
        assert_eq!(contents(&checkout.path), warm);
        assert!(!waiting.exists());

        // A project that names none has none.
        site.check_out(&head, &[]).await;
        assert_eq!(contents(&checkout.path), fresh);
        site.check_out(&head, &caches).await;
        assert_eq!(contents(&checkout.path), fresh);
    }
}

#[tokio::test]
async fn a_cache_that_is_a_link_a_file_or_part_of_the_commit_is_not_kept() {
    for site in sites().await {
        let Site { w, tree, tenant } = &site;
        let outside = w.dir.path().join("outside");
        write(&outside, "node_modules/kept", "not the tests'\n");
        write(&outside, "target/kept", "not the tests'\n");
        if let Some(tenant) = tenant {
            for path in ["", "node_modules", "target"] {
                chown(outside.join(path), Some(tenant.uid), Some(tenant.gid)).unwrap();
            }
        }
        write(&tree.path, "web/app.js", "app\n");
        let head = w.commit(tree).await.unwrap();
        let fresh = expected(&[("README.md", "fhello\n"), ("web", "d"), ("web/app.js", "fapp\n")]);
        let caches = ["target", "web/node_modules"];
        let outside_now = contents(&outside);
        for line in [
            format!("ln -s {0}/target target; rm -r web; ln -s {0} web", outside.display()),
            "echo x > target; mkfifo web/node_modules".to_owned(),
            format!("ln -s {}/target target; mkdir web/node_modules; rm -rf web", outside.display()),
        ] {
            let checkout = site.check_out(&head, &caches).await;
            site.green(&checkout, &line).await;
            let checkout = site.check_out(&head, &caches).await;
            assert_eq!(contents(&checkout.path), fresh, "{line}");
            assert_eq!(contents(&outside), outside_now, "{line}");
        }
        // What the commit has there, as a folder or as a link, is the commit's.
        let checkout = site.check_out(&head, &caches).await;
        site.green(
            &checkout,
            "mkdir -p target web/node_modules; echo stale | tee target/a target/b web/node_modules/n",
        )
        .await;
        write(&tree.path, "target/a", "tracked\n");
        std::fs::remove_dir_all(tree.path.join("web")).unwrap();
        symlink("target", tree.path.join("web")).unwrap();
        let tracked = w.commit(tree).await.unwrap();
        let checkout = site.check_out(&tracked, &caches).await;
        let whole =
            expected(&[("README.md", "fhello\n"), ("target", "d"), ("target/a", "ftracked\n"), ("web", "ltarget")]);
        assert_eq!(contents(&checkout.path), whole);
        assert!(!checkout.path.with_extension("caches").exists());
    }
}

#[tokio::test]
async fn another_users_checkout_is_that_users_and_has_no_other_branch() {
    let Some(site) = sites().await.into_iter().find(|site| site.tenant.is_some()) else { return };
    let (w, tenant) = (&site.w, site.tenant.as_ref().unwrap());
    w.person(&["checkout", "--quiet", "-b", "secret"]);
    w.person_commits("secret.txt", "do not tell\n");
    w.person(&["tag", "secret-tag"]);
    w.person(&["push", "--quiet", "--tags", "origin", "secret"]);
    let secret = w.on_forge("refs/heads/secret");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let head = w.head(&site.tree).await;
    let checkout = site.check_out(&head, &["target"]).await;
    assert_eq!(
        site.green(&checkout, "id -u; find . ! -user $(id -u) | wc -l; echo x > new; mkdir target").await,
        format!("{}\n0", tenant.uid)
    );
    for (line, what) in [
        (format!("cat {}/config", w.mirror().display()), "the mirror"),
        (format!("ls {}", site.tree.path.display()), "the worker's own worktree"),
        ("ls ..".to_owned(), "the list of checkouts"),
        (format!("git cat-file -e {secret}"), "an object of another branch"),
        ("git rev-parse --verify secret-tag".to_owned(), "a tag of another branch"),
    ] {
        let evidence = site.tests(&checkout, &line).await;
        assert!(matches!(evidence.end, TestEnd::Exited { code } if code != 0), "{what} can be had: {}", evidence.tail);
    }
    let checkout = site.check_out(&head, &["target"]).await;
    assert_eq!(site.green(&checkout, "find . ! -user $(id -u) | wc -l; ls -A").await, "0\n.git\nREADME.md\ntarget");
    // A cache of another user would be of no use to this one.
    chown(checkout.path.join("target"), Some(0), Some(0)).unwrap();
    let checkout = site.check_out(&head, &["target"]).await;
    assert!(!checkout.path.join("target").exists());
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_an_error_and_the_next_checkout_is_whole() {
    for site in sites().await {
        let unknown = "1".repeat(40).parse().unwrap();
        assert!(site.try_check_out(&unknown, &[]).await.is_err());
        let head = site.w.head(&site.tree).await;
        let checkout = site.check_out(&head, &[]).await;
        assert_eq!(contents(&checkout.path), expected(&[("README.md", "fhello\n")]));
        // A base that the forge has no more is no reason not to test.
        let judged = Judged { commit: &head, branch: "feature/ET-1", base: "no-such-branch" };
        site.w.repos.check_out_for_tests(&checkout, judged, &[], &site.w.cancel).await.unwrap();
        assert_eq!(
            site.green(&checkout, "git for-each-ref --format='%(refname)'").await,
            "refs/remotes/origin/feature/ET-1"
        );
    }
}

#[tokio::test]
async fn a_checkout_goes_with_its_tasks_worktree() {
    for site in sites().await {
        let head = site.w.head(&site.tree).await;
        let checkout = site.check_out(&head, &["target"]).await;
        site.green(&checkout, "mkdir -p target/x; chmod 000 target .").await;
        let waiting = checkout.path.with_extension("caches");
        std::fs::create_dir(&waiting).unwrap();
        site.w.repos.remove_worktree(REPO, "ET-1", &site.w.cancel).await.unwrap();
        assert!(!checkout.path.exists() && !waiting.exists());
        site.w.repos.remove_worktree(REPO, "ET-1", &site.w.cancel).await.unwrap();
    }
}

/// Agents of the same user may write into the mirror: hooks and settings there do not run when a checkout is made.
#[tokio::test]
async fn nothing_that_an_agent_planted_runs_while_a_checkout_is_made() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let mark = w.dir.path().join("sprung");
    let trap = format!("touch '{}'", mark.display());
    write(&tree.path, ".gitattributes", "* filter=x\n*.txt text eol=crlf\n");
    write(&tree.path, "a.txt", "one\ntwo\n");
    let head = w.commit(&tree).await.unwrap();
    for (key, value) in [("filter.x.smudge", trap.as_str()), ("core.fsmonitor", &trap), ("core.sshCommand", &trap)] {
        plain_git(&tree.path, &["config", key, value]).status().unwrap();
    }
    for hook in ["post-checkout", "reference-transaction", "post-index-change"] {
        write(&w.mirror(), &format!("hooks/{hook}"), &format!("#!/bin/sh\n{trap}\n"));
        std::fs::set_permissions(w.mirror().join("hooks").join(hook), PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::remove_file(&mark).ok();
    let site = Site { w, tree, tenant: None };
    let checkout = site.check_out(&head, &[]).await;
    assert!(!mark.exists());
    assert_eq!(contents(&checkout.path)["a.txt"], "fone\r\ntwo\r\n", "the commit's own attributes do count");
}

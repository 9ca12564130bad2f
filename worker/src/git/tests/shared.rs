//! What an agent of our own user may plant where all tasks of a mirror look. Its neighbour's work arrives as it was
//! written, in time, and what was planted is gone before the next agent begins.

use super::world::{REPO, World, git, plain_git, write};
use crate::git::{GitSettings, Repos, Worktree};
use crate::untrusted::tests::{KINDS, plant};
use std::time::Duration;

/// A call that waits for something that never comes fails the test by this, and the test says where.
const LIMIT: Duration = Duration::from_secs(20);
/// Every attribute and every line's end would change this.
const TEXT: &str = "one\r\ntwo\n$Id$\nthree \u{e4}\n";

async fn world() -> (World, Worktree) {
    let mut w = World::new();
    let settings = GitSettings { local_timeout: LIMIT, network_timeout: LIMIT, ..GitSettings::default() };
    w.repos = Repos::open(&w.dir.path().join("repos"), settings).unwrap();
    let tree = w.worktree("ET-1").await;
    w.again("ET-2").await;
    write(&tree.path, "first.txt", "x");
    w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    (w, tree)
}

/// A file of the neighbour's goes all the way to the forge, and another agent begins.
async fn publishes_unharmed(w: &World, tree: &Worktree, n: usize, what: &str) {
    let before = w.on_forge("refs/heads/feature/ET-1");
    let name = format!("new-{n}.txt");
    write(&tree.path, &name, TEXT);
    let commit = w.repos.commit_all(tree, "work", &super::world::agent(), &w.cancel).await;
    let head = commit.unwrap_or_else(|e| panic!("{what}: {e}")).unwrap_or_else(|| panic!("{what}: nothing to commit"));
    let pushed = w.repos.push(tree, &w.remote, &w.cancel).await;
    assert_eq!(pushed.unwrap_or_else(|e| panic!("{what}: {e}")).head, head, "{what}");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let on_forge = plain_git(&w.forge(), &["cat-file", "blob", &format!("feature/ET-1:{name}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&on_forge.stdout), TEXT, "{what}");
    assert_eq!(w.on_forge("refs/heads/feature/ET-1^"), before, "{what}: the history");
    let again = w.repos.ensure_worktree(REPO, "ET-1", "feature/ET-1", "main", &w.cancel).await;
    assert_eq!(again.unwrap_or_else(|e| panic!("{what}: {e}")).head, head, "{what}");
    // As the next agent sees it.
    assert_eq!(git(&tree.path, &["status", "--porcelain"]), "", "{what}");
    assert_eq!(git(&tree.path, &["rev-parse", "HEAD"]), head.as_str(), "{what}");
    let others = git(&tree.path, &["rev-list", "--count", "HEAD"]);
    assert_eq!(others, git(&w.forge(), &["rev-list", "--count", "feature/ET-1"]), "{what}: the history an agent sees");
}

#[tokio::test]
async fn what_tasks_share_is_put_back_before_it_harms_a_neighbour() {
    let (w, tree) = world().await;
    let head = w.on_forge("refs/heads/feature/ET-1");
    let root = w.on_forge("refs/heads/main");
    let evil = "* text eol=crlf ident working-tree-encoding=UTF-16 filter=evil merge=evil\n";
    let planted: &[(&str, String)] = &[
        ("info/exclude", "*\n".into()),
        ("info/attributes", evil.into()),
        ("info/grafts", format!("{head}\n")),
        ("info/sparse-checkout", "/nothing\n".into()),
        ("shallow", format!("{head}\n")),
        ("objects/info/alternates", "/nowhere\n".into()),
        ("objects/info/http-alternates", "http://127.0.0.1:1/\n".into()),
        ("objects/info/commit-graph", "rubbish".into()),
        ("objects/info/commit-graphs/commit-graph-chain", "rubbish".into()),
        ("objects/pack/multi-pack-index", "rubbish".into()),
        ("config", "[core]\n\texcludesFile = /dev/stdin\n\tautocrlf = true\n\tsparseCheckout = true\n".into()),
        ("config.worktree", "[core]\n\tautocrlf = true\n".into()),
        ("worktrees/ET-1/config.worktree", "[core]\n\tautocrlf = true\n".into()),
        ("HEAD", "ref: refs/heads/feature/ET-1\n".into()),
        ("HEAD", "rubbish".into()),
        ("commondir", "../elsewhere\n".into()),
        ("worktrees/ET-1/commondir", "/nowhere\n".into()),
        ("hooks/pre-commit", "#!/bin/sh\nexit 1\n".into()),
        ("branches/origin", "file:///nowhere#x\n".into()),
        ("remotes/origin", "URL: file:///nowhere\n".into()),
        ("rr-cache/0123456789012345678901234567890123456789/preimage", "x".into()),
        ("packed-refs", format!("# pack-refs with: peeled fully-peeled sorted \nrubbish\n{root} refs/tags/v1\n")),
        ("packed-refs", format!("{root} refs/replace/{head}\n")),
        (&format!("refs/replace/{head}"), format!("{root}\n")),
    ];
    for (n, (file, text)) in planted.iter().enumerate() {
        write(&w.mirror(), file, text);
        publishes_unharmed(&w, &tree, n, &format!("{file}: {text:?}")).await;
        let now = std::fs::read_to_string(w.mirror().join(file));
        assert!(now.is_err() || now.is_ok_and(|now| now != *text), "{file} is still there");
    }
}

#[tokio::test]
async fn nothing_in_the_place_of_a_file_stops_a_neighbour() {
    let (w, tree) = world().await;
    let mirror = w.mirror();
    let often = ["config", "HEAD", "packed-refs", "worktrees/ET-1/HEAD", "worktrees/ET-1/index"];
    let all = often.iter().flat_map(|file| KINDS.map(|kind| (*file, kind)));
    let others = [
        "commondir",
        "FETCH_HEAD",
        "gc.pid",
        "shallow",
        "hooks",
        "info",
        "info/exclude",
        "info/attributes",
        "logs",
        "logs/refs/heads/feature/ET-1",
        "objects/info",
        "objects/info/alternates",
        "refs/heads/feature/ET-3",
        "refs/remotes/origin/other",
        "refs/orch/synced/ET-1",
        "refs/orch/preserved/ET-1",
        "worktrees/ET-1/commondir",
        "worktrees/ET-1/gitdir",
        "worktrees/ET-1/config.worktree",
        "worktrees/ET-1/logs/HEAD",
        "worktrees/ET-1/ORIG_HEAD",
        "worktrees/ET-1/orch-ready",
        "worktrees/ET-1/orch-changing",
        "worktrees/ET-1/index.lock",
        "worktrees/ET-1/HEAD.lock",
        "worktrees/ET-2/HEAD",
        "../lock",
        "../work/ET-1/.gitattributes",
        "../work/ET-1/deep/er/.gitignore",
        "../work/ET-1/.gitmodules",
    ];
    let rest = others.iter().map(|file| (*file, "pipe"));
    let folders = ["config.worktree", "commondir", "worktrees/ET-1/commondir", "worktrees/ET-1/index.lock", "../lock"];
    let folders = folders.iter().map(|file| (*file, "folder"));
    for (n, (file, kind)) in all.chain(rest).chain(folders).enumerate() {
        plant(&mirror.join(file), kind);
        publishes_unharmed(&w, &tree, n, &format!("{kind} as {file}")).await;
    }
}

/// What is in the folder stays there, to be committed; the task's branch is known without HEAD.
#[tokio::test]
async fn a_worktree_whose_way_to_its_branch_was_taken_keeps_its_work() {
    for (n, (file, kind)) in
        ["HEAD", "gitdir"].iter().flat_map(|f| ["pipe", "gone", "rubbish"].map(|k| (*f, k))).enumerate()
    {
        let (w, tree) = world().await;
        write(&tree.path, "loose.txt", "uncommitted");
        let path = w.mirror().join("worktrees/ET-1").join(file);
        match kind {
            "gone" => std::fs::remove_file(&path).unwrap(),
            "rubbish" => std::fs::write(&path, "\0\0").unwrap(),
            pipe => plant(&path, pipe),
        }
        let again = w.again("ET-1").await;
        assert!(again.path.join("loose.txt").exists(), "{kind} as {file}");
        publishes_unharmed(&w, &again, n, &format!("{kind} as {file}")).await;
        assert_eq!(git(&w.forge(), &["show", "feature/ET-1:loose.txt"]), "uncommitted", "{kind} as {file}");
    }
}

/// Planted after the look, in the middle of a call: that call is let go long before its limit, and the next one works.
#[tokio::test]
async fn a_call_that_waits_for_a_planted_pipe_is_let_go() {
    let mut w = World::new();
    let tree = w.worktree("ET-1").await;
    // A git that is slow to begin: time to plant something.
    let (program, pipe) = (w.dir.path().join("slow-git"), w.mirror().join("HEAD"));
    let text = format!(
        "#!/bin/sh\nif [ -e '{0}/slow' ]; then rm '{0}/slow' '{1}'; mkfifo '{1}'; fi\nexec git \"$@\"\n",
        w.dir.path().display(),
        pipe.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    w.repos = Repos::open(&w.dir.path().join("repos"), GitSettings { program, ..GitSettings::default() }).unwrap();
    std::fs::write(w.dir.path().join("slow"), "").unwrap();
    let began = std::time::Instant::now();
    let _let_go = w.repos.is_dirty(&tree, &w.cancel).await;
    let _read = w.repos.fetch(REPO, &w.remote, &w.cancel).await;
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert!(!w.dir.path().join("slow").exists(), "the pipe was planted");
    write(&tree.path, "after.txt", TEXT);
    w.commit(&tree).await.unwrap();
}

//! What becomes a commit is what lies in the folder, whatever the agent's index says and whatever lies there.

use super::world::{REPO, World, git, plain_git, write};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

fn shell(dir: &Path, line: &str) {
    let mut done = Command::new("sh");
    done.args(["-ec", line]).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        done.env(format!("GIT_{who}_NAME"), "Agent").env(format!("GIT_{who}_EMAIL"), "agent@example.org");
    }
    let output = done.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn names(w: &World, head: &str) -> Vec<String> {
    git(&w.mirror(), &["ls-tree", "-r", "--name-only", head]).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn no_flag_of_the_agents_index_hides_a_change() {
    for (what, line) in [
        ("skip-worktree", "git update-index --skip-worktree README.md; echo changed > README.md"),
        ("assume-unchanged", "git update-index --assume-unchanged README.md; echo changed > README.md"),
        (
            "both, and a lock",
            "git update-index --skip-worktree --assume-unchanged README.md; echo changed > README.md; \
          touch \"$(git rev-parse --git-dir)/index.lock\"",
        ),
        ("staged, then changed", "echo staged > README.md; git add README.md; echo changed > README.md"),
        ("sparse checkout", "git sparse-checkout set --no-cone '/*' '!/README.md'; echo changed > README.md"),
        (
            "split index",
            "git update-index --split-index; git update-index --skip-worktree README.md; echo changed > README.md",
        ),
        (
            "fsmonitor",
            "git config core.fsmonitor true; git update-index --fsmonitor-valid README.md || true; echo changed > README.md",
        ),
        ("a damaged index", "echo changed > README.md; echo DIRC > \"$(git rev-parse --git-dir)/index\""),
        ("staged as deleted", "echo changed > README.md; git rm -q --cached README.md"),
    ] {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        shell(&tree.path, line);
        let head = w.commit(&tree).await.unwrap_or_else(|| panic!("{what}: nothing was committed"));
        assert_eq!(git(&w.mirror(), &["show", &format!("{head}:README.md")]), "changed", "{what}");
        assert_eq!(git(&tree.path, &["status", "--porcelain"]), "", "{what}: the agent's index is new");
        assert!(git(&tree.path, &["ls-files", "-v"]).starts_with("H "), "{what}");
    }
}

#[tokio::test]
async fn an_intent_to_add_is_added_and_flags_without_a_change_are_gone_too() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    shell(&tree.path, "echo new > new.txt; git add -N new.txt");
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(git(&w.mirror(), &["show", &format!("{head}:new.txt")]), "new");
    shell(&tree.path, "git update-index --skip-worktree README.md");
    assert_eq!(w.commit(&tree).await, None);
    assert!(git(&tree.path, &["ls-files", "-v", "README.md"]).starts_with("H "));
}

#[tokio::test]
async fn nested_repositories_become_files_however_they_came() {
    let inner =
        "git init -q; echo a > a.txt; echo x > .gitignore; echo x > x; mkdir -p node_modules; echo m > node_modules/m";
    for (what, line) in [
        ("never committed", format!("mkdir app; cd app; {inner}")),
        ("with a commit", format!("mkdir app; cd app; {inner}; git add .; git commit -qm first")),
        (
            "as a pointer",
            format!("mkdir app; (cd app; {inner}; git add .; git commit -qm first); git add app; git commit -qm app"),
        ),
        (
            "as a pointer, then changed",
            format!(
                "mkdir app; (cd app; {inner}; echo b > a.txt; git add .; git commit -qm first; \
          echo a > a.txt); git add app; git commit -qm app"
            ),
        ),
    ] {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        shell(&tree.path, &format!("echo node_modules/ > .gitignore; git add .; git commit -qm ignore; {line}"));
        let head = w.commit(&tree).await.unwrap();
        assert_eq!(names(&w, head.as_str()), [".gitignore", "README.md", "app/.gitignore", "app/a.txt"], "{what}");
        assert_eq!(git(&w.mirror(), &["show", &format!("{head}:app/a.txt")]), "a", "{what}");
        assert!(tree.path.join("app/.git").is_dir(), "{what}: its history is still there");
        assert_eq!(w.commit(&tree).await, None, "{what}");
        write(&tree.path, "app/more.txt", "more");
        let head = w.commit(&tree).await.unwrap();
        assert!(names(&w, head.as_str()).contains(&"app/more.txt".to_owned()), "{what}: also in the next round");
    }
}

#[tokio::test]
async fn repositories_in_nested_repositories_and_bare_ones_are_files_too() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    shell(&tree.path, "mkdir -p a/b; cd a; git init -q; echo 1 > one; cd b; git init -q; echo 2 > two");
    shell(&tree.path, "mkdir -p \"$(printf 'odd\\n*')/c\"; cd \"$(printf 'odd\\n*')/c\"; git init -q; echo 3 > three");
    shell(&tree.path, "git init -q --bare bare.git; git init -q empty");
    let head = w.commit(&tree).await.unwrap();
    let files = git(&w.mirror(), &["ls-tree", "-r", "-z", "--name-only", head.as_str()]);
    let files: Vec<&str> = files.split('\0').filter(|name| !name.is_empty()).collect();
    for wanted in ["a/one", "a/b/two", "odd\n*/c/three", "bare.git/HEAD"] {
        assert!(files.contains(&wanted), "{wanted}: {files:?}");
    }
    assert!(!files.iter().any(|name| name.split('/').any(|part| part == ".git")));
    assert_eq!(w.commit(&tree).await, None);
}

#[tokio::test]
async fn a_submodule_that_was_added_properly_is_a_pointer_and_one_without_files_stays_one() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    git(w.dir.path(), &["init", "-q", "lib"]);
    shell(&w.dir.path().join("lib"), "echo l > l.txt; git add .; git commit -qm lib");
    let lib = w.dir.path().join("lib");
    shell(&tree.path, &format!("git -c protocol.file.allow=always submodule --quiet add {} libs/l", lib.display()));
    let gone = git(&tree.path, &["rev-parse", "HEAD"]);
    shell(
        &tree.path,
        &format!("git update-index --add --cacheinfo 160000,{gone},hollow; mkdir hollow; git commit -qm hollow"),
    );
    let head = w.commit(&tree).await.unwrap_or(w.head(&tree).await);
    let listed = git(&w.mirror(), &["ls-tree", "-r", head.as_str()]);
    let pointers: Vec<&str> = listed.lines().filter(|l| l.starts_with("160000")).collect();
    assert_eq!(pointers.len(), 2, "{listed}");
    assert!(listed.contains(".gitmodules"));
}

#[tokio::test]
async fn artifacts_are_taken_although_the_repository_ignores_their_folder() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, ".gitignore", "docs/\n*.log\n");
    write(&tree.path, "docs/work-items/ET-1/01-brd.md", "# brd\n");
    write(&tree.path, "docs/work-items/ET-2/01-brd.md", "another task's\n");
    write(&tree.path, "docs/private.md", "ignored\n");
    write(&tree.path, "a.log", "ignored\n");
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(names(&w, head.as_str()), [".gitignore", "README.md", "docs/work-items/ET-1/01-brd.md"]);
    std::fs::remove_file(tree.path.join("docs/work-items/ET-1/01-brd.md")).unwrap();
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(names(&w, head.as_str()), [".gitignore", "README.md"], "what is removed is removed");
    // A link in the place of the folder is not followed.
    std::fs::remove_dir_all(tree.path.join("docs/work-items")).unwrap();
    std::os::unix::fs::symlink("/etc", tree.path.join("docs/work-items")).unwrap();
    assert_eq!(w.commit(&tree).await, None);
}

#[tokio::test]
async fn what_is_no_file_is_left_out_and_blocks_nothing() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "swapped", "file");
    write(&tree.path, "folder/inside", "1");
    w.commit(&tree).await.unwrap();
    shell(
        &tree.path,
        "mkfifo pipe; rm README.md; mkfifo README.md; rm swapped; mkdir swapped; echo 1 > swapped/in; \
        rm -r folder; echo now a file > folder; ln -s /etc/passwd link",
    );
    let _socket = UnixListener::bind(tree.path.join("socket")).unwrap();
    std::fs::write(tree.path.join(OsStr::from_bytes(b"\xff\n\"")), "odd").unwrap();
    let head = w.commit(&tree).await.unwrap();
    let listed = git(&w.mirror(), &["ls-tree", "-r", "--name-only", head.as_str()]);
    let listed: Vec<&str> = listed.lines().collect();
    assert_eq!(listed, ["README.md", "folder", "link", "swapped/in", "\"\\377\\n\\\"\""]);
    assert_eq!(git(&w.mirror(), &["show", &format!("{head}:README.md")]), "hello", "as it was");
    assert_eq!(git(&w.mirror(), &["show", &format!("{head}:link")]), "/etc/passwd", "the link itself");
}

#[tokio::test]
async fn a_worktree_of_the_agents_own_inside_the_folder_is_no_part_of_the_commit() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    shell(&tree.path, "git worktree add -q .worktrees/x -b x; echo x > .worktrees/x/x.txt; echo y > y.txt");
    let head = w.commit(&tree).await.unwrap();
    assert_eq!(names(&w, head.as_str()), ["README.md", "y.txt"]);
    assert!(
        !plain_git(&w.mirror(), &["rev-parse", "--verify", "refs/heads/nothing"]).output().unwrap().status.success()
    );
    assert_eq!(w.repos.fetch(REPO, &w.remote, &w.cancel).await.map_err(|e| e.to_string()), Ok(()));
}

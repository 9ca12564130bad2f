//! Git's calls with an attendant.

use super::support::*;
use orch_testkit::git;
use orch_worker::git::{GitError, GitSettings, Remote, Repos};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

fn forge(folder: &Path) -> Remote {
    git(folder, &["init", "--quiet", "-b", "main", "forge"]);
    git(&folder.join("forge"), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    Remote::new(&format!("file://{}", folder.join("forge").display()), None).unwrap()
}

/// A git that is run as told, but once its verb is `hang` leaves a daemon and never ends.
fn hanging(folder: &Path, verb: &str) -> PathBuf {
    let program = folder.join("git");
    let text = format!(
        "#!/bin/sh\nfor word in \"$@\"; do if [ \"$word\" = {verb} ] && [ -e '{0}/hang' ]; then cd '{0}'; echo $$ > call; \
         {LEAVES_A_DAEMON}; sleep 1000; fi; done\nexec git \"$@\"\n",
        folder.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    program
}

#[tokio::test]
async fn every_kind_of_call_works_with_an_attendant() {
    let dir = tempfile::tempdir().unwrap();
    let remote = forge(dir.path());
    let settings = GitSettings { attendant: Some(attendant()), ..GitSettings::default() };
    let repos = Repos::open(&dir.path().join("repos"), settings).unwrap();
    let cancel = CancellationToken::new();
    repos.ensure_mirror("team/app", &remote, &cancel).await.unwrap();
    let tree = repos.ensure_worktree("team/app", "ET-1", "feature/ET-1", "main", &cancel).await.unwrap();
    std::fs::write(tree.path.join("file"), "text").unwrap();
    let author = orch_worker::git::Identity { name: "A".into(), email: "a@example.org".into() };
    // Input through a pipe, a lock as input, answers, exit codes that are answers.
    let head = repos.commit_all(&tree, "by an agent", &author, &cancel).await.unwrap().unwrap();
    assert_eq!(repos.push(&tree, &remote, &cancel).await.unwrap().head, head);
    assert_eq!(repos.commit_all(&tree, "nothing", &author, &cancel).await.unwrap(), None);
    repos.fetch("team/app", &remote, &cancel).await.unwrap();
    let missing = repos.ensure_worktree("team/app", "ET-2", "feature/ET-2", "no-such-branch", &cancel).await;
    assert!(matches!(missing, Err(GitError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_call_that_hangs_ends_whole_at_its_limit_and_when_nobody_waits_for_it() {
    for dropped in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let remote = forge(dir.path());
        let program = hanging(dir.path(), "fetch");
        let limit = Duration::from_secs(if dropped { 600 } else { 5 });
        let settings =
            GitSettings { program, attendant: Some(attendant()), network_timeout: limit, ..GitSettings::default() };
        let repos = Repos::open(&dir.path().join("repos"), settings).unwrap();
        let cancel = CancellationToken::new();
        repos.ensure_mirror("team/app", &remote, &cancel).await.unwrap();
        std::fs::write(dir.path().join("hang"), "").unwrap();
        let fetch = repos.fetch("team/app", &remote, &cancel);
        let folder = dir.path().to_owned();
        let seen = tokio::task::spawn_blocking(move || ["call", "daemon"].map(|name| process(&folder, name)));
        let all = if dropped {
            tokio::select! { all = seen => all.unwrap(), end = fetch => panic!("{end:?}") }
        } else {
            let (end, all) = tokio::join!(fetch, seen);
            assert!(matches!(end, Err(GitError::Timeout { .. })), "{end:?}");
            all.unwrap()
        };
        all.iter().for_each(assert_gone);
    }
}

/// What an attendant adds to a call. Printed for people; the bound is a loaded machine's and a debug build's.
#[tokio::test]
async fn an_attendant_costs_a_call_little() {
    let median = |mut command: Command| {
        let mut times: Vec<Duration> = (0..31)
            .map(|_| {
                let began = Instant::now();
                assert!(command.output().unwrap().status.success());
                began.elapsed()
            })
            .collect();
        times.sort();
        times[15]
    };
    let mut alone = Command::new("git");
    alone.arg("--version");
    let mut attended = Command::new(WORKER);
    attended.args(["attend", "--parent", &std::process::id().to_string(), "--", "git", "--version"]);
    let (alone, attended) = (median(alone), median(attended));
    println!("git --version: {alone:?} alone, {attended:?} attended");
    assert!(attended < alone + Duration::from_millis(100));
}

use super::world::{REPO, World, git, write};
use crate::git::call::Call;
use crate::git::{AuthHeader, GitError, GitSettings, Remote, Repos};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_mirror_holds_the_forges_branches_and_follows_them() {
    let w = World::new();
    w.repos.ensure_mirror(REPO, &w.remote, &w.cancel).await.unwrap();
    let main = w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap();
    assert_eq!(main.as_str(), w.on_forge("refs/heads/main"));
    w.person(&["push", "--quiet", "origin", "main:other"]);
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    assert!(w.repos.forge_head(REPO, "other", &w.cancel).await.unwrap().is_some());
    w.person(&["push", "--quiet", "origin", ":other", "main:other/deeper"]);
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    assert!(w.repos.forge_head(REPO, "other", &w.cancel).await.unwrap().is_none(), "pruned");
    assert!(w.repos.forge_head(REPO, "other/deeper", &w.cancel).await.unwrap().is_some());
    assert_eq!(git(&w.mirror(), &["for-each-ref", "refs/heads"]), "", "the forge's branches are not ours");
}

#[tokio::test]
async fn an_empty_forge_and_a_missing_one() {
    let w = World::new();
    git(w.dir.path(), &["init", "--quiet", "--bare", "empty.git"]);
    let at = |name: &str| Remote::new(&format!("file://{}/{name}", w.dir.path().display()), None).unwrap();
    w.repos.ensure_mirror("team/empty", &at("empty.git"), &w.cancel).await.unwrap();
    let none = w.repos.ensure_worktree("team/empty", "A-1", "feature/a", "main", &w.cancel).await;
    assert!(matches!(none, Err(GitError::NotFound { .. })), "{none:?}");
    let missing = w.repos.ensure_mirror("team/none", &at("none.git"), &w.cancel).await.unwrap_err();
    assert!(matches!(missing, GitError::NotFound { .. }) && missing.is_infra(), "{missing:?}");
    let left: Vec<_> = std::fs::read_dir(w.dir.path().join("repos/team/none")).unwrap().collect();
    assert!(!left.iter().any(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("new-")), "{left:?}");
}

#[tokio::test]
async fn sha256_repositories_work_too() {
    let w = World::new();
    git(w.dir.path(), &["init", "--quiet", "--bare", "-b", "main", "--object-format=sha256", "forge256.git"]);
    git(w.dir.path(), &["init", "--quiet", "-b", "main", "--object-format=sha256", "person256"]);
    let person = w.dir.path().join("person256");
    git(&person, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
    git(&person, &["push", "--quiet", "../forge256.git", "main"]);
    let remote = Remote::new(&format!("file://{}/forge256.git", w.dir.path().display()), None).unwrap();
    w.repos.ensure_mirror("team/long", &remote, &w.cancel).await.unwrap();
    let tree = w.repos.ensure_worktree("team/long", "A-1", "feature/a", "main", &w.cancel).await.unwrap();
    assert_eq!(tree.head.as_str().len(), 64);
    write(&tree.path, "a", "b");
    assert!(w.commit(&tree).await.is_some());
    assert!(w.repos.push(&tree, &remote, &w.cancel).await.unwrap().changed);
}

#[tokio::test]
async fn a_half_made_mirror_is_finished_and_its_remains_removed() {
    let w = World::new();
    let home = w.dir.path().join("repos/team/app");
    // What a kill in the middle of the first clone leaves, and one in the middle of the second move.
    write(&home, "mirror.git.new-dead/objects/pack/tmp_pack_x", "half a pack");
    write(&home, "mirror.git/config", "[core]\n");
    w.repos.ensure_mirror(REPO, &w.remote, &w.cancel).await.unwrap();
    assert!(w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().is_some());
    assert!(!home.join("mirror.git.new-dead").exists());
}

#[tokio::test]
async fn a_damaged_mirror_is_rebuilt_and_unpublished_commits_carried_over() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "new.txt", "unpublished");
    let ours = w.commit(&tree).await.unwrap();
    write(&tree.path, "dirty.txt", "not even committed");
    // The forge's objects are gone, ours are still there.
    let main = w.on_forge("refs/heads/main");
    let other = git(&w.person_dir(), &["commit-tree", "-m", "gone", "HEAD^{tree}"]);
    w.person(&["push", "--quiet", "origin", &format!("{other}:refs/heads/gone")]);
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    for pack in std::fs::read_dir(w.mirror().join("objects/pack")).unwrap() {
        std::fs::remove_file(pack.unwrap().path()).ok();
    }
    std::fs::remove_file(w.mirror().join("objects").join(&other[..2]).join(&other[2..])).ok();
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    assert_eq!(w.repos.forge_head(REPO, "gone", &w.cancel).await.unwrap().unwrap().as_str(), other);
    assert_eq!(w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap().as_str(), main);
    let again = w.again("ET-1").await;
    assert_eq!(again.head, ours, "the commit only we had");
    let saved = git(&w.mirror(), &["show", "refs/orch/preserved/ET-1/1^{commit}:dirty.txt"]);
    assert_eq!(saved, "not even committed");
    assert!(!w.home().join("mirror.git.damaged").exists(), "everything was saved, so it is gone");
}

#[tokio::test]
async fn an_object_that_is_lost_inside_a_history_comes_again_from_the_forge() {
    let w = World::new();
    w.person_pushes("main", "old.txt", "an old version\n");
    let lost = git(&w.person_dir(), &["rev-parse", "HEAD:old.txt"]);
    w.person_pushes("main", "old.txt", "a new version\n");
    let tree = w.worktree("ET-1").await;
    // One object of many: all refs can be read.
    for pack in std::fs::read_dir(w.mirror().join("objects/pack")).unwrap().map(|entry| entry.unwrap().path()) {
        if pack.extension().is_some_and(|end| end == "pack") {
            let kept = w.dir.path().join("kept.pack");
            std::fs::rename(&pack, &kept).unwrap();
            std::fs::remove_file(pack.with_extension("idx")).unwrap();
            let unpack = std::process::Command::new("git")
                .args(["unpack-objects", "-q"])
                .current_dir(w.mirror())
                .stdin(std::fs::File::open(&kept).unwrap())
                .status();
            assert!(unpack.unwrap().success());
        }
    }
    std::fs::remove_file(w.mirror().join("objects").join(&lost[..2]).join(&lost[2..])).unwrap();
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let call = || Call::bare(&tree.mirror).args(["cat-file", "blob", &lost]);
    let missed = w.repos.git(&tree.mirror, call(), &w.cancel).await.unwrap_err();
    assert!(matches!(missed, GitError::Corrupt { .. }), "{missed:?}");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let found = w.repos.git(&tree.mirror, call(), &w.cancel).await.unwrap();
    assert_eq!(found.stdout, b"an old version\n");
}

#[tokio::test]
async fn an_empty_ref_left_by_a_power_cut_heals() {
    let w = World::new();
    w.worktree("ET-1").await;
    std::fs::write(w.mirror().join("refs/remotes/origin/main"), "").unwrap();
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    assert!(w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().is_some());
}

#[tokio::test]
async fn a_lock_without_a_living_owner_is_removed_and_a_fresh_one_respected() {
    let w = World::new();
    let tree = w.worktree("ET-1").await;
    let lock = w.mirror().join("refs/remotes/origin/main.lock");
    let aged = |seconds| {
        let at = SystemTime::now() - Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&lock).unwrap().set_modified(at).unwrap();
    };
    w.person_pushes("main", "a", "1");
    std::fs::write(&lock, "").unwrap();
    // As if it were made this very moment, however long the machine takes.
    std::fs::File::options()
        .write(true)
        .open(&lock)
        .unwrap()
        .set_modified(SystemTime::now() + Duration::from_secs(60))
        .unwrap();
    let busy = w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap_err();
    assert!(busy.is_infra() && lock.exists(), "{busy:?}");

    // An agent's git is at work: the lock may be its own.
    aged(30);
    let mut agents = std::process::Command::new("git")
        .args(["cat-file", "--batch"])
        .current_dir(&tree.path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let busy = w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap_err();
    assert!(busy.is_infra() && lock.exists(), "{busy:?}");
    // Not after so long a time.
    aged(3600);
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let main = w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap();
    assert_eq!(main.as_str(), w.on_forge("refs/heads/main"));
    agents.kill().unwrap();
    agents.wait().unwrap();

    // Nobody is: left by a power cut, whatever they lock.
    for name in ["refs/remotes/origin/main", "packed-refs", "shallow", "config", "refs/heads/elsewhere"] {
        let lock = w.mirror().join(format!("{name}.lock"));
        std::fs::write(&lock, "").unwrap();
        let at = SystemTime::now() - Duration::from_secs(30);
        std::fs::File::options().write(true).open(&lock).unwrap().set_modified(at).unwrap();
    }
    // A folder in the place of one is nobody's, at any age.
    write(&w.mirror(), "refs/remotes/origin/other.lock/x", "");
    w.person_pushes("main", "b", "2");
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    let main = w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap();
    assert_eq!(main.as_str(), w.on_forge("refs/heads/main"));
    let left = |name: &str| w.mirror().join(format!("{name}.lock")).symlink_metadata().is_ok();
    let all = [
        "refs/remotes/origin/main",
        "packed-refs",
        "shallow",
        "config",
        "refs/heads/elsewhere",
        "refs/remotes/origin/other",
    ];
    assert_eq!(all.into_iter().filter(|name| left(name)).collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test]
async fn the_credential_goes_to_the_forge_in_a_header_and_a_refusal_is_typed() {
    let w = World::new();
    for (status, is) in [
        ("401 Unauthorized", (|e| matches!(e, GitError::AuthFailed { .. })) as fn(&GitError) -> bool),
        ("403 Forbidden", |e| matches!(e, GitError::AuthFailed { .. })),
        ("404 Not Found", |e| matches!(e, GitError::NotFound { .. })),
        ("503 Service Unavailable", |e| matches!(e, GitError::Unavailable { .. })),
        // Followed, it would carry the credential to wherever it points.
        ("302 Found\r\nLocation: http://127.0.0.1:1/x/info/refs?service=git-upload-pack", |e| e.is_infra()),
    ] {
        let (url, request) = answer_once(status);
        let forge = url.strip_suffix("/team/web.git").unwrap().parse().unwrap();
        let remote = Remote::new(&url, Some(AuthHeader::token("s3cret", &forge).unwrap())).unwrap();
        let err = w.repos.ensure_mirror("team/web", &remote, &w.cancel).await.unwrap_err();
        assert!(is(&err), "{status}: {err:?}");
        assert!(!format!("{err:?} {err}").contains("s3cret"));
        let request = request.join().unwrap().to_lowercase();
        assert!(request.contains("authorization: token s3cret"), "{request}");
    }
}

/// A server that reads one request, gives one answer and is gone.
fn answer_once(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/team/web.git", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request).into_owned()
    });
    (url, server)
}

#[tokio::test]
async fn an_unreachable_forge_a_silent_one_and_a_cancelled_call() {
    let w = World::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let remote = Remote::new(&format!("http://{gone}/a/b.git"), None).unwrap();
    let err = w.repos.ensure_mirror("team/x", &remote, &w.cancel).await.unwrap_err();
    assert!(matches!(err, GitError::Unavailable { .. }), "{err:?}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = Remote::new(&format!("http://{}/a/b.git", silent.local_addr().unwrap()), None).unwrap();
    let settings = GitSettings { network_timeout: Duration::from_millis(300), ..GitSettings::default() };
    let hasty = Repos::open(&w.dir.path().join("hasty"), settings).unwrap();
    let err = hasty.ensure_mirror("team/x", &remote, &w.cancel).await.unwrap_err();
    assert!(matches!(err, GitError::Timeout { .. }) && err.is_infra(), "{err:?}");

    let cancel = CancellationToken::new();
    // The first call was the hasty one's; this accept is the cancelled one's connection.
    drop(silent.accept().unwrap());
    let call = w.repos.ensure_mirror("team/x", &remote, &cancel);
    let connected = tokio::task::spawn_blocking(move || silent.accept().unwrap());
    let (err, _connection) = tokio::join!(call, async {
        let connection = connected.await.unwrap();
        cancel.cancel();
        connection
    });
    assert!(matches!(err, Err(GitError::Cancelled)), "{err:?}");
    w.repos.ensure_mirror("team/x", &w.remote, &w.cancel).await.unwrap();
}

#[tokio::test]
async fn two_installations_on_one_folder_build_one_mirror() {
    let w = World::new();
    let other = Repos::open(&w.dir.path().join("repos"), GitSettings::default()).unwrap();
    let (a, b, c) = tokio::join!(
        w.repos.ensure_mirror(REPO, &w.remote, &w.cancel),
        other.ensure_mirror(REPO, &w.remote, &w.cancel),
        w.repos.fetch(REPO, &w.remote, &w.cancel),
    );
    a.and(b).and(c).unwrap();
    assert!(!w.home().join("mirror.git.damaged").exists());
    assert!(w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().is_some());
}

//! When the start of an agent may do without a look at the forge, and what it calls then: nothing.

use super::world::{REPO, World, git, write};
use crate::git::{GitError, GitSettings, Repos, Worktree};
use orch_common::store::heard::Heard;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const KEY: &str = "ET-1";
const BRANCH: &str = "feature/ET-1";

/// A world whose git notes every call.
struct Counted {
    w: World,
    calls: PathBuf,
}

impl Counted {
    fn new() -> Counted {
        let mut w = World::new();
        let (program, calls) = (w.dir.path().join("noting-git"), w.dir.path().join("calls"));
        let verbs = "clone|fetch|push|rev-parse|cat-file|for-each-ref|ls-files|symbolic-ref|update-ref|reset|worktree";
        let script = format!(
            "#!/bin/sh\nfor a in \"$@\"; do case \"$a\" in {verbs}) echo \"$a\" >> {}; break;; esac; done\nexec git \"$@\"\n",
            calls.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = GitSettings { program, ..GitSettings::default() };
        w.repos = Repos::open(&w.dir.path().join("repos"), settings).unwrap();
        Counted { w, calls }
    }

    /// The calls since this was asked last.
    fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.calls).unwrap_or_default();
        std::fs::remove_file(&self.calls).ok();
        text.lines().map(str::to_owned).collect()
    }

    async fn fetched(&self, heard: Option<&[Heard]>) -> Result<bool, GitError> {
        self.w.repos.fetch_unless_fresh((REPO, KEY, BRANCH, "main"), heard, None, &self.w.remote, &self.w.cancel).await
    }

    /// All of git that the start of an agent takes.
    async fn start(&self, heard: Option<&[Heard]>) -> (bool, Worktree) {
        let fetched = self.fetched(heard).await.unwrap();
        let tree = self.w.again(KEY).await;
        self.w.repos.join_fetched(&tree, &self.w.cancel).await.unwrap();
        (fetched, tree)
    }
}

fn heard(branch: &str, head: Option<&str>) -> Heard {
    Heard { branch: branch.into(), head: head.map(|head| head.parse().unwrap()) }
}

/// Looks at many tasks of one repository come at once, and its lock lets one fetch at a time.
#[tokio::test]
async fn who_waited_for_a_fetch_that_began_after_he_came_needs_none_of_his_own() {
    let c = Counted::new();
    c.w.repos.ensure_mirror(REPO, &c.w.remote, &c.w.cancel).await.unwrap();
    c.calls();
    let fetch = || c.w.repos.fetch(REPO, &c.w.remote, &c.w.cancel);
    let all = tokio::join!(fetch(), fetch(), fetch(), fetch(), fetch());
    assert!([all.0, all.1, all.2, all.3, all.4].into_iter().all(|one| one.is_ok()));
    let fetches = |calls: Vec<String>| calls.iter().filter(|call| *call == "fetch").count();
    assert!((1..=2).contains(&fetches(c.calls())), "five were asked for");
    c.w.person_pushes("main", "new.txt", "new");
    fetch().await.unwrap();
    assert_eq!(fetches(c.calls()), 1, "who comes later fetches");
    let seen = git(&c.w.mirror(), &["rev-parse", "refs/remotes/origin/main"]);
    assert_eq!(seen, c.w.on_forge("refs/heads/main"));
}

#[tokio::test]
async fn a_second_start_within_the_window_fetches_nothing_and_calls_nothing() {
    let c = Counted::new();
    assert!(c.start(Some(&[])).await.0, "no mirror yet");
    assert!(c.calls().contains(&"fetch".into()));
    let (fetched, tree) = c.start(Some(&[])).await;
    assert_eq!((fetched, c.calls()), (false, vec![]));
    // An agent works and is published: the next stage begins on what the last one fetched.
    write(&tree.path, "new.txt", "work");
    let ours = c.w.commit(&tree).await.unwrap();
    c.w.repos.push(&tree, &c.w.remote, &c.w.cancel).await.unwrap();
    c.calls();
    let own_push = [heard(BRANCH, Some(ours.as_str()))];
    let (fetched, tree) = c.start(Some(&own_push)).await;
    assert_eq!((fetched, &tree.head, c.calls()), (false, &ours, vec![]));
    // Where an agent worked since that fetch, it is not what the forge has now.
    let names = (REPO, KEY, BRANCH, "main");
    for (ago, wanted) in [(3600, false), (0, true)] {
        let since = Some(std::time::Duration::from_secs(ago));
        let fetched = c.w.repos.fetch_unless_fresh(names, Some(&own_push), since, &c.w.remote, &c.w.cancel).await;
        assert_eq!(fetched.unwrap(), wanted, "an agent ended {ago} s ago");
    }
    // Another process knows of no fetch.
    let other = Repos::open(&c.w.dir.path().join("repos"), GitSettings::default()).unwrap();
    assert!(other.fetch_unless_fresh(names, Some(&[]), None, &c.w.remote, &c.w.cancel).await.unwrap());
    c.w.repos.refresh(&tree, &c.w.remote, &c.w.cancel).await.unwrap();
    assert!(c.calls().contains(&"fetch".into()), "who joins what people pushed always looks");
}

#[tokio::test]
async fn what_was_heard_and_is_not_there_is_fetched() {
    let c = Counted::new();
    let (_, tree) = c.start(Some(&[])).await;
    c.w.repos.push(&tree, &c.w.remote, &c.w.cancel).await.unwrap();
    let there = c.w.on_forge("refs/heads/main");
    let unknown = "1".repeat(40);
    let cases: &[(&str, Option<Vec<Heard>>, bool)] = &[
        ("an event waits", None, true),
        ("nothing", Some(vec![]), false),
        ("the branch is there", Some(vec![heard(BRANCH, Some(&there))]), false),
        ("the base is there", Some(vec![heard("main", Some(&there))]), false),
        ("another branch moved", Some(vec![heard("feature/ET-10", Some(&unknown)), heard("x", None)]), false),
        ("the branch moved", Some(vec![heard("main", Some(&there)), heard(BRANCH, Some(&unknown))]), true),
        ("the base moved", Some(vec![heard("main", Some(&unknown))]), true),
        ("the branch was deleted", Some(vec![heard(BRANCH, None)]), true),
    ];
    for (what, said, wanted) in cases {
        assert_eq!(c.fetched(said.as_deref()).await.unwrap(), *wanted, "{what}");
    }
    c.w.person_pushes(BRANCH, "theirs.txt", "a person's");
    let theirs = c.w.on_forge(&format!("refs/heads/{BRANCH}"));
    let said = [heard(BRANCH, Some(&theirs))];
    let (fetched, tree) = c.start(Some(&said)).await;
    assert!(fetched && tree.path.join("theirs.txt").exists(), "the agent sees it");
    assert!(!c.start(Some(&said)).await.0, "and then it is there");
}

#[tokio::test]
async fn without_a_finished_folder_there_is_a_fetch() {
    let c = Counted::new();
    let (_, tree) = c.start(Some(&[])).await;
    let admin = c.w.mirror().join("worktrees").join(KEY);
    let undo: [fn(&PathBuf, &PathBuf); 3] = [
        |admin, _| std::fs::remove_file(admin.join("orch-ready")).unwrap(),
        |_, path| std::fs::write(path.join(".git"), "gitdir: /elsewhere\n").unwrap(),
        |_, path| std::fs::remove_dir_all(path).unwrap(),
    ];
    for undo in undo {
        assert!(!c.fetched(Some(&[])).await.unwrap());
        undo(&admin, &tree.path);
        assert!(c.start(Some(&[])).await.0);
    }
}

/// Damage that a call of git meets ends the belief, whatever the call was for, and the next start rebuilds.
#[tokio::test]
async fn what_smells_of_damage_is_looked_at_and_healed() {
    let c = Counted::new();
    let (_, tree) = c.start(Some(&[])).await;
    write(&tree.path, "new.txt", "work");
    let ours = c.w.commit(&tree).await.unwrap();
    c.w.repos.push(&tree, &c.w.remote, &c.w.cancel).await.unwrap();
    assert!(!c.fetched(Some(&[])).await.unwrap());
    let object = |id: &str| c.w.mirror().join("objects").join(&id[..2]).join(&id[2..]);
    std::fs::remove_file(object(ours.as_str())).unwrap();
    let names = ["new.txt".to_owned()];
    c.w.repos.files_at(REPO, &ours, &names, &c.w.cancel).await.unwrap_err();
    assert!(c.start(Some(&[])).await.0);
    assert_eq!(c.w.repos.files_at(REPO, &ours, &names, &c.w.cancel).await.unwrap().len(), 1);
    // A ref that a power cut left empty.
    std::fs::write(c.w.mirror().join("refs/remotes/origin").join(BRANCH), "").unwrap();
    assert_eq!(c.w.repos.forge_head(REPO, BRANCH, &c.w.cancel).await.unwrap(), None);
    assert!(c.start(Some(&[])).await.0);
    assert_eq!(c.w.repos.forge_head(REPO, BRANCH, &c.w.cancel).await.unwrap().unwrap(), ours);
}

/// An agent's own git reads it next.
#[tokio::test]
async fn the_configuration_is_put_back_although_no_call_follows() {
    let c = Counted::new();
    c.start(Some(&[])).await;
    let (config, link) = (c.w.mirror().join("config"), c.w.mirror().join("worktrees/ET-1/commondir"));
    let honest = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{honest}[filter \"x\"]\n\tclean = touch /tmp/x\n")).unwrap();
    std::fs::write(&link, "/elsewhere\n").unwrap();
    c.calls();
    assert!(!c.start(Some(&[])).await.0);
    assert_eq!(c.calls(), [""; 0]);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), honest);
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "../..\n");
}

/// Packed, as `git gc` leaves them; a branch that leads to no commit; a HEAD elsewhere.
#[tokio::test]
async fn refs_are_the_same_read_by_us_and_by_git() {
    let c = Counted::new();
    let (_, tree) = c.start(Some(&[])).await;
    let head = tree.head.clone();
    git(&c.w.mirror(), &["pack-refs", "--all"]);
    assert_eq!(c.w.head(&tree).await, head);
    let name = c.w.mirror().join("refs/heads").join(BRANCH);
    std::fs::create_dir_all(name.parent().unwrap()).unwrap();
    let blob = git(&c.w.mirror(), &["rev-parse", "refs/remotes/origin/main:README.md"]);
    for nothing in [blob, "1".repeat(40), "2".repeat(64)] {
        std::fs::write(&name, format!("{nothing}\n")).unwrap();
        let no_head = c.w.repos.head(&tree, &c.w.cancel).await;
        assert!(no_head.is_err(), "{nothing}: {no_head:?}");
    }
    std::fs::write(&name, "ref: refs/remotes/origin/main\n").unwrap();
    assert_eq!(c.w.head(&tree).await, head, "git follows it");
    std::fs::write(&name, format!("{head}\n")).unwrap();
    git(&tree.path, &["checkout", "--quiet", "--detach"]);
    c.start(Some(&[])).await;
    assert_eq!(git(&tree.path, &["symbolic-ref", "HEAD"]), format!("refs/heads/{BRANCH}"));
}

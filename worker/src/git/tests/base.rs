use super::world::{REPO, World, git, write};
use crate::git::{Joins, Landed, Merge};
use orch_common::domain::stage::CommitId;

const DOCUMENTS: &str = "docs/work-items/ET-1";

/// A published branch with one commit of work and one of documents; gives the commit of the work and the head.
async fn branch(w: &World) -> (CommitId, CommitId) {
    let tree = w.worktree("ET-1").await;
    write(&tree.path, "work.txt", "work\n");
    let work = w.commit(&tree).await.unwrap();
    write(&tree.path, "docs/work-items/ET-1/14-deploy.md", "notes\n");
    let head = w.commit(&tree).await.unwrap();
    w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
    (work, head)
}

async fn base(w: &World) -> CommitId {
    w.repos.fetch(REPO, &w.remote, &w.cancel).await.unwrap();
    w.repos.forge_head(REPO, "main", &w.cancel).await.unwrap().unwrap()
}

async fn landed(w: &World, judged: &CommitId, commit: Option<&CommitId>) -> Landed {
    let base = base(w).await;
    let merge = Merge { base: &base, judged, commit, documents: DOCUMENTS };
    w.repos.landed(REPO, merge, &w.cancel).await.unwrap()
}

/// The person does this on `main` and pushes; gives the new head of `main`.
fn on_main(w: &World, steps: &[&[&str]]) -> CommitId {
    w.person(&["fetch", "--quiet", "origin"]);
    w.person(&["checkout", "--quiet", "-B", "main", "origin/main"]);
    for step in steps {
        w.person(step);
    }
    w.person(&["push", "--quiet", "origin", "main"]);
    w.on_forge("refs/heads/main").parse().unwrap()
}

#[tokio::test]
async fn git_says_whether_a_branch_and_its_base_conflict_and_where() {
    let w = World::new();
    let (_, head) = branch(&w).await;
    let joins = async |head: &CommitId| {
        let base = base(&w).await;
        w.repos.joins(REPO, &base, head, &w.cancel).await.unwrap()
    };
    assert_eq!(joins(&head).await, Joins::UpToDate);
    w.person_pushes("main", "other.txt", "x\n");
    assert_eq!(joins(&head).await, Joins::Cleanly);
    w.person_pushes("main", "work.txt", "somebody else's\n");
    assert_eq!(joins(&head).await, Joins::Conflicts(vec!["work.txt".into()]));
    let old: CommitId = git(&w.forge(), &["rev-parse", "refs/heads/main~2"]).parse().unwrap();
    assert_eq!(joins(&old).await, Joins::InBase);
}

#[tokio::test]
async fn whatever_the_style_what_was_judged_is_found_in_the_base() {
    let title = ["commit", "--quiet", "-m", "squashed"];
    let styles: [(&str, &[&[&str]]); 5] = [
        ("merge", &[&["merge", "--quiet", "--no-ff", "-m", "m", "origin/feature/ET-1"]]),
        ("squash", &[&["merge", "--quiet", "--squash", "origin/feature/ET-1"], &title]),
        ("rebase", &[&["cherry-pick", "origin/feature/ET-1~1", "origin/feature/ET-1"]]),
        (
            "rebase-merge",
            &[
                &["checkout", "--quiet", "--detach"],
                &["cherry-pick", "origin/feature/ET-1~1", "origin/feature/ET-1"],
                &["branch", "--force", "top", "HEAD"],
                &["checkout", "--quiet", "main"],
                &["merge", "--quiet", "--no-ff", "-m", "m", "top"],
            ],
        ),
        ("fast-forward-only", &[&["merge", "--quiet", "--ff-only", "origin/feature/ET-1"]]),
    ];
    for (style, steps) in styles {
        let w = World::new();
        let (work, head) = branch(&w).await;
        assert!(!landed(&w, &head, None).await.is_whole(), "{style}: not merged yet");
        if style != "fast-forward-only" {
            w.person_pushes("main", "other.txt", "x\n");
        }
        let merge = on_main(&w, steps);
        assert_eq!(landed(&w, &head, Some(&merge)).await, Landed::default(), "{style}");
        // Later commits of the base change nothing of that.
        w.person_pushes("main", "work.txt", "later\n");
        assert_eq!(landed(&w, &head, Some(&merge)).await, Landed::default(), "{style}, later");
        assert!(landed(&w, &work, Some(&merge)).await.is_whole(), "{style}: the documents are nobody's surprise");
    }
}

/// Merges or squashes a commit into `main`.
fn merges(w: &World, squash: bool, what: &str) -> CommitId {
    let title: &[&str] = &["commit", "--quiet", "-m", "squashed"];
    match squash {
        true => on_main(w, &[&["merge", "--quiet", "--squash", what], title]),
        false => on_main(w, &[&["merge", "--quiet", "--no-ff", "-m", "m", what]]),
    }
}

#[tokio::test]
async fn what_was_merged_too_early_or_with_more_than_was_judged_is_named() {
    for squash in [false, true] {
        let w = World::new();
        let (work, head) = branch(&w).await;
        let early = merges(&w, squash, work.as_str());
        assert_eq!(landed(&w, &head, Some(&early)).await, Landed::default(), "without the documents alone: {squash}");

        let w = World::new();
        let (_, head) = branch(&w).await;
        w.person_pushes("feature/ET-1", "backdoor.txt", "x\n");
        let more = merges(&w, squash, "origin/feature/ET-1");
        let found = landed(&w, &head, Some(&more)).await;
        let named = [found.missing, found.unjudged].concat();
        assert!(named.contains(&"backdoor.txt".to_owned()), "squash: {squash}: {named:?}");

        let w = World::new();
        let (work, head) = branch(&w).await;
        let tree = w.again("ET-1").await;
        write(&tree.path, "rework.txt", "x\n");
        let reworked = w.commit(&tree).await.unwrap();
        w.repos.push(&tree, &w.remote, &w.cancel).await.unwrap();
        let early = merges(&w, squash, head.as_str());
        let found = landed(&w, &reworked, Some(&early)).await;
        assert_eq!(found, Landed { missing: vec!["rework.txt".into()], unjudged: vec![] }, "squash: {squash}");
        // The base was set back: nothing of the merge is in it.
        let before = git(&w.mirror(), &["rev-parse", &format!("{work}~1")]);
        git(&w.forge(), &["update-ref", "refs/heads/main", &before]);
        assert!(!landed(&w, &head, Some(&early)).await.is_whole());
    }
}

#[tokio::test]
async fn a_branch_is_brought_up_to_date_and_published() {
    let w = World::new();
    let (_, head) = branch(&w).await;
    w.person_pushes("main", "other.txt", "x\n");
    let main = base(&w).await;
    let tree = w.again("ET-1").await;
    let now = w.repos.bring_up_to_date(&tree, "main", &w.remote, &w.cancel).await.unwrap();
    assert_eq!(w.on_forge("refs/heads/feature/ET-1"), now.as_str());
    let parents = git(&w.mirror(), &["rev-list", "--parents", "-n1", now.as_str()]);
    assert_eq!(parents, format!("{now} {head} {main}"));
}

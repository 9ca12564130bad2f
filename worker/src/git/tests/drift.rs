//! What lies between two commits of a task's branch, and who brought it there.

use super::world::{REPO, World, git, write};
use crate::git::{Refreshed, Span, Worktree};
use orch_common::domain::evidence::Drift;
use orch_common::domain::stage::CommitId;
use std::collections::BTreeSet;

const DOCUMENTS: &str = "docs/work-items/ET-1";
const REVIEW: &str = "docs/work-items/ET-1/12-review.md";
const BRANCH: &str = "feature/ET-1";

/// A task's branch at the forge with some work in it, and what was published of it.
struct Task {
    w: World,
    tree: Worktree,
    ours: BTreeSet<String>,
}

impl Task {
    async fn new() -> Task {
        let w = World::new();
        let tree = w.worktree("ET-1").await;
        let mut task = Task { w, tree, ours: BTreeSet::new() };
        write(&task.tree.path, "src/a.rs", "a");
        task.publish().await;
        task
    }

    /// An agent's files are committed and pushed, as the worker does it.
    async fn publish(&mut self) -> CommitId {
        let Task { w, tree, ours } = self;
        w.commit(tree).await;
        w.repos.refresh(tree, &w.remote, &w.cancel).await.unwrap();
        ours.extend(w.repos.unpublished_commits(tree, &w.cancel).await.unwrap());
        w.repos.push(tree, &w.remote, &w.cancel).await.unwrap().head
    }

    fn person_pushes(&self, file: &str, text: &str) {
        std::fs::create_dir_all(self.w.person_dir().join(file).parent().unwrap()).unwrap();
        self.w.person(&["fetch", "--quiet", "origin"]);
        self.w.person(&["checkout", "--quiet", "-B", BRANCH, &format!("origin/{BRANCH}")]);
        write(&self.w.person_dir(), file, text);
        self.w.person(&["add", "-A"]);
        self.w.person(&["commit", "--quiet", "-m", "by hand"]);
        self.w.person(&["push", "--quiet", "origin", BRANCH]);
    }

    async fn joins(&self) -> (Refreshed, CommitId) {
        let joined = self.w.repos.refresh(&self.tree, &self.w.remote, &self.w.cancel).await.unwrap();
        (joined, self.w.head(&self.tree).await)
    }

    async fn drift(&self, from: &CommitId, to: &CommitId) -> Drift {
        let span = Span { repo: REPO, base: "main", documents: DOCUMENTS, from, to };
        self.w.repos.drift(span, &self.ours, &self.w.cancel).await.unwrap()
    }

    /// Whose commits void evidence of the first at the second: author and file.
    async fn voided(&self, from: &CommitId, to: &CommitId) -> Option<Vec<String>> {
        let without_id = |text: &String| text.split(' ').step_by(2).collect::<Vec<_>>().join(" ");
        self.drift(from, to).await.voided_by().map(|by| by.iter().map(without_id).collect())
    }
}

#[tokio::test]
async fn our_documents_are_told_from_those_that_came_from_the_forge() {
    let mut task = Task::new().await;
    let judged = task.w.head(&task.tree).await;
    write(&task.tree.path, REVIEW, "---\nverdict: APPROVED\n---\n");
    write(&task.tree.path, "docs/work-items/ET-1/\u{43e}\u{442}\u{437}\u{44b}\u{432} \"1\"\n.md", "x");
    let reviewed = task.publish().await;
    let drift = task.drift(&judged, &reviewed).await;
    assert_eq!((drift.work.len(), drift.documents.len(), drift.commits.len()), (0, 2, 1), "{drift:?}");
    assert_eq!(drift.voided_by(), None, "{drift:?}");
    assert_eq!(task.drift(&judged, &judged).await, Drift::default());

    // The same kind of file, pushed by a person: before our next commit, and joined with it.
    task.person_pushes("docs/work-items/ET-1/13-test-report.md", "---\nresult: PASS\n---\n");
    write(&task.tree.path, "docs/work-items/ET-1/14-deploy.md", "x");
    let joined = task.publish().await;
    let by = task.voided(&reviewed, &joined).await;
    assert_eq!(by, Some(vec!["Person docs/work-items/ET-1/13-test-report.md".to_owned()]));
    // Who wrote it before the evidence was taken does not matter any more.
    write(&task.tree.path, REVIEW, "---\nverdict: APPROVED\n---\n\nAgain.\n");
    let later = task.publish().await;
    assert_eq!(task.voided(&joined, &later).await, None);
}

#[tokio::test]
async fn any_other_difference_of_the_trees_counts_and_is_told() {
    let task = Task::new().await;
    let judged = task.w.head(&task.tree).await;
    task.person_pushes("backdoor.txt", "x");
    let (_, head) = task.joins().await;
    assert_eq!(task.voided(&judged, &head).await, Some(vec!["Person backdoor.txt".to_owned()]));
    // A file's mode, a submodule, our own roles' work: all of it is another tree.
    git(&task.tree.path, &["update-index", "--chmod=+x", "src/a.rs"]);
    git(&task.tree.path, &["commit", "--quiet", "-m", "mode"]);
    let mode = task.w.head(&task.tree).await;
    assert_eq!(task.drift(&head, &mode).await.work, ["src/a.rs"]);
    let link = format!("160000,{},lib", "1".repeat(40));
    git(&task.tree.path, &["update-index", "--add", "--cacheinfo", &link]);
    git(&task.tree.path, &["config", "diff.ignoreSubmodules", "all"]);
    git(&task.tree.path, &["commit", "--quiet", "-m", "submodule"]);
    let submodule = task.w.head(&task.tree).await;
    assert_eq!(task.drift(&mode, &submodule).await.work, ["lib"]);
    assert!(task.voided(&mode, &submodule).await.is_some());
    // The folder of another work item is none of this one's documents.
    write(&task.tree.path, "docs/work-items/ET-10/12-review.md", "x");
    git(&task.tree.path, &["add", "docs"]);
    git(&task.tree.path, &["commit", "--quiet", "-m", "another's"]);
    let other = task.w.head(&task.tree).await;
    assert_eq!(task.drift(&submodule, &other).await.work, ["docs/work-items/ET-10/12-review.md"]);
    let unknown = "1".repeat(40).parse().unwrap();
    assert!(task.drift(&unknown, &other).await.unknown);
}

#[tokio::test]
async fn pushes_that_change_nothing_in_the_end_void_nothing() {
    let mut task = Task::new().await;
    write(&task.tree.path, REVIEW, "---\nverdict: APPROVED\n---\n");
    let reviewed = task.publish().await;
    task.person_pushes("a.txt", "x");
    task.w.person(&["revert", "--no-edit", "HEAD"]);
    task.w.person(&["commit", "--quiet", "--allow-empty", "-m", "again"]);
    task.w.person(&["push", "--quiet", "origin", BRANCH]);
    let (joined, head) = task.joins().await;
    assert!(matches!(joined, Refreshed::FastForwarded { .. }), "{joined:?}");
    assert_eq!(task.voided(&reviewed, &head).await, None);

    // Rewritten, with the same files: what our roles wrote is theirs under its new names as well.
    task.w.person(&["reset", "--quiet", "--soft", "origin/main"]);
    task.w.person(&["commit", "--quiet", "-m", "all in one"]);
    task.w.person(&["push", "--quiet", "--force", "origin", BRANCH]);
    let (joined, head) = task.joins().await;
    assert!(matches!(joined, Refreshed::Replaced { .. }), "{joined:?}");
    assert_eq!(task.voided(&reviewed, &head).await, None);
    let same = task.w.repos.joined_for_nothing(REPO, &joined, &task.w.cancel).await.unwrap();
    assert_eq!(same, [head.as_str()]);
    task.ours.extend(same);
    write(&task.tree.path, REVIEW, "---\nverdict: APPROVED\n---\n\nMore.\n");
    let later = task.publish().await;
    assert_eq!(task.voided(&reviewed, &later).await, None);
}

#[tokio::test]
async fn a_merged_base_and_a_shortened_branch_are_no_longer_what_was_judged() {
    let mut task = Task::new().await;
    let judged = task.w.head(&task.tree).await;
    write(&task.tree.path, REVIEW, "---\nverdict: APPROVED\n---\n");
    let reviewed = task.publish().await;
    task.w.person(&["fetch", "--quiet", "origin"]);
    task.w.person(&["checkout", "--quiet", "-B", BRANCH, judged.as_str()]);
    task.w.person(&["commit", "--quiet", "--allow-empty", "-m", "without the review"]);
    task.w.person(&["push", "--quiet", "--force", "origin", BRANCH]);
    let (joined, head) = task.joins().await;
    assert!(matches!(joined, Refreshed::Replaced { .. }), "{joined:?}");
    let same = task.w.repos.joined_for_nothing(REPO, &joined, &task.w.cancel).await.unwrap();
    assert_eq!(same, [""; 0], "a file is gone");
    assert_eq!(task.voided(&reviewed, &head).await, Some(vec![]), "the review is gone, by nobody's commit");

    task.w.person_pushes("main", "others.txt", "x");
    task.w.person(&["checkout", "--quiet", "-B", BRANCH, &format!("origin/{BRANCH}")]);
    task.w.person(&["merge", "--quiet", "--no-edit", "main"]);
    task.w.person(&["push", "--quiet", "origin", BRANCH]);
    let (_, head) = task.joins().await;
    assert_eq!(task.voided(&judged, &head).await, Some(vec!["Person merge".to_owned()]));
}

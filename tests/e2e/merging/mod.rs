//! The merge as a state of the task: done is what the base has, and what is waited for until then is seen by everybody.

mod conflicts;
mod people;
mod waits;

use orch_common::domain::job::JobStatus;
use orch_tests::fakes::{FakeGitea, PullRow};
use orch_tests::stack::{Builder, REPO, Stack, git};

/// A project that merges when the deployer has worked.
fn merging() -> Builder {
    Stack::builder().project("merge", "on_deploy")
}

/// The base's file, as the forge has it.
fn in_main(stack: &Stack, file: &str) -> String {
    git(&stack.scene.forge, &["show", &format!("main:{file}")])
}

/// The texts of ours on the pull request that begin so.
fn on_the_pull(stack: &Stack, item: &str, begin: &str) -> Vec<String> {
    let all = stack.gitea().comments_of(REPO, stack.pull(item).expect("a pull request").number);
    all.into_iter().filter(|c| c.login == FakeGitea::BOT && c.body.starts_with(begin)).map(|c| c.body).collect()
}

/// How often the forge was asked to merge.
fn asked(stack: &Stack) -> usize {
    stack.gitea().requests().iter().filter(|r| r.method == "POST" && r.path.ends_with("/merge")).count()
}

/// It is done: the pull request is merged, nothing failed, and the base has the work.
fn is_merged(stack: &Stack, item: &str) -> PullRow {
    let pull = stack.pull(item).expect("a pull request");
    assert!(pull.merged, "done, and not merged: {pull:?}");
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);
    pull
}

/// Why the task waits, as `orchctl` shows it.
fn reason(stack: &Stack, item: &str) -> String {
    stack.task(item).and_then(|task| task.state_reason).unwrap_or_default()
}

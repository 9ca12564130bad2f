//! The tests' gate judges what is published, whatever lies in the folder where an agent worked, and what the tests do
//! where they run is nobody's work.

use super::{evaluations, green_in_a_clean_clone, tests_say_what_the_commit_says};
use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{commit, develops, first, write};
use orch_tests::stack::{Play, Stack, WORKER, git};
use orch_worker::ctl::scripted::Deed;
use std::path::PathBuf;

const GREEN: &str = "grep -q green feature.txt";

fn never() -> Deed {
    Deed::Until(PathBuf::from("/nonexistent/never"))
}

/// A developer that is killed at its time limit as often as its job allows, after these deeds.
fn killed_after(deeds: Vec<Deed>, tests: &str) -> (Stack, String) {
    let killed = [deeds, vec![never()]].concat();
    let stack = Stack::builder()
        .play(Play::default().role(Role::Developer, [killed]))
        .set("agent.timeout_overrides", toml::toml! { developer = 2 })
        .set("worker.reconcile_s", 2)
        .project("test_command", tests)
        .start();
    let item = stack.approved("Login");
    stack.wait("both attempts to end", || stack.agents_begun(&item, Role::Developer) == 2);
    stack.wait("the job to fail", || stack.agent_job(&item).status == JobStatus::Failed);
    (stack, item)
}

/// A person approves, and with that the gate is looked at.
fn approve(stack: &Stack, item: &str) {
    let before = evaluations(stack, item, "tests_local").len();
    stack.plane().comment(item, "<p>:approved:</p>");
    stack.wait("the tests to be looked at", || {
        let moved = stack.task(item).is_some_and(|t| t.stage > Stage::Development);
        moved || evaluations(stack, item, "tests_local").len() > before
    });
    stack.settle();
}

#[test]
fn work_that_is_not_in_the_commit_passes_no_gate() {
    let (stack, item) = killed_after(vec![write("feature.txt", "green\n")], GREEN);
    approve(&stack, &item);
    let (passed, failed) = tests_say_what_the_commit_says(&stack, &item, GREEN);
    assert!(passed + failed > 0);
    let task = stack.task(&item).unwrap();
    if task.stage != Stage::Development {
        let published = git(&stack.scene.forge, &["rev-parse", &task.branch]);
        assert!(green_in_a_clean_clone(&stack, &published, GREEN), "{} without the work", task.stage);
    }
}

#[test]
fn an_approval_of_a_red_commit_is_refused_although_the_folder_is_green() {
    let deeds = vec![write("feature.txt", "red\n"), commit("{key}: red"), write("feature.txt", "green\n")];
    let (stack, item) = killed_after(deeds, GREEN);
    approve(&stack, &item);
    let (passed, failed) = tests_say_what_the_commit_says(&stack, &item, GREEN);
    assert!(passed + failed > 0);
    let task = stack.task(&item).unwrap();
    assert!(task.stage == Stage::Development || passed > 0, "{} without a green commit", task.stage);
}

/// The other way round: what the killed developer had committed is published before it is judged.
#[test]
fn commits_that_no_run_has_published_are_published_before_they_are_judged() {
    let deeds = vec![write("feature.txt", "green\n"), commit("{key}: green"), write("feature.txt", "red\n")];
    let (stack, item) = killed_after(deeds, GREEN);
    approve(&stack, &item);
    let rows = evaluations(&stack, &item, "tests_local");
    tests_say_what_the_commit_says(&stack, &item, GREEN);
    let branch = stack.task(&item).unwrap().branch;
    for row in &rows {
        git(&stack.scene.forge, &["merge-base", "--is-ancestor", row.head.as_deref().unwrap(), &branch]);
    }
    assert!(git(&stack.scene.forge, &["log", "--format=%s", &branch]).contains("ET-001: green"));
}

/// The index says of the changed files that they are as committed; the test script itself is one of them.
#[test]
fn no_flag_of_an_agents_index_makes_a_red_commit_green() {
    for flag in ["--skip-worktree", "--assume-unchanged"] {
        let hide = format!(
            "git update-index {flag} feature.txt tests/run.sh && echo green > feature.txt && echo 'exit 0' > tests/run.sh"
        );
        let hidden = [develops("red"), vec![commit("{key}: red"), Deed::Shell(hide)]].concat();
        let stack = Stack::builder().play(Play::default().role(Role::Developer, [hidden])).start();
        let item = stack.approved("Login");
        stack.wait("the tests to be looked at", || {
            stack.task(&item).is_some() && !evaluations(&stack, &item, "tests_local").is_empty()
        });
        stack.wait("an end", || stack.task(&item).is_some_and(|t| !matches!(t.state, TaskState::Active)));
        stack.settle();
        let line = format!("sh tests/run.sh '{}'", stack.scene.root.display());
        let (passed, failed) = tests_say_what_the_commit_says(&stack, &item, &line);
        assert!(passed + failed > 0, "{flag}");
    }
}

#[test]
fn what_only_lies_in_the_agents_folder_helps_no_test() {
    let ignored = write(".gitignore", "*.env\n");
    let deeds = first(ignored, [develops("done"), vec![write("local.env", "KEY=1\n")]].concat());
    let stack = Stack::builder()
        .play(Play::default().role(Role::Developer, [deeds]))
        .project("test_command", "grep -q done feature.txt && cat local.env")
        .set("agent.role_run_cap", 1)
        .start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    stack.settle();
    let rows = evaluations(&stack, &item, "tests_local");
    assert_eq!(rows.iter().map(|r| r.outcome.as_str()).collect::<Vec<_>>(), ["fail"], "{rows:?}");
}

/// They commit, stash and move branches, and know nothing of the worker's own git.
#[test]
fn what_the_tests_do_to_their_repository_is_on_no_branch() {
    let tests = "env | grep '^GIT_' | cut -d= -f1 | sort; grep -q done feature.txt || exit 1; \
        git config user.name T; git config user.email t@x; echo x > by-tests.txt; git add -A; \
        git commit -qm 'by the tests' || exit 2; git checkout -qB feature/ET-001-login; echo y >> feature.txt; \
        git stash -q || exit 3; git update-ref refs/heads/main HEAD; git push -q origin HEAD && exit 4; rm -rf \"$PWD\"";
    let mut stack = Stack::builder().project("test_command", tests).without_worker().start();
    let hostile = [("GIT_DIR", "/nonexistent"), ("GIT_INDEX_FILE", "/nonexistent/i"), ("GIT_WORK_TREE", "/")];
    stack.start_worker_with(WORKER, &hostile);
    let main = git(&stack.scene.forge, &["rev-parse", "main"]);
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(task.branch, "feature/ET-001-login");
    let rows = evaluations(&stack, &item, "tests_local");
    assert_eq!(rows.iter().map(|r| r.outcome.as_str()).collect::<Vec<_>>(), ["pass"], "{rows:?}");

    let mirror = stack.scene.root.join("repos/acme/shop/mirror.git");
    for repository in [&stack.scene.forge, &mirror] {
        let log = git(repository, &["log", "--all", "--format=%an: %s"]);
        assert!(log.contains("ET-001") && !log.contains("by the tests"), "{log}");
        assert!(!git(repository, &["for-each-ref", "--format=%(refname)"]).contains("refs/stash"));
        let files = git(repository, &["ls-tree", "-r", "--name-only", &task.branch]);
        assert!(files.contains("feature.txt") && !files.contains("by-tests.txt"), "{files}");
    }
    assert_eq!(git(&stack.scene.forge, &["rev-parse", "main"]), main);
    let worktree = stack.scene.root.join("repos/acme/shop/work/ET-001");
    assert_eq!(std::fs::read_to_string(worktree.join("feature.txt")).unwrap(), "done\n");
    let log = std::fs::read_dir(stack.scene.runs.join("tests")).unwrap().next().unwrap().unwrap().path();
    let said = std::fs::read_to_string(log).unwrap();
    assert!(said.starts_with("GIT_CEILING_DIRECTORIES\nGIT_TERMINAL_PROMPT\n"), "{said}");
    assert_eq!(said.matches("GIT_").count(), 2, "{said}");
}

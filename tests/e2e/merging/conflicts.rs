//! A base that moves while tasks are at work.

use super::{in_main, is_merged, merging};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{after, commit, deploys, write};
use orch_tests::stack::{Play, REPO, Stack, git};
use orch_worker::ctl::scripted::Deed;

/// A person's commit on `main`, pushed past the forge's rules.
fn push_to_main(stack: &Stack, file: &str, text: &str) {
    let clone = stack.signal("clone-of-main");
    let _ = std::fs::remove_dir_all(&clone);
    let forge = stack.scene.forge.to_string_lossy().into_owned();
    git(&stack.scene.root, &["clone", "--quiet", "--branch", "main", &forge, &clone.to_string_lossy()]);
    std::fs::write(clone.join(file), text).unwrap();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "--quiet", "-m", "By hand"]);
    git(&clone, &["push", "--quiet", "origin", "main"]);
}

/// Each developer writes the same file; one that is told of a conflict merges the base and keeps both.
fn rivals() -> Play {
    let first = vec![write("shared.txt", "{key}\n"), commit("{key}: work")];
    let join = "git merge --quiet origin/main || true; (git show origin/main:shared.txt; echo {key}) > shared.txt; \
                git add --all; git commit --quiet -m '{key}: joined'";
    let joins = vec![Deed::Shell(join.into())];
    Play::default().role(Role::Developer, [first, joins])
}

#[test]
fn several_items_on_one_file_end_merged_each_after_the_others() {
    let stack = merging().play(rivals()).set("worker.max_concurrency", 3).start();
    let items: Vec<String> = ["One", "Two", "Three"].iter().map(|title| stack.analysed(title)).collect();
    for item in &items {
        stack.plane().comment(item, "<p>:approved:</p>");
    }
    for item in &items {
        stack.wait_task(item, Stage::Done, TaskState::Done);
        is_merged(&stack, item);
    }
    let shared = in_main(&stack, "shared.txt");
    for item in &items {
        let key = stack.task(item).unwrap().key;
        assert!(shared.contains(&key), "{shared}");
    }
    let again: usize = items.iter().map(|item| stack.agents_begun(item, Role::Developer) - 1).sum();
    assert!(again >= 2, "conflicts went to the developer: {again}");
    let told = items.iter().flat_map(|item| stack.runs(item)).filter(|run| run.role == Role::Developer);
    assert!(
        told.map(|run| stack.prompt(&run)).any(|p| p.contains("git merge origin/main") && p.contains("shared.txt"))
    );
    assert!(items.iter().any(|item| stack.comments(item).iter().any(|said| said == "base moved")));
}

#[test]
fn where_only_a_fast_forward_is_allowed_a_moved_base_is_merged_in_and_judged_anew() {
    let mut stack = merging().without_worker().start();
    stack.gitea().forbid_styles(REPO, &["merge", "rebase", "rebase-merge", "squash"]);
    stack.gitea().set_merge_style(REPO, "fast-forward-only");
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Deployer, [after(&go, deploys())]));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Deployer);
    push_to_main(&stack, "elsewhere.txt", "moved\n");
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    is_merged(&stack, &item);
    assert_eq!((in_main(&stack, "elsewhere.txt"), in_main(&stack, "feature.txt")), ("moved".into(), "done".into()));
    let main = git(&stack.scene.forge, &["rev-parse", "main"]);
    assert_eq!(stack.task(&item).unwrap().head.as_deref(), Some(main.as_str()), "exactly the judged commit");
    assert!(stack.stages(&item).iter().filter(|s| **s == Stage::Development).count() >= 2, "{:?}", stack.stages(&item));
}

//! Files that only people may change.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{analyses, commit, develops, write};
use orch_tests::stack::{Play, Stack, git};

fn protected(play: Play) -> Stack {
    Stack::builder().play(play).project("protected_paths", vec![".gitea", "deploy/*.sh"]).start()
}

#[test]
fn a_change_of_protected_files_is_not_published_and_blocks_the_task() {
    let mut deeds = analyses();
    deeds.extend([write(".gitea/workflows/ci.yml", "run: evil\n"), write("deploy/run.sh", "evil\n")]);
    deeds.extend([commit("also"), write("deploy/notes.md", "fine\n")]);
    let taken_back =
        [vec![orch_worker::ctl::scripted::Deed::Shell("git rm -rq .gitea deploy/run.sh".into())], analyses()];
    let stack = protected(Play::default().role(Role::Analyst, [deeds, taken_back.concat()]));
    let (item, _) = stack.plane().create_item("Add a greeting", "", &[]);

    let task = stack.wait_task(&item, Stage::Analysis, TaskState::Blocked);
    stack.settle();
    let reason = task.state_reason.unwrap();
    assert!(reason.contains(".gitea/workflows/ci.yml, deploy/run.sh"), "{reason}");
    assert!(stack.said(&item, "blocked").contains("deploy/run.sh"));
    let published = git(&stack.scene.forge, &["ls-tree", "-r", "--name-only", &task.branch]);
    assert_eq!(published, "README.md\ntests/run.sh", "nothing of it was published");

    // An approval is not a way around it.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Analysis);

    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    let published = git(&stack.scene.forge, &["ls-tree", "-r", "--name-only", &task.branch]);
    assert!(published.contains("01-brd.md") && !published.contains(".gitea"), "{published}");
}

/// What a person pushed to the branch, or to its base, is a person's.
#[test]
fn a_persons_change_of_protected_files_is_no_obstacle() {
    let stack = protected(Play::default().role(Role::Developer, [develops("done")]));
    let (item, _) = stack.plane().create_item("Add a greeting", "", &[]);
    let task = stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    let seed = stack.scene.root.join("seed");
    let forge = stack.scene.forge.to_string_lossy().into_owned();
    git(&seed, &["fetch", "--quiet", &forge, &task.branch]);
    git(&seed, &["checkout", "--quiet", "-b", "person", "FETCH_HEAD"]);
    std::fs::create_dir_all(seed.join(".gitea")).unwrap();
    std::fs::write(seed.join(".gitea/ci.yml"), "by a person\n").unwrap();
    git(&seed, &["add", "--all"]);
    git(&seed, &["commit", "--quiet", "-m", "CI"]);
    git(&seed, &["push", "--quiet", &forge, &format!("person:{}", task.branch)]);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert_eq!(git(&stack.scene.forge, &["show", &format!("{}:.gitea/ci.yml", task.branch)]), "by a person");
}

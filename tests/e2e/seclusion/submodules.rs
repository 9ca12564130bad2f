//! What a project's submodules need before an agent is paid.

use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::stack::{Stack, git};

#[test]
fn a_submodule_that_cannot_be_had_blocks_the_task_before_an_agent_is_paid() {
    let stack = Stack::builder().start();
    let seed = stack.scene.root.join("seed");
    let forge = stack.scene.forge.to_string_lossy().into_owned();
    let commit = git(&seed, &["rev-parse", "HEAD"]);
    let text = "[submodule \"lib\"]\n\tpath = lib\n\turl = https://elsewhere.example/lib.git\n";
    std::fs::write(seed.join(".gitmodules"), text).unwrap();
    git(&seed, &["add", ".gitmodules"]);
    git(&seed, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},lib")]);
    git(&seed, &["commit", "--quiet", "-m", "a submodule"]);
    git(&seed, &["push", "--quiet", &forge, "HEAD:main"]);
    let (item, _) = stack.plane().create_item("Add a greeting", "", &[]);

    let task = stack.wait_task(&item, Stage::Analysis, TaskState::Blocked);
    stack.settle();
    assert!(task.state_reason.unwrap().contains("lib (https://elsewhere.example/lib.git)"));
    assert!(stack.said(&item, "blocked").contains("submodule_hosts"), "who can mend it is said");
    assert!(stack.runs(&item).is_empty(), "no agent was paid");
}

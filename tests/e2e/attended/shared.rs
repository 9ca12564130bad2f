//! Two tasks of one mirror, and an agent that plants pipes where git and the worker read.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{analyses, decides, develops, first};
use orch_tests::stack::{Play, Stack, WORKER, git};
use orch_worker::ctl::scripted::Deed;

/// In the mirror, in the neighbours' folders of it, and in the agent's own worktree.
const PLANT: &str = "cd ROOT/repos/acme/shop/mirror.git && \
    for file in config HEAD info/exclude info/attributes shallow worktrees/ET-001/HEAD worktrees/ET-002/HEAD; do \
        rm -rf $file; mkdir -p $(dirname $file); mkfifo $file; done; \
    mkfifo logs 2>/dev/null; true";

#[test]
fn pipes_in_the_mirror_stop_neither_the_worker_nor_a_neighbour() {
    // One agent at a time: an agent's own git may well wait for what another one plants meanwhile.
    let mut stack = Stack::builder().set("worker.max_concurrency", 1).without_worker().start();
    let root = stack.scene.root.to_string_lossy().into_owned();
    let plant = Deed::Shell(PLANT.replace("ROOT", &root));
    let last = |mut deeds: Vec<Deed>| {
        deeds.push(plant.clone());
        deeds
    };
    let play = Play::default()
        .role(Role::Analyst, [last(analyses())])
        .role(Role::Architect, [last(decides())])
        .role(Role::Developer, [last(first(Deed::Shell("mkfifo .gitignore".into()), develops("done")))]);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    let items = [stack.approved("Login"), stack.approved("Logout")];
    for item in &items {
        let task = stack.wait_task(item, Stage::Done, TaskState::Done);
        assert_eq!(git(&stack.scene.forge, &["show", &format!("{}:feature.txt", task.branch)]), "done");
    }
    let log = stack.worker(WORKER).log();
    assert!(!log.contains("no sign of life"), "{log}");
    for file in ["config", "HEAD"] {
        let said = log.lines().any(|line| line.contains("WARN") && line.contains("mirror.git") && line.contains(file));
        assert!(said, "{file}: {log}");
    }
}

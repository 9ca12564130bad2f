//! What is asked in a round depends on our tasks, not on what others have open.

use crate::outside::rig::{REPO, Rig, now_ms};
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::tasks;

fn open_foreign(rig: &Rig, count: usize) {
    for n in 0..count {
        rig.gitea.open_fork_pull("stranger", REPO, &format!("theirs-{n}"), &"c".repeat(40));
    }
}

/// What the next round asks about pull requests, of a task that waits with no job of its own; that the forge is there is asked, too.
async fn calls_of_a_round(rig: &mut Rig) -> Vec<String> {
    rig.place(Stage::Review, TaskState::Active).await;
    rig.gitea.forget_requests();
    rig.ask().await;
    let read = rig.gitea.requests().into_iter().filter(|r| r.method == "GET");
    let all: Vec<String> = read.map(|r| r.path.replace("/api/v1/repos/acme/widgets", "")).collect();
    // The account, the repository and its branch rules, which are believed for a moment; then the task's own.
    assert!(all.len() <= 5, "{all:?}");
    all.into_iter().filter(|path| path.starts_with("/pulls")).collect()
}

#[tokio::test]
async fn a_round_costs_the_same_with_10_and_with_300_pull_requests_of_others() {
    let mut rig = Rig::new("review_gate = \"review_approved\"").await;
    let (_, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    rig.arrives(&created).await;
    let task = rig.place(Stage::Review, TaskState::Active).await;
    let head = "b".repeat(40);
    rig.gitea.set_branch(REPO, &task.branch, &head);
    let number = rig.gitea.open_pull_as("orch-bot", REPO, &task.branch, "main");
    rig.own_pull(number).await;
    rig.store().write(move |c| tasks::note_head(c, task.id, &head, now_ms())).await.unwrap();
    // The account's name is asked for once.
    rig.ask().await;

    let own = [format!("/pulls/{number}"), format!("/pulls/{number}/reviews")];
    open_foreign(&rig, 10);
    assert_eq!(calls_of_a_round(&mut rig).await, own);
    open_foreign(&rig, 290);
    rig.forget();
    assert_eq!(calls_of_a_round(&mut rig).await, own);

    // What happened to its own is found among all those, however late.
    rig.gitea.review(REPO, number, "maria", "APPROVED", "good");
    rig.place(Stage::Review, TaskState::Active).await;
    rig.ask().await;
    assert_eq!(rig.found("gitea:review:").await, 1);
}

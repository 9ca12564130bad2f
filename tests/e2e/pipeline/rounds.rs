//! A stage is left after its role has worked there: an agent that never began, that failed, or that changed nothing does
//! not carry a task on, whatever the tests say of the untouched branch.

use super::forge::push;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{
    after, analyses, approves, commit, decides, develops, first, passes, wants_changes, write,
};
use orch_tests::stack::{Play, REPO, Stack, git};
use orch_worker::ctl::scripted::Deed;

fn says_only() -> Vec<Deed> {
    vec![Deed::Say("All is well as it is.".into())]
}

/// Files of the task's branch that the base does not have, without the work item's documents.
fn code_of(stack: &Stack, item: &str) -> String {
    let branch = stack.task(item).unwrap().branch;
    git(&stack.scene.forge, &["diff", "--name-only", &format!("main...{branch}"), "--", ".", ":(exclude)docs"])
}

fn is_still_at_development(stack: &Stack, item: &str) {
    let task = stack.task(item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Development, TaskState::Blocked));
    assert_eq!(stack.agents_begun(item, Role::Reviewer), 0);
    assert!(stack.gitea().pulls(REPO).iter().all(|pull| !pull.merged));
}

/// Waits until the reconciler has had some rounds.
fn rounds(stack: &Stack) {
    let asked = || stack.plane().requests().len();
    let before = asked();
    stack.wait("rounds of the reconciler", || asked() >= before + 4);
    stack.settle();
}

#[test]
fn a_developer_that_failed_for_good_blocks_its_task_with_the_reason() {
    let broken = vec![Deed::Say("Hm.".into()), Deed::Exit(1)];
    let play = Play::default().role(Role::Developer, [broken]);
    let stack = Stack::builder().play(play).set("worker.reconcile_s", 1).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    let reason = task.state_reason.unwrap();
    assert!(reason.contains("developer") && reason.contains("exit"), "{reason}");
    stack.settle();
    assert!(stack.said(&item, "job failed").contains(":retry:"));
    assert_eq!(stack.plane().state_of(&item), "Blocked");
    // Neither rounds nor a document that a person pushes carry it on.
    let document = format!("docs/work-items/{}/note.md", task.key);
    push(&stack, &task.branch, &document, "a note\n");
    rounds(&stack);
    is_still_at_development(&stack, &item);
    assert!(!stack.gates(&item).iter().any(|(gate, _)| gate == "tests_local"), "there is nothing to test");
    stack.change_play(&Play::default());
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn an_agent_that_could_not_begin_blocks_its_task_with_the_reason() {
    let stack = Stack::builder().set("worker.reconcile_s", 1).start();
    let item = stack.analysed("Login");
    stack.settle();
    // A run has no place for its folder: nothing that time mends.
    let (runs, kept) = (&stack.scene.runs, stack.signal("runs-kept"));
    std::fs::rename(runs, &kept).unwrap();
    std::fs::write(runs, "").unwrap();
    stack.plane().comment(&item, "<p>:approved:</p>");
    let task = stack.wait_task(&item, Stage::Architecture, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|r| r.contains("could not be started")), "{:?}", task.state_reason);
    std::fs::remove_file(runs).unwrap();
    std::fs::rename(&kept, runs).unwrap();
    rounds(&stack);
    assert_eq!(stack.task(&item).unwrap().state, TaskState::Blocked);
    assert_eq!(stack.agents_begun(&item, Role::Architect), 0);
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_developer_that_changes_nothing_is_asked_again_and_then_blocked_with_the_words() {
    let notes = vec![write("{dir}/notes.md", "Nothing to do.\n"), commit("{key}: notes")];
    let reverts =
        vec![Deed::Shell("echo x > x.txt && git add x.txt && git commit -qm x && git revert --no-edit HEAD".into())];
    let play = Play::default().role(Role::Developer, [says_only(), notes, reverts]);
    let stack = Stack::builder().play(play).set("worker.reconcile_s", 1).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|r| r.contains("changed nothing")), "{:?}", task.state_reason);
    rounds(&stack);
    is_still_at_development(&stack, &item);
    assert_eq!(stack.agents_begun(&item, Role::Developer), 3);
    let comments = stack.comments(&item);
    let told: Vec<_> = comments.iter().filter(|k| *k == "nothing changed" || *k == "cap reached").collect();
    assert_eq!(told, ["nothing changed", "nothing changed", "cap reached"], "{comments:?}");
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    let prompt = stack.prompt(&developers[1]);
    assert!(prompt.contains("without changing anything that counts (attempt 2 of 3)"), "{prompt}");
    assert_eq!(code_of(&stack, &item), "");

    // Who knows better says so.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_developer_that_answers_a_review_with_nothing_does_not_get_past_it() {
    let play = Play::default()
        .role(Role::Developer, [develops("one"), says_only(), develops("two")])
        .role(Role::Reviewer, [wants_changes("name it better"), approves()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let roles: Vec<Role> = stack.run_trail(&item).into_iter().map(|(role, _)| role).collect();
    use Role::{Analyst, Architect, Deployer, Developer, Reviewer, Tester};
    assert_eq!(
        roles,
        [Analyst, Architect, Developer, Reviewer, Developer, Developer, Reviewer, Tester, Deployer],
        "one more round, and only then the reviewer"
    );
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "nothing changed").count(), 1);
}

#[test]
fn an_analyst_that_answers_a_rejection_with_nothing_is_asked_again() {
    let play = Play::default().role(Role::Analyst, [analyses(), says_only(), analyses()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.analysed("Login");
    stack.plane().comment(&item, "<p>:rejected: too thin</p>");
    stack.wait_said(&item, "nothing changed");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Analyst), 3);
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "approval wanted").count(), 2);
}

#[test]
fn what_a_failed_attempt_left_is_the_rounds_work() {
    let leaves = first(Deed::Say("Half done.".into()), vec![write("feature.txt", "done\n"), Deed::Exit(1)]);
    let play = Play::default().role(Role::Developer, [leaves, says_only()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 2);
    assert!(!stack.comments(&item).iter().any(|k| k == "nothing changed"));
    assert_eq!(code_of(&stack, &item), "feature.txt");
}

#[test]
fn a_pause_before_the_developer_began_is_no_way_past_it() {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Architect, [after(&go, decides())]));
    stack.start_worker("w1");
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Architect);
    // The developer's first attempt fails at once; it is paused before the second.
    let hold = stack.signal("hold");
    let waits = after(&hold, vec![Deed::Exit(1)]);
    stack.change_play(&Play::default().role(Role::Developer, [waits, develops("done")]));
    stack.give("go");
    stack.wait_at_work(&item, Role::Developer);
    stack.plane().comment(&item, "<p>:pause:</p>");
    stack.wait_task(&item, Stage::Development, TaskState::Paused);
    stack.give("hold");
    stack.settle();
    assert_eq!(code_of(&stack, &item), "");
    stack.plane().comment(&item, "<p>:resume:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert_eq!(stack.agents_begun(&item, Role::Developer), 2);
    assert!(code_of(&stack, &item).contains("feature.txt"));
}

/// The developer's end is looked at (its tests run) while a person approves.
fn approved_at_the_end(developers: [Vec<Deed>; 2]) -> (Stack, String) {
    let play = Play::default().role(Role::Developer, developers).role(Role::Tester, [passes()]);
    let stack = Stack::builder().play(play).start();
    stack.give("hold-tests");
    let item = stack.approved("Login");
    stack.wait("the tests to run", || stack.signal("tests-begun").exists());
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait("the word to wait for its turn", || {
        stack
            .jobs(&item)
            .iter()
            .any(|j| j.kind == JobKind::Advance && j.status == JobStatus::Queued && j.payload.contains("\"approve\""))
    });
    std::fs::remove_file(stack.signal("hold-tests")).unwrap();
    (stack, item)
}

#[test]
fn an_approval_swallows_no_end_whose_gate_fails() {
    let (stack, item) = approved_at_the_end([develops("red"), develops("green")]);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let comments = stack.comments(&item);
    assert!(comments.iter().any(|k| k == "tests red"), "the end was looked at: {comments:?}");
    assert!(comments.iter().any(|k| k == "refused"), "the word was answered: {comments:?}");
    assert_eq!(stack.agents_begun(&item, Role::Developer), 2);
}

#[test]
fn an_approval_swallows_no_end_whose_gate_passes_and_counts_for_its_own_stage_alone() {
    let (stack, item) = approved_at_the_end([develops("green"), develops("never")]);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert!(stack.said(&item, "refused").contains("development"));
    let roles: Vec<Role> = stack.run_trail(&item).into_iter().map(|(role, _)| role).collect();
    assert_eq!(roles.iter().filter(|r| **r == Role::Reviewer).count(), 1, "{roles:?}");
}

//! What happens at the forge: pushes, checks, reviews, merges.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::FakeGitea;
use orch_tests::stack::play::{after, approves, develops, wants_changes, write};
use orch_tests::stack::{Play, REPO, Stack, WORKER, git};
use std::path::Path;

/// A person commits a file to the task's branch and pushes it; the forge says so.
pub fn push(stack: &Stack, branch: &str, file: &str, text: &str) {
    let before = stack.gitea().head_of(REPO, branch).unwrap();
    let clone = stack.signal("clone-of-a-person");
    let _ = std::fs::remove_dir_all(&clone);
    let forge = stack.scene.forge.to_string_lossy().into_owned();
    git(&stack.scene.root, &["clone", "--quiet", "--branch", branch, &forge, &clone.to_string_lossy()]);
    let path = clone.join(file);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
    std::fs::write(path, text).unwrap();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "--quiet", "-m", "By hand"]);
    git(&clone, &["push", "--quiet", "origin", branch]);
    stack.gitea().pushed("hugo", REPO, branch, &before);
}

#[test]
fn a_green_check_of_the_head_leaves_development_and_ours_do_not_count() {
    let stack = Stack::builder().project("development_gate", "ci_green").start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    stack.settle();
    let task = stack.task(&item).unwrap();
    let head = task.head.clone().unwrap();
    assert_eq!(stack.gitea().head_of(REPO, &task.branch).as_deref(), Some(head.as_str()));

    stack.gitea().ci(REPO, &head, "orch/development", "success");
    stack.gitea().ci(REPO, &head, "ci/test", "pending");
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Development);
    stack.gitea().ci(REPO, &head, "ci/test", "success");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_review_at_the_forge_moves_the_task_where_it_is_the_gate() {
    let stack = Stack::builder().project("review_gate", "review_approved").start();
    let item = stack.approved("Login");
    // The reviewer's own file is no review at the forge while a pull request is open.
    stack.wait("the reviewer's end to be looked at", || {
        stack.task(&item).is_some_and(|t| t.stage == Stage::Review)
            && stack.gates(&item).iter().any(|(gate, _)| gate == "review_approved")
    });
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Review);
    let number = stack.pull(&item).unwrap().number;

    stack.gitea().review(REPO, number, "maria", "REQUEST_CHANGES", "Please name it better");
    stack.wait_said(&item, "changes wanted");
    stack.wait("the second developer", || stack.agents_begun(&item, Role::Developer) == 2);
    stack.wait("the second review to be looked at", || {
        stack.gates(&item).iter().filter(|(gate, _)| gate == "review_approved").count() >= 2
    });
    stack.settle();
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert!(stack.prompt(&developers[1]).contains("Please name it better"));
    assert_eq!(stack.gitea().pulls(REPO).len(), 1, "the same pull request");

    stack.gitea().review(REPO, number, "maria", "APPROVED", "Good");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn the_deploy_stage_waits_for_a_persons_merge_or_merges_itself() {
    for (policy, by_person) in [("never", true), ("on_deploy", false)] {
        let stack = Stack::builder().project("deploy_gate", "pr_merged").project("merge", policy).start();
        let item = stack.approved("Login");
        if by_person {
            stack.wait_said(&item, "waiting");
            stack.settle();
            let pull = stack.pull(&item).unwrap();
            assert!(!pull.merged);
            stack.gitea().merge_as("maria", REPO, pull.number);
        }
        stack.wait_task(&item, Stage::Done, TaskState::Done);
        stack.settle();
        assert!(stack.pull(&item).unwrap().merged, "{policy}");
        assert_eq!(git(&stack.scene.forge, &["show", "main:feature.txt"]), "done");
    }
}

#[test]
fn a_push_that_puts_right_what_a_gate_missed_moves_the_task() {
    // The architect's record is missing; nobody but a person writes it.
    let play = Play::default().role(Role::Architect, [vec![write("{dir}/notes.md", "Thinking.\n")]]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    let said = stack.wait_said(&item, "gate failed");
    assert!(said.contains("06-adr.md"), "{said}");
    stack.settle();
    let task = stack.task(&item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Architecture, TaskState::Active));
    // Our own pushes, and other branches, move nothing.
    stack.gitea().pushed(FakeGitea::BOT, REPO, &task.branch, &"0".repeat(40));
    stack.gitea().pushed("hugo", REPO, "main", &"0".repeat(40));
    stack.settle();
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "gate failed").count(), 1);

    let record = format!("docs/work-items/{}/06-adr.md", task.key);
    push(&stack, &task.branch, &record, "# Decision\n");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Architect), 1);
}

#[test]
fn what_the_forge_says_while_an_agent_works_is_left_to_its_end() {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    let play = Play::default().role(Role::Developer, [after(&go, develops("done"))]).role(Role::Reviewer, [approves()]);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Developer);
    let branch = stack.task(&item).unwrap().branch;
    push(&stack, &branch, "by-hand.txt", "kept\n");
    stack.wait("the push to be handled", || stack.notes_of_events().iter().any(|n| n.contains("recorded")));
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Development);
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    // Both works are on the branch: the person's and the agent's.
    for (file, text) in [("by-hand.txt", "kept"), ("feature.txt", "done")] {
        assert_eq!(git(&stack.scene.forge, &["show", &format!("{branch}:{file}")]), text);
    }
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);
}

/// The worker has just fetched, and a push moves nothing while the task is blocked: all that can tell it to look again is
/// what it heard.
#[test]
fn what_a_person_pushed_before_an_agent_began_is_in_its_folder() {
    let play = Play::default().role(Role::Developer, [develops("red"), develops("red 2"), develops("red 3")]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    let branch = stack.wait_task(&item, Stage::Development, TaskState::Blocked).branch;
    stack.settle();
    push(&stack, &branch, "by-hand.txt", "kept\n");
    let pushed = stack.gitea().head_of(REPO, &branch).unwrap();
    stack.settle();
    assert!(stack.notes_of_events().iter().any(|note| note.contains("ignored: the task is blocked")));
    stack.change_play(&Play::default());
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 4);
    assert_eq!(git(&stack.scene.forge, &["show", &format!("{branch}:by-hand.txt")]), "kept");
    // Had it begun without, the two would have been joined at its end.
    let since = format!("{pushed}..{branch}");
    assert_eq!(git(&stack.scene.forge, &["rev-list", "--merges", &since]), "");
}

/// Who reviewed the task's pull request, and how.
fn reviews(stack: &Stack, item: &str) -> Vec<(String, String)> {
    let number = stack.pull(item).expect("a pull request").number;
    stack.gitea().reviews_of(REPO, number).into_iter().map(|r| (r.login, r.state)).collect()
}

/// What the orchestrator says on the task's pull request.
fn comments(stack: &Stack, item: &str) -> Vec<String> {
    let number = stack.pull(item).expect("a pull request").number;
    let all = stack.gitea().comments_of(REPO, number);
    all.into_iter().filter(|c| c.login == FakeGitea::BOT).map(|c| c.body).collect()
}

#[test]
fn a_reviewer_with_an_account_of_its_own_reviews_the_pull_request() {
    let play = Play::default().role(Role::Reviewer, [wants_changes("no tests"), approves()]);
    let stack = Stack::builder()
        .play(play)
        .project("review_gate", "review_approved")
        .set("gitea.reviewer_token", FakeGitea::REVIEWER_TOKEN)
        .start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let by_reviewer = |state: &str| (FakeGitea::REVIEWER.to_owned(), state.to_owned());
    assert_eq!(reviews(&stack, &item), [by_reviewer("REQUEST_CHANGES"), by_reviewer("APPROVED")]);
    let said = comments(&stack, &item);
    assert!(said.iter().all(|text| text.contains("is done: ")), "nobody else is asked for a review: {said:?}");
    assert!(said.len() == 1 && said[0].contains("does not merge it"), "done, and who merges: {said:?}");
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    let told = stack.prompt(&developers[1]);
    assert!(told.contains("no tests") && !told.contains("<!--"), "{told}");
    assert_eq!((developers.len(), stack.jobs_with(JobStatus::Failed)), (2, 0));
}

#[test]
fn verdicts_and_stops_are_seen_on_the_pull_request_once_each() {
    let play = Play::default().role(Role::Reviewer, [wants_changes("no tests"), approves()]);
    let stack = Stack::builder().play(play).project("deploy_gate", "pr_merged").start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    stack.settle();
    let said = comments(&stack, &item);
    let begins = ["The reviewer's verdict: REQUEST_CHANGES.", "The reviewer's verdict: APPROVED.", "The task waits"];
    assert_eq!(said.len(), begins.len(), "{said:#?}");
    for (text, beginning) in said.iter().zip(begins) {
        assert!(text.starts_with(beginning), "{text}");
    }
    assert!(said[0].contains("no tests"), "{}", said[0]);
    // A person who works in Plane sends it back; whoever watches the pull request learns why.
    stack.plane().comment(&item, "<p>:rejected: the title is wrong</p>");
    stack.wait_said(&item, "rejected");
    stack.settle();
    assert!(comments(&stack, &item).iter().any(|c| c.contains("the title is wrong")));
}

#[test]
fn changes_asked_for_while_the_reviewer_works_are_heard_at_its_end() {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    let play = Play::default().role(Role::Reviewer, [after(&go, approves()), approves()]);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Reviewer);
    let number = stack.wait_for("the pull request", || stack.pull(&item)).number;
    stack.gitea().review(REPO, number, "maria", "REQUEST_CHANGES", "Please name it better");
    stack.wait("the review to be handled", || stack.notes_of_events().iter().any(|n| n.contains("recorded")));
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Review);
    stack.give("go");
    stack.wait_said(&item, "changes wanted");
    // The agent's own approval does not outvote her; her word acts once.
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(developers.len(), 2);
    assert!(stack.prompt(&developers[1]).contains("Please name it better"));
}

//! Work that goes back: red tests, a failed report, a conflict, and the cap that ends it.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{decides, develops, fails, finds_conflict, passes};
use orch_tests::stack::{Play, Stack};

#[test]
fn a_failed_test_report_brings_the_developer_back() {
    let play = Play::default().role(Role::Tester, [fails("the button is grey"), passes()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert!(stack.said(&item, "tests failed").contains("the button is grey"));
    use Stage::{Analysis, Architecture, Created, Deploy, Development, Done, Review, Testing};
    assert_eq!(
        stack.stages(&item),
        [Created, Analysis, Architecture, Development, Review, Testing, Development, Review, Testing, Deploy, Done]
    );
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert_eq!(developers.len(), 2);
    let prompt = stack.prompt(&developers[1]);
    assert!(prompt.contains("13-test-report.md") && prompt.contains("attempt 2 of 3"), "{prompt}");
    assert_eq!(
        stack.our_states(&item),
        ["In Progress", "In Review", "In Progress", "In Review", "In Progress", "In Review", "In Progress", "Done"]
    );
    assert!(stack.statuses(&item).contains(&("orch/testing".into(), "failure".into())));
}

#[test]
fn red_tests_bring_the_developer_back_with_their_output() {
    let play = Play::default().role(Role::Developer, [develops("red"), develops("green")]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let said = stack.said(&item, "tests red");
    assert!(said.contains("expected green, found red") && said.contains("attempt 2 of 3"), "{said}");
    let developers: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect();
    assert!(stack.prompt(&developers[1]).contains("expected green, found red"));
    let tests: Vec<_> = stack.gates(&item).into_iter().filter(|(gate, _)| gate == "tests_local").collect();
    assert_eq!(tests, [("tests_local".into(), "fail".into()), ("tests_local".into(), "pass".into())]);
}

#[test]
fn a_role_that_fails_as_often_as_it_may_blocks_the_task_until_a_person_speaks() {
    let play = Play::default().role(Role::Developer, [develops("red"), develops("red 2"), develops("red 3")]);
    let stack = Stack::builder().play(play).with_telegram().start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 3);
    assert!(task.state_reason.is_some());
    assert_eq!(stack.plane().state_of(&item), "Blocked");
    let comments = stack.comments(&item);
    assert_eq!(comments.iter().filter(|k| *k == "tests red").count(), 2, "{comments:?}");
    assert_eq!(comments.last().map(String::as_str), Some("cap reached"));
    assert_eq!(stack.told().last().map(String::as_str), Some("cap reached"));
    assert_eq!(stack.jobs_with(JobStatus::Failed), 0);

    stack.change_play(&Play::default());
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 4);
    assert_eq!(stack.plane().state_of(&item), "Done");
}

#[test]
fn a_conflict_in_the_requirements_goes_back_to_the_analyst() {
    let text = format!("The buttons are both red and blue. {}END", "x".repeat(600));
    let play = Play::default().role(Role::Architect, [finds_conflict(&text), decides()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "conflict");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    let said = stack.said(&item, "conflict");
    assert!(said.contains("both red and blue") && !said.contains("END"), "{said}");
    assert_eq!(stack.comments(&item), ["started", "approval wanted", "approved", "conflict", "approval wanted"]);
    assert_eq!(stack.our_states(&item), ["In Progress", "In Review", "In Progress", "In Review"]);
    let runs = stack.runs(&item);
    let again = runs.iter().rfind(|r| r.role == Role::Analyst).unwrap();
    assert!(stack.prompt(again).contains("10-conflict.md"));

    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

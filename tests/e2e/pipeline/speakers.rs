//! Who may speak at the forge, and what becomes of what they say.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::{FakeGitea, Fault, InlineRow, Reply};
use orch_tests::stack::play::{after, approves, passes};
use orch_tests::stack::{Play, REPO, Stack, WORKER};
use serde_json::json;

/// A task whose review waits for people; gives its item and the number of its pull request.
fn at_review(stack: &Stack) -> (String, i64) {
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    stack.settle();
    let number = stack.pull(&item).unwrap().number;
    assert_eq!(stack.task(&item).unwrap().pull, Some(number));
    (item, number)
}

fn is_at(stack: &Stack, item: &str, stage: Stage) {
    stack.settle();
    assert_eq!(stack.task(item).unwrap().stage, stage);
}

/// The prompt of the newest run of this role.
fn prompt(stack: &Stack, item: &str, role: Role) -> String {
    let run = stack.runs(item).into_iter().rfind(|r| r.role == role).expect("a run");
    stack.prompt(&run)
}

#[test]
fn strangers_readers_ghosts_and_forks_move_nothing_and_enter_no_prompt() {
    let stack = Stack::builder().project("review_gate", "review_approved").start();
    let (item, number) = at_review(&stack);
    let task = stack.task(&item).unwrap();
    let gitea = stack.gitea();
    for login in ["stranger", "rita"] {
        gitea.review(REPO, number, login, "APPROVED", "from nobody");
        gitea.review(REPO, number, login, "REQUEST_CHANGES", "from nobody");
        gitea.review(REPO, number, login, "APPROVED", "from nobody");
        is_at(&stack, &item, Stage::Review);
    }
    // A fork's pull request bears the task's branch's name, and a person's goes elsewhere.
    let head = gitea.head_of(REPO, &task.branch).unwrap();
    let fork = gitea.open_fork_pull("stranger", REPO, &task.branch, &head);
    gitea.review(REPO, fork, "hugo", "APPROVED", "from a fork");
    gitea.review(REPO, fork, "tom", "REQUEST_CHANGES", "from a fork");
    is_at(&stack, &item, Stage::Review);
    // What is left of a deleted account is nobody's word, and a push makes the gate be looked at.
    gitea.delete_account("tom");
    gitea.review(REPO, number, "tom", "APPROVED", "from a ghost");
    gitea.pushed("hugo", REPO, &task.branch, &"0".repeat(40));
    is_at(&stack, &item, Stage::Review);
    gitea.review(REPO, number, "hugo", "REQUEST_CHANGES", "Please name it better");
    stack.wait("the second developer", || stack.agents_begun(&item, Role::Developer) == 2);
    stack.settle();
    let told = prompt(&stack, &item, Role::Developer);
    assert!(
        told.contains("Please name it better") && !told.contains("from nobody") && !told.contains("from a fork"),
        "{told}"
    );
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Review);
    gitea.review(REPO, number, "hugo", "APPROVED", "Good");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn the_projects_reviewers_are_asked_at_the_forge_and_count_alone() {
    let reviewers = toml::Value::try_from(["rita", "team:backend"]).unwrap();
    let stack = Stack::builder()
        .project("review_gate", "review_approved")
        .project("reviewers", reviewers)
        .without_worker()
        .start();
    stack.gitea().set_team("backend", &["tom"]);
    let mut stack = stack;
    stack.start_worker(WORKER);
    let (item, number) = at_review(&stack);
    let pull = stack.pull(&item).unwrap();
    assert_eq!((pull.requested, pull.requested_teams), (vec!["rita".to_owned()], vec!["backend".to_owned()]));
    let head = stack.task(&item).unwrap().head.unwrap();
    let said = stack.gitea().statuses_of(REPO, &head);
    assert!(said.iter().any(|s| s.context == "orch/review" && s.state == "pending"), "{said:?}");
    stack.gitea().review(REPO, number, "hugo", "APPROVED", "official, but not asked");
    is_at(&stack, &item, Stage::Review);
    stack.gitea().review(REPO, number, "rita", "APPROVED", "on the list, though she may only read");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let asked = stack
        .gitea()
        .requests()
        .iter()
        .filter(|r| r.method == "POST" && r.path.ends_with("/requested_reviewers"))
        .count();
    assert_eq!(asked, 2, "each once, and none after the verdict");
}

#[test]
fn while_its_pull_request_is_not_open_a_task_waits_and_says_why() {
    let stack = Stack::builder().project("review_gate", "review_approved").start();
    // The forge cannot open one for now; the reviewer's own file approves.
    let fault = Fault::Answer(Reply::json(500, json!({ "message": "" })));
    stack.gitea().fail_when("POST", "/acme/shop/pulls", 2, fault);
    let item = stack.approved("Login");
    stack.wait_said(&item, "waiting");
    stack.wait("the pull request", || stack.pull(&item).is_some());
    is_at(&stack, &item, Stage::Review);
    let number = stack.pull(&item).unwrap().number;
    assert_eq!(stack.task(&item).unwrap().pull, Some(number));
    stack.gitea().close(REPO, number);
    // A push makes it look again; a closed pull request has no review to wait for.
    let task = stack.task(&item).unwrap();
    stack.gitea().pushed("hugo", REPO, &task.branch, &"0".repeat(40));
    stack.wait("the closed pull request to be said", || {
        stack.plane().comments_of(&item).iter().any(|text| text.contains("pull request is closed"))
    });
    is_at(&stack, &item, Stage::Review);
    assert!(!stack.gates(&item).iter().any(|(gate, outcome)| gate == "review_approved" && outcome == "pass"));
}

#[test]
fn changes_requested_while_the_tester_works_go_back_with_every_word_and_line() {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    let play = Play::default().role(Role::Tester, [after(&go, passes()), passes()]);
    stack.change_play(&play);
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Tester);
    let number = stack.wait_for("the pull request", || stack.task(&item).and_then(|task| task.pull));
    let line = InlineRow { path: "feature.txt".into(), line: 7, hunk: "@@ -1 +7 @@".into(), body: "why seven?".into() };
    let gitea = stack.gitea();
    gitea.review_lines(REPO, number, "hugo", ("REQUEST_CHANGES", "Please name it better"), vec![line]);
    gitea.review(REPO, number, "maria", "REQUEST_CHANGES", "And document it");
    stack.give("go");
    stack.wait_said(&item, "changes wanted");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 2, "each acts once");
    let told = prompt(&stack, &item, Role::Developer);
    let why = told.split("## Why you work now").nth(1).unwrap().split("## The work item").next().unwrap();
    for words in ["hugo: Please name it better", "maria: And document it", "feature.txt:7: why seven?", "@@ -1 +7 @@"] {
        assert!(why.contains(words), "{words}: {why}");
    }
    assert!(!why.contains("12-review.md"), "no pointer to a file that approves: {why}");
    let deployers = stack.runs(&item).into_iter().filter(|r| r.role == Role::Deployer).count();
    assert_eq!(deployers, 1, "nobody deployed over it");
}

#[test]
fn a_command_on_the_pull_request_is_answered_with_where_it_counts() {
    let stack = Stack::builder()
        .play(Play::default().role(Role::Reviewer, [approves()]))
        .project("review_gate", "review_approved")
        .start();
    let (item, number) = at_review(&stack);
    let shown = [
        "> :approved:\n\nwhy?",
        "```\n:approved:\n```",
        "`:approved:`",
        "- [ ] :approved:",
        "what about :approved: here?",
    ];
    for text in shown {
        stack.gitea().comment_as("maria", REPO, number, text);
    }
    is_at(&stack, &item, Stage::Review);
    let all = stack.gitea().comments_of(REPO, number);
    assert!(!all.iter().any(|c| c.body.contains("does nothing on a pull request")), "shown, not said: {all:#?}");
    for text in [":approved: ok to deploy", ":retry:"] {
        stack.gitea().comment_as("maria", REPO, number, text);
    }
    is_at(&stack, &item, Stage::Review);
    let said = stack.gitea().comments_of(REPO, number);
    let answers: Vec<_> = said
        .iter()
        .filter(|c| c.login == FakeGitea::BOT && c.body.contains("does nothing on a pull request"))
        .collect();
    assert_eq!(answers.len(), 1, "each person is told once: {said:#?}");
    assert!(answers[0].body.contains(":approved:") && answers[0].body.contains(&item), "{}", answers[0].body);
}

#[test]
fn a_persons_pull_request_of_the_same_branch_is_not_ours() {
    let stack =
        Stack::builder().project("deploy_gate", "pr_merged").project("merge", "on_deploy").without_worker().start();
    let mut stack = stack;
    stack.gitea().set_branch_at(REPO, "develop", "main");
    stack.start_worker(WORKER);
    let (item, go) = (stack.analysed("Login"), stack.signal("go"));
    let play = Play::default().role(Role::Deployer, [after(&go, orch_tests::stack::play::deploys())]);
    stack.change_play(&play);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_at_work(&item, Role::Deployer);
    let task = stack.task(&item).unwrap();
    let backport = stack.gitea().open_pull_as("hugo", REPO, &task.branch, "develop");
    assert!(task.pull.is_some_and(|own| own != backport), "{:?}", task.pull);
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let pulls = stack.gitea().pulls(REPO);
    let merged: Vec<i64> = pulls.iter().filter(|p| p.merged).map(|p| p.number).collect();
    assert_eq!(merged, [task.pull.unwrap()], "ours is merged, and the backport is left to its owner");
}

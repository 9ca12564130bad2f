//! What a person does to the task's branch, its pull request or its repository while the task is under way, as people and the
//! next agent read it, and that it goes on by itself after the mend.

use super::forge::push;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::jobs::Job;
use orch_tests::fakes::{BranchRule, FakeGitea, Right};
use orch_tests::stack::play::{after, approves, develops};
use orch_tests::stack::{Play, REPO, Stack, WORKER, git};
use orch_worker::ctl::scripted::Deed;

/// A stack whose first developer waits for the signal `go`; the second does `then`.
fn held_developer(then: Vec<Deed>) -> (Stack, String) {
    let mut stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Developer, [after(&go, develops("the agent's")), then]));
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Developer);
    (stack, item)
}

fn shell(line: &str) -> Deed {
    Deed::Shell(line.to_owned())
}

fn second_developer(stack: &Stack, item: &str) -> String {
    let developers: Vec<_> = stack.runs(item).into_iter().filter(|run| run.role == Role::Developer).collect();
    assert_eq!(developers.len(), 2, "{}", stack.story());
    stack.prompt(&developers[1])
}

#[test]
fn a_push_that_conflicts_goes_to_the_developer_at_once_with_both_sides() {
    let join = "git merge -q origin/$(git branch --show-current) || \
        (printf 'both\\n' > feature.txt && git add feature.txt && git commit -qm 'Join both')";
    let (stack, item) = held_developer(vec![shell(join)]);
    let branch = stack.task(&item).unwrap().branch;
    push(&stack, &branch, "feature.txt", "a person's\n");
    let theirs = stack.gitea().head_of(REPO, &branch).unwrap();
    stack.give("go");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();

    let prompt = second_developer(&stack, &item);
    for words in [&format!("git merge {theirs}"), "feature.txt", "By hand", "work of the developer at development"] {
        assert!(prompt.contains(words), "{words}: {prompt}");
    }
    let said = stack.said(&item, "branch conflict");
    assert!(said.contains("feature.txt") && said.contains(&theirs[..12]) && said.contains("attempt 2 of 3"), "{said}");
    assert_eq!(git(&stack.scene.forge, &["show", &format!("{branch}:feature.txt")]), "both");
    git(&stack.scene.forge, &["merge-base", "--is-ancestor", &theirs, &branch]);
    assert!(
        git(&stack.scene.forge, &["log", "--format=%s", &branch]).contains("work of the developer"),
        "ours is there"
    );
    assert!(stack.jobs(&item).iter().all(|job| job.attempts <= 1), "nothing was tried in vain: {}", stack.story());
}

#[test]
fn a_branch_that_a_person_rewrote_stays_so_and_the_agents_commits_are_kept_and_offered() {
    let (stack, item) = held_developer(develops("again"));
    let task = stack.task(&item).unwrap();
    let (before, clone) = (stack.gitea().head_of(REPO, &task.branch).unwrap(), stack.signal("clone-of-hugo"));
    let forge = stack.scene.forge.to_string_lossy().into_owned();
    git(&stack.scene.root, &["clone", "--quiet", &forge, &clone.to_string_lossy()]);
    git(&clone, &["checkout", "--quiet", "-B", &task.branch, "main"]);
    std::fs::write(clone.join("anew.txt"), "anew\n").unwrap();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "--quiet", "-m", "Begun anew"]);
    git(&clone, &["push", "--quiet", "--force", "origin", &task.branch]);
    let theirs = git(&clone, &["rev-parse", "HEAD"]);
    stack.gitea().pushed("hugo", REPO, &task.branch, &before);
    stack.give("go");
    let said = stack.wait_said(&item, "branch rewritten");
    assert!(said.contains(&theirs[..12]), "{said}");
    stack.wait("the second developer", || stack.agents_begun(&item, Role::Developer) == 2);
    let prompt = second_developer(&stack, &item);
    assert!(
        prompt.contains("A person rewrote the task's branch") && prompt.contains("refs/orch/preserved/"),
        "{prompt}"
    );

    let told = stack.wait_said(&item, "left");
    let kept =
        told.split("Kept as ").nth(1).and_then(|rest| rest.split(". ").next()?.split(".<").next()).expect("a ref");
    let mirror = stack.scene.root.join("repos/acme/shop/mirror.git");
    assert_eq!(git(&mirror, &["show", &format!("{}^{{commit}}:feature.txt", kept.trim())]), "the agent's", "{told}");
    stack.wait("the work on the rewritten branch to be published", || {
        stack.gitea().head_of(REPO, &task.branch).is_some_and(|head| head != theirs)
    });
    git(&stack.scene.forge, &["merge-base", "--is-ancestor", &theirs, &task.branch]);
    let history = git(&stack.scene.forge, &["log", "--format=%H", &task.branch]);
    assert!(!history.contains(&before), "what the person took out is not brought back: {history}");
    stack.settle();
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "left").count(), 1, "said once");
}

#[test]
fn a_branch_that_a_person_deleted_is_waited_for_and_made_again_only_when_it_is_asked_for() {
    for restored in [true, false] {
        let (stack, item) = held_developer(develops("again"));
        let task = stack.task(&item).unwrap();
        let before = stack.gitea().head_of(REPO, &task.branch).unwrap();
        stack.gitea().delete_branch_as("hugo", REPO, &task.branch);
        let said = stack.wait_said(&item, "branch gone");
        stack.give("go");
        stack.wait("the look at the developer's end to be held", || {
            let held =
                |job: &Job| job.kind == JobKind::Advance && job.status == JobStatus::Queued && job.error.is_some();
            stack.jobs(&item).iter().any(held)
        });
        assert!(said.contains(&task.branch) && said.contains(":retry:"), "{said}");
        assert_eq!(stack.gitea().head_of(REPO, &task.branch), None, "nobody asked for it");
        assert_eq!(stack.task(&item).unwrap().state, TaskState::Active);
        if restored {
            git(&stack.scene.forge, &["update-ref", &format!("refs/heads/{}", task.branch), &before]);
            stack.gitea().pushed("hugo", REPO, &task.branch, &"0".repeat(40));
        } else {
            stack.plane().comment(&item, "<p>:retry:</p>");
        }
        stack.wait_task(&item, Stage::Done, TaskState::Done);
        stack.settle();
        assert!(stack.gitea().head_of(REPO, &task.branch).is_some());
        assert_eq!(stack.agents_begun(&item, Role::Developer), if restored { 1 } else { 2 });
        assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "branch gone").count(), 1, "said once");
    }
}

#[test]
fn a_hook_that_refuses_the_push_is_said_once_in_its_words_and_the_task_goes_on_after_the_mend() {
    let (stack, item) = held_developer(vec![]);
    let hook = stack.scene.forge.join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(&hook, "#!/bin/sh\necho 'No ticket in the subject' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    stack.give("go");
    let said = stack.wait_said(&item, "push refused");
    assert!(said.contains("No ticket in the subject") && said.contains("A hook of the repository"), "{said}");
    let task = stack.task(&item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Development, TaskState::Active));
    assert!(task.state_reason.unwrap_or_default().contains("does not take its commits"));
    // What the forge says next is a reason to look at once.
    let spent = |stack: &Stack| stack.jobs(&item).iter().map(|job| job.attempts).max().unwrap_or_default();
    stack.gitea().pushed("hugo", REPO, &task.branch, &"0".repeat(40));
    std::fs::remove_file(&hook).unwrap();
    stack.gitea().pushed("hugo", REPO, &task.branch, &"0".repeat(40));
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "push refused").count(), 1, "said once");
    assert!(spent(&stack) <= 1, "{}", stack.story());
}

/// Who may write and is no admin sees of the rules what they mean for the branches that are there.
#[test]
fn a_rule_that_keeps_tasks_branches_out_is_said_before_an_agent_is_paid() {
    let mut stack = Stack::builder().without_worker().start();
    stack.gitea().set_right(FakeGitea::BOT, Right::Write);
    git(&stack.scene.forge, &["branch", "feature/ET-900-old", "main"]);
    stack.gitea().set_rule(REPO, "feature/**", BranchRule::default());
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let told = |stack: &Stack| {
        let all = stack.plane().item(&item).comments;
        all.into_iter().filter(|c| c.html.contains("A branch rule keeps the account out")).collect::<Vec<_>>()
    };
    stack.wait("it to be said", || !told(&stack).is_empty());
    assert!(told(&stack)[0].html.contains("feature/ET-900-old"), "{:?}", told(&stack));
    assert_eq!(stack.runs(&item).len(), 0, "nobody is paid for what cannot be pushed");
    assert_eq!(stack.task(&item).unwrap().state, TaskState::Active);
    let rule = BranchRule { pushers: Some(vec![FakeGitea::BOT.into()]), ..BranchRule::default() };
    stack.gitea().set_rule(REPO, "feature/**", rule);
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert_eq!((stack.agents_begun(&item, Role::Analyst), told(&stack).len()), (1, 1));
    assert!(stack.jobs(&item).iter().all(|job| job.attempts <= 1), "{}", stack.story());
}

#[test]
fn a_task_that_is_cancelled_or_deleted_in_plane_says_so_on_its_pull_request_and_closes_it() {
    for (by, closed) in [("word", true), ("state", true), ("deleted", true), ("state", false)] {
        let play = Play::default().role(Role::Reviewer, [vec![]]);
        let stack = Stack::builder().play(play).project("close_cancelled_pulls", closed).start();
        let item = stack.approved("Login");
        stack.wait_said(&item, "gate failed");
        stack.settle();
        let number = stack.pull(&item).unwrap().number;
        match by {
            "word" => drop(stack.plane().comment(&item, "<p>:cancel:</p>")),
            "state" => {
                stack.plane().add_state("Cancelled", "cancelled");
                stack.plane().move_item(&item, "Cancelled");
            }
            _ => drop(stack.plane().delete_item_said(&item)),
        }
        stack.wait("the task to be cancelled", || stack.task(&item).is_some_and(|t| t.state == TaskState::Cancelled));
        stack.settle();
        let pull = stack.gitea().pulls(REPO).into_iter().find(|pull| pull.number == number).unwrap();
        assert_eq!(pull.open, !closed, "{by}");
        let comments = stack.gitea().comments_of(REPO, number);
        let told = comments.iter().filter(|c| c.body.contains("ancelled")).count();
        assert_eq!(told, 1, "{by}: {comments:?}");
    }
}

/// How many of our comments on the work item are of this kind.
fn times(stack: &Stack, item: &str, kind: &str) -> usize {
    stack.comments(item).iter().filter(|said| *said == kind).count()
}

fn in_the_way(stack: &Stack, item: &str) -> Option<String> {
    let id = stack.task(item).unwrap().id;
    stack.read(move |c| in_the_way::get(c, id, Kind::Branch))
}

#[test]
fn a_lost_branch_takes_its_pull_request_with_it_and_both_come_back_under_any_name_of_the_repository() {
    let play = Play::default().role(Role::Reviewer, [vec![], vec![], approves()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "gate failed");
    stack.settle();
    let (branch, number) = (stack.task(&item).unwrap().branch, stack.pull(&item).unwrap().number);
    let is_open = || stack.gitea().pulls(REPO).iter().any(|pull| pull.number == number && pull.open);

    stack.gitea().rename_branch_as("hugo", REPO, &branch, "feature/another");
    let said = stack.wait_said(&item, "branch gone");
    assert!(said.contains("feature/another") && said.contains(&branch), "{said}");
    assert!(is_open(), "it goes with its branch");
    assert!(stack.task(&item).unwrap().state_reason.unwrap_or_default().contains("no longer at the forge"));
    stack.gitea().rename_branch_as("hugo", REPO, "feature/another", &branch);
    stack.wait("the branch to be found again", || in_the_way(&stack, &item).is_none());
    let reason = stack.task(&item).unwrap().state_reason.unwrap_or_default();
    assert!(!reason.contains("no longer at the forge"), "{reason}");

    let head = stack.gitea().head_of(REPO, &branch).unwrap();
    stack.gitea().delete_branch_as("hugo", REPO, &branch);
    stack.wait("the loss to be said again", || times(&stack, &item, "branch gone") == 2);
    assert!(!is_open());
    git(&stack.scene.forge, &["update-ref", &format!("refs/heads/{branch}"), &head]);
    stack.gitea().pushed("hugo", REPO, &branch, &"0".repeat(40));
    stack.wait("the pull request to be open again", is_open);
    assert_eq!(times(&stack, &item, "pull closed"), 0, "the branch was the matter");

    stack.gitea().rename_repo(REPO, "acme/store");
    stack.gitea().comment_as("hugo", REPO, number, ":approved:");
    stack.wait("an answer on the pull request", || {
        stack.gitea().comments_of(REPO, number).iter().any(|c| c.login == FakeGitea::BOT && c.body.contains("ET-001"))
    });
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert!(stack.jobs(&item).iter().all(|job| job.attempts <= 1), "{}", stack.story());
}

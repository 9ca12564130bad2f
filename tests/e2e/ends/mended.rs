//! Who can mend it: a person is told at once, with the cure; time is waited for, at no charge, and that is said once.

use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::Fault;
use orch_tests::stack::{Stack, WORKER, git};

#[test]
fn what_only_a_person_can_mend_blocks_the_task_at_once_with_the_cure() {
    let stack = Stack::builder().with_telegram().start();
    git(&stack.scene.forge, &["branch", "-m", "main", "trunk"]);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    let task = stack.wait_task(&item, Stage::Analysis, TaskState::Blocked);
    let said = stack.wait_said(&item, "blocked");
    assert!(said.contains("default_branch") && said.contains("branch main of"), "{said}");
    assert!(task.state_reason.is_some_and(|reason| reason.contains("default_branch")));
    stack.wait("the chat to be told", || stack.told().iter().any(|kind| kind == "blocked"));
    assert_eq!((stack.runs(&item).len(), stack.agents_begun(&item, Role::Analyst)), (0, 0));
    let agents = stack.jobs(&item).into_iter().filter(|job| job.kind == JobKind::Agent).count();
    assert_eq!(agents, 1, "it is not tried again");

    git(&stack.scene.forge, &["branch", "-m", "trunk", "main"]);
    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
}

#[test]
fn locks_that_a_power_cut_left_cost_a_start_nothing_but_time() {
    let mut stack = Stack::builder().start();
    let item = stack.analysed("Login");
    stack.settle();
    stack.kill_worker(WORKER);
    let task = stack.task(&item).unwrap();
    let mirror = stack.scene.root.join("repos").join(&task.repo).join("mirror.git");
    assert!(mirror.is_dir(), "{}", mirror.display());
    let branch = format!("refs/heads/{}", task.branch);
    for name in [branch.as_str(), "refs/remotes/origin/main", "packed-refs", "config", "shallow"] {
        std::fs::write(mirror.join(format!("{name}.lock")), "").unwrap();
    }
    // What is to be fetched needs one of them.
    let tree = git(&stack.scene.forge, &["rev-parse", "main^{tree}"]);
    let commit = git(&stack.scene.forge, &["commit-tree", "-p", "main", "-m", "more", &tree]);
    git(&stack.scene.forge, &["update-ref", "refs/heads/main", &commit]);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.start_worker(WORKER);
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    for job in stack.jobs(&item) {
        let counters = (job.status, job.attempts, job.transient_attempts, job.recoveries);
        assert_eq!(counters, (JobStatus::Done, 1, 0, 0), "{job:?}");
    }
}

#[test]
fn what_waits_for_long_is_said_once_with_its_reason_wherever_one_looks() {
    let mut stack = Stack::builder().with_telegram().set("worker.wait_alert_s", 1).start();
    let item = stack.analysed("Login");
    stack.settle();
    stack.kill_worker(WORKER);
    let away = stack.scene.forge.with_extension("away");
    std::fs::rename(&stack.scene.forge, &away).unwrap();
    // Without its folder the forge does not know the branches either; "not found" would say that this one was deleted.
    stack.gitea().fail_when("GET", "/branches/", 1000, Fault::status(500));
    stack.start_worker(WORKER);
    stack.plane().comment(&item, "<p>:approved:</p>");
    let said = stack.wait_said(&item, "still waits");
    assert!(said.contains("repository"), "git's words: {said}");
    stack.wait("the chat to be told", || stack.told().iter().any(|kind| kind == "still waits"));
    for list in [["tasks"], ["status"]] {
        let shown = stack.ctl(&list);
        assert!(shown.contains("waits for 0 min"), "{list:?}: {shown}");
    }
    let key = stack.task(&item).unwrap().key;
    assert!(stack.ctl(&["tasks", "show", &key]).contains("waits for 0 min"));

    std::fs::rename(&away, &stack.scene.forge).unwrap();
    stack.gitea().heal();
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let comments = stack.comments(&item);
    let told = |kinds: &[String]| kinds.iter().filter(|kind| *kind == "still waits").count();
    assert_eq!((told(&comments), told(&stack.told())), (1, 1), "{comments:?}");
    assert!(!stack.ctl(&["tasks", "--all"]).contains("waits for"));
}

//! What ends its worker again and again, and a word that comes while an agent's end is still to be looked at.

use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::failpoint::{ARM, Point};
use orch_common::store::jobs::{self, Job};
use orch_common::store::standing;
use orch_tests::fakes::FakePlane;
use orch_tests::stack::play::write;
use orch_tests::stack::{Play, Stack, WORKER, git};

/// The worker dies whenever it comes to this point, until the task is blocked; how often it did.
fn loses(stack: &mut Stack, point: Point, item: &str) -> usize {
    let mut deaths = 0;
    loop {
        let token = stack.signal(&format!("{point}-{deaths}"));
        stack.start_worker_with(WORKER, &[(ARM, &format!("{point}:1:kill:{}", token.display()))]);
        let is_blocked = |stack: &Stack| stack.task(item).is_some_and(|t| t.state == TaskState::Blocked);
        stack.wait("the worker to die, or to give up", || token.exists() || is_blocked(stack));
        if is_blocked(stack) {
            stack.kill_worker(WORKER);
            return deaths;
        }
        stack.kill_worker(WORKER);
        deaths += 1;
        assert!(deaths < 10, "nobody gives up");
    }
}

fn failed(stack: &Stack) -> Vec<Job> {
    let all: Vec<Job> = stack.read(|c| (1..).map_while(|id| jobs::get(c, id).transpose()).collect());
    all.into_iter().filter(|job| job.status == JobStatus::Failed).collect()
}

fn rounds(stack: &Stack) {
    for n in 0..2 {
        let (item, _) = stack.plane().create_item(&format!("round {n}"), "", &[]);
        stack.wait("a round of the worker", || stack.task(&item).is_some());
    }
    stack.settle();
}

#[test]
fn what_ends_its_worker_six_times_is_given_up_said_and_not_begun_again() {
    let mut stack = Stack::builder().with_telegram().set("worker.reconcile_s", 1).start();
    let mut items = Vec::new();
    // First a delivery of a person's word, then the look that the word asks for.
    for (n, point, kind) in [(1, Point::EventPlanned, JobKind::Event), (2, Point::AdvanceLooked, JobKind::Advance)] {
        let item = stack.analysed("Login");
        stack.settle();
        stack.kill_worker(WORKER);
        stack.plane().comment(&item, "<p>:approved:</p>");
        assert_eq!(loses(&mut stack, point, &item), 6, "{kind}");
        let given_up = failed(&stack);
        assert_eq!(given_up.iter().map(|job| job.kind).collect::<Vec<_>>()[n - 1..], [kind]);
        assert_eq!(given_up[n - 1].recoveries, 5);

        stack.start_worker(WORKER);
        let said = |stack: &Stack| stack.comments(&item).iter().filter(|kind| *kind == "blocked").count();
        stack.wait("people to be told", || said(&stack) == 1);
        assert!(stack.said(&item, "blocked").contains("lost 6 times"), "{}", stack.said(&item, "blocked"));
        rounds(&stack);
        // A message whose record the kill has cut off comes again.
        assert!(stack.told().iter().filter(|kind| *kind == "blocked").count() >= n, "{:?}", stack.told());
        let task = stack.task(&item).unwrap();
        assert_eq!((task.stage, task.state), (Stage::Analysis, TaskState::Blocked), "nobody has spoken since");
        assert_eq!((said(&stack), failed(&stack).len()), (1, n), "nothing was begun again");
        items.push(item);
    }
    // A person speaks.
    for item in items {
        stack.plane().comment(&item, "<p>:approved:</p>");
        stack.wait_task(&item, Stage::Done, TaskState::Done);
    }
}

#[test]
fn a_pause_that_comes_before_an_agents_end_is_looked_at_loses_nothing_of_it() {
    let play = Play::default().role(Role::Developer, [vec![write("code.txt", "not committed\n")]]);
    let mut stack = Stack::builder().play(play).start();
    let item = stack.analysed("Login");
    stack.settle();
    stack.kill_worker(WORKER);
    // Its developer has ended, and nobody has looked at that.
    let token = stack.signal("ended");
    let armed = format!("{}:2:kill:{}", Point::AgentConcluded, token.display());
    stack.start_worker_with(WORKER, &[(ARM, &armed)]);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait("the developer's end", || token.exists());
    stack.kill_worker(WORKER);
    assert_eq!(stack.task(&item).unwrap().stage, Stage::Development);
    let key = stack.task(&item).unwrap().key;
    stack.ctl(&["tasks", "pause", &key]);
    stack.start_worker(WORKER);
    stack.settle();
    let task = stack.task(&item).unwrap();
    assert_eq!(task.state, TaskState::Paused);
    assert_eq!(git(&stack.scene.forge, &["show", &format!("{}:code.txt", task.branch)]), "not committed");

    stack.plane().comment(&item, "<p>:resume:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1, "its work was there");
    assert_eq!(stack.plane().item(&item).comments.iter().filter(|c| c.actor == FakePlane::HUMAN).count(), 2);
}

#[test]
fn an_agent_that_an_operator_ends_leaves_its_task_blocked_and_not_active_without_anybody() {
    let stack = Stack::builder().start();
    let hold = orch_tests::stack::play::after(&stack.signal("go"), orch_tests::stack::play::decides());
    stack.change_play(&Play::default().role(Role::Architect, [hold]));
    let item = stack.approved("Login");
    let run = stack.wait_at_work(&item, Role::Architect);
    stack.ctl(&["runs", "kill", &run.id]);
    let task = stack.wait_task(&item, Stage::Architecture, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|r| r.contains("nobody works at 'architecture'")), "{task:?}");
    stack.wait_said(&item, "blocked");
    assert_eq!(stack.read(|c| Ok(standing::unattended(c)?.len())), 0);
}

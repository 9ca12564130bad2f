//! However a run ends, what it took is on the books.

use super::{estimated, runs_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::run::RunState;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::runs::Run;
use orch_tests::stack::play::{answers, develops, first};
use orch_tests::stack::{Play, Stack};
use orch_worker::agent::RunDir;
use orch_worker::ctl::scripted::Deed;

const NEVER: &str = "/nonexistent/never";

/// Two answers of 100,000 tokens at once, then nothing for ever.
fn spends_and_hangs() -> Vec<Deed> {
    vec![answers(100_000, 1, Some(2)), Deed::Until(NEVER.into())]
}

/// A developer that has spent, and hangs.
fn spending(stack: &Stack) -> (String, Run) {
    let item = stack.approved("Login");
    let run = stack.wait_at_work(&item, Role::Developer);
    stack.wait("its figures while it goes on", || {
        runs_of(stack, &item, Role::Developer).iter().any(|run| run.input_tokens == 200_000)
    });
    (item, run)
}

fn with(more: impl FnOnce(orch_tests::stack::Builder) -> orch_tests::stack::Builder) -> Stack {
    let play = Play::default().role(Role::Developer, [spends_and_hangs(), develops("done")]);
    more(Stack::builder().play(play)).start()
}

#[test]
fn a_cancelled_run_costs_what_it_took_and_the_views_say_so() {
    let stack = with(|builder| builder);
    let (item, run) = spending(&stack);
    let status = stack.get("/status").unwrap();
    let task = &status["active_tasks"][0];
    assert_eq!(
        (&task["tokens"], &task["cost_estimated"], &task["cost_unpriced"]),
        (&task["tokens"], &true.into(), &false.into())
    );
    assert!(task["cost_usd"].as_f64().unwrap() >= 0.8 && task["tokens"].as_i64().unwrap() >= 200_000, "{status}");
    let queue = stack.get("/queue").unwrap();
    let job = queue["recent"].as_array().unwrap().iter().find(|job| job["run_id"] == run.id.as_str()).unwrap();
    assert!(job["cost_usd"].as_f64().unwrap() >= 0.8 && job["cost_estimated"] == true, "{queue}");
    for (command, part) in [
        (&["runs"][..], "~$0.80"),
        (&["tasks"], "~$0.80"),
        (&["status"], "~$0.80"),
        (&["tasks", "show", "ET-001"], "~$0.80 in"),
    ] {
        let text = stack.ctl(command);
        assert!(text.contains(part) && !text.contains("$-"), "{command:?}: {text}");
    }

    stack.plane().comment(&item, "<p>:cancel:</p>");
    stack.wait("its end", || runs_of(&stack, &item, Role::Developer).iter().all(|run| run.state == RunState::Ended));
    stack.settle();
    let [ended] = &runs_of(&stack, &item, Role::Developer)[..] else { panic!("one run") };
    assert_eq!((ended.outcome, ended.input_tokens), (Some(RunOutcome::Stopped), 200_000));
    estimated(ended);
    assert!(stack.ctl(&["runs", "--json"]).contains("\"cost_estimated\": true"));
}

#[test]
fn a_run_that_was_killed_by_an_operator_costs_what_it_took() {
    let stack = with(|builder| builder);
    let (item, run) = spending(&stack);
    stack.ctl(&["runs", "kill", &run.id]);
    stack.settle();
    let [ended] = &runs_of(&stack, &item, Role::Developer)[..] else { panic!("one run") };
    assert_eq!(ended.outcome, Some(RunOutcome::Stopped));
    estimated(ended);
}

#[test]
fn a_lost_run_costs_what_it_took() {
    let stack = with(|builder| builder);
    let (item, run) = spending(&stack);
    let supervisor = RunDir::at(stack.scene.runs.join(&run.dir)).read_supervisor().unwrap().unwrap();
    kill(Pid::from_raw(supervisor.pid), Signal::SIGKILL).unwrap();
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let runs = runs_of(&stack, &item, Role::Developer);
    assert_eq!((runs[0].outcome, runs[0].input_tokens), (Some(RunOutcome::Lost), 200_000));
    estimated(&runs[0]);
    assert!(!runs[1].estimated, "its result told: {:?}", runs[1]);
}

#[test]
fn a_stalled_run_and_one_that_dies_cost_what_they_took() {
    let dies = vec![answers(50_000, 1, Some(1)), Deed::Exit(3)];
    let play = Play::default().role(Role::Developer, [spends_and_hangs(), dies]);
    let stack = Stack::builder().play(play).set("agent.stall_s", 8).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "job failed");
    stack.settle();
    let runs = runs_of(&stack, &item, Role::Developer);
    assert_eq!(runs.iter().map(|run| run.input_tokens).collect::<Vec<_>>(), [200_000, 50_000], "{runs:?}");
    runs.iter().for_each(estimated);
}

#[test]
fn tokens_of_a_model_without_a_price_are_counted_and_shown() {
    let mut deed = answers(100_000, 1, Some(1));
    if let Deed::Answers { model, .. } = &mut deed {
        *model = "home-made-7".into();
    }
    let play = Play::default().role(Role::Developer, [vec![deed, Deed::Exit(3)]]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "job failed");
    stack.settle();
    let run = &runs_of(&stack, &item, Role::Developer)[0];
    assert_eq!((run.input_tokens, run.cost_usd, run.unpriced), (100_000, 0.0, true));
    assert!(stack.ctl(&["runs"]).contains("unpriced"));
    assert_eq!(stack.get("/status").unwrap()["active_tasks"][0]["cost_unpriced"], true);
}

/// The CLI sums up over resumes: what an interrupted run took is told by the next one's result, and must not be there twice.
#[test]
fn a_resumed_sessions_result_settles_what_its_interrupted_run_was_taken_for() {
    let usage = serde_json::json!({ "input_tokens": 100_000, "output_tokens": 10 });
    // Ended by a SIGTERM that was not ours, as the CLI ends: exit code 143, no result.
    let interrupted = vec![Deed::KeepSession, answers(100_000, 1, Some(2)), Deed::Exit(143)];
    let resumed = first(answers(100_000, 1, Some(1)), first(Deed::Costs { usd: 1.5, usage }, develops("done")));
    let play = Play::default().role(Role::Developer, [interrupted, resumed]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let runs = runs_of(&stack, &item, Role::Developer);
    assert_eq!((runs.len(), runs[1].resumed), (2, true), "{runs:?}");
    let together: f64 = runs.iter().map(|run| run.cost_usd).sum();
    assert!((together - 1.5).abs() < 1e-9, "{runs:?}");
    assert!((runs[0].cost_usd - 1.0).abs() < 0.01, "two thirds of the tokens: {runs:?}");
    assert!(runs.iter().all(|run| !run.estimated));
}

//! What evidence rests on: the commit that a gate was passed on, our own commits, a round that only looks.

use super::*;
use crate::domain::gate::Gate;
use crate::domain::gate::OutcomeKind;
use crate::domain::stage::{Stage, TaskState};
use crate::store::gates::{self, NewGateResult};
use crate::store::published;
use crate::store::tasks::{self as rows, Move};

fn passed(task_id: i64, gate: Gate, outcome: OutcomeKind, head: &str) -> NewGateResult {
    NewGateResult {
        task_id,
        job_id: None,
        gate,
        outcome,
        reason: None,
        detail: None,
        head: head.into(),
        tree: "t".into(),
        command: None,
        exit_code: None,
        duration_ms: None,
        output_sha256: None,
        evidence: format!("{head}-began"),
        at: NOW,
    }
}

#[test]
fn what_evidence_rests_on_is_remembered() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let (task, other) = (add_task(&mut conn, 1).id, add_task(&mut conn, 2).id);
    for (id, gate, outcome, head) in [
        (task, Gate::TestsLocal, OutcomeKind::Pass, "h1"),
        (task, Gate::TestsLocal, OutcomeKind::Pass, "h2"),
        (task, Gate::TestsLocal, OutcomeKind::Fail, "h3"),
        (task, Gate::TestsPassed, OutcomeKind::Pass, "h4"),
        (other, Gate::TestsLocal, OutcomeKind::Pass, "h5"),
    ] {
        gates::record(&mut conn, &passed(id, gate, outcome, head)).unwrap();
    }
    let found = gates::last_pass(&mut conn, task, Gate::TestsLocal).unwrap().unwrap();
    assert_eq!((found.head.as_deref(), found.evidence.as_deref()), (Some("h2"), Some("h2-began")));
    assert_eq!(gates::last_pass(&mut conn, task, Gate::CiGreen).unwrap(), None);

    let ids = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    published::add(&mut conn, task, &ids(&["a", "b"])).unwrap();
    published::add(&mut conn, task, &ids(&["b", "c", "x"])).unwrap();
    published::add(&mut conn, other, &ids(&["x"])).unwrap();
    published::remove(&mut conn, task, &ids(&["x"])).unwrap();
    assert_eq!(
        published::of_task(&mut conn, other).unwrap().into_iter().collect::<Vec<_>>(),
        ["x"],
        "the other's stays"
    );
    published::add(&mut conn, other, &ids(&["d"])).unwrap();
    assert_eq!(published::of_task(&mut conn, task).unwrap().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);

    let mut step = |stage, new_round, recheck| {
        let seen = rows::get(&mut conn, task).unwrap().unwrap();
        let (state, said, state_reason) = (TaskState::Active, None, None);
        let (reset_cap, approved, unapproved) = (false, false, false);
        let to = Move { stage, state, state_reason, reset_cap, approved, unapproved, said, new_round, recheck };
        assert!(rows::compare_and_move(&mut conn, &seen, &to, NOW).unwrap());
        rows::get(&mut conn, task).unwrap().unwrap().recheck
    };
    assert!(step(Stage::Development, false, true), "back, for a look");
    assert!(step(Stage::Development, false, false), "the same round");
    assert!(!step(Stage::Development, true, false), "a round of its own work");
    assert!(step(Stage::Development, true, true));
    assert!(!step(Stage::Review, false, false), "another stage");
}

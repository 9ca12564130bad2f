//! Tasks: one per work item, moved by whoever saw them last.

use super::*;
use crate::domain::stage::{Stage, TaskState};
use crate::store::tasks::{self, Move, compare_and_move};
use std::sync::Barrier;

fn get(conn: &mut Conn, id: i64) -> Task {
    tasks::get(conn, id).unwrap().unwrap()
}

#[test]
fn one_task_per_work_item_key_and_branch() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let first = add_task(&mut conn, 1);
    assert_eq!((first.stage, first.state, first.stage_version), (Stage::Created, TaskState::Active, 0));
    let other = new_task(2);
    let rows = [
        NewTask { work_item: "w1".into(), ..other.clone() },
        NewTask { key: "ET-001".into(), ..other.clone() },
        NewTask { branch: "feature/ET-001-login".into(), ..other.clone() },
        new_task(1),
    ];
    for new in rows {
        assert_eq!(tasks::insert(&mut conn, &new, NOW).unwrap(), None, "{new:?}");
    }
    let elsewhere = NewTask { project: "p2".into(), branch: "feature/x".into(), ..new_task(1) };
    assert!(tasks::insert(&mut conn, &elsewhere, NOW).unwrap().is_some());
}

#[test]
fn of_two_decisions_on_the_same_sight_one_wins() {
    for round in 0..20 {
        let scratch = Scratch::new();
        let seen = scratch.write(|c| Ok(add_task(c, 1)));
        let start = Barrier::new(2);
        let won: Vec<bool> = std::thread::scope(|scope| {
            let race = |stage| {
                let (start, seen, scratch) = (&start, &seen, &scratch);
                scope.spawn(move || {
                    start.wait();
                    scratch.write(|c| compare_and_move(c, seen, &Move::to(stage, TaskState::Active), NOW + 1))
                })
            };
            let threads = [race(Stage::Analysis), race(Stage::Deploy)];
            threads.map(|t| t.join().unwrap()).to_vec()
        });
        assert_eq!(won.iter().filter(|w| **w).count(), 1, "round {round}: {won:?}");
        let now = get(&mut scratch.store.connection().unwrap(), seen.id);
        assert_eq!(now.stage, if won[0] { Stage::Analysis } else { Stage::Deploy });
        assert_eq!(now.stage_version, 1);
    }
}

#[test]
fn a_stale_sight_changes_nothing_even_at_the_same_stage() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let seen = add_task(&mut conn, 1);
    assert!(compare_and_move(&mut conn, &seen, &Move::to(Stage::Created, TaskState::Paused), NOW).unwrap());
    let before = get(&mut conn, seen.id);
    assert!(!compare_and_move(&mut conn, &seen, &Move::to(Stage::Analysis, TaskState::Active), NOW + 5).unwrap());
    assert_eq!(get(&mut conn, seen.id), before);
}

#[test]
fn a_move_writes_what_the_decision_says() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let seen = add_task(&mut conn, 1);
    let moved = |conn: &mut Conn, seen: &Task, to: &Move, now| {
        assert!(compare_and_move(conn, seen, to, now).unwrap());
        get(conn, seen.id)
    };
    let approved = Move {
        approved: true,
        reset_cap: true,
        said: Some("f1".into()),
        state_reason: Some("why".into()),
        ..Move::to(Stage::Analysis, TaskState::WaitingApproval)
    };
    let t = moved(&mut conn, &seen, &approved, NOW + 10);
    assert_eq!((t.approved_at, t.cap_since, t.progress_at), (Some(NOW + 10), NOW + 10, NOW + 10));
    assert_eq!((t.said.as_deref(), t.state_reason.as_deref(), t.finished_at), (Some("f1"), Some("why"), None));
    let t = moved(&mut conn, &t, &Move::to(Stage::Analysis, TaskState::Active), NOW + 20);
    assert_eq!((t.approved_at, t.cap_since, t.progress_at), (Some(NOW + 10), NOW + 10, NOW + 10), "no progress");
    assert_eq!((t.said.as_deref(), t.state_reason.as_deref()), (Some("f1"), None));
    let unapproved = Move { unapproved: true, ..Move::to(Stage::Analysis, TaskState::Active) };
    let t = moved(&mut conn, &t, &unapproved, NOW + 30);
    assert_eq!(t.approved_at, None);
    for state in [TaskState::Done, TaskState::Cancelled] {
        let now = get(&mut conn, seen.id);
        assert_eq!(moved(&mut conn, &now, &Move::to(Stage::Deploy, state), NOW + 40).finished_at, Some(NOW + 40));
    }
}

#[test]
fn a_round_begins_with_the_stage_or_where_a_move_says_so() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let id = add_task(&mut conn, 1).id;
    let round = |t: &Task| (t.worked, t.round_head.clone());
    let moved = |conn: &mut Conn, seen: &Task, to: &Move, now| {
        assert!(compare_and_move(conn, seen, to, now).unwrap());
        get(conn, seen.id)
    };
    assert_eq!(round(&get(&mut conn, id)), (false, None));
    let seen = get(&mut conn, id);
    let t = moved(&mut conn, &seen, &Move::to(Stage::Analysis, TaskState::Active), NOW);
    tasks::note_head(&mut conn, id, "a1", NOW).unwrap();
    tasks::note_worked(&mut conn, id, Stage::Development).unwrap();
    assert!(!get(&mut conn, id).worked, "that run was of another stage");
    tasks::note_worked(&mut conn, id, Stage::Analysis).unwrap();
    let t = Task { head: Some("a1".into()), ..t };
    let t = moved(&mut conn, &t, &Move::to(Stage::Analysis, TaskState::WaitingApproval), NOW);
    assert_eq!(round(&t), (true, None), "the same round");
    let t = moved(&mut conn, &t, &Move { new_round: true, ..Move::to(Stage::Analysis, TaskState::Active) }, NOW);
    assert_eq!(round(&t), (false, Some("a1".into())));
    tasks::note_worked(&mut conn, id, Stage::Analysis).unwrap();
    let t = moved(&mut conn, &t, &Move::to(Stage::Architecture, TaskState::Active), NOW);
    assert_eq!(round(&t), (false, Some("a1".into())), "another stage");
}

#[test]
fn a_new_head_is_progress_and_the_same_one_is_not() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let id = add_task(&mut conn, 1).id;
    tasks::note_head(&mut conn, id, "aaa", NOW + 1).unwrap();
    tasks::note_head(&mut conn, id, "aaa", NOW + 2).unwrap();
    assert_eq!(get(&mut conn, id).progress_at, NOW + 1);
    tasks::note_head(&mut conn, id, "bbb", NOW + 3).unwrap();
    let t = get(&mut conn, id);
    assert_eq!((t.progress_at, t.head.as_deref(), t.stage_version), (NOW + 3, Some("bbb"), 0));
    assert_eq!(tasks::by_head(&mut conn, "acme/app", "bbb").unwrap().len(), 1);
}

#[test]
fn tasks_are_found_by_everything_they_are_known_by() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let (one, two) = (add_task(&mut conn, 1), add_task(&mut conn, 2));
    let other = NewTask { project: "p2".into(), branch: "feature/z".into(), ..new_task(1) };
    let three = tasks::insert(&mut conn, &other, NOW).unwrap().unwrap();
    let id = |t: Option<Task>| t.map(|t| t.id);
    assert_eq!(id(tasks::by_work_item(&mut conn, "p1", "w2").unwrap()), Some(two.id));
    assert_eq!(id(tasks::by_work_item(&mut conn, "p3", "w2").unwrap()), None);
    assert_eq!(id(tasks::by_work_item_alone(&mut conn, "w1").unwrap()), Some(three.id), "the newest");
    assert_eq!(id(tasks::by_branch(&mut conn, "acme/app", "feature/ET-001-login").unwrap()), Some(one.id));
    assert_eq!(id(tasks::by_key(&mut conn, "ET-001").unwrap()), Some(three.id), "the newest");
    assert!(compare_and_move(&mut conn, &two, &Move::to(Stage::Done, TaskState::Done), NOW).unwrap());
    assert!(compare_and_move(&mut conn, &three, &Move::to(Stage::Created, TaskState::Paused), NOW).unwrap());
    let open: Vec<i64> = tasks::open(&mut conn).unwrap().iter().map(|t| t.id).collect();
    assert_eq!(open, [one.id, three.id], "paused is open, done is not");
    let newest: Vec<i64> = tasks::newest(&mut conn, 2).unwrap().iter().map(|t| t.id).collect();
    assert_eq!(newest, [three.id, two.id]);
    assert_eq!(tasks::finished_before(&mut conn, NOW, 10).unwrap(), vec![]);
    assert_eq!(tasks::finished_before(&mut conn, NOW + 1, 10).unwrap().len(), 1);
    tasks::mark_tidied(&mut conn, two.id, NOW).unwrap();
    assert_eq!(tasks::finished_before(&mut conn, NOW + 1, 10).unwrap(), vec![], "tidied once");
    // Opened again it gets a worktree again, which is tidied in its turn.
    let seen = tasks::get(&mut conn, two.id).unwrap().unwrap();
    assert!(compare_and_move(&mut conn, &seen, &Move::to(Stage::Review, TaskState::Active), NOW).unwrap());
    let seen = tasks::get(&mut conn, two.id).unwrap().unwrap();
    assert!(compare_and_move(&mut conn, &seen, &Move::to(Stage::Review, TaskState::Cancelled), NOW).unwrap());
    assert_eq!(tasks::finished_before(&mut conn, NOW + 1, 10).unwrap().len(), 1);
}

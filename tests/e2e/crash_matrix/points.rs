//! The matrix: each fail point, each of its hits that differs, once.

use super::checks::all_is_well;
use super::round::{Case, Round, Shot, trace};
use orch_common::failpoint::Point;
use orch_tests::stack::WORKER;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Plays one case and checks everything.
pub fn survives(case: Case) {
    let starts = 1 + case.shots.iter().filter(|s| s.may_cost_a_start()).count();
    let told_again = case.shots.len();
    let name = case.to_string();
    let round = Round::begin(case).play(|_| {});
    assert!(round.all_fired(), "{name}: not every point was met");
    all_is_well(&round, starts, told_again);
}

macro_rules! killed_at {
    ($($name:ident: $point:ident $hit:literal),+ $(,)?) => { $(
        #[test]
        fn $name() {
            survives(Case::of(&[Shot::at(Point::$point, $hit)]));
        }
    )+ };
}

// The fast slice: one of each kind. The whole is below.
killed_at! {
    an_api_killed_between_the_commit_and_its_answer: IntakeCommitted 1,
    a_worker_killed_between_planning_and_committing_an_event: EventPlanned 1,
    a_worker_killed_between_a_runs_row_and_its_launch: AgentRowWritten 1,
    a_worker_killed_before_its_supervisor_answers: AgentSpawned 1,
    a_worker_killed_before_it_concludes_a_run: AgentKnown 1,
    a_worker_killed_between_a_commit_in_the_worktree_and_the_push: AdvanceWorkCommitted 2,
    a_worker_killed_before_a_decision_is_committed: AdvanceLooked 1,
    a_worker_killed_between_a_send_and_its_record: EffectSent 3,
    a_worker_killed_between_a_pull_request_and_its_link: PullOpened 1,
    a_supervisor_killed_after_it_started_the_agent: SuperviseNoted 1,
    a_supervisor_killed_before_it_records_the_end: SuperviseSwept 1,
    a_supervisor_killed_before_anybody_knows_it: SuperviseLocked 1,
}

#[test]
fn an_undisturbed_round_meets_every_point_but_those_that_need_a_fault() {
    let mut round = Round::begin(Case::default()).play(|_| {});
    all_is_well(&round, 1, 0);
    round.stack.stop_worker(WORKER);
    let hits = hits(&round);
    // Some of them are met by chance too: a connection to a service can break by itself.
    let needs_a_fault = [
        Point::IntakeCommit,
        Point::IntakeCommitted,
        Point::LaunchFailed,
        Point::LaunchFailedWritten,
        Point::JobFailing,
        Point::JobFailed,
        Point::Requeue,
        Point::Requeued,
        Point::AdoptExamine,
        Point::AdoptExamined,
        Point::AdoptPutBack,
        Point::RunLost,
        Point::RunLostWritten,
        // Where the forge may have what is not known here: a push that goes on from what is known needs no fetch.
        Point::AdvanceFetched,
        // Where a project merges; `merging` has it.
        Point::AdvanceMerged,
    ];
    let never = Point::ALL.iter().filter(|p| !hits.contains_key(p.as_str()) && !needs_a_fault.contains(p));
    assert_eq!(never.collect::<Vec<_>>(), Vec::<&Point>::new());
}

fn hits(round: &Round) -> BTreeMap<String, u32> {
    let mut hits = BTreeMap::new();
    for line in std::fs::read_to_string(trace(&round.stack)).unwrap_or_default().lines() {
        *hits.entry(line.to_owned()).or_default() += 1;
    }
    hits
}

/// Every case of the matrix. A point that each effect or agent meets is taken at several of its hits.
fn whole_matrix() -> Vec<Case> {
    let once = |point| Case::of(&[Shot::at(point, 1)]);
    let then = |first: Shot, second: Point| Case::of(&[first, Shot::at(second, 1)]);
    let mut cases = Vec::new();
    for point in Point::ALL.iter().copied() {
        match point {
            // Reached by what follows another fault only.
            Point::LaunchFailed | Point::LaunchFailedWritten => {
                cases.push(then(Shot::at(Point::SuperviseLocked, 1), point));
            }
            Point::JobFailing | Point::JobFailed => cases.push(Case { plane_fails: 8, ..once(point) }),
            Point::Requeue | Point::Requeued => {
                for first in [Point::EventPlanned, Point::AdvanceLooked, Point::EffectSent] {
                    cases.push(then(Shot::at(first, 1), point));
                }
            }
            Point::AdoptExamine | Point::AdoptExamined => {
                for first in [Point::AgentRowWritten, Point::AgentMarked, Point::AgentKnown] {
                    cases.push(then(Shot::at(first, 1), point));
                }
            }
            Point::AdoptPutBack => cases.push(then(Shot::at(Point::AgentWorktree, 1), point)),
            Point::RunLost | Point::RunLostWritten => {
                cases.push(then(Shot::at(Point::SuperviseNoted, 1), point));
                cases.push(then(Shot::at(Point::AgentFolder, 1), point));
            }
            Point::Reconcile | Point::Reconciled => cases.push(Case { reconcile_s: Some(1), ..once(point) }),
            // A worker that stops on purpose, and one that merges; `restarts` and `merging` have them.
            Point::SignOff | Point::SignedOff | Point::AdvanceMerged => {}
            // Where the forge has what is not known here, which nobody else works on in these rounds.
            Point::AdvanceFetched => {}
            Point::TakeOver | Point::TakenOver => {
                cases.push(once(point));
                let first = Shot::at(Point::AgentMarked, 1);
                cases.push(Case { second_worker: true, ..Case::of(&[first, Shot::at(point, 2)]) });
            }
            Point::TxnBegin | Point::TxnInside | Point::TxnCommitted => {
                cases.extend((1..=40).step_by(3).map(|hit| Case::of(&[Shot::at(point, hit)])));
            }
            Point::EffectCheck | Point::EffectSend | Point::EffectSent | Point::EffectRecorded => {
                let every = if point == Point::EffectSent { 1 } else { 4 };
                cases.extend((1..=13).step_by(every).map(|hit| Case::of(&[Shot::at(point, hit)])));
            }
            Point::IntakeCommit | Point::IntakeCommitted | Point::EventClaimed | Point::EventCommitted => {
                cases.extend([1, 3].map(|hit| Case::of(&[Shot::at(point, hit)])));
            }
            Point::AdvanceClaimed
            | Point::AdvanceWorktree
            | Point::AdvanceWorkCommitted
            | Point::AdvancePublished
            | Point::AdvanceLooked
            | Point::AdvanceCommitted
            | Point::AgentConcluded => cases.extend([1, 2].map(|hit| Case::of(&[Shot::at(point, hit)]))),
            _ => cases.push(once(point)),
        }
    }
    cases
}

/// Plays cases side by side; every failure is told at the end.
pub fn play_all(cases: Vec<Case>, play: impl Fn(Case) + Sync) {
    const SIDE_BY_SIDE: usize = 3;
    let total = cases.len();
    let (left, failed) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(total) {
            scope.spawn(|| {
                while let Some(case) = { left.lock().unwrap().pop() } {
                    let name = case.to_string();
                    let result = catch_unwind(AssertUnwindSafe(|| play(case)));
                    let word = if result.is_ok() { "ok" } else { "FAILED" };
                    println!("{word}: {name}");
                    if result.is_err() {
                        failed.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {total} failed: {failed:#?}", failed.len());
}

#[test]
#[ignore = "minutes; `make test-long` runs it"]
fn killed_at_every_point() {
    play_all(whole_matrix(), survives);
}

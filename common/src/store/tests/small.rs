//! The small tables: accounts, cursors and leases, gates, audit, runs, workers.

use super::*;
use crate::domain::breaker::Breaker;
use crate::domain::gate::Gate;
use crate::domain::gate::OutcomeKind;
use crate::domain::leftover::{LeftKind, Leftover};
use crate::domain::run::{RunOutcome, RunState, StopReason, WorkerState};
use crate::domain::stage::{Role, Stage, TaskState};
use crate::store::accounts::{self, Account, DEFAULT_ACCOUNT};
use crate::store::audit::{self, NewTransition};
use crate::store::ci_jobs::{self, CiJob};
use crate::store::cursors;
use crate::store::gates::{self, NewGateResult};
use crate::store::leftovers;
use crate::store::retention;
use crate::store::runs::{self, NewRun, RunEnd};
use crate::store::spent::{self, Running, Spent};
use crate::store::workers::{self, Worker};

pub(super) fn worker(name: &str, host: &str, heartbeat_at: i64) -> Worker {
    Worker {
        name: name.into(),
        host: host.into(),
        pid: 7,
        pid_start: 70,
        boot_id: "b".into(),
        version: "1".into(),
        state: WorkerState::Running,
        max_concurrency: 1,
        poll_interval: 2.0,
        preflight_ok: None,
        preflight_reason: "not checked".into(),
        started_at: NOW,
        heartbeat_at,
    }
}

fn run(id: &str, job_id: i64, task_id: i64, started_at: i64) -> NewRun {
    NewRun {
        id: id.into(),
        job_id,
        task_id,
        role: Role::Developer,
        stage: Stage::Development,
        worker: "w".into(),
        host: "h".into(),
        dir: id.into(),
        state: RunState::Starting,
        session_id: Some("s".into()),
        resumed: false,
        head_before: None,
        started_at,
    }
}

fn run_end(counts: bool, cost_usd: f64, cost_cumulative: f64) -> RunEnd {
    RunEnd {
        state: RunState::Ended,
        finished_at: Some(NOW + 60_000),
        exit_code: Some(0),
        exit_signal: None,
        outcome: Some(RunOutcome::Success),
        error: None,
        counts,
        session_id: Some("s".into()),
        input_tokens: 1,
        output_tokens: 2,
        cache_tokens: 3,
        cost_usd,
        cost_cumulative,
        turns: 4,
        model: None,
        cli_version: None,
        denied_tools: None,
        estimated: false,
        unpriced: false,
    }
}

#[test]
fn an_account_nothing_is_known_of_is_healthy_and_one_that_is_written_comes_back() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    assert_eq!(accounts::get(&mut conn, DEFAULT_ACCOUNT).unwrap(), Account::default());
    let account = Account {
        breaker: Breaker::default(),
        limit_until: Some(NOW + 1),
        limit_reason: Some("five_hour".into()),
        fault: Some("no credentials".into()),
        fault_at: Some(NOW),
    };
    accounts::put(&mut conn, DEFAULT_ACCOUNT, &account, NOW).unwrap();
    assert_eq!(accounts::get(&mut conn, DEFAULT_ACCOUNT).unwrap(), account);
    accounts::put(&mut conn, DEFAULT_ACCOUNT, &Account::default(), NOW).unwrap();
    assert_eq!(accounts::get(&mut conn, DEFAULT_ACCOUNT).unwrap(), Account::default(), "nulls are written too");
    diesel::sql_query("UPDATE accounts SET breaker = '?'").execute(&mut *conn).unwrap();
    assert!(matches!(accounts::get(&mut conn, DEFAULT_ACCOUNT), Err(StoreError::Corrupt(_))));
}

#[test]
fn a_lease_has_one_holder_until_it_ends() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let mut lease = |owner, until, now| cursors::lease(&mut conn, "merge", owner, until, now).unwrap();
    assert!(lease("a", 100, 10));
    assert!(!lease("b", 200, 20));
    assert!(lease("a", 150, 30), "renewed");
    assert!(!lease("b", 200, 150), "to the last millisecond");
    assert!(lease("b", 300, 151));
    assert!(!lease("a", 400, 152));
    assert!(lease("a", 40, 10), "the clock was set back: nobody holds it until 300");
    assert!(lease("b", 300, 151));
    cursors::release(&mut conn, "merge", "a", 153).unwrap();
    assert!(!cursors::lease(&mut conn, "merge", "c", 400, 154).unwrap(), "released by its holder alone");
    cursors::release(&mut conn, "merge", "b", 155).unwrap();
    assert!(cursors::lease(&mut conn, "merge", "c", 400, 156).unwrap());
    cursors::put(&mut conn, "plane", "5", NOW).unwrap();
    cursors::put(&mut conn, "plane", "6", NOW).unwrap();
    assert_eq!(cursors::get(&mut conn, "plane").unwrap().as_deref(), Some("6"));
    for (name, at) in [("doubt:2", 5), ("doubt:10", 4), ("doubts", 1), ("doubt", 1)] {
        cursors::put(&mut conn, name, "x", at).unwrap();
    }
    let named = |conn: &mut Conn, before| cursors::named(conn, "doubt:", before).unwrap();
    let row = |name: &str| (name.to_owned(), "x".to_owned());
    assert_eq!(named(&mut conn, 5), [row("doubt:10"), row("doubt:2")]);
    assert_eq!(named(&mut conn, 4), [row("doubt:10")], "stored too late");
    cursors::forget(&mut conn, "doubt:10").unwrap();
    assert_eq!(named(&mut conn, 9), [row("doubt:2")]);
    assert_eq!(["doubt:2", "doubt:10"].map(|name| cursors::stored_at(&mut conn, name).unwrap()), [Some(5), None]);
    assert_eq!(cursors::get(&mut conn, "none").unwrap(), None);
    let mut old = |before| cursors::forget_named(&mut conn, "doubt:", before).unwrap();
    assert_eq!([old(5), old(6), old(100)], [0, 1, 0], "what was stored at that time stays, and so do other names");
}

#[test]
fn every_change_of_a_task_is_recorded_once_per_version() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1);
    let change = |version, to_stage| NewTransition {
        task_id: task.id,
        job_id: None,
        version,
        trigger: "approve".into(),
        actor: Some("ann".into()),
        from_stage: Stage::Created,
        to_stage,
        from_state: TaskState::Active,
        to_state: TaskState::Active,
        reason: "x".into(),
        at: NOW,
    };
    for (version, stage) in [(1, Stage::Analysis), (2, Stage::Analysis), (3, Stage::Architecture), (4, Stage::Analysis)]
    {
        audit::record(&mut conn, &change(version, stage)).unwrap();
    }
    assert!(audit::record(&mut conn, &change(4, Stage::Done)).is_err(), "a version is reached once");
    assert_eq!(audit::of_task(&mut conn, task.id).unwrap().len(), 4);
    let trail = [Stage::Created, Stage::Analysis, Stage::Architecture, Stage::Analysis];
    assert_eq!(audit::stage_trail(&mut conn, task.id).unwrap(), trail);
}

#[test]
fn gate_results_are_kept_in_order() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task_id = add_task(&mut conn, 1).id;
    for outcome in OutcomeKind::ALL.iter().copied() {
        let new = NewGateResult {
            task_id,
            job_id: Some(3),
            gate: Gate::TestsLocal,
            outcome,
            reason: Some("red".into()),
            head: "a".repeat(40),
            tree: "b".repeat(40),
            command: Some("make test".into()),
            exit_code: Some(2),
            duration_ms: Some(1_500),
            output_sha256: Some("c".repeat(64)),
            evidence: "d".repeat(40),
            detail: None,
            at: NOW,
        };
        gates::record(&mut conn, &new).unwrap();
    }
    let found = gates::of_task(&mut conn, task_id).unwrap();
    assert_eq!(found.iter().map(|g| g.outcome).collect::<Vec<_>>(), OutcomeKind::ALL);
    assert_eq!((found[0].gate, found[0].exit_code, found[0].duration_ms), (Gate::TestsLocal, Some(2), Some(1_500)));
    let bound_to = (found[0].head.clone(), found[0].tree.clone(), found[0].output_sha256.clone());
    assert_eq!(bound_to, (Some("a".repeat(40)), Some("b".repeat(40)), Some("c".repeat(64))));
}

#[test]
fn jobs_of_ci_are_known_by_their_page_and_forgotten() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let page = |n: u32| format!("/acme/shop/actions/runs/{n}/jobs/0");
    let job = |n: u32, job: i64, steps: &str, at: i64| CiJob {
        repo: "acme/shop".into(),
        page: page(n),
        job,
        sha: "a".repeat(40),
        steps: steps.into(),
        at,
    };
    for new in [job(1, 10, "", 1), job(1, 10, "run the tests", 2), job(1, 10, "", 3), job(2, 1, "", 9)] {
        ci_jobs::note(&mut conn, &new).unwrap();
    }
    let known = |conn: &mut Conn, repo: &str, n| ci_jobs::get(conn, repo, &page(n)).unwrap();
    assert_eq!(known(&mut conn, "acme/shop", 1), Some(job(1, 10, "run the tests", 3)), "told late that it waits");
    assert_eq!(known(&mut conn, "acme/other", 1), None);
    ci_jobs::note(&mut conn, &job(1, 11, "", 4)).unwrap();
    assert_eq!(known(&mut conn, "acme/shop", 1).unwrap().steps, "", "another job's steps are not its own");
    assert_eq!(retention::prune_step(&mut conn, 0, 5, 0).unwrap().ci_jobs, 1);
    assert_eq!((known(&mut conn, "acme/shop", 1), known(&mut conn, "acme/shop", 2).is_some()), (None, true));
}

#[test]
fn what_an_agent_left_is_recorded_and_told_once() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1).id;
    let stash = Leftover {
        kept: Some("refs/orch/preserved/ET-1/1".into()),
        commit: Some("a".repeat(40)),
        ..Leftover::new(LeftKind::Stash, "WIP on feature/x")
    };
    let nested = Leftover::new(LeftKind::Nested, "app");
    for found in [vec![stash.clone()], vec![stash.clone(), nested.clone()]] {
        leftovers::add(&mut conn, task, Some("r1"), &found, NOW).unwrap();
    }
    let untold = leftovers::untold(&mut conn, task).unwrap();
    assert_eq!(untold.iter().map(leftovers::Row::leftover).collect::<Vec<_>>(), [stash.clone(), nested]);
    leftovers::mark_told(&mut conn, &untold.iter().map(|row| row.id).collect::<Vec<_>>()).unwrap();
    // A second stash with the same message is another thing.
    let second = Leftover { commit: Some("b".repeat(40)), ..stash };
    leftovers::add(&mut conn, task, None, std::slice::from_ref(&second), NOW + 1).unwrap();
    let untold = leftovers::untold(&mut conn, task).unwrap();
    assert_eq!(untold.iter().map(leftovers::Row::leftover).collect::<Vec<_>>(), [second]);
    assert_eq!(leftovers::of_task(&mut conn, task).unwrap().len(), 3);
}

#[test]
fn a_run_is_named_in_its_job_ends_once_and_is_counted_from_the_last_word_on() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1).id;
    let job_id = add(&mut conn, &NewJob { task_id: Some(task), ..plain(JobKind::Agent) });
    for (n, counts) in [(0, true), (1, true), (2, false), (3, true)] {
        let id = format!("r{n}");
        runs::insert(&mut conn, &run(&id, job_id, task, NOW + n)).unwrap();
        assert_eq!(job(&mut conn, job_id).run_id.as_deref(), Some(id.as_str()));
        runs::mark_running(&mut conn, &id).unwrap();
        assert!(runs::any_open(&mut conn, task).unwrap());
        assert!(
            runs::finish(&mut conn, &id, &run_end(counts, 0.5, 1.0 + f64::from(i32::try_from(n).unwrap()))).unwrap()
        );
        assert!(!runs::finish(&mut conn, &id, &run_end(!counts, 9.0, 9.0)).unwrap(), "ended already");
        assert!(!runs::any_open(&mut conn, task).unwrap());
    }
    assert_eq!(runs::counted(&mut conn, task, Role::Developer, 0).unwrap(), 3);
    assert_eq!(runs::counted(&mut conn, task, Role::Developer, NOW + 1).unwrap(), 2, "the word itself included");
    assert_eq!(runs::counted(&mut conn, task, Role::Tester, 0).unwrap(), 0);
    assert_eq!(runs::task_runs(&mut conn, task).unwrap(), 4);
    let of = |usd, tokens| Spent { usd, tokens, ..Spent::default() };
    assert_eq!(spent::by_task(&mut conn, task).unwrap(), of(2.0, 24));
    assert_eq!(spent::by_task(&mut conn, task + 1).unwrap(), of(0.0, 0));
    assert_eq!(spent::since(&mut conn, NOW + 2, None).unwrap(), of(1.0, 12));
    assert_eq!(spent::since(&mut conn, 0, Some("p1")).unwrap(), of(2.0, 24));
    assert_eq!(spent::since(&mut conn, 0, Some("p2")).unwrap(), of(0.0, 0));
    assert_eq!(Spent::of(&runs::of_task(&mut conn, task).unwrap()), of(2.0, 24));
    assert_eq!(runs::starts_since(&mut conn, task, NOW + 2).unwrap(), [NOW + 2, NOW + 3]);
}

#[test]
fn a_run_that_goes_on_is_on_the_books_until_its_session_settles_it() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1).id;
    for (n, id) in ["a", "b", "c"].iter().enumerate() {
        runs::insert(&mut conn, &run(id, 1, task, NOW + i64::try_from(n).unwrap())).unwrap();
    }
    let so_far = Running {
        input_tokens: 10,
        output_tokens: 20,
        cache_tokens: 30,
        cost_usd: 0.5,
        estimated: true,
        unpriced: true,
    };
    assert!(spent::note(&mut conn, "a", &so_far).unwrap());
    let wanted = Spent { usd: 0.5, tokens: 60, estimated: true, unpriced: true };
    assert_eq!(spent::by_task(&mut conn, task).unwrap(), wanted);
    assert_eq!(spent::since(&mut conn, NOW, Some("p1")).unwrap(), wanted);

    let stop = r#"{"which":"task_usd","limit":0.4,"spent":0.5}"#;
    assert!(spent::stop(&mut conn, "a", stop).unwrap());
    assert!(!spent::stop(&mut conn, "a", "{}").unwrap(), "the first reason stands");
    let row = runs::get(&mut conn, "a").unwrap().unwrap();
    assert_eq!((row.stop, row.budget_stop.as_deref()), (Some(StopReason::Budget), Some(stop)));
    assert!(runs::ask_one_to_stop(&mut conn, "b", StopReason::Cancel).unwrap());
    assert!(!spent::stop(&mut conn, "b", stop).unwrap(), "a person's word stands");

    let end = RunEnd { estimated: true, ..run_end(true, 0.7, 0.0) };
    assert!(runs::finish(&mut conn, "a", &end).unwrap());
    assert!(!spent::note(&mut conn, "a", &so_far).unwrap(), "what ended is not counted on");
    assert!(!spent::stop(&mut conn, "a", stop).unwrap());
    let row = runs::get(&mut conn, "a").unwrap().unwrap();
    assert_eq!((row.cost_usd, row.estimated, row.unpriced), (0.7, true, false));
    assert_eq!(row.budget_stop.as_deref(), Some(stop), "its end keeps why it was ended");

    runs::finish(&mut conn, "c", &run_end(true, 0.0, 1.0)).unwrap();
    let others: Vec<_> = spent::others_of_session(&mut conn, "s", "c").unwrap().into_iter().map(|r| r.id).collect();
    assert_eq!(others.first().map(String::as_str), Some("a"));
    spent::settle(&mut conn, "a", 0.6).unwrap();
    let row = runs::get(&mut conn, "a").unwrap().unwrap();
    assert_eq!((row.cost_usd, row.estimated), (0.6, false));
}

#[test]
fn only_open_runs_are_asked_to_stop() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let task = add_task(&mut conn, 1).id;
    for id in ["ended", "open"] {
        runs::insert(&mut conn, &run(id, 1, task, NOW)).unwrap();
    }
    runs::finish(&mut conn, "ended", &run_end(true, 0.0, 0.0)).unwrap();
    assert_eq!(runs::ask_to_stop(&mut conn, task, StopReason::Cancel).unwrap(), 1);
    assert_eq!(runs::wanted_stop(&mut conn, "open").unwrap(), Some(StopReason::Cancel));
    assert_eq!(runs::wanted_stop(&mut conn, "ended").unwrap(), None);
    assert!(!runs::ask_one_to_stop(&mut conn, "ended", StopReason::Operator).unwrap());
    assert!(runs::ask_one_to_stop(&mut conn, "open", StopReason::Operator).unwrap());
}

#[test]
fn a_heartbeat_is_only_ones_own() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let old = worker("w", "h", NOW);
    workers::register(&mut conn, &old).unwrap();
    assert!(workers::beat(&mut conn, &old, NOW + 5).unwrap());
    let new = Worker { pid: 8, pid_start: 80, ..worker("w", "h", NOW + 10) };
    workers::register(&mut conn, &new).unwrap();
    assert!(!workers::beat(&mut conn, &old, NOW + 20).unwrap(), "the row is another process's");
    workers::mark_stopped(&mut conn, &old, NOW + 20).unwrap();
    let row = workers::all(&mut conn).unwrap().remove(0);
    assert_eq!((row.state, row.heartbeat_at, row.pid), (WorkerState::Running, NOW + 10, 8));
    workers::note_preflight(&mut conn, "w", false, "no such file").unwrap();
    assert_eq!(workers::living(&mut conn, NOW).unwrap(), 1);
    assert_eq!(workers::living(&mut conn, NOW + 11).unwrap(), 0, "no sign of life since");
    workers::mark_stopped(&mut conn, &new, NOW + 30).unwrap();
    assert_eq!(workers::living(&mut conn, NOW).unwrap(), 0);
    let row = workers::all(&mut conn).unwrap().remove(0);
    assert_eq!((row.state, row.preflight_ok), (WorkerState::Stopped, Some(false)));
    assert_eq!(workers::newest_heartbeat(&mut conn).unwrap(), Some(NOW + 30));
}

#[test]
fn refusals_are_counted_by_sender_and_reason() {
    use crate::store::deliveries::Source;
    use crate::store::refusals::{self, Reason, Refused};
    let scratch = Scratch::new();
    let of = |reason, count, first_at, last_at| Refused { source: Source::Gitea, reason, count, first_at, last_at };
    let plane = Refused { source: Source::Plane, ..of(Reason::Busy, 1, 5, 5) };
    scratch.write(|c| refusals::add(c, &[of(Reason::WrongSignature, 2, 10, 20), plane]));
    scratch.write(|c| refusals::add(c, &[of(Reason::WrongSignature, 3, 30, 40), of(Reason::TooLarge, 1, 50, 50)]));
    let mut all = refusals::all(&mut scratch.store.connection().unwrap()).unwrap();
    all.sort_by_key(|r| r.first_at);
    assert_eq!(all, [plane, of(Reason::WrongSignature, 5, 10, 40), of(Reason::TooLarge, 1, 50, 50)]);
}

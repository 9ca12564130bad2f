//! The statements as they are executed, and what SQLite makes of them: whatever runs often must find its rows by
//! an index, however long the queue has grown.

use super::*;
use crate::domain::job::{JobEnd, Spend};
use crate::store::deliveries::{self, Intake, NewDelivery, Recent, Source};
use crate::store::retention;
use diesel::connection::InstrumentationEvent;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Nullable, Text};
use std::sync::{Arc, Mutex};

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// The statements that `f` sends, as `SQL -- binds: [..]`.
fn statements(conn: &mut Conn, f: impl FnOnce(&mut Conn)) -> Vec<String> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            ear.lock().unwrap().push(query.to_string());
        }
    });
    f(conn);
    conn.set_instrumentation(|_: InstrumentationEvent<'_>| ());
    let heard = heard.lock().unwrap().clone();
    heard.into_iter().filter(|s| s.contains(" -- binds: ")).collect()
}

/// SQLite's plan of a statement, with its values bound as they were.
fn plan(conn: &mut Conn, statement: &str) -> Vec<String> {
    let (sql, binds) = statement.split_once(" -- binds: ").unwrap();
    let binds = binds.trim().strip_prefix('[').and_then(|b| b.strip_suffix(']')).unwrap();
    // Bytes are shown as a list of their own; the plan does not depend on them.
    let binds = binds.split('[').map(|part| part.rsplit(']').next().unwrap()).collect::<String>();
    let mut query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).into_boxed();
    for bind in binds.split(", ").filter(|b| !b.is_empty()) {
        let bare = bind.trim_start_matches("Some(").trim_end_matches(')');
        query = match (bare, bare.parse::<i64>()) {
            ("None", _) => query.bind::<Nullable<Text>, _>(None::<String>),
            (_, Ok(n)) => query.bind::<BigInt, _>(n),
            ("true" | "false", Err(_)) => query.bind::<diesel::sql_types::Bool, _>(bare == "true"),
            (text, Err(_)) => query.bind::<Text, _>(text.trim_matches('"').to_owned()),
        };
    }
    query.load::<Plan>(conn).unwrap().into_iter().map(|p| p.detail).collect()
}

/// A queue with a long past, so that the planner has every reason to be careful.
fn long_queue() -> Scratch {
    let scratch = Scratch::new();
    scratch.write(|c| {
        let task = add_task(c, 1).id;
        for n in 0..300 {
            let new = NewJob { task_id: Some(task), dedupe_key: Some(format!("d{n}")), ..plain(JobKind::Event) };
            let id = add(c, &new);
            let taken = jobs::claim_by_id(c, id, "w", NOW).unwrap().unwrap();
            jobs::finish(c, &taken, &JobEnd::Done { note: None }, NOW).unwrap();
        }
        for kind in JobKind::ALL {
            add(c, &NewJob { task_id: Some(task), ..keyed(*kind, "k") });
            add(c, &NewJob { available_at: Some(NOW + 5), ..plain(*kind) });
            add(c, &plain(*kind));
        }
        Ok(())
    });
    scratch
}

/// Every statement of `f` reaches `jobs` by an index; at least one by each of `wanted`.
#[track_caller]
fn uses(scratch: &Scratch, wanted: &[&str], f: impl FnOnce(&mut Conn)) {
    let mut conn = scratch.store.connection().unwrap();
    let sent = statements(&mut conn, f);
    assert!(!sent.is_empty(), "nothing was heard");
    let mut all = Vec::new();
    for statement in &sent {
        for step in plan(&mut conn, statement) {
            let scans = step.starts_with("SCAN jobs") || step.starts_with("SCAN deliveries");
            // A scan of a partial index holds only rows that are wanted anyway.
            assert!(
                !scans || step.contains("USING INDEX jobs_") || step.contains("USING COVERING INDEX jobs_"),
                "{step}\n{statement}"
            );
            assert!(!step.contains("TEMP B-TREE"), "{step}\n{statement}");
            all.push(step);
        }
    }
    for index in wanted {
        assert!(all.iter().any(|step| step.contains(index)), "{index} is not used: {all:#?}\n{sent:#?}");
    }
}

#[test]
fn claiming_looks_at_the_claimable_alone() {
    let scratch = long_queue();
    uses(
        &scratch,
        &[
            "SEARCH job_turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
            "job_turns_later (<expr>=? AND due>? AND due<?)",
            "SEARCH jobs USING INTEGER PRIMARY KEY",
        ],
        |c| {
            jobs::claim(c, JobKind::Effect, "w", NOW + 10).unwrap().unwrap();
        },
    );
    uses(&scratch, &["SEARCH job_turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"], |c| {
        jobs::next_due(c, JobKind::Effect, NOW).unwrap();
    });
    let to_forge = crate::domain::effect::Destination::Gitea;
    uses(&scratch, &["SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"], |c| {
        jobs::claim_to(c, to_forge, "w", NOW).unwrap().unwrap();
    });
    uses(&scratch, &["SEARCH t USING COVERING INDEX job_turns_later (<expr>=? AND due>?)"], |c| {
        assert_eq!(jobs::next_due_to(c, to_forge, NOW).unwrap(), None, "all are claimed");
    });
    uses(&scratch, &["job_turns_later (<expr>=? AND due>?)"], |c| {
        while jobs::claim(c, JobKind::Agent, "w", NOW).unwrap().is_some() {}
        assert_eq!(jobs::next_due(c, JobKind::Agent, NOW).unwrap(), Some(NOW + 5));
    });
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    opcode: String,
    #[diesel(sql_type = BigInt)]
    p1: i64,
    #[diesel(sql_type = BigInt)]
    p2: i64,
}

/// SQLite copies each page that a statement changes where it may have to take back that statement alone: where it changes
/// several rows, and calls a function or has a constraint that aborts it.
#[test]
fn nothing_can_abort_a_claim_or_an_end_half_done() {
    const OE_ABORT: i64 = 2;
    let scratch = long_queue();
    let mut conn = scratch.store.connection().unwrap();
    let first = scratch.write(|c| jobs::claim(c, JobKind::Event, "w", NOW)).unwrap();
    let sent = statements(&mut conn, |c| {
        let turn = jobs::finish_and_claim(c, &first, &JobEnd::Done { note: None }, JobKind::Event, "w", NOW).unwrap();
        assert!(turn.next.is_some());
    });
    // It does nothing here, and is shown all the same.
    sql_query("DROP TRIGGER jobs_end_or_revive").execute(&mut *conn).unwrap();
    let writing: Vec<_> = sent.iter().filter(|s| s.starts_with("UPDATE")).collect();
    assert_eq!(writing.len(), 2, "{sent:#?}");
    for statement in writing {
        let sql = statement.split_once(" -- binds: ").unwrap().0;
        let steps: Vec<Step> = sql_query(format!("EXPLAIN {sql}")).load(&mut *conn).unwrap();
        assert!(steps.iter().any(|step| step.opcode == "Program"), "the triggers are shown");
        for Step { opcode, p1, p2 } in steps {
            let aborts = opcode == "Halt" && p1 != 0 && p2 == OE_ABORT;
            assert!(!aborts && !opcode.ends_with("Func") && opcode != "Function", "{opcode} in {sql}");
            assert!(opcode != "OpenEphemeral", "a table in between: {sql}");
        }
    }
}

#[test]
fn ending_and_putting_back_go_by_id() {
    let scratch = long_queue();
    uses(&scratch, &["INTEGER PRIMARY KEY"], |c| {
        let taken = jobs::claim(c, JobKind::Event, "w", NOW).unwrap().unwrap();
        let again = JobEnd::Again { at: None, error: "x".into(), spend: Spend::Nothing };
        assert!(jobs::finish(c, &taken, &again, NOW).unwrap());
        let taken = jobs::claim_by_id(c, taken.id, "w", NOW).unwrap().unwrap();
        assert!(jobs::finish(c, &taken, &JobEnd::Cancelled { why: "x".into() }, NOW).unwrap());
        assert!(jobs::retry(c, taken.id).unwrap());
        jobs::cancel(c, taken.id, "x", NOW).unwrap();
    });
}

#[test]
fn enqueueing_looks_its_key_up() {
    let scratch = long_queue();
    uses(&scratch, &["jobs_dedupe"], |c| {
        let known = NewJob { dedupe_key: Some("d7".into()), ..plain(JobKind::Effect) };
        assert_eq!(jobs::enqueue(c, &known, NOW).unwrap(), None);
    });
}

#[test]
fn intake_looks_at_what_is_new_and_at_keys() {
    let scratch = long_queue();
    let new = |key: &[u8]| NewDelivery {
        source: Source::Gitea,
        key: key.into(),
        order_key: Some("k".into()),
        repo: None,
        payload: "{}".into(),
    };
    scratch.write(|c| {
        deliveries::insert(c, &new(b"old"), NOW)?;
        Ok(sql_query("UPDATE delivery_index SET upto = (SELECT max(id) FROM jobs)").execute(c)?)
    });
    let mut recent = Recent::default();
    let wanted = [
        "SEARCH deliveries USING INTEGER PRIMARY KEY",
        "SEARCH delivery_keys USING PRIMARY KEY",
        "SEARCH bundles USING INTEGER PRIMARY KEY",
    ];
    uses(&scratch, &wanted, |c| {
        assert!(matches!(recent.insert(c, &new(b"new"), NOW).unwrap(), Intake::Queued(_)));
    });
    let crowd: Vec<NewDelivery> = (0..20).map(|n| new(format!("crowd-{n}").as_bytes())).collect();
    uses(&scratch, &wanted[..2], |c| {
        assert_eq!(recent.insert_all(c, crowd.iter(), NOW).unwrap().len(), 20);
    });
    uses(&scratch, &["SEARCH bundles USING INTEGER PRIMARY KEY", "jobs_unplaced"], |c| {
        while jobs::claim(c, JobKind::Event, "w", NOW).unwrap().is_some() {}
    });
    uses(&scratch, &["jobs_unplaced"], |c| {
        assert!(jobs::next_due(c, JobKind::Event, NOW).unwrap().is_some_and(|at| at > NOW));
    });
}

#[test]
fn views_read_what_they_show() {
    let scratch = long_queue();
    uses(&scratch, &["jobs_agents"], |c| {
        assert_eq!(jobs::recent_agents(c, 10).unwrap().len(), 3);
    });
    uses(&scratch, &["jobs_task"], |c| {
        assert!(jobs::of_task(c, 1).unwrap().len() > 300);
        assert_eq!(jobs::unfinished_of_task(c, 1).unwrap().len(), 2);
        jobs::cancel_queued_of_task(c, 1, "x", NOW).unwrap();
    });
}

#[test]
fn recovery_reads_the_running_alone() {
    let scratch = long_queue();
    scratch.write(|c| jobs::claim(c, JobKind::Effect, "w", NOW));
    uses(&scratch, &["SEARCH job_turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"], |c| {
        assert_eq!(jobs::owned_by(c, "w").unwrap().len(), 1);
    });
    uses(&scratch, &["SEARCH job_turns USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"], |c| {
        assert_eq!(jobs::orphans(c, "me", "h", |w| w.heartbeat_at < NOW).unwrap().len(), 1);
    });
}

#[test]
fn forgetting_finds_the_oldest_ends() {
    let scratch = long_queue();
    uses(&scratch, &["SEARCH jobs USING INTEGER PRIMARY KEY", "SEARCH deliveries USING INTEGER PRIMARY KEY"], |c| {
        assert_eq!(retention::prune_step(c, 0, NOW + 1, NOW + 1).unwrap().jobs, 200);
    });
}

#[test]
fn the_triggers_of_ordered_keys_name_their_index() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    // The plans of triggers are not shown; INDEXED BY makes a statement fail that could not use its index.
    let lookups = number(
        &mut conn,
        "SELECT sum((length(sql) - length(replace(sql, 'INDEXED BY jobs_', ''))) / 16) AS n \
         FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'jobs_%'",
    );
    let selects = number(
        &mut conn,
        "SELECT sum((length(sql) - length(replace(sql, 'FROM jobs', ''))) / 9) AS n \
         FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'jobs_%'",
    );
    assert_eq!((lookups, selects), (7, 7));
}

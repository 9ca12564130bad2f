//! The statements as they are executed, and what SQLite makes of them: whatever runs often must find its rows by
//! an index, however long the queue has grown.

use super::*;
use crate::domain::job::{JobEnd, Spend};
use crate::domain::stage::Role;
use crate::store::deliveries::{self, Intake, NewDelivery, Source};
use crate::store::retention;
use diesel::connection::InstrumentationEvent;
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
            let role = (*kind == JobKind::Agent).then_some(Role::Tester);
            add(c, &NewJob { task_id: Some(task), role, ..keyed(*kind, "k") });
            add(c, &NewJob { available_at: Some(NOW + 5), role, ..plain(*kind) });
            add(c, &NewJob { role, ..plain(*kind) });
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
    let (now, later) =
        ("USING INDEX jobs_ready_now (kind=?)", "jobs_ready_later (kind=? AND available_at>? AND available_at<?)");
    uses(&scratch, &[now, later, "SEARCH jobs USING INTEGER PRIMARY KEY"], |c| {
        jobs::claim(c, JobKind::Effect, "w", NOW + 10).unwrap().unwrap();
    });
    uses(&scratch, &[now], |c| {
        jobs::next_due(c, JobKind::Effect, NOW).unwrap();
    });
    let to_forge = crate::domain::effect::Destination::Gitea;
    uses(&scratch, &["jobs_ready_now (kind=?)"], |c| {
        jobs::claim_to(c, to_forge, "w", NOW).unwrap().unwrap();
    });
    uses(&scratch, &["jobs_ready_later (kind=?"], |c| {
        assert_eq!(jobs::next_due_to(c, to_forge, NOW).unwrap(), None, "all are claimed");
    });
    uses(&scratch, &["jobs_ready_later (kind=?"], |c| {
        while jobs::claim(c, JobKind::Agent, "w", NOW).unwrap().is_some() {}
        assert_eq!(jobs::next_due(c, JobKind::Agent, NOW).unwrap(), Some(NOW + 5));
    });
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
fn enqueueing_looks_its_keys_up() {
    let scratch = long_queue();
    uses(&scratch, &["jobs_key (order_key=?"], |c| {
        jobs::enqueue(c, &keyed(JobKind::Effect, "k"), NOW).unwrap().unwrap();
    });
    uses(&scratch, &["jobs_dedupe"], |c| {
        let known = NewJob { dedupe_key: Some("d7".into()), ..plain(JobKind::Effect) };
        assert_eq!(jobs::enqueue(c, &known, NOW).unwrap(), None);
    });
}

#[test]
fn intake_looks_its_keys_up() {
    let scratch = long_queue();
    let new = NewDelivery {
        source: Source::Gitea,
        key: b"new".into(),
        order_key: Some("k".into()),
        repo: None,
        payload: "{}".into(),
    };
    uses(&scratch, &["jobs_key (order_key=?"], |c| {
        assert!(matches!(deliveries::insert(c, &new, NOW).unwrap(), Intake::Queued(_)));
    });
    uses(&scratch, &["deliveries USING COVERING INDEX sqlite_autoindex_deliveries_1 (source=? AND key=?)"], |c| {
        assert!(matches!(deliveries::insert(c, &new, NOW).unwrap(), Intake::Duplicate(_)));
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
    uses(&scratch, &["jobs_running"], |c| {
        assert_eq!(jobs::owned_by(c, "w").unwrap().len(), 1);
    });
    uses(&scratch, &["jobs_running"], |c| {
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

/// A condition on `kind` in a partial index would have SQLite compile every statement with a bound kind at each execution.
#[test]
fn no_partial_index_depends_on_a_bound_kind() {
    let scratch = Scratch::new();
    let conditions = "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'index' AND sql LIKE '% WHERE %kind = %'";
    assert_eq!(number(&mut scratch.store.connection().unwrap(), conditions), 0);
}

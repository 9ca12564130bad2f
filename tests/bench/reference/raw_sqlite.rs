//! A queue of nothing but a table: no ordering by key, no counters, no history of what happened, no retry times. The end of one job
//! and the claim of the next are one transaction, which is the most that SQLite can do with one sync per job.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;
use orch_common::store::{Conn, StoreError};

/// Makes the table and fills it.
pub fn seed(conn: &mut Conn, rows: i64) -> Result<(), StoreError> {
    use diesel::connection::SimpleConnection as _;
    conn.batch_execute(
        "CREATE TABLE raw (id INTEGER PRIMARY KEY NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, \
         status TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, worker TEXT, \
         created_at BIGINT NOT NULL, started_at BIGINT, finished_at BIGINT); \
         CREATE INDEX raw_queued ON raw (kind, id) WHERE status = 'queued';",
    )?;
    refill(conn, rows)
}

/// Adds queued rows.
pub fn refill(conn: &mut Conn, rows: i64) -> Result<(), StoreError> {
    diesel::sql_query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) \
         INSERT INTO raw (kind, payload, created_at) SELECT 'event', hex(zeroblob(100)), 0 FROM n",
    )
    .bind::<BigInt, _>(rows)
    .execute(conn)?;
    Ok(())
}

struct Finish<'a> {
    id: &'a i64,
    worker: &'a str,
    now: &'a i64,
}

// Prepared once per connection, as ours are.
impl QueryId for Finish<'_> {
    type QueryId = Finish<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl RunQueryDsl<SqliteConnection> for Finish<'_> {}

impl QueryFragment<Sqlite> for Finish<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE raw SET status = 'done', finished_at = ");
        out.push_bind_param::<BigInt, _>(self.now)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(self.id)?;
        out.push_sql(" AND status = 'running' AND worker = ");
        out.push_bind_param::<Text, _>(self.worker)
    }
}

struct Claim<'a> {
    worker: &'a str,
    now: &'a i64,
}

impl QueryId for Claim<'_> {
    type QueryId = Claim<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for Claim<'_> {
    type SqlType = (BigInt, Text);
}

impl RunQueryDsl<SqliteConnection> for Claim<'_> {}

impl QueryFragment<Sqlite> for Claim<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("UPDATE raw SET status = 'running', attempts = attempts + 1, worker = ");
        out.push_bind_param::<Text, _>(self.worker)?;
        out.push_sql(", started_at = ");
        out.push_bind_param::<BigInt, _>(self.now)?;
        out.push_sql(
            " WHERE id = (SELECT id FROM raw INDEXED BY raw_queued WHERE kind = 'event' AND status = 'queued' \
             ORDER BY id LIMIT 1) RETURNING id, payload",
        );
        Ok(())
    }
}

/// Ends `done`, if any, and claims the next; inside the caller's transaction.
pub fn finish_and_claim(
    conn: &mut Conn,
    done: Option<i64>,
    worker: &str,
    now: i64,
) -> Result<Option<(i64, String)>, StoreError> {
    if let Some(id) = done {
        Finish { id: &id, worker, now: &now }.execute(conn)?;
    }
    Ok(Claim { worker, now: &now }.get_result(conn).optional()?)
}

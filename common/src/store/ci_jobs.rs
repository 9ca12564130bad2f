//! The jobs of the forge's own CI. Its deliveries alone tell the id by which a job's log is had; a status names the same job by
//! the path of its page.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::ci_jobs;
use diesel::prelude::*;

/// One job of a run, as its newest delivery tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = ci_jobs, check_for_backend(diesel::sqlite::Sqlite))]
pub struct CiJob {
    /// `owner/name` as configured.
    pub repo: String,
    /// The path of its page: `/owner/name/actions/runs/NUMBER/jobs/INDEX`.
    pub page: String,
    /// Its id in the forge's API.
    pub job: i64,
    /// The commit that it runs on.
    pub sha: String,
    /// The names of the steps that failed, one a line.
    pub steps: String,
    /// When it was told of, in ms.
    pub at: i64,
}

/// Remembers a job. Deliveries come in no certain order: what failed in it is not forgotten for an earlier word of the same run.
pub fn note(conn: &mut Conn, new: &CiJob) -> Result<(), StoreError> {
    let known = get(conn, &new.repo, &new.page)?;
    let same = known.filter(|known| known.job == new.job && known.sha == new.sha);
    let steps = same.filter(|_| new.steps.is_empty()).map_or_else(|| new.steps.clone(), |known| known.steps);
    diesel::replace_into(ci_jobs::table).values(CiJob { steps, ..new.clone() }).execute(conn)?;
    Ok(())
}

/// The job of a page.
pub fn get(conn: &mut Conn, repo: &str, page: &str) -> Result<Option<CiJob>, StoreError> {
    Ok(ci_jobs::table.find((repo, page)).select(CiJob::as_select()).first(conn).optional()?)
}

/// Forgets up to `most` jobs that were told of before a time (ms).
pub(super) fn prune(conn: &mut Conn, before: i64, most: i64) -> Result<usize, StoreError> {
    let text =
        "DELETE FROM ci_jobs WHERE (repo, page) IN (SELECT repo, page FROM ci_jobs WHERE at < ? ORDER BY at LIMIT ?)";
    let query = diesel::sql_query(text);
    let query = query.bind::<diesel::sql_types::BigInt, _>(before).bind::<diesel::sql_types::BigInt, _>(most);
    Ok(query.execute(conn)?)
}

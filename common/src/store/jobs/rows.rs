//! A job as it stands in the table.

use crate::domain::job::{JobKind, JobStatus};
use crate::domain::stage::Role;
use crate::store::payload::Unpacked;
use crate::store::schema::jobs;
use diesel::prelude::*;

/// One row of the queue; times in ms since the epoch.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Job {
    pub id: i64,
    pub kind: JobKind,
    pub role: Option<Role>,
    pub repo: Option<String>,
    pub task_id: Option<i64>,
    pub status: JobStatus,
    /// Counted at the claim: claimed once is 1.
    pub attempts: i32,
    pub max_attempts: i32,
    pub transient_attempts: i32,
    pub recoveries: i32,
    pub run_id: Option<String>,
    pub error: Option<String>,
    /// What came of it, for people.
    pub note: Option<String>,
    pub worker: Option<String>,
    pub dedupe_key: Option<String>,
    pub order_key: Option<String>,
    /// The first unfinished job of its key, or without a key. Of a finished job it says nothing.
    pub ready: bool,
    pub available_at: Option<i64>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    #[diesel(deserialize_as = Unpacked)]
    pub payload: String,
}

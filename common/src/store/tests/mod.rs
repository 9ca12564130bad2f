//! The store on real files: a database each, in a folder of its own.

mod backup;
mod connection;
mod deliveries;
mod error;
mod evidence;
mod files;
mod migrate;
mod plans;
mod retention;
mod schema;
mod small;
mod standing;
mod tasks;

use super::jobs::{self, Job, NewJob};
use super::tasks::{NewTask, Task};
use super::{Conn, Durability, Store, StoreError, StoreOptions};
use crate::domain::job::JobKind;
use diesel::prelude::*;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

pub(in crate::store) const NOW: i64 = 1_800_000_000_000;

/// A migrated store in a folder that goes with it.
pub(in crate::store) struct Scratch {
    pub store: Store,
    pub folder: TempDir,
}

impl Scratch {
    pub fn new() -> Scratch {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&options(&folder)).unwrap();
        Scratch { store, folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `f` in one immediate transaction.
    pub fn write<T>(&self, f: impl FnMut(&mut Conn) -> Result<T, StoreError>) -> T {
        self.store.write_now(f).unwrap()
    }
}

pub(in crate::store) fn options(folder: &TempDir) -> StoreOptions {
    StoreOptions {
        pool_size: 2,
        durability: Durability::Normal,
        patience: Duration::from_secs(60),
        ..StoreOptions::new(folder.path().join("orch.db"))
    }
}

/// A job of a kind that nothing is said about.
pub(in crate::store) fn plain(kind: JobKind) -> NewJob {
    NewJob {
        kind,
        role: None,
        repo: None,
        task_id: None,
        payload: "{}".into(),
        dedupe_key: None,
        order_key: None,
        available_at: None,
    }
}

pub(in crate::store) fn keyed(kind: JobKind, key: &str) -> NewJob {
    NewJob { order_key: Some(key.into()), ..plain(kind) }
}

pub(in crate::store) fn add(conn: &mut Conn, new: &NewJob) -> i64 {
    jobs::enqueue(conn, new, NOW).unwrap().unwrap()
}

#[track_caller]
pub(in crate::store) fn job(conn: &mut Conn, id: i64) -> Job {
    jobs::get(conn, id).unwrap().unwrap()
}

pub(in crate::store) fn new_task(n: u32) -> NewTask {
    NewTask {
        project: "p1".into(),
        work_item: format!("w{n}"),
        key: format!("ET-{n:03}"),
        title: "Login".into(),
        description: "text".into(),
        repo: "acme/app".into(),
        branch: format!("feature/ET-{n:03}-login"),
        base: "main".into(),
    }
}

pub(in crate::store) fn add_task(conn: &mut Conn, n: u32) -> Task {
    super::tasks::insert(conn, &new_task(n), NOW).unwrap().unwrap()
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    n: i64,
}

/// The one number that `sql` (which names it `n`) answers.
pub(in crate::store) fn number(conn: &mut Conn, sql: &str) -> i64 {
    diesel::sql_query(sql).get_result::<Number>(conn).unwrap().n
}

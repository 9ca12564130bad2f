//! What can go wrong with the database, by what the caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the writer's lock; trying again later helps.
    #[error("the database is locked by another process")]
    Busy,
    /// The schema is not the one this program was built for; `orchctl migrate` (or a worker's start) brings it up.
    #[error("the database's schema is not current: {0}")]
    NotMigrated(String),
    /// The schema is of a newer version than this program; no migration helps.
    #[error("the database is of a newer version: {0}")]
    Newer(String),
    /// The file cannot be written: read-only, full disk, wrong owner.
    #[error("the database cannot be written: {0}")]
    NotWritable(String),
    /// The file cannot be opened at all.
    #[error("cannot open the database {path}: {why}")]
    Open { path: String, why: String },
    /// The log beside the database, or its index, was taken away under the programs that have it open. They bring what they
    /// have into the database and end; once all have ended it can be opened anew.
    #[error(
        "{0} of the database was taken away while programs have it open: all of them have to end before it is opened again"
    )]
    FilesLost(String),
    /// SQLite does not give the durability that was asked for.
    #[error("the database does not keep its promise: {0}")]
    Durability(String),
    /// A stored value is none of those this program knows.
    #[error("unexpected value in the database: {0}")]
    Corrupt(String),
    /// The job is another worker's by now; nothing of the transaction stays.
    #[error("the job is no longer this worker's")]
    LostOwnership,
    /// Anything else that SQLite reports.
    #[error("database error: {0}")]
    Sql(Diesel),
}

impl StoreError {
    /// The same call may succeed later without anybody doing anything.
    pub fn is_busy(&self) -> bool {
        matches!(self, StoreError::Busy)
    }

    /// The values are at fault, not the database: the same call will fail in the same way.
    pub fn is_constraint(&self) -> bool {
        let StoreError::Sql(Diesel::DatabaseError(kind, _)) = self else { return false };
        matches!(
            kind,
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::ForeignKeyViolation
        )
    }
}

impl From<Diesel> for StoreError {
    fn from(e: Diesel) -> Self {
        // SQLite's result codes are lost in diesel's error kinds; its fixed messages are what remains.
        if let Diesel::DeserializationError(why) = &e {
            return StoreError::Corrupt(with_causes(why.as_ref()));
        }
        let Diesel::DatabaseError(DatabaseErrorKind::Unknown, info) = &e else { return StoreError::Sql(e) };
        let text = info.message().to_owned();
        if text.contains("database is locked") || text.contains("database table is locked") {
            StoreError::Busy
        } else if text.contains("readonly") || text.contains("disk is full") || text.contains("disk I/O error") {
            StoreError::NotWritable(text)
        } else if text.contains("no such table") || text.contains("no such column") {
            StoreError::NotMigrated(text)
        } else {
            StoreError::Sql(e)
        }
    }
}

/// An error and what caused it, on one line.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

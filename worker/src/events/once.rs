//! What makes an event's meaning happen once, however it came: by a delivery, a repeated one, a late one, or by
//! asking. Remembered in the database, in the transaction that acts.

use orch_common::store::{Conn, StoreError, cursors};

/// The identity of a deed at its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// Only the first event of this name acts.
    First(String),
    /// Only what is newer than everything of this name that has acted; `at` is in ms by the source's own clock.
    Newer { name: String, at: i64 },
}

impl Once {
    /// A comment of a work item.
    pub fn comment(id: &str) -> Once {
        Once::First(format!("comment:{id}"))
    }

    /// A review of a pull request.
    pub fn review(repo: &str, id: i64) -> Once {
        Once::First(format!("review:{repo}:{id}"))
    }

    /// A move of a work item to a state, at a time of the item's own history.
    pub fn moved(work_item: &str, to: &str, at: i64) -> Once {
        Once::Newer { name: moves(work_item, to), at }
    }

    /// The right to act was taken before.
    pub fn was_taken(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        Ok(match self {
            Once::First(name) => cursors::get(conn, name)?.is_some(),
            Once::Newer { name, at } => {
                cursors::get(conn, name)?.and_then(|known| known.parse::<i64>().ok()).is_some_and(|known| known >= *at)
            }
        })
    }

    /// Takes the right to act; `false` = it was taken before.
    pub fn take(&self, conn: &mut Conn, what: &str, now: i64) -> Result<bool, StoreError> {
        if self.was_taken(conn)? {
            return Ok(false);
        }
        match self {
            Once::First(name) => cursors::put(conn, name, what, now)?,
            Once::Newer { name, at } => cursors::put(conn, name, &at.to_string(), now)?,
        }
        Ok(true)
    }
}

/// The time (ms, Plane's clock) of the newest move of an item to a state that has acted.
pub fn newest_move(conn: &mut Conn, work_item: &str, to: &str) -> Result<Option<i64>, StoreError> {
    Ok(cursors::get(conn, &moves(work_item, to))?.and_then(|at| at.parse().ok()))
}

fn moves(work_item: &str, to: &str) -> String {
    format!("moved:{}:{}", work_item.to_lowercase(), to.to_lowercase())
}

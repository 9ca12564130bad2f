//! What stands in the way of a task at the forge, as people were told of it: so that it is said once, whoever sees it first, and
//! once more when it comes back after a mend.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::in_the_way;
use crate::named_enum;
use diesel::prelude::*;

named_enum! {
    /// What kind of thing. Of one kind one thing at a time is in a task's way.
    pub enum Kind ("kind") {
        /// The task's branch is gone.
        Branch = "branch",
        /// The forge takes none of its commits.
        Push = "push",
        /// Its pull request is not as it should be.
        Pull = "pull",
    }
}

/// What people were told of this kind, if they were told of any; its words are the caller's.
pub fn get(conn: &mut Conn, task: i64, kind: Kind) -> Result<Option<String>, StoreError> {
    let row = in_the_way::table.find((task, kind.as_str())).select(in_the_way::detail);
    Ok(row.first(conn).optional()?)
}

/// Notes it; `false` = people know.
pub fn note(conn: &mut Conn, task: i64, kind: Kind, detail: &str, now: i64) -> Result<bool, StoreError> {
    if get(conn, task, kind)?.as_deref() == Some(detail) {
        return Ok(false);
    }
    diesel::replace_into(in_the_way::table)
        .values((
            in_the_way::task.eq(task),
            in_the_way::kind.eq(kind.as_str()),
            in_the_way::detail.eq(detail),
            in_the_way::since.eq(now),
        ))
        .execute(conn)?;
    Ok(true)
}

/// It is mended; gives what people were told, if they were told of any.
pub fn clear(conn: &mut Conn, task: i64, kind: Kind) -> Result<Option<String>, StoreError> {
    let row = diesel::delete(in_the_way::table.find((task, kind.as_str())));
    Ok(row.returning(in_the_way::detail).get_result(conn).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn a_thing_is_new_until_it_is_noted_and_again_after_its_mend() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        let note = |detail: &str| store.write_now(|c| super::note(c, 7, Kind::Pull, detail, 1)).unwrap();
        assert_eq!([note("closed"), note("closed"), note("to dev"), note("closed")], [true, false, true, true]);
        assert_eq!(store.write_now(|c| get(c, 7, Kind::Pull)).unwrap().as_deref(), Some("closed"));
        assert_eq!(store.write_now(|c| get(c, 7, Kind::Branch)).unwrap(), None, "kinds do not know of each other");
        assert_eq!(store.write_now(|c| get(c, 8, Kind::Pull)).unwrap(), None, "nor do tasks");
        let clear = || store.write_now(|c| super::clear(c, 7, Kind::Pull)).unwrap();
        assert_eq!([clear(), clear()], [Some("closed".to_owned()), None]);
        assert!(note("closed"), "it has come back");
    }
}

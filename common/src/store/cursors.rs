//! Named positions and leases of the periodic work.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::cursors;
use diesel::prelude::*;

/// The stored value of a name.
pub fn get(conn: &mut Conn, name: &str) -> Result<Option<String>, StoreError> {
    Ok(cursors::table.find(name).select(cursors::value).first(conn).optional()?)
}

/// Stores a value.
pub fn put(conn: &mut Conn, name: &str, value: &str, now: i64) -> Result<(), StoreError> {
    diesel::insert_into(cursors::table)
        .values((cursors::name.eq(name), cursors::value.eq(value), cursors::updated_at.eq(now)))
        .on_conflict(cursors::name)
        .do_update()
        .set((cursors::value.eq(value), cursors::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// Names that begin so with their values, of which none was stored after `before` (ms); in the order of their names.
pub fn named(conn: &mut Conn, begin: &str, before: i64) -> Result<Vec<(String, String)>, StoreError> {
    // The character behind the last one of any name.
    let end = format!("{begin}\u{10ffff}");
    let range = cursors::table.filter(cursors::name.ge(begin)).filter(cursors::name.lt(end));
    let old = range.filter(cursors::updated_at.le(before)).order(cursors::name);
    Ok(old.select((cursors::name, cursors::value)).load(conn)?)
}

/// When a value was stored, in ms.
pub fn stored_at(conn: &mut Conn, name: &str) -> Result<Option<i64>, StoreError> {
    Ok(cursors::table.find(name).select(cursors::updated_at).first(conn).optional()?)
}

/// Forgets a value.
pub fn forget(conn: &mut Conn, name: &str) -> Result<(), StoreError> {
    diesel::delete(cursors::table.find(name)).execute(conn)?;
    Ok(())
}

/// Forgets those that begin so and were stored last before a time (ms).
pub fn forget_named(conn: &mut Conn, begin: &str, before: i64) -> Result<usize, StoreError> {
    let range = cursors::table.filter(cursors::name.ge(begin)).filter(cursors::name.lt(format!("{begin}\u{10ffff}")));
    Ok(diesel::delete(range.filter(cursors::updated_at.lt(before))).execute(conn)?)
}

/// Takes or renews a lease until `until` (ms); `false` = somebody else holds it.
pub fn lease(conn: &mut Conn, name: &str, owner: &str, until: i64, now: i64) -> Result<bool, StoreError> {
    diesel::insert_or_ignore_into(cursors::table)
        .values((cursors::name.eq(name), cursors::value.eq(""), cursors::updated_at.eq(now)))
        .execute(conn)?;
    // Nobody asks for longer than the caller does: a lease beyond that was taken before the clock was set back.
    let stale = cursors::until.lt(now).or(cursors::until.gt(until));
    let free = cursors::owner.is_null().or(cursors::owner.eq(owner)).or(stale);
    let target = cursors::table.find(name).filter(free.assume_not_null());
    Ok(diesel::update(target)
        .set((cursors::owner.eq(owner), cursors::until.eq(until), cursors::updated_at.eq(now)))
        .execute(conn)?
        == 1)
}

/// Gives a lease back.
pub fn release(conn: &mut Conn, name: &str, owner: &str, now: i64) -> Result<(), StoreError> {
    diesel::update(cursors::table.find(name).filter(cursors::owner.eq(owner)))
        .set((cursors::owner.eq(None::<String>), cursors::until.eq(None::<i64>), cursors::updated_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

//! The forge's ids of the projects' repositories, and the names that they have there now: a repository that is renamed is found
//! again by its id.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::repositories;
use diesel::prelude::*;

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = repositories, check_for_backend(diesel::sqlite::Sqlite))]
pub struct Repository {
    /// `owner/name` as it is configured, in lower case.
    pub repo: String,
    pub id: i64,
    /// `owner/name` at the forge.
    pub name: String,
}

/// All that are known.
pub fn all(conn: &mut Conn) -> Result<Vec<Repository>, StoreError> {
    Ok(repositories::table.order(repositories::repo).select(Repository::as_select()).load(conn)?)
}

/// The repository of a configured name.
pub fn get(conn: &mut Conn, repo: &str) -> Result<Option<Repository>, StoreError> {
    Ok(repositories::table.find(repo.to_lowercase()).select(Repository::as_select()).first(conn).optional()?)
}

/// The configured name of a repository with this id.
pub fn by_id(conn: &mut Conn, id: i64) -> Result<Option<Repository>, StoreError> {
    Ok(repositories::table.filter(repositories::id.eq(id)).select(Repository::as_select()).first(conn).optional()?)
}

/// Notes which repository a configured name means; `false` = that is known.
pub fn note(conn: &mut Conn, repo: &str, id: i64, name: &str) -> Result<bool, StoreError> {
    let repo = repo.to_lowercase();
    let new = Repository { repo, id, name: name.to_owned() };
    if get(conn, &new.repo)?.as_ref() == Some(&new) {
        return Ok(false);
    }
    diesel::replace_into(repositories::table)
        .values((repositories::repo.eq(new.repo), repositories::id.eq(new.id), repositories::name.eq(new.name)))
        .execute(conn)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreOptions};

    #[test]
    fn a_repository_is_found_by_its_id_under_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        let note = |id, name: &str| store.write_now(|c| super::note(c, "Acme/Shop", id, name)).unwrap();
        assert_eq!([note(11, "acme/shop"), note(11, "acme/shop"), note(11, "acme/store")], [true, false, true]);
        let found = store.write_now(|c| by_id(c, 11)).unwrap().unwrap();
        assert_eq!((found.repo.as_str(), found.name.as_str()), ("acme/shop", "acme/store"));
        assert_eq!(store.write_now(|c| by_id(c, 12)).unwrap(), None);
        assert_eq!(store.write_now(|c| get(c, "ACME/shop")).unwrap(), Some(found.clone()));
        assert_eq!(store.write_now(all).unwrap(), [found]);
    }
}

//! Agent accounts: breaker, usage limit, fault of the installation. Durable and shared by all workers.

use super::connection::Conn;
use super::error::StoreError;
use super::schema::accounts;
use crate::domain::breaker::Breaker;
use diesel::prelude::*;

/// The account used where nothing else is configured.
pub const DEFAULT_ACCOUNT: &str = "default";

/// What is known of an account; times in ms.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    pub breaker: Breaker,
    /// All agent jobs wait until then.
    pub limit_until: Option<i64>,
    pub limit_reason: Option<String>,
    /// The installation is at fault (no credentials, unknown model, ...): agent jobs wait for a person.
    pub fault: Option<String>,
    pub fault_at: Option<i64>,
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = accounts, check_for_backend(diesel::sqlite::Sqlite), treat_none_as_null = true)]
struct Row {
    name: String,
    breaker: String,
    limit_until: Option<i64>,
    limit_reason: Option<String>,
    fault: Option<String>,
    fault_at: Option<i64>,
    updated_at: i64,
}

/// Reads an account; one that nothing is known of is healthy.
pub fn get(conn: &mut Conn, name: &str) -> Result<Account, StoreError> {
    let row: Option<Row> = accounts::table.find(name).select(Row::as_select()).first(conn).optional()?;
    let Some(Row { breaker, limit_until, limit_reason, fault, fault_at, .. }) = row else {
        return Ok(Account::default());
    };
    let breaker =
        serde_json::from_str(&breaker).map_err(|e| StoreError::Corrupt(format!("accounts.breaker of {name}: {e}")))?;
    Ok(Account { breaker, limit_until, limit_reason, fault, fault_at })
}

/// Writes an account; read and write share the caller's immediate transaction.
pub fn put(conn: &mut Conn, name: &str, account: &Account, now: i64) -> Result<(), StoreError> {
    let Account { breaker, limit_until, limit_reason, fault, fault_at } = account.clone();
    let breaker = serde_json::to_string(&breaker).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let row = Row { name: name.into(), breaker, limit_until, limit_reason, fault, fault_at, updated_at: now };
    diesel::insert_into(accounts::table)
        .values(&row)
        .on_conflict(accounts::name)
        .do_update()
        .set(&row)
        .execute(conn)?;
    Ok(())
}

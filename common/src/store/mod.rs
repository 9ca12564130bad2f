//! All SQL of Orch, on one SQLite file. Functions here take an open connection and are composed by their
//! callers into one transaction ([`Store::write`]); nothing here touches the outside or reads a clock.

pub mod accounts;
pub mod audit;
pub mod backup;
pub mod ci_jobs;
mod columns;
mod connection;
pub mod cursors;
pub mod deliveries;
mod error;
mod files;
pub mod gates;
pub mod heard;
pub mod in_the_way;
pub mod jobs;
pub mod leftovers;
mod migrate;
pub mod outages;
pub mod payload;
mod prepared;
pub mod published;
pub mod refusals;
pub mod repositories;
pub mod retention;
pub mod runs;
pub mod schema;
pub mod spent;
pub mod standing;
pub mod tasks;
mod turn;
pub mod waits;
pub mod workers;

#[cfg(test)]
mod tests;

pub use connection::{Conn, Durability, Store, StoreOptions};
pub use error::StoreError;
pub use files::Files;

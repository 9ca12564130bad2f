//! `kill -9` at every kind of instant: nothing is lost, nothing is doubled.

mod api;
mod database;
mod peers;
mod runs;
mod worker;

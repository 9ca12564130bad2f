//! The worker daemon: takes jobs from the database, runs the stage engine, supervises agents, talks to the
//! outside. The same package holds `orchctl`, the operator's command line.

pub mod agent;
pub mod clients;
pub mod ctl;
pub mod effects;
pub mod engine;
pub mod events;
pub mod gates;
pub mod git;

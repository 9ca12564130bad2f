//! The worker daemon: takes jobs from the database, runs the stage engine, supervises agents, talks to the
//! outside. The same package holds `orchctl`, the operator's command line.

mod advance_lane;
pub mod agent;
mod alerts;
mod bells;
pub mod clients;
mod clock;
pub mod context;
pub mod ctl;
pub mod daemon;
mod database_files;
pub mod effects;
pub mod engine;
pub mod events;
pub mod gates;
pub mod git;
mod give_up;
mod heartbeat;
mod housekeeping;
mod html;
mod in_flight;
mod job_end;
mod lanes;
mod mend;
mod notify;
pub mod outage;
pub mod program;
pub mod reconcile;
mod recovery;
mod rules;
mod runs;
mod silence;
mod templates;
mod threads;
mod untrusted;
mod waiting;

#[cfg(test)]
mod tests;

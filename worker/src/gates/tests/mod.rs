//! The collectors against real processes and repositories.

mod artifacts;
mod run;

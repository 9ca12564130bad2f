//! The webhook intake: checks a signature, commits one job, answers; and serves read-only views of the queue.
//! It never calls Plane, the forge, Telegram, git or an agent, and shares nothing with a worker but the database.

mod app;
mod auth;
pub mod cli;
mod clock;
mod generate;
mod hangup;
mod intake;
mod limits;
mod listener;
mod problem;
mod reads;
mod routes;
mod server;
mod service_manager;
mod settings;
mod signature;
mod views;
mod wire;

pub use auth::ReadToken;
pub use server::{RunError, run};
pub use settings::Settings;
pub use signature::SigningKey;

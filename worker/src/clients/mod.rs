//! The three services Orch talks to: Plane, the forge (Gitea or Forgejo), Telegram. Each client turns wire
//! answers into small typed values and every failure into an [`ApiError`] that says what the caller can do.
//! Nothing here decides anything about a task, reads the database, or logs a token or a body.

mod call;
pub mod causes;
mod error;
mod gate;
pub mod gitea;
mod http;
mod limited;
mod network;
mod own;
mod pace;
pub mod plane;
mod storage;
pub mod telegram;
mod times;
mod window;

pub use error::ApiError;
pub use gate::Gate;
pub use http::{Timing, plain_client};
pub use limited::{Limited, Word};
pub use network::Network;
pub use own::{Answer, health};
pub use window::For;

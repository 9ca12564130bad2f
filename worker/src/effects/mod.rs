//! Effects: the writes to Plane, the forge and Telegram that a decision listed. Sending one twice shows a person
//! one thing. When and how often an effect is sent is the queue's business, not this module's.

mod chat;
pub(crate) mod doubts;
mod lane;
mod pulls;
pub mod send;
pub(crate) mod shared;
mod text;
mod there;

pub use lane::handle;
pub use pulls::Known;
pub use send::{Outside, SendError, Sent};

//! The webhook intake through the real `orch-api` on a loopback port: what real senders sent is accepted and
//! committed once, everything else is refused in the way its sender understands, and no fault of the machine loses
//! what was answered 200.

mod api;
mod cuts;
mod deaths;
mod faults;
mod http;
mod refusals;
mod senders;
mod views;

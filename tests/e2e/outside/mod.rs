//! The outside world's words reach a task whichever way they come - by a delivery, twice, late, in any order, or found
//! by asking - and each acts once.

mod lost;
mod rig;

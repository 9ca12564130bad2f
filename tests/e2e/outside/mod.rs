//! The outside world's words reach a task whichever way they come - by a delivery, twice, late, in any order, or found
//! by asking - and each acts once. And the two commands that set an installation up and look after it.

mod checks;
mod doctor;
mod doubles;
mod forge_setups;
mod in_the_way;
mod init;
mod judged;
mod lost;
mod network;
mod place;
mod replay;
pub mod rig;
mod rows;
mod shared;
mod words;

//! Every place at which a process can end, and what else a machine does to programs: each time the task gets to its
//! end, with one history, every effect seen once, and nothing left running. The places are those of
//! `orch_common::failpoint`, which only builds with debug assertions have.

mod checks;
mod clocks;
mod freezes;
mod points;
mod random;
mod restarts;
mod round;
mod storage;

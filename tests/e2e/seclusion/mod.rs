//! What agents cannot do to us, whatever they write: forged logs, protected files, and, where they have a user of
//! their own, reading what is not theirs.

mod logs;
mod paths;
mod submodules;
mod users;

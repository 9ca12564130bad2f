//! `orch-worker`: the daemon, and (hidden) the supervisor of one run and the attendant of one command.

use orch_worker::agent::{attend, privileges, supervise};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Err(error) = privileges::keep_to_this_process() {
        eprintln!("orch-worker: its rights cannot be kept from what it starts: {error}");
        return ExitCode::FAILURE;
    }
    let hidden = supervise::if_asked(std::env::args_os()).or_else(|| attend::if_asked(std::env::args_os()));
    hidden.unwrap_or_else(orch_worker::program::main)
}

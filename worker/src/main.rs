//! `orch-worker`: the daemon, and (hidden) the supervisor of one run.

use orch_worker::agent::supervise;
use std::process::ExitCode;

fn main() -> ExitCode {
    supervise::if_asked(std::env::args_os()).unwrap_or_else(orch_worker::program::main)
}

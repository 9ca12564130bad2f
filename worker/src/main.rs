use orch_worker::agent::supervise;
use std::process::ExitCode;

fn main() -> ExitCode {
    supervise::if_asked(std::env::args_os()).unwrap_or(ExitCode::SUCCESS)
}

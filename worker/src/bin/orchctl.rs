//! `orchctl`, the operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    orch_worker::ctl::main()
}

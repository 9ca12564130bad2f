//! The program `orch-api`.

use std::process::ExitCode;

fn main() -> ExitCode {
    orch_api::cli::main()
}

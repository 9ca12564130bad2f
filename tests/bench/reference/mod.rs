//! Small programs to compare with. Each does one thing with as little as it takes; none is a part of the product.

pub mod agent;
pub mod claimer;
pub mod http;
pub mod minimal;
pub mod prototype;
pub mod raw_sqlite;

use std::process::ExitCode;

/// Runs the reference that this program was started as, if any.
pub fn if_asked() -> Option<ExitCode> {
    if let Some(code) = agent::if_named() {
        return Some(code);
    }
    let mut arguments = std::env::args().skip(1);
    match arguments.next()?.as_str() {
        http::SUBCOMMAND => Some(http::serve()),
        claimer::SUBCOMMAND => Some(claimer::claim(&arguments.collect::<Vec<_>>()).unwrap_or_else(failed)),
        minimal::SUBCOMMAND => Some(minimal::serve(&arguments.collect::<Vec<_>>()).unwrap_or_else(failed)),
        _ => None,
    }
}

fn failed(error: anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

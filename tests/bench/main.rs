//! Measures what `docs/PERFORMANCE.md` states: the real programs against references that are run beside them, on the
//! same machine, in the same minutes. Ratios count; each is taken within one run and the median of the runs is shown.
//! Talks to loopback only, writes below `target/bench` only, and every figure is bounded in count and in time.
//! Exits with 1 where a figure falls short, with 2 where it could not be measured at all.

mod bench;
mod conditions;
mod figures;
mod load;
mod proc;
mod processes;
mod reference;
mod report;
mod stats;

use bench::Bench;
use clap::Parser;
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures Orch.
#[derive(Debug, Parser)]
#[command(name = "orch-bench", after_help = figures::list())]
struct Arguments {
    /// The figures to measure; all but `soak` unless named
    figures: Vec<String>,
    /// How often each is measured; medians are shown
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,
    /// Seconds of load per measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Minutes that the soak takes
    #[arg(long, default_value_t = 30.0)]
    soak_minutes: f64,
    /// Where to write the results as JSON as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    if let Some(code) = reference::if_asked() {
        return code;
    }
    match measure(&Arguments::parse()) {
        Ok(report) if report.falls_short() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orch-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<Report> {
    let wanted = figures::named(&arguments.figures)?;
    let bench = Bench::new(arguments.runs, arguments.seconds, arguments.soak_minutes)?;
    let mut report = Report::new(conditions::read(&bench)?);
    report.print_conditions();
    for figure in wanted {
        eprintln!("measuring {} ...", figure.name);
        report.add(figure.name, (figure.measure)(&bench));
    }
    if let Some(path) = &arguments.json {
        report.write(path)?;
    }
    Ok(report)
}

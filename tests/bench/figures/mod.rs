//! The figures, one file each; a figure measures and says what it is held to.

mod agent_start;
mod busy;
mod claims;
mod intake;
mod rest;
mod soak;
mod wake;

use crate::bench::Bench;
use crate::report::Row;
use anyhow::bail;

/// One figure.
pub struct Figure {
    pub name: &'static str,
    about: &'static str,
    pub measure: fn(&Bench) -> anyhow::Result<Vec<Row>>,
    /// Measured only when named.
    only_named: bool,
}

const fn figure(name: &'static str, about: &'static str, measure: fn(&Bench) -> anyhow::Result<Vec<Row>>) -> Figure {
    Figure { name, about, measure, only_named: false }
}

const ALL: &[Figure] = &[
    figure(
        "intake",
        "durable signed webhooks a second, beside the prototype and beside HTTP + HMAC only",
        intake::fast,
    ),
    figure("intake-slow-disk", "the same with 2 ms added to every fsync", intake::slow_disk),
    figure("claims", "claim + finish pairs a second of one process, beside raw SQLite", claims::one_process),
    figure("claims-contended", "the same with 4 and 16 processes", claims::processes),
    figure("wake", "from a committed webhook to its event in a worker's hands", wake::measure),
    figure("agent-start", "from a committed agent job to the agent's process", agent_start::measure),
    figure("idle", "memory and CPU of both processes while nothing happens", rest::idle),
    figure("startup", "from a process's start to its first work", rest::startup),
    figure("drain", "100,000 queued events handled by one worker", busy::drain),
    figure("active", "/status with 2,000 active tasks", busy::active),
    figure("views", "/queue and /status with a million finished rows", rest::views),
    Figure {
        only_named: true,
        ..figure("soak", "webhooks and agents for --soak-minutes; only when named", soak::measure)
    },
];

/// For the program's help.
pub fn list() -> String {
    let lines: Vec<String> = ALL.iter().map(|figure| format!("  {:<18} {}", figure.name, figure.about)).collect();
    format!("Figures:\n{}", lines.join("\n"))
}

/// The figures that were asked for.
pub fn named(names: &[String]) -> anyhow::Result<Vec<&'static Figure>> {
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|figure| figure.name == name.as_str())) {
        bail!("there is no figure '{unknown}'\n{}", list());
    }
    let wanted = |figure: &&Figure| match names.is_empty() {
        true => !figure.only_named,
        false => names.iter().any(|name| name == figure.name),
    };
    Ok(ALL.iter().filter(wanted).collect())
}

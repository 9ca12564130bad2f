//! Feeds mutated inputs to every parser of outside text: deliveries, comments, names, front matter, agents' logs. An input
//! may be refused; it may not panic, overflow the stack, take longer than [`TOO_LONG`], or break a target's property.
//! `make fuzz MINUTES=10`. The inputs follow from the seed, so a run can be repeated with `--seed`.
//!
//! Each target runs in a child process, since a stack overflow ends the process. The child writes each input to a file
//! before it parses it, so the parent can name the input that ended the child.

mod mutate;
mod targets;

use anyhow::{Context as _, bail};
use clap::Parser;
use mutate::Mutator;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use targets::Target;

/// The longest that one input may take, in a build without optimization.
const TOO_LONG: Duration = Duration::from_secs(2);

/// Feeds mutated inputs to every parser of outside text.
#[derive(Debug, Parser)]
#[command(name = "orch-fuzz", after_help = targets::list())]
struct Arguments {
    /// The targets; all unless named
    targets: Vec<String>,
    /// Seconds for all targets together
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// At most so many inputs for each target
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    inputs: u64,
    /// Repeats a run
    #[arg(long)]
    seed: Option<u64>,
    /// Where failing inputs are kept
    #[arg(long, default_value = "target/fuzz")]
    out: PathBuf,
    /// Runs the one named target in this process
    #[arg(long, hide = true)]
    child: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.child { child(&arguments) } else { parent(&arguments) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("orch-fuzz: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs each target in a child process; `false` where one failed.
fn parent(arguments: &Arguments) -> anyhow::Result<bool> {
    let chosen = targets::named(&arguments.targets)?;
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?,
    };
    std::fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    println!("seed {seed}, {} targets, {} s", chosen.len(), arguments.seconds);
    let (began, mut failed) = (Instant::now(), Vec::new());
    for (n, target) in chosen.iter().enumerate() {
        let rest = Duration::from_secs(arguments.seconds).saturating_sub(began.elapsed());
        let seconds = (rest.as_secs_f64() / (chosen.len() - n) as f64).max(1.0) as u64;
        let status = Command::new(std::env::current_exe()?)
            .args(["--child", target.name, "--seconds", &seconds.to_string(), "--seed", &seed.to_string()])
            .args(["--inputs", &arguments.inputs.to_string(), "--out"])
            .arg(&arguments.out)
            .status()?;
        if !status.success() {
            let kept = arguments.out.join(format!("{}.{seed}", target.name));
            std::fs::rename(input_file(&arguments.out, target), &kept)?;
            println!("{}: FAILED ({status}); the input is {}", target.name, kept.display());
            failed.push(target.name);
        }
    }
    Ok(failed.is_empty())
}

fn input_file(out: &Path, target: &Target) -> PathBuf {
    out.join(format!("{}.input", target.name))
}

/// Feeds one target until the time is over; `false` at the first input that fails.
fn child(arguments: &Arguments) -> anyhow::Result<bool> {
    let [target] = targets::named(&arguments.targets)?[..] else { bail!("one target") };
    let seeds = targets::seeds(target)?;
    let file = File::create(input_file(&arguments.out, target))?;
    let mut mutator = Mutator::new(arguments.seed.unwrap_or_default(), seeds);
    let span = Duration::from_secs(arguments.seconds);
    let (began, mut inputs, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    while began.elapsed() < span && inputs < arguments.inputs {
        let input = mutator.next_input();
        file.set_len(input.len() as u64)?;
        file.write_all_at(&input, 0)?;
        let at = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            return Ok(false);
        }
        slowest = slowest.max(at.elapsed());
        inputs += 1;
        if slowest > TOO_LONG {
            println!("{}: an input of {} bytes took {slowest:?}", target.name, input.len());
            return Ok(false);
        }
    }
    println!("{}: {inputs} inputs, the slowest took {:.1} ms", target.name, slowest.as_secs_f64() * 1000.0);
    Ok(true)
}

//! (stand-in until the real one lands)
use super::Look;
use orch_common::config::CommandLine;
use orch_common::domain::gate::{TestEnd, TestEvidence};
pub(super) async fn run(look: &Look<'_>, line: &CommandLine) -> TestEvidence {
    let argv = line.argv();
    let (program, args) = argv.split_first().map(|(p, a)| (p.clone(), a.to_vec())).unwrap_or_default();
    let started = std::time::Instant::now();
    let out = tokio::process::Command::new(program).args(args).current_dir(&look.worktree.path).output().await;
    let (end, tail) = match out {
        Ok(o) => {
            (TestEnd::Exited { code: o.status.code().unwrap_or(1) }, String::from_utf8_lossy(&o.stdout).into_owned())
        }
        Err(e) => (TestEnd::Infra { why: e.to_string() }, String::new()),
    };
    TestEvidence { command: line.to_string(), duration_ms: started.elapsed().as_millis() as u64, end, tail }
}

//! Asking a run to end. Its worker does it; where that one is dead, the run's supervisor is told directly, if it is on
//! this machine. The end itself is recorded by a worker, now or when one runs again.

use super::agents::dead_after_ms;
use super::desk::Open;
use super::error::CtlError;
use crate::agent::{RunDir, StopReason, StopSent, request_stop};
use orch_common::store::runs::{self, Run};
use orch_common::store::workers;

/// Asks for the end of `run`; says what will happen.
pub fn ask(open: &Open, run: &Run, now: i64) -> Result<String, CtlError> {
    let id = run.id.clone();
    let asked = open.store.write_now(|conn| runs::ask_one_to_stop(conn, &id, StopReason::Operator))?;
    if !asked {
        return Err(CtlError::Failed(format!("run {id} has ended already ({})", run.state)));
    }
    let dead_after = dead_after_ms(&open.config);
    let known = open.read(workers::all)?;
    if known.iter().any(|worker| worker.name == run.worker && worker.is_alive(now, dead_after)) {
        return Ok(format!("run {id} is asked to end; worker {} ends it", run.worker));
    }
    let dir = RunDir::at(open.config.worker.runs_dir.join(&id));
    if !dir.path().is_dir() {
        return Ok(format!("run {id} is to end; its worker {} on {} does so when it runs again", run.worker, run.host));
    }
    match request_stop(dir.path(), StopReason::Operator) {
        Ok(StopSent::Signalled) => Ok(format!("run {id} is ended; its worker is not alive, the next one records it")),
        Ok(StopSent::Noted) => Ok(format!("run {id} has no supervisor any more; the next worker records its end")),
        Err(error) => Err(CtlError::Failed(format!("run {id} is marked, but cannot be told: {error}"))),
    }
}

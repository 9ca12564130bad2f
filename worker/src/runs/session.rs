//! Which session of the CLI a run continues. Resuming saves what was paid for already; a session that failed to
//! resume twice is given up, and there is always a fresh one.

use crate::agent::command::Session;
use orch_common::store::runs::Run;
use uuid::Uuid;

/// Resumes that may fail before a session is given up.
const MAX_FAILED_RESUMES: usize = 2;

/// The session for the next run of a job, from the job's earlier runs (oldest first). Only a run that was
/// interrupted by something outside of itself is gone on with.
pub fn for_next(earlier: &[Run]) -> Session {
    let fresh = || Session::Fresh(Uuid::new_v4());
    let Some(last) = earlier.last() else { return fresh() };
    let interrupted = matches!(last.outcome.as_deref(), None | Some("transient" | "usage_limit" | "lost"));
    let Some(session) = last.session_id.as_deref().filter(|_| interrupted) else { return fresh() };
    let failed_resumes =
        earlier.iter().filter(|r| r.resumed && r.session_id.as_deref() == Some(session) && r.turns == 0).count();
    match Uuid::parse_str(session) {
        // A run that never reached the model left no transcript to resume.
        Ok(id) if failed_resumes < MAX_FAILED_RESUMES && last.turns > 0 => Session::Resume(id),
        Ok(_) | Err(_) => fresh(),
    }
}

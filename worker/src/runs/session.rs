//! Which session of the CLI a run continues. Resuming saves what was paid for already; a session that failed to
//! resume twice is given up, and there is always a fresh one.

use crate::agent::command::Session;
use crate::agent::record::KILLED;
use orch_common::domain::run::RunOutcome;
use orch_common::store::runs::Run;
use std::path::Path;
use uuid::Uuid;

/// Resumes that may fail before a session is given up.
const MAX_FAILED_RESUMES: usize = 2;

/// The session for the next run of a job, from the job's earlier runs (oldest first). Only a run that was interrupted
/// by something outside of itself is gone on with, and only where the CLI still has the conversation (`kept`): it
/// refuses to resume one that it does not know, which would cost an attempt.
pub fn for_next(earlier: &[Run], kept: impl Fn(&Uuid) -> bool) -> Session {
    let resumable = earlier.last().filter(|last| was_interrupted(last) && last.turns > 0).and_then(session_of);
    let failed_resumes = |session: &Uuid| {
        let tried = earlier.iter().filter(|r| r.resumed && session_of(r).as_ref() == Some(session));
        tried.filter(|r| r.turns == 0).count()
    };
    match resumable {
        Some(session) if failed_resumes(&session) < MAX_FAILED_RESUMES && kept(&session) => Session::Resume(session),
        Some(_) | None => Session::Fresh(Uuid::new_v4()),
    }
}

/// The session for a run that only asks for a verdict: that of the run which left it unreadable, if the CLI still has
/// it; after a first try, as for every job.
pub fn for_asking(earlier: &[Run], judged: Option<&Run>, kept: impl Fn(&Uuid) -> bool) -> Session {
    match judged.and_then(session_of).filter(|session| earlier.is_empty() && kept(session)) {
        Some(session) => Session::Resume(session),
        None => for_next(earlier, kept),
    }
}

fn session_of(run: &Run) -> Option<Uuid> {
    Uuid::parse_str(run.session_id.as_deref()?).ok()
}

/// The provider, the network, a limit, or a signal from outside ended it; not its own fault, nor a limit of ours.
fn was_interrupted(run: &Run) -> bool {
    match run.outcome {
        None | Some(RunOutcome::Transient | RunOutcome::UsageLimit | RunOutcome::Lost) => true,
        Some(RunOutcome::Permanent) => run.exit_code != Some(KILLED) && was_signalled(run),
        Some(
            RunOutcome::Success
            | RunOutcome::Unrepeatable
            | RunOutcome::Refused
            | RunOutcome::Installation
            | RunOutcome::Stopped,
        ) => false,
    }
}

/// By the system's record, or by the CLI's own exit code where it caught the signal.
fn was_signalled(run: &Run) -> bool {
    run.exit_signal.is_some() || run.exit_code.is_some_and(|code| (129..=192).contains(&code))
}

/// Folders of conversations that are looked at.
const MOST_PROJECTS: usize = 10_000;

/// Whether the CLI whose home this is has the conversation. Any working folder counts: a task has but one. Nothing is
/// opened: what an agent put there is not waited for.
pub fn is_kept(home: &Path, session: &Uuid) -> bool {
    let name = format!("{session}.jsonl");
    let projects = std::fs::read_dir(home.join(".claude/projects"));
    let projects = projects.into_iter().flatten().filter_map(Result::ok).take(MOST_PROJECTS);
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|about| about.is_file());
    projects.map(|project| project.path().join(&name)).any(|path| is_file(&path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_common::domain::run::RunState;
    use orch_common::domain::stage::{Role, Stage};

    fn run(session: &Uuid, outcome: &str, turns: i32) -> Run {
        Run {
            id: "r".into(),
            job_id: 1,
            task_id: 1,
            role: Role::Analyst,
            stage: Stage::Analysis,
            worker: "w".into(),
            host: "h".into(),
            dir: "r".into(),
            state: RunState::Ended,
            session_id: Some(session.to_string()),
            resumed: false,
            started_at: 0,
            finished_at: Some(1),
            outcome: Some(outcome.parse().unwrap()),
            exit_code: Some(1),
            exit_signal: None,
            error: None,
            counts: false,
            turns,
            input_tokens: 0,
            output_tokens: 0,
            cache_tokens: 0,
            cost_usd: 0.0,
            cost_cumulative: 0.0,
            model: None,
            cli_version: None,
            denied_tools: None,
            head_before: None,
            stop: None,
            estimated: false,
            unpriced: false,
            budget_stop: None,
        }
    }

    #[test]
    fn only_what_was_interrupted_from_outside_is_gone_on_with() {
        let id = Uuid::new_v4();
        let killed =
            |code: Option<i32>, signal| Run { exit_code: code, exit_signal: signal, ..run(&id, "permanent", 2) };
        let rows = [
            (run(&id, "transient", 1), true),
            (run(&id, "usage_limit", 1), true),
            (run(&id, "lost", 3), true),
            (run(&id, "lost", 0), false),
            (run(&id, "success", 3), false),
            (run(&id, "permanent", 3), false),
            (run(&id, "unrepeatable", 3), false),
            (run(&id, "installation", 1), false),
            (run(&id, "stopped", 1), false),
            (killed(Some(143), None), true),
            (killed(None, Some(9)), true),
            // Our own time limit: it would come again.
            (killed(Some(KILLED), Some(15)), false),
            (killed(Some(127), None), false),
            (Run { session_id: Some("no-uuid".into()), ..run(&id, "transient", 1) }, false),
            (Run { session_id: None, ..run(&id, "transient", 1) }, false),
        ];
        for (last, goes_on) in rows {
            let next = for_next(std::slice::from_ref(&last), |_| true);
            assert_eq!(next == Session::Resume(id), goes_on, "{last:?}");
        }
        assert!(matches!(for_next(&[], |_| true), Session::Fresh(_)));
        assert!(matches!(for_next(&[run(&id, "transient", 1)], |_| false), Session::Fresh(_)), "it is not kept");
    }

    #[test]
    fn two_failed_resumes_are_enough_and_a_fresh_session_has_a_name_of_its_own() {
        let id = Uuid::new_v4();
        let failed = || Run { resumed: true, ..run(&id, "transient", 0) };
        let worked = || Run { resumed: true, ..run(&id, "transient", 2) };
        let first = run(&id, "transient", 2);
        let goes_on = |more: Vec<Run>| {
            let earlier: Vec<Run> = std::iter::once(first.clone()).chain(more).collect();
            for_next(&earlier, |_| true) == Session::Resume(id)
        };
        assert!(goes_on(vec![]) && goes_on(vec![worked(), worked(), worked()]) && goes_on(vec![failed(), worked()]));
        assert!(!goes_on(vec![failed(), failed(), worked()]));
        let (Session::Fresh(a), Session::Fresh(b)) = (for_next(&[], |_| true), for_next(&[], |_| true)) else {
            panic!("nothing to resume")
        };
        assert_ne!(a, b);
    }

    #[test]
    fn a_verdict_is_asked_of_the_session_that_owes_it() {
        let id = Uuid::new_v4();
        let judged = run(&id, "success", 3);
        assert_eq!(for_asking(&[], Some(&judged), |_| true), Session::Resume(id));
        assert!(matches!(for_asking(&[], Some(&judged), |_| false), Session::Fresh(_)), "it is not kept");
        assert!(matches!(for_asking(&[], None, |_| true), Session::Fresh(_)));
        let asked = Run { resumed: true, ..run(&id, "transient", 1) };
        assert_eq!(for_asking(&[asked], Some(&judged), |_| true), Session::Resume(id), "it was interrupted");
        let failed = Run { resumed: true, ..run(&id, "permanent", 1) };
        assert!(matches!(for_asking(&[failed], Some(&judged), |_| true), Session::Fresh(_)));
    }

    #[test]
    fn a_conversation_is_kept_where_its_transcript_is() {
        let (home, id) = (tempfile::tempdir().unwrap(), Uuid::new_v4());
        assert!(!is_kept(home.path(), &id));
        let project = home.path().join(".claude/projects/-srv-work");
        std::fs::create_dir_all(&project).unwrap();
        assert!(!is_kept(home.path(), &id));
        std::fs::write(project.join(format!("{id}.jsonl")), "{}").unwrap();
        assert!(is_kept(home.path(), &id));
    }
}

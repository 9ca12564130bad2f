//! The numbers of the queue: who goes back, when, at what cost, and what is told to whom.

use super::*;
use crate::domain::failure::Denial;
use crate::domain::run::StopReason;

const NOW: i64 = 1_800_000_000_000;
const LIMITS: QueueLimits = QueueLimits { transient_max_attempts: 5, backoff_base_s: 10, backoff_max_s: 600 };

fn job(attempts: i32, transient_attempts: i32) -> Counters {
    Counters { attempts, max_attempts: JobKind::Agent.max_attempts(), transient_attempts }
}

fn run(outcome: &Outcome, job: Counters) -> Following {
    after_run(outcome, job, LIMITS, NOW)
}

fn again(at: Option<i64>, error: &str, spend: Spend) -> JobEnd {
    JobEnd::Again { at, error: error.into(), spend }
}

fn failed(error: &str) -> JobEnd {
    JobEnd::Failed { error: error.into() }
}

/// What follows where nothing but these three is said.
fn only(end: JobEnd, counts: bool, breaker: BreakerNews) -> Following {
    Following { end, counts, breaker, advance: false, block: None, limit: None, fault: None }
}

#[test]
fn every_outcome_has_its_consequence() {
    let why = || "why".to_owned();
    let success = Outcome::Success { denied: vec![Denial { tool: "Bash".into(), count: 2 }] };
    let done = JobEnd::Done { note: None };
    let limit = Outcome::UsageLimit { reset_at_ms: NOW + 5_000, limit_type: "five_hour".into() };
    let limited = "usage limit reached (five_hour)";
    let stopped = |cause| Outcome::Stopped { cause };
    let rows = [
        (success.clone(), job(1, 0), Following { advance: true, ..only(done.clone(), true, BreakerNews::Success) }),
        (success, job(2, 5), Following { advance: true, ..only(done, true, BreakerNews::Success) }),
        // The agent's own fault: again at once while attempts < max_attempts, then failed.
        (
            Outcome::Permanent { why: why() },
            job(1, 0),
            only(again(None, "why", Spend::Attempt), true, BreakerNews::Permanent),
        ),
        (Outcome::Permanent { why: why() }, job(2, 0), only(failed("why"), true, BreakerNews::Permanent)),
        (Outcome::Permanent { why: why() }, job(3, 0), only(failed("why"), true, BreakerNews::Permanent)),
        // The same run would end the same way: not again, even on the first attempt.
        (
            Outcome::Unrepeatable { why: why() },
            job(1, 0),
            Following { block: Some(why()), ..only(failed("why"), true, BreakerNews::Permanent) },
        ),
        // A usage limit touches no counter and no breaker, and everybody waits.
        (
            limit,
            job(2, 5),
            Following {
                limit: Some((NOW + 5_000, limited.into())),
                ..only(again(Some(NOW + 5_000), limited, Spend::Nothing), false, BreakerNews::Nothing)
            },
        ),
        // The installation's fault charges nobody.
        (
            Outcome::Installation { why: why() },
            job(2, 5),
            Following { fault: Some(why()), ..only(again(None, "why", Spend::Nothing), false, BreakerNews::Nothing) },
        ),
    ];
    for (outcome, counters, want) in rows {
        assert_eq!(run(&outcome, counters), want, "{outcome:?} {counters:?}");
    }
    for cause in [StopReason::Cancel, StopReason::Pause, StopReason::Operator] {
        let following = run(&stopped(cause), job(2, 5));
        assert!(matches!(&following.end, JobEnd::Cancelled { why } if why.contains(cause.as_str())), "{following:?}");
        assert_eq!(following, only(following.end.clone(), false, BreakerNews::Nothing), "no failure");
    }
}

#[test]
fn five_transient_failures_go_back_and_the_sixth_is_the_end() {
    let transient = Outcome::Transient { why: "overloaded".into(), retry_after_s: None };
    for (so_far, wait_s) in [(0, 20), (1, 40), (2, 80), (3, 160), (4, 320)] {
        let want = again(Some(NOW + wait_s * 1_000), "overloaded", Spend::Transient);
        assert_eq!(run(&transient, job(2, so_far)), only(want, false, BreakerNews::Transient), "{so_far}");
    }
    for so_far in [5, 6] {
        let following = run(&transient, job(1, so_far));
        let JobEnd::Failed { error } = &following.end else { panic!("{following:?}") };
        assert!(error.contains("overloaded") && error.contains(&(so_far + 1).to_string()), "{error}");
        assert_eq!(following, only(following.end.clone(), false, BreakerNews::Transient));
    }
}

#[test]
fn the_servers_retry_after_counts_where_it_is_longer() {
    let rows = [(0, 120, 120), (2, 5, 80), (0, 86_400, 600)];
    for (so_far, asked, wait_s) in rows {
        let outcome = Outcome::Transient { why: "429".into(), retry_after_s: Some(asked) };
        let want = again(Some(NOW + wait_s * 1_000), "429", Spend::Transient);
        assert_eq!(run(&outcome, job(1, so_far)).end, want, "{so_far} {asked}");
    }
}

#[test]
fn the_limits_are_configuration() {
    let transient = Outcome::Transient { why: "x".into(), retry_after_s: None };
    let none = QueueLimits { transient_max_attempts: 0, ..LIMITS };
    assert!(matches!(after_run(&transient, job(1, 0), none, NOW).end, JobEnd::Failed { .. }));
    let slow = QueueLimits { transient_max_attempts: 1_000, backoff_base_s: 30, backoff_max_s: 45 };
    let end = |so_far| after_run(&transient, job(1, so_far), slow, NOW).end;
    assert_eq!(end(0), again(Some(NOW + 45_000), "x", Spend::Transient));
    assert_eq!(end(900), again(Some(NOW + 45_000), "x", Spend::Transient));
}

#[test]
fn errors_of_the_other_kinds_wait_about_a_day_in_all() {
    let end = |attempts, retry| after_error(JobKind::Effect, attempts, 20, retry, NOW, "HTTP 503");
    let waits = [(1, 10), (2, 20), (3, 40), (10, 5_120), (11, 7_200), (19, 7_200)];
    for (attempts, wait_s) in waits {
        let want = again(Some(NOW + wait_s * 1_000), "HTTP 503", Spend::Attempt);
        assert_eq!(end(attempts, Some(None)), want, "attempt {attempts}");
    }
    assert_eq!(end(1, Some(Some(90))), again(Some(NOW + 90_000), "HTTP 503", Spend::Attempt), "asked for longer");
    assert_eq!(end(3, Some(Some(1))), again(Some(NOW + 40_000), "HTTP 503", Spend::Attempt), "asked for less");
    let day = again(Some(NOW + 86_400_000), "HTTP 503", Spend::Attempt);
    assert_eq!(end(3, Some(Some(u64::MAX))), day, "no answer from outside parks a job for ever");
    assert_eq!(end(1, None), failed("HTTP 503"), "it never will be");
    for attempts in [20, 21] {
        let JobEnd::Failed { error } = end(attempts, Some(None)) else { panic!("attempt {attempts}") };
        assert!(error.contains("HTTP 503") && error.contains("effect"), "{error}");
    }
}

#[test]
fn absurd_times_do_not_overflow() {
    let asked = Some(Some(u64::MAX));
    let end = after_error(JobKind::Event, i32::MAX - 1, i32::MAX, asked, i64::MAX, "x");
    assert_eq!(end, again(Some(i64::MAX), "x", Spend::Attempt));
    let transient = Outcome::Transient { why: "x".into(), retry_after_s: Some(u64::MAX) };
    let end = after_run(&transient, job(1, -1), LIMITS, i64::MAX).end;
    assert_eq!(end, again(Some(i64::MAX), "x", Spend::Transient));
}

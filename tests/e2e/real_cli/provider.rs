//! A provider or a network that fails, and then does not: every such failure is transient, charged to nobody.

use super::{Case, Setting, analysis, install, is_open, outcomes};
use orch_common::domain::job::JobStatus;
use orch_tests::model_api::{Answer, ModelApi};
use std::path::Path;

/// One failure, then a model that works.
fn fails_once(cli: &Path, setting: Setting, failure: Answer) -> Case {
    let (mut failed, mut analyst) = (false, analysis());
    let api =
        ModelApi::start(move |call| if std::mem::replace(&mut failed, true) { analyst(call) } else { failure.clone() });
    setting.start(cli, api)
}

/// The failed run is transient, its job comes back, nothing is charged, and the next run does the work.
fn is_transient(case: &Case, says: &str) {
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["transient", "success"], "{:?}", runs[0].error);
    let error = runs[0].error.clone().unwrap_or_default();
    assert!(error.contains(says), "{says:?} is not in {error:?}");
    assert_eq!((runs[0].exit_code, runs[0].counts, runs[1].counts), (Some(1), false, true));
    let job = case.stack.agent_job(&case.item);
    assert_eq!((job.status, job.attempts, job.transient_attempts), (JobStatus::Done, 1, 1), "{job:?}");
    let account = case.stack.account();
    assert_eq!((account.fault, account.limit_until), (None, None));
}

fn check(setting: Setting, failure: Answer, says: &str) {
    let Some(cli) = install::fetched() else { return };
    is_transient(&fails_once(&cli, setting, failure), says);
}

fn rate_limited() -> Answer {
    Answer::refuse(429, "rate_limit_error", "This request would exceed your rate limit")
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_short_rate_limit_is_ridden_out_by_the_cli_itself() {
    let Some(cli) = install::fetched() else { return };
    let setting = Setting::quick().env("CLAUDE_CODE_MAX_RETRIES", "2");
    let case = fails_once(&cli, setting, rate_limited().with("retry-after", 1));
    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["success"]);
    assert_eq!(case.stack.agent_job(&case.item).transient_attempts, 0);
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_short_rate_limit_that_lasts() {
    check(Setting::quick(), rate_limited().with("retry-after", 1), "Request rejected (429)");
}

/// The CLI gives up at once and does not pass the time on: the queue waits by its own rule.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_long_rate_limit() {
    let setting = Setting::quick().env("CLAUDE_CODE_MAX_RETRIES", "2");
    check(setting, rate_limited().with("retry-after", 3600), "Request rejected (429)");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn an_overloaded_provider() {
    check(Setting::quick(), Answer::refuse(529, "overloaded_error", "Overloaded"), "Overloaded");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_broken_provider() {
    check(Setting::quick(), Answer::refuse(500, "api_error", "Internal server error"), "500");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_provider_that_never_answers() {
    check(Setting::quick().env("API_TIMEOUT_MS", "3000"), Answer::Hang, "timed out");
}

/// Ten seconds are the least that the CLI can be told to bear.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_stream_that_falls_silent() {
    let setting = Setting::quick().env("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "10000");
    check(setting, Answer::FallSilent, "idle");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_stream_that_is_cut() {
    check(Setting::quick(), Answer::Cut, "Connection");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_connection_that_is_dropped() {
    check(Setting::quick(), Answer::Drop, "Connection");
}

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_refused_connection() {
    let Some(cli) = install::fetched() else { return };
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let setting = Setting::quick().env("ANTHROPIC_BASE_URL", &format!("http://127.0.0.1:{port}"));
    let setting = setting.set("resilience.transient_max_attempts", 1).set("resilience.breaker_threshold", 2);
    let case = setting.start(&cli, ModelApi::saying([Answer::text("nobody asks")]));
    let runs = case.wait_ended(2);
    assert_eq!(outcomes(&runs), ["transient", "transient"], "{:?}", runs[0].error);
    assert!(runs.iter().all(|r| r.error.as_deref().is_some_and(|e| e.contains("ECONNREFUSED"))), "{:?}", runs[0].error);
    case.stack.wait_said(&case.item, "job failed");
    let job = case.stack.agent_job(&case.item);
    assert_eq!((job.status, job.attempts, job.transient_attempts), (JobStatus::Failed, 1, 1), "{job:?}");
    assert!(is_open(&case.stack.account().breaker), "two in a row open this breaker");
}

//! What concerns the whole account: credentials, and the allowance of a subscription.

use super::{Setting, analysis, install, is_open, outcomes};
use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::TaskState;
use orch_tests::model_api::{Answer, ModelApi};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_key_that_is_not_taken_stops_the_agents_and_charges_nobody() {
    let Some(cli) = install::fetched() else { return };
    let refusal = Answer::refuse(401, "authentication_error", "invalid x-api-key");
    let case = Setting::quick().start(&cli, ModelApi::saying([refusal]));
    let runs = case.wait_ended(1);
    assert_eq!(outcomes(&runs), ["installation"], "{:?}", runs[0].error);
    let account = case.stack.account();
    assert!(account.fault.is_some_and(|f| f.contains("Invalid API key")), "{:?}", runs[0].error);
    let job = case.stack.agent_job(&case.item);
    assert_eq!((job.status, job.attempts, job.transient_attempts), (JobStatus::Queued, 0, 0), "{job:?}");
    assert_eq!(case.stack.task(&case.item).unwrap().state, TaskState::Active);
    // Nobody runs into the same wall meanwhile.
    let (second, _) = case.stack.plane().create_item("Another", "", &[]);
    case.stack.wait("the second task", || case.stack.task(&second).is_some());
    let calls = case.api.calls().len();
    assert!(!case.api.wait_for_calls(calls + 1, Duration::from_secs(3)), "another agent was started");
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the provider answers to a subscription whose allowance is used up until `reset`.
fn used_up(reset: u64) -> Answer {
    Answer::refuse(429, "rate_limit_error", "This request would exceed your account's rate limit.")
        .with("anthropic-ratelimit-unified-status", "rejected")
        .with("anthropic-ratelimit-unified-reset", reset)
        .with("anthropic-ratelimit-unified-representative-claim", "five_hour")
        .with("anthropic-ratelimit-unified-5h-status", "rejected")
        .with("anthropic-ratelimit-unified-5h-reset", reset)
        .with("retry-after", 30)
}

/// Everybody waits until the time that the provider named, at no cost; then the same session goes on.
#[test]
#[ignore = "long: fetches the real agent CLI"]
fn a_subscriptions_limit_is_waited_out() {
    let Some(cli) = install::fetched() else { return };
    // Counted from the first call on: starting everything may take its time.
    let reset: Arc<OnceLock<u64>> = Arc::default();
    let (known, mut analyst) = (Arc::clone(&reset), analysis());
    let api = ModelApi::start(move |call| {
        let reset = *known.get_or_init(|| now_s() + 20);
        if now_s() < reset { used_up(reset) } else { analyst(call) }
    });
    let setting = Setting::quick().without_env("ANTHROPIC_API_KEY").env("CLAUDE_CODE_OAUTH_TOKEN", "dummy-oauth");
    let case = setting.start(&cli, api);

    let runs = case.wait_ended(1);
    assert_eq!(outcomes(&runs), ["usage_limit"], "{:?}", runs[0].error);
    let until = i64::try_from(reset.get().unwrap() * 1000).unwrap();
    let (account, job) = (case.stack.account(), case.stack.agent_job(&case.item));
    assert_eq!(account.limit_until, Some(until));
    assert!(!is_open(&account.breaker));
    assert_eq!((job.status, job.attempts, job.transient_attempts), (JobStatus::Queued, 0, 0), "{job:?}");
    assert_eq!(job.available_at, Some(until));

    let runs = case.wait_analysed();
    assert_eq!(outcomes(&runs), ["usage_limit", "success"]);
    assert!(runs[1].started_at >= until, "not a moment too early");
    assert_eq!(case.stack.agent_job(&case.item).attempts, 1);
}

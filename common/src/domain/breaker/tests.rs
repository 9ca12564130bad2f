use super::*;
use proptest::prelude::*;

const T: u32 = 3;
const PAUSE: u64 = 300;

/// Open since 3 000, until 303 000.
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    assert_eq!(breaker.on_transient(1_000, 0, T, PAUSE), Announce::None);
    assert_eq!(breaker.on_transient(2_000, 0, T, PAUSE), Announce::None);
    assert_eq!(breaker.before_claim(2_000), Gatekeep::Allow);
    assert_eq!(breaker.on_transient(3_000, 0, T, PAUSE), Announce::Opened);
    breaker
}

/// As [`opened`], with job 7 trying since 303 000.
fn probing() -> Breaker {
    let mut breaker = opened();
    assert_eq!(breaker.before_claim(303_000), Gatekeep::AllowProbe);
    breaker.probe_started(7);
    breaker
}

#[test]
fn three_in_a_row_open_it_for_the_pause() {
    let breaker = opened();
    assert_eq!(breaker.before_claim(302_999), Gatekeep::Wait { until_ms: 303_000 });
    assert_eq!((breaker.phase(302_999), breaker.pause_remaining_s(3_000)), (Phase::Open, 300));
    assert_eq!(breaker.pause_remaining_s(302_999), 1);
    assert_eq!((breaker.phase(303_000), breaker.pause_remaining_s(303_000)), (Phase::HalfOpen, 0));
    assert_eq!(breaker.before_claim(303_000), Gatekeep::AllowProbe);
}

#[test]
fn a_half_open_breaker_lets_exactly_one_probe_run() {
    let mut breaker = probing();
    assert!(matches!(breaker.before_claim(303_001), Gatekeep::Wait { until_ms } if until_ms > 303_001));
    breaker.probe_lost(8);
    assert_eq!(breaker.probe_job(), Some(7));
    breaker.probe_lost(7);
    assert_eq!(breaker.before_claim(303_002), Gatekeep::AllowProbe);
}

#[test]
fn a_probe_that_works_closes_it() {
    let mut breaker = probing();
    assert_eq!(breaker.on_success(), Announce::Closed);
    assert_eq!(breaker, Breaker::default());
    assert_eq!(breaker.on_success(), Announce::None);
}

#[test]
fn a_probe_that_fails_opens_it_again() {
    let mut breaker = probing();
    assert_eq!(breaker.on_transient(310_000, 303_000, T, PAUSE), Announce::Reopened);
    assert_eq!(breaker.before_claim(310_001), Gatekeep::Wait { until_ms: 610_000 });
}

#[test]
fn permanent_failures_break_the_streak_and_close_a_half_open_one() {
    let mut breaker = Breaker::default();
    breaker.on_transient(1, 0, T, PAUSE);
    breaker.on_transient(2, 0, T, PAUSE);
    assert_eq!(breaker.on_permanent(3), Announce::None);
    assert_eq!(breaker.on_transient(4, 0, T, PAUSE), Announce::None);

    assert_eq!(probing().on_permanent(304_000), Announce::Closed);
    let mut open = opened();
    assert_eq!(open.on_permanent(4_000), Announce::None);
    assert_eq!(open, opened());
    assert_eq!(open.on_permanent(303_000), Announce::Closed);
}

#[test]
fn a_failure_of_a_run_from_before_the_opening_changes_nothing_and_a_success_closes() {
    // A transient failure of a run that began before the opening changes nothing, at any phase.
    for before in [opened(), probing()] {
        let mut breaker = before;
        assert_eq!(breaker.on_transient(320_000, 2_999, T, PAUSE), Announce::None);
        assert_eq!(breaker, before);
    }
    // A success closes it at any time.
    assert_eq!(opened().on_success(), Announce::Closed);
}

#[test]
fn it_survives_the_database() {
    for breaker in [Breaker::default(), opened(), probing()] {
        let text = serde_json::to_string(&breaker).unwrap();
        assert_eq!(serde_json::from_str::<Breaker>(&text).unwrap(), breaker, "{text}");
    }
}

/// What can happen to it; `back` is how long before now the run in question began.
#[derive(Debug, Clone, Copy)]
enum Step {
    Claim,
    Transient { back: i64 },
    Success,
    Permanent,
    Lost,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Claim),
        3 => (0i64..400_000).prop_map(|back| Step::Transient { back }),
        1 => Just(Step::Success),
        1 => Just(Step::Permanent),
        1 => Just(Step::Lost),
    ];
    proptest::collection::vec((0i64..200_000, step), 1..80)
}

proptest! {
    #[test]
    fn announcements_match_what_happened(steps in steps(), threshold in 1u32..5, pause in 0u64..400) {
        let (mut breaker, mut now, mut probes) = (Breaker::default(), 0i64, 0i64);
        for (wait, step) in steps {
            now += wait;
            let (before, phase) = (breaker, breaker.phase(now));
            let said = match step {
                Step::Claim => {
                    let gate = breaker.before_claim(now);
                    prop_assert_eq!(gate == Gatekeep::Allow, phase == Phase::Closed);
                    if gate == Gatekeep::AllowProbe {
                        prop_assert_eq!(breaker.probe_job(), None);
                        probes += 1;
                        breaker.probe_started(probes);
                        let waits = matches!(breaker.before_claim(now), Gatekeep::Wait { until_ms } if until_ms > now);
                        prop_assert!(waits, "a second probe was let through");
                    }
                    Announce::None
                }
                Step::Transient { back } => breaker.on_transient(now, now - back, threshold, pause),
                Step::Success => breaker.on_success(),
                Step::Permanent => breaker.on_permanent(now),
                Step::Lost => {
                    breaker.probe_lost(probes);
                    Announce::None
                }
            };
            let closed = |b: &Breaker| b.state == BreakerState::Closed;
            match said {
                Announce::Opened => prop_assert!(closed(&before) && !closed(&breaker)),
                Announce::Reopened => prop_assert!(!closed(&before) && !closed(&breaker)),
                Announce::Closed => prop_assert!(!closed(&before) && closed(&breaker)),
                Announce::None => prop_assert_eq!(closed(&before), closed(&breaker)),
            }
            prop_assert_eq!(closed(&breaker), breaker.opened_at_ms.is_none());
            prop_assert!(breaker.opened_at_ms.is_some() || breaker.consecutive_transient < threshold);
        }
    }
}

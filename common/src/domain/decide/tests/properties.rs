//! What holds for every task, trigger, finding, history and pipeline.

use super::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::{collection, option};
use {Stage as S, TaskState as T};

const MIDDLE: [Stage; 6] = [S::Analysis, S::Architecture, S::Development, S::Review, S::Testing, S::Deploy];

fn pipelines() -> impl Strategy<Value = Pipeline> {
    let own = subsequence(MIDDLE.to_vec(), 1..=6).prop_shuffle().prop_flat_map(|stages| {
        let n = stages.len();
        let gates = collection::vec(option::of(select(Gate::ALL)), n);
        let roles = collection::vec(select(Role::ALL), n);
        (Just(stages), gates, roles).prop_map(|(stages, gates, roles)| {
            let mut steps = vec![Step { stage: S::Created, gate: None, role: roles.first().copied() }];
            for (i, (stage, gate)) in stages.iter().zip(gates).enumerate() {
                steps.push(Step { stage: *stage, gate, role: roles.get(i + 1).copied() });
            }
            Pipeline::new(steps).unwrap()
        })
    });
    prop_oneof![Just(Pipeline::default()), own]
}

fn reasons() -> impl Strategy<Value = FailReason> {
    let file = select(vec!["12-review.md", "13-test-report.md", "01-brd.md", "10-conflict.md"]).prop_map(String::from);
    (file, ".{0,40}", 0usize..11).prop_map(|(file, text, kind)| match kind {
        0 => FailReason::MissingFiles { files: vec![file] },
        1 => FailReason::Conflict { file, text },
        2 => FailReason::TestsRed { exit_code: 1, tail: text },
        3 => FailReason::CiFailed {
            checks: vec![FailedCheck { name: text, says: String::new(), link: None, log: None }],
        },
        4 => FailReason::ChangesRequested { file, reason: text },
        5 => FailReason::NotFound { file },
        6 => FailReason::NoVerdict { file, detail: text },
        7 => FailReason::NoPullAndNoReview,
        8 => FailReason::PullRejected { reviewer: "bob".into(), reason: text, person: false },
        9 => FailReason::BaseMoved { base: "main".into(), files: vec![text] },
        _ => FailReason::TestsNotPassed { file, reason: text },
    })
}

fn outcomes() -> impl Strategy<Value = GateOutcome> {
    prop_oneof![
        3 => Just(GateOutcome::Pass),
        4 => reasons().prop_map(GateOutcome::Fail),
        1 => Just(GateOutcome::Infra("no space".into())),
        2 => select(vec![Waiting::Approval, Waiting::Ci, Waiting::CiSilent, Waiting::CiCancelled, Waiting::Review, Waiting::Merge, Waiting::PullClosed])
            .prop_map(GateOutcome::Waiting),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        select(vec![Command::Approve, Command::Retry, Command::Pause, Command::Resume, Command::Cancel]),
        ".{0,20}".prop_map(|reason| Command::Reject { reason }),
    ]
}

fn triggers() -> impl Strategy<Value = Trigger> {
    let actor = || "ann".to_owned();
    let rejected = ForgeEvent::ReviewRejected { reviewer: "bob".into(), reason: "no".into() };
    let events = vec![
        ForgeEvent::Pushed,
        ForgeEvent::CiFinished,
        ForgeEvent::ReviewApproved,
        ForgeEvent::PullMerged,
        ForgeEvent::PullChanged,
        rejected,
    ];
    prop_oneof![
        1 => Just(Trigger::Appeared { actor: actor() }),
        4 => select(Role::ALL).prop_map(ended),
        4 => (commands(), select(Via::ALL))
            .prop_map(move |(command, via)| Trigger::Command { command, actor: actor(), via }),
        1 => ".{0,600}".prop_map(move |text| Trigger::Answer { text, actor: actor() }),
        1 => Just(Trigger::Deleted { actor: actor(), archived: false }),
        3 => select(events).prop_map(sees),
        2 => Just(Trigger::Look),
    ]
}

fn histories() -> impl Strategy<Value = History> {
    let runs = collection::btree_map(select(Role::ALL), 0u32..6, 0..6);
    // What is under way: nothing, a word, an agent's end, an agent job, a running agent.
    let said_at = option::of(select(S::ALL));
    (runs, 0u8..5, said_at, any::<bool>()).prop_map(|(runs, under_way, said_at, asked)| History {
        budget: None,
        runs,
        busy: under_way > 0,
        end_ahead: under_way > 1,
        agent_ahead: under_way > 2,
        agent_running: under_way > 3,
        said_at,
        ended: EndedRun { asked, denied: Vec::new() },
        last_failure: None,
    })
}

prop_compose! {
    /// A stage of the pipeline at hand (a task's own pipeline may have changed under it: any other stage too, rarely).
    fn givens()(
        pipeline in pipelines(),
        place in any::<prop::sample::Index>(),
        elsewhere in option::weighted(0.1, select(S::ALL)),
        state in select(T::ALL),
        trigger in triggers(),
        outcome in option::weighted(0.9, outcomes()),
        questions in option::of(".{1,40}"),
        said_before in any::<bool>(),
        worked in any::<bool>(),
        changed in select(vec![Changed::Nothing, Changed::Documents, Changed::Work]),
        history in histories(),
        cap in 1u32..5,
        merges in any::<bool>(),
        hold in option::of(select(vec![Hold::Draft, Hold::Approvals { wanted: 1 }, Hold::Checks { names: vec![] }])),
    ) -> Given {
        let stage = elsewhere.unwrap_or(place.get(pipeline.steps()).stage);
        let state = match (stage, state) {
            (S::Done, _) => T::Done,
            (_, T::Done) => T::Cancelled,
            (_, open) => open,
        };
        let mut given = Given { state, outcome, questions, history, worked, changed, hold, ..at(stage, trigger) };
        given.policy.pipeline = pipeline;
        given.policy.role_run_cap = cap;
        given.policy.merge = if merges { MergePolicy::OnDeploy } else { MergePolicy::Never };
        given.said = said_before.then(|| given.finding().map(|f| f.fingerprint)).flatten();
        given
    }
}

fn is_before(given: &Given, stage: Stage) -> bool {
    let order = |stage: Stage| given.policy.pipeline.steps().iter().position(|s| s.stage == stage);
    order(stage) < order(given.stage)
}

fn by_a_person(trigger: &Trigger) -> bool {
    match trigger {
        Trigger::Command { .. } | Trigger::Answer { .. } | Trigger::Deleted { .. } => true,
        Trigger::Appeared { .. } | Trigger::AgentEnded { .. } | Trigger::Forge { .. } | Trigger::Look => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_same_question_has_the_same_answer(given in givens()) {
        prop_assert_eq!(given.decide(), given.decide());
    }

    #[test]
    fn what_ended_is_opened_again_by_a_retry_alone(given in givens()) {
        let reopens = given.state == T::Cancelled && matches!(given.trigger, Trigger::Command { command: Command::Retry, .. });
        if let (true, false, Decision::Apply(change)) = (given.state.is_terminal(), reopens, given.decide()) {
            prop_assert_eq!((change.stage, change.state), (given.stage, given.state));
            prop_assert!(change.start.is_none() && !change.drop_jobs && !change.stop_agent && !change.reset_cap);
            let answered = matches!(change.outward.as_slice(), [Outward::Comment(Message::Ended { .. })]);
            prop_assert!(answered);
        }
    }

    #[test]
    fn at_most_one_step_ahead(given in givens()) {
        if let Decision::Apply(change) = given.decide() {
            let order = |stage: Stage| given.policy.pipeline.steps().iter().position(|s| s.stage == stage);
            if change.stage != given.stage {
                let (from, to) = (order(given.stage).unwrap(), order(change.stage).unwrap());
                prop_assert!(to <= from + 1, "from {} to {}", given.stage, change.stage);
                prop_assert!(change.stage != S::Created);
            }
            prop_assert_eq!(change.stage == S::Done, change.state == T::Done);
        }
    }

    #[test]
    fn whoever_is_started_works_at_the_stage_reached(given in givens()) {
        if let Decision::Apply(change) = given.decide()
            && let Some(start) = &change.start
        {
            prop_assert_eq!(given.policy.pipeline.works_in(change.stage), Some(start.role));
            prop_assert_eq!(change.state, T::Active, "an agent works only for an active task");
            prop_assert!(!given.history.agent_ahead || change.drop_jobs, "one agent at a time");
            prop_assert!(!given.history.agent_running || change.stop_agent, "one agent at a time");
            // Who is asked for its verdict alone does no new work.
            let asked = matches!(start.brief, Brief::VerdictAsked { .. });
            prop_assert!(asked || change.stage != S::Analysis || change.unapproved || given.stage == S::Created || change.stage != given.stage,
                "an approval is of the analyst's last run");
        }
    }

    #[test]
    fn an_active_task_has_work_under_way_or_says_what_it_waits_for(given in givens()) {
        // What is answered and changes nothing leaves the reason that was there.
        let given = Given { state_reason: Some("what it waits for".into()), ..given };
        if let Decision::Apply(change) = given.decide()
            && change.state == T::Active
        {
            let goes_on = given.history.agent_running && !change.stop_agent;
            prop_assert!(change.start.is_some() || change.state_reason.is_some() || goes_on, "{change:?}");
        }
    }

    #[test]
    fn only_a_person_moves_what_is_paused_or_blocked(given in givens()) {
        if matches!(given.state, T::Paused | T::Blocked) && !by_a_person(&given.trigger) {
            let moved = match given.decide() {
                Decision::Apply(change) => (change.stage, change.state) != (given.stage, given.state),
                Decision::Nothing { .. } | Decision::TryAgain { .. } => false,
            };
            prop_assert!(!moved);
        }
    }

    #[test]
    fn a_role_that_had_its_runs_is_started_by_a_person_alone(given in givens()) {
        if let (false, Decision::Apply(change)) = (by_a_person(&given.trigger), given.decide()) {
            prop_assert!(!change.reset_cap && !change.approved);
            // Who is asked for its verdict has done its work.
            if let Some(start) = change.start.filter(|s| !matches!(s.brief, Brief::VerdictAsked { .. })) {
                let had = given.history.runs.get(&start.role).copied().unwrap_or(0);
                prop_assert!(had < given.policy.role_run_cap);
            }
        }
    }

    #[test]
    fn a_stage_is_left_only_after_its_role_has_worked_or_on_an_approval(given in givens()) {
        let Some(role) = given.policy.pipeline.works_in(given.stage) else { return Ok(()) };
        let approved = matches!(given.trigger, Trigger::Command { command: Command::Approve, .. });
        let its_end = matches!(given.trigger, Trigger::AgentEnded { role: who, .. } if who == role);
        let worked = (given.worked || its_end) && given.changed >= Changed::demanded_of(role);
        if let (false, false, Decision::Apply(change)) = (approved, worked, given.decide()) {
            prop_assert!(change.stage == given.stage || is_before(&given, change.stage), "left for {}", change.stage);
            prop_assert!(change.state != T::Done || given.state == T::Done);
        }
    }

    #[test]
    fn an_approval_is_of_the_stage_it_was_given_at(given in givens()) {
        let trigger = says(Command::Approve);
        let given = Given { trigger, ..given };
        if let (Some(then), Decision::Apply(change)) = (given.history.said_at, given.decide()) {
            prop_assert!(then == given.stage || change.stage == given.stage);
        }
    }

    #[test]
    fn a_finding_is_asked_for_wherever_it_matters(given in givens()) {
        let answer = given.decide();
        if !needs_finding(&given.task(), &given.trigger) {
            let blind = Given { outcome: None, ..given.clone() };
            prop_assert_eq!(&answer, &blind.decide());
        }
        if matches!(answer, Decision::TryAgain { .. }) {
            let infra = matches!(given.outcome, Some(GateOutcome::Infra(_)));
            prop_assert!(infra);
        }
    }

    #[test]
    fn the_same_finding_is_told_once(given in givens()) {
        if !by_a_person(&given.trigger)
            && let Decision::Apply(change) = given.decide()
            && change.start.is_none()
            && (change.stage, change.state) == (given.stage, given.state)
            && let Some(said) = change.said.clone()
        {
            let look = Given { trigger: Trigger::Look, said: Some(said), ..given.clone() };
            let silent = match look.decide() {
                Decision::Nothing { .. } => true,
                // What has a rule is followed, not repeated.
                Decision::Apply(next) => next.start.is_some() || next.state == T::Blocked,
                Decision::TryAgain { .. } => false,
            };
            prop_assert!(silent);
        }
    }
}

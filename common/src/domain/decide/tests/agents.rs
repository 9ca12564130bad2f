//! Rows of the specification that begin with a work item appearing or an agent having ended well.

use super::*;
use {Role as R, Stage as S, TaskState as T};

fn approval() -> Message {
    Message::ApprovalWanted { key: key() }
}

fn asks_approval() -> Change {
    Change { outward: vec![comment(approval()), chat(approval())], ..to(S::Analysis, T::WaitingApproval) }
}

fn appeared() -> Trigger {
    Trigger::Appeared { actor: "ann".into() }
}

#[test]
fn a_work_item_appears() {
    let files = ArtifactNames::default().analysis;
    let first = Message::AnalystStarted { key: key(), files, minutes: 30 };
    let begun = Change {
        start: start(R::Analyst, Brief::First),
        outward: vec![Outward::Branch, comment(first), chat(moved(S::Created, S::Analysis, R::Analyst))],
        ..to(S::Analysis, T::Active)
    };
    let straight = [(S::Created, None, Some(R::Developer)), (S::Development, Some(Gate::TestsLocal), None)];
    let straight_on = moved(S::Created, S::Development, R::Developer);
    let mut rows = vec![
        ("no task yet: branch, comment, analyst", at(S::Created, appeared()), Want::Change(begun)),
        (
            "a pipeline that begins with a developer does not speak of an analyst",
            at(S::Created, appeared()).steps(&straight),
            Want::Change(Change {
                start: start(R::Developer, Brief::First),
                outward: vec![Outward::Branch, comment(straight_on.clone()), chat(straight_on)],
                ..to(S::Development, T::Active)
            }),
        ),
    ];
    for stage in S::ALL.iter().filter(|s| **s != S::Created) {
        rows.push(("a task already there", at(*stage, appeared()), Want::Nothing));
    }
    for state in T::ALL.iter().filter(|s| **s != T::Active) {
        rows.push(("a task already there, stopped", at(S::Created, appeared()).state(*state), Want::Nothing));
    }
    check(rows);
}

#[test]
fn an_agent_ended_and_its_gate_passes() {
    let step = |from, to_stage, ended_role, next| {
        let mut outward = vec![success(from)];
        if from != S::Architecture {
            outward.push(Outward::Pull);
        }
        outward.extend([comment(moved(from, to_stage, next)), chat(moved(from, to_stage, next))]);
        let change = Change { start: start(next, Brief::First), outward, ..to(to_stage, T::Active) };
        (from.as_str(), at(from, ended(ended_role)).finds(GateOutcome::Pass), Want::Change(change))
    };
    let done = |outward| Want::Change(Change { outward, ..to(S::Done, T::Done) });
    check(vec![
        step(S::Architecture, S::Development, R::Architect, R::Developer),
        step(S::Development, S::Review, R::Developer, R::Reviewer),
        step(S::Review, S::Testing, R::Reviewer, R::Tester),
        step(S::Testing, S::Deploy, R::Tester, R::Deployer),
        (
            "deploy, no gate: done, and nobody has merged it",
            at(S::Deploy, ended(R::Deployer)).finds(GateOutcome::Pass),
            done(vec![success(S::Deploy), Outward::Pull, comment(finished_unmerged()), chat(finished_unmerged())]),
        ),
        (
            "deploy, pr_merged and merged: done, nothing merged again",
            at(S::Deploy, ended(R::Deployer)).merges().gate(Some(Gate::PrMerged)).finds(GateOutcome::Pass),
            done(vec![success(S::Deploy), Outward::Pull, comment(finished()), chat(finished())]),
        ),
    ]);
}

#[test]
fn the_analyst_ended() {
    let analyst = || at(S::Analysis, ended(R::Analyst));
    let questions = Message::Questions { text: "Which login?".into() };
    let nothing_left = Message::NoArtifacts { log: LOG.into() };
    check(vec![
        (
            "analysis_complete passes: approval is asked for",
            analyst().finds(GateOutcome::Waiting(Waiting::Approval)),
            Want::Change(asks_approval()),
        ),
        (
            "incomplete with questions: they are asked",
            analyst().fails(missing("01-brd.md")).questions("Which login?"),
            Want::Change(Change {
                outward: vec![comment(questions.clone()), chat(questions)],
                ..to(S::Analysis, T::NeedsInput)
            }),
        ),
        (
            "neither: the run's log is named",
            analyst().fails(missing("01-brd.md")),
            Want::Change(Change {
                said: Some(format!("{HEAD}:fail:missing_files:01-brd.md")),
                outward: vec![comment(nothing_left)],
                ..to(S::Analysis, T::Active)
            }),
        ),
        (
            "complete with questions left over: approval",
            analyst().finds(GateOutcome::Waiting(Waiting::Approval)).questions("old"),
            Want::Change(asks_approval()),
        ),
    ]);
}

#[test]
fn what_the_analyst_did_not_leave_is_not_said_again_by_a_look() {
    let first = at(S::Analysis, ended(R::Analyst)).fails(missing("01-brd.md"));
    let mut look = at(S::Analysis, Trigger::Look).fails(missing("01-brd.md"));
    look.said = first.change().said;
    assert!(look.said.is_some());
    assert!(matches!(look.decide(), Decision::Nothing { .. }));
}

/// What shows at the forge that somebody must review.
fn asks_for_review() -> [Outward; 2] {
    let text = "waits for a review".to_owned();
    [Outward::Status { stage: S::Review, state: StatusState::Pending, text }, Outward::AskReview]
}

#[test]
fn work_is_sent_back() {
    let back = |from, reason: &FailReason, said, brief| {
        let developer = moved(from, S::Development, R::Developer);
        Want::Change(Change {
            start: start(R::Developer, brief),
            outward: vec![failure(from, reason), Outward::Pull, comment(said), chat(developer)],
            ..to(S::Development, T::Active)
        })
    };
    let review = |attempt| Message::ReviewChanges { attempt, cap: 3, reason: changes_wanted().to_string() };
    let rejected = FailReason::PullRejected { reviewer: "bob".into(), reason: "no".into(), person: false };
    let not_found = FailReason::NotFound { file: "13-test-report.md".into() };
    let unread = FailReason::NoVerdict { file: "13-test-report.md".into(), detail: "no 'result'".into() };
    let tests = |reason: &FailReason| Message::TestsFailed { reason: reason.to_string() };
    let tester = |reason: &FailReason| back(S::Testing, reason, tests(reason), rework("13-test-report.md", reason, 2));
    let testing = |reason: &FailReason| at(S::Testing, ended(R::Tester)).fails(reason.clone()).runs(R::Developer, 1);
    check(vec![
        (
            "reviewer ended, REQUEST_CHANGES: developer, attempt 2/3",
            at(S::Review, ended(R::Reviewer)).fails(changes_wanted()).runs(R::Developer, 1),
            back(S::Review, &changes_wanted(), review(2), rework("12-review.md", &changes_wanted(), 2)),
        ),
        (
            "reviewer ended, REQUEST_CHANGES: developer, attempt 3/3",
            at(S::Review, ended(R::Reviewer)).fails(changes_wanted()).runs(R::Developer, 2),
            back(S::Review, &changes_wanted(), review(3), rework("12-review.md", &changes_wanted(), 3)),
        ),
        (
            "reviewer ended, the pull request is rejected",
            at(S::Review, ended(R::Reviewer)).gate(Some(Gate::ReviewApproved)).fails(rejected.clone()),
            back(
                S::Review,
                &rejected,
                Message::ReviewChanges { attempt: 1, cap: 3, reason: "bob: no".into() },
                Brief::Rework { file: String::new(), reason: "bob: no".into(), attempt: 1, cap: 3 },
            ),
        ),
        ("tester ended, tests_passed fails", testing(&report_fails()), tester(&report_fails())),
        ("tester asked for its report, none", testing(&not_found).asked(), tester(&not_found)),
        ("tester asked for its report, unreadable", testing(&unread).asked(), tester(&unread)),
        (
            "developer ended, tests_local red: stays, with the tail",
            at(S::Development, ended(R::Developer)).fails(red()).runs(R::Developer, 1),
            Want::Change(Change {
                new_round: true,
                start: start(
                    R::Developer,
                    Brief::TestsRed { tail: "test login ... FAILED".into(), attempt: 2, cap: 3 },
                ),
                outward: vec![
                    failure(S::Development, &red()),
                    Outward::Pull,
                    comment(Message::TestsRed { attempt: 2, cap: 3, tail: "test login ... FAILED".into() }),
                ],
                ..to(S::Development, T::Active)
            }),
        ),
    ]);
}

#[test]
fn the_architect_found_a_conflict() {
    let long = "х".repeat(700);
    let excerpt = "х".repeat(500);
    let change = at(S::Architecture, ended(R::Architect)).fails(conflict(&long)).runs(R::Analyst, 1).change();
    let brief = Brief::Conflict { file: "10-conflict.md".into(), excerpt: excerpt.clone() };
    let expected = Change {
        start: start(R::Analyst, brief),
        unapproved: true,
        outward: vec![
            change.outward.first().cloned().unwrap(),
            comment(Message::Conflict { excerpt }),
            chat(moved(S::Architecture, S::Analysis, R::Analyst)),
        ],
        reason: change.reason.clone(),
        ..to(S::Analysis, T::Active)
    };
    assert_eq!(change, expected);
    let first = change.outward.first();
    let shown = matches!(first, Some(Outward::Status { stage: S::Architecture, state: StatusState::Failure, text }) if text.chars().count() <= 120 + "architecture: ".len());
    assert!(shown, "{first:?}");
}

fn merging(trigger: Trigger) -> Given {
    at(S::Deploy, trigger).merges().gate(Some(Gate::PrMerged))
}

#[test]
fn a_task_is_done_when_the_base_has_it_and_waits_until_then_with_a_reason() {
    let draft = || Message::MergeWaits { why: Hold::Draft };
    let said = |key: &str| format!("{HEAD}:waiting:merge:{key}");
    let waits = |outward| Want::Change(Change { said: Some(said("draft")), outward, ..to(S::Deploy, T::Active) });
    let done = |pull: bool| {
        let mut outward = vec![success(S::Deploy), Outward::Pull, comment(finished()), chat(finished())];
        outward.retain(|o| pull || *o != Outward::Pull);
        Want::Change(Change { outward, ..to(S::Done, T::Done) })
    };
    let again = Given { said: Some(said("draft")), ..merging(Trigger::Look).held(Hold::Draft) };
    let mut never = at(S::Deploy, ended(R::Deployer)).gate(Some(Gate::PrMerged));
    never = never.finds(GateOutcome::Waiting(Waiting::Merge));
    let asked = Message::Waiting { gate: Gate::PrMerged };
    check(vec![
        (
            "the deployer ended",
            merging(ended(R::Deployer)).held(Hold::Draft),
            waits(vec![Outward::Pull, comment(draft())]),
        ),
        ("a look", merging(Trigger::Look).held(Hold::Draft), waits(vec![comment(draft())])),
        ("the same reason again", again, Want::Nothing),
        ("the base has it", merging(ended(R::Deployer)).finds(GateOutcome::Pass), done(true)),
        ("a look finds that", merging(Trigger::Look).finds(GateOutcome::Pass), done(true)),
        (
            "never: waits for a person's merge",
            never,
            Want::Change(Change {
                said: Some(format!("{HEAD}:waiting:merge")),
                outward: vec![Outward::Pull, comment(asked)],
                ..to(S::Deploy, T::Active)
            }),
        ),
    ]);
    let change = merging(Trigger::Look).held(Hold::Draft).change();
    assert_eq!(change.state_reason.as_deref(), Some("the merge waits: the pull request is marked as work in progress"));
}

#[test]
fn where_approvals_are_missing_the_projects_reviewers_are_asked() {
    let change = merging(Trigger::Look).held(Hold::Approvals { wanted: 1 }).change();
    let text = "waits for a review".to_owned();
    let pending = Outward::Status { stage: S::Deploy, state: StatusState::Pending, text };
    assert!(change.outward.ends_with(&[pending, Outward::AskReview]), "{:?}", change.outward);
}

#[test]
fn a_base_that_moved_sends_the_developer_back_under_the_cap() {
    let files = || vec!["a.rs".to_owned(), "b.rs".to_owned()];
    for files in [files(), Vec::new()] {
        let reason = FailReason::BaseMoved { base: "main".into(), files: files.clone() };
        for trigger in [ended(R::Deployer), Trigger::Look, sees(ForgeEvent::CiFinished)] {
            let change = merging(trigger).fails(reason.clone()).runs(R::Developer, 1).change();
            assert_eq!((change.stage, change.state, change.reset_cap), (S::Development, T::Active, false));
            let brief = Brief::BaseMoved { base: "main".into(), files: files.clone(), attempt: 2, cap: 3 };
            assert_eq!(change.start, start(R::Developer, brief));
            let told = Message::BaseMoved { base: "main".into(), files: files.clone(), attempt: 2, cap: 3 };
            assert!(change.outward.contains(&comment(told)), "{:?}", change.outward);
        }
        let capped = merging(Trigger::Look).fails(reason).runs(R::Developer, 3).change();
        assert_eq!((capped.stage, capped.state, capped.start), (S::Development, T::Blocked, None));
    }
}

#[test]
fn a_gate_without_a_rule_is_said_once() {
    let rows = [
        (S::Architecture, R::Architect, Gate::ArchitectureDone, missing("06-adr.md")),
        (S::Review, R::Reviewer, Gate::ReviewerVerdict, FailReason::NotFound { file: "12-review.md".into() }),
        (
            S::Review,
            R::Reviewer,
            Gate::ReviewerVerdict,
            FailReason::NoVerdict { file: "12-review.md".into(), detail: "none".into() },
        ),
        (S::Review, R::Reviewer, Gate::ReviewApproved, FailReason::NoPullAndNoReview),
    ];
    for (stage, role, gate, reason) in rows {
        for trigger in [ended(role), Trigger::Look, sees(ForgeEvent::Pushed)] {
            let given = at(stage, trigger).gate(Some(gate)).fails(reason.clone()).asked();
            let change = given.change();
            assert_eq!((change.stage, change.state, &change.start), (stage, T::Active, &None), "{stage} {reason}");
            let said = comment(Message::GateFailed { gate, reason: reason.clone() });
            assert_eq!(change.outward.last(), Some(&said), "{stage} {reason}");
            assert!(change.state_reason.is_some());
            let again = Given { said: change.said.clone(), ..given.clone() };
            assert!(matches!(again.decide(), Decision::Nothing { .. }), "{stage} {reason}: said twice");
            let mut newer = given.finding().unwrap();
            newer.fingerprint = format!("decaf:{}", GateOutcome::Fail(reason.clone()).fingerprint());
            let later = decide(&again.task(), &again.trigger, Some(&newer), &again.history, &again.policy);
            assert!(matches!(later, Decision::Apply(c) if c.said == Some(newer.fingerprint)), "a new commit is said");
        }
    }
    let reviewer = |reason| at(S::Review, ended(R::Reviewer)).asked().fails(reason);
    let said = reviewer(FailReason::NotFound { file: "12-review.md".into() }).change();
    let reason = FailReason::NoVerdict { file: "12-review.md".into(), detail: "none".into() };
    let other = Given { said: said.said, ..reviewer(reason) };
    assert!(matches!(other.decide(), Decision::Apply(_)), "a new reason is said");
}

#[test]
fn waiting_for_others_is_said_once() {
    let rows = [
        (S::Development, R::Developer, Gate::CiGreen, Waiting::Ci),
        (S::Development, R::Developer, Gate::CiGreen, Waiting::CiNone),
        (S::Review, R::Reviewer, Gate::ReviewApproved, Waiting::Review),
    ];
    for (stage, role, gate, on) in rows {
        let given = at(stage, ended(role)).gate(Some(gate)).finds(GateOutcome::Waiting(on));
        let change = given.change();
        assert_eq!((change.stage, change.state, &change.start), (stage, T::Active, &None));
        let mut shown = vec![Outward::Pull, comment(Message::Waiting { gate })];
        shown.extend((on == Waiting::Review).then(asks_for_review).into_iter().flatten());
        assert_eq!(change.outward, shown, "{gate}");
        let again = Given { said: change.said, ..given };
        assert!(matches!(again.decide(), Decision::Nothing { .. }), "{gate}: said twice");
    }
}

#[test]
fn an_end_that_no_longer_matters_changes_nothing() {
    for stage in S::ALL {
        for role in R::ALL.iter().filter(|r| policy().pipeline.works_in(*stage) != Some(**r)) {
            let given = at(*stage, ended(*role)).finds(GateOutcome::Pass);
            assert!(matches!(given.decide(), Decision::Nothing { .. }), "{role} does not work at {stage}");
        }
    }
    for state in [T::Paused, T::Blocked, T::Cancelled, T::Done] {
        let given = at(S::Review, ended(R::Reviewer)).state(state);
        for outcome in [GateOutcome::Pass, GateOutcome::Fail(changes_wanted())] {
            assert!(matches!(given.clone().finds(outcome).decide(), Decision::Nothing { .. }), "{state}");
        }
    }
    let newer = at(S::Review, ended(R::Reviewer)).finds(GateOutcome::Pass).agent_ahead();
    assert!(matches!(newer.decide(), Decision::Nothing { .. }), "somebody asked for something newer");
}

#[test]
fn infra_is_tried_again_and_moves_nothing() {
    let infra = || GateOutcome::Infra("no space".into());
    let mut rows = Vec::new();
    for stage in [S::Analysis, S::Architecture, S::Development, S::Review, S::Testing, S::Deploy] {
        let role = policy().pipeline.works_in(stage).unwrap();
        for trigger in [ended(role), Trigger::Look, sees(ForgeEvent::Pushed), says(Command::Approve)] {
            rows.push((stage.as_str(), at(stage, trigger).finds(infra()), Want::TryAgain));
        }
        let paused = at(stage, says(Command::Resume)).state(T::Paused);
        rows.push((stage.as_str(), paused.finds(infra()), Want::TryAgain));
    }
    check(rows);
}

#[test]
fn the_reviewers_verdict_is_shown_on_the_pull_request() {
    let review = |approved| Outward::Review(WrittenVerdict { approved, reason: "so".into() });
    let ended = || at(S::Review, ended(R::Reviewer));
    let shown = |given: Given| given.change().outward.into_iter().filter(|o| matches!(o, Outward::Review(_)));
    assert_eq!(shown(ended().finds(GateOutcome::Pass).writes(true)).collect::<Vec<_>>(), [review(true)]);
    assert_eq!(shown(ended().fails(changes_wanted()).writes(false)).collect::<Vec<_>>(), [review(false)]);
    assert_eq!(shown(ended().finds(GateOutcome::Pass)).count(), 0, "nothing written");
    let pushed = at(S::Review, sees(ForgeEvent::Pushed)).finds(GateOutcome::Pass).writes(true);
    assert_eq!(shown(pushed).count(), 0, "only its own end shows it");
    let outward = ended().finds(GateOutcome::Pass).writes(true).change().outward;
    assert_eq!(outward[..3], [success(S::Review), Outward::Pull, review(true)], "after there is a pull request");
}

#[test]
fn where_the_reviewer_has_an_account_nobody_else_is_asked_for_a_review() {
    let waits = || at(S::Review, ended(R::Reviewer)).gate(Some(Gate::ReviewApproved));
    let waits = || waits().finds(GateOutcome::Waiting(Waiting::Review)).writes(true);
    let review = Outward::Review(WrittenVerdict { approved: true, reason: "so".into() });
    let change = waits().reviewer_account().change();
    assert_eq!((change.stage, change.outward), (S::Review, vec![Outward::Pull, review.clone()]));
    let people = comment(Message::Waiting { gate: Gate::ReviewApproved });
    let [status, ask] = asks_for_review();
    assert_eq!(waits().change().outward, [Outward::Pull, review, people.clone(), status.clone(), ask.clone()]);
    let mut silent = waits().reviewer_account().asked();
    silent.verdict = None;
    assert_eq!(silent.change().outward, [Outward::Pull, people, status, ask], "no verdict: a person must say it");
}

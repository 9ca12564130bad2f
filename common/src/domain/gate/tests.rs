use super::*;
use crate::domain::checks::Unfinished;
use proptest::prelude::*;

fn evidence(files: &[(&str, &str)]) -> Evidence {
    Evidence {
        head: "a".repeat(40).parse().unwrap(),
        artifacts: files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        tests: None,
        ci: None,
        pull: None,
        forge: false,
        approved: false,
    }
}

fn ask(gate: Gate, ev: &Evidence) -> GateOutcome {
    judge(gate, &ArtifactNames::default(), ev)
}

fn missing(files: &[&str]) -> GateOutcome {
    GateOutcome::Fail(FailReason::MissingFiles { files: files.iter().map(|f| (*f).to_owned()).collect() })
}

const ANALYSIS: [(&str, &str); 4] =
    [("01-brd.md", "x"), ("02-trz.md", "x"), ("03-acceptance-criteria.md", "x"), ("04-test-plan.md", "x")];

#[test]
fn analysis_names_what_is_missing() {
    assert_eq!(ask(Gate::AnalysisComplete, &evidence(&ANALYSIS)), GateOutcome::Pass);
    let mut files = ANALYSIS;
    files[1].1 = " \r\n\t";
    assert_eq!(ask(Gate::AnalysisComplete, &evidence(&files)), missing(&["02-trz.md"]));
    assert_eq!(
        ask(Gate::AnalysisComplete, &evidence(&files[..2])),
        missing(&["02-trz.md", "03-acceptance-criteria.md", "04-test-plan.md"])
    );
}

#[test]
fn analysis_needs_a_person() {
    let mut ev = evidence(&ANALYSIS);
    assert_eq!(ask(Gate::AnalysisApproved, &ev), GateOutcome::Waiting(Waiting::Approval));
    ev.approved = true;
    assert_eq!(ask(Gate::AnalysisApproved, &ev), GateOutcome::Pass);
    ev.artifacts.remove("01-brd.md");
    assert_eq!(ask(Gate::AnalysisApproved, &ev), missing(&["01-brd.md"]));
}

#[test]
fn architecture_needs_the_record_and_no_conflict() {
    let conflict =
        |text: &str| GateOutcome::Fail(FailReason::Conflict { file: "10-conflict.md".into(), text: text.into() });
    let gate = Gate::ArchitectureDone;
    assert_eq!(ask(gate, &evidence(&[("06-adr.md", "x")])), GateOutcome::Pass);
    assert_eq!(ask(gate, &evidence(&[])), missing(&["06-adr.md"]));
    assert_eq!(ask(gate, &evidence(&[("06-adr.md", "x"), ("10-conflict.md", "A and B")])), conflict("A and B"));
    assert_eq!(ask(gate, &evidence(&[("10-conflict.md", "")])), conflict(""));
}

#[test]
fn local_tests_pass_by_exit_code_and_red_is_told_from_infra() {
    let ran = |end: TestEnd| {
        let tests = TestEvidence {
            command: "cargo test".into(),
            duration_ms: 1,
            end,
            tail: "the end".into(),
            output_sha256: None,
        };
        ask(Gate::TestsLocal, &Evidence { tests: Some(tests), ..evidence(&[]) })
    };
    assert_eq!(ran(TestEnd::Exited { code: 0 }), GateOutcome::Pass);
    let red = FailReason::TestsRed { exit_code: 101, tail: "the end".into() };
    assert_eq!(ran(TestEnd::Exited { code: 101 }), GateOutcome::Fail(red));
    assert_eq!(ran(TestEnd::Infra { why: "timeout".into() }), GateOutcome::Infra("timeout".into()));
    assert!(matches!(ask(Gate::TestsLocal, &evidence(&[])), GateOutcome::Infra(_)));
}

#[test]
fn ci_green_passes_waits_or_fails_by_the_forges_checks() {
    let said = |ci: Option<CiEvidence>| ask(Gate::CiGreen, &Evidence { ci, ..evidence(&[]) });
    assert_eq!(said(Some(CiEvidence::Success)), GateOutcome::Pass);
    for (on, overdue, waiting) in [
        (Unfinished::Nothing, false, Waiting::CiNone),
        (Unfinished::Nothing, true, Waiting::CiSilent),
        (Unfinished::Running, false, Waiting::Ci),
        (Unfinished::Running, true, Waiting::CiLate),
        (Unfinished::Settling, true, Waiting::Ci),
        (Unfinished::Cancelled, false, Waiting::CiCancelled),
    ] {
        let evidence = CiEvidence::Waiting { on, names: vec![], overdue, again_in_ms: None };
        assert_eq!(said(Some(evidence)), GateOutcome::Waiting(waiting), "{on:?} {overdue}");
    }
    let checks =
        vec![FailedCheck { name: "lint".into(), says: "Failing after 3s".into(), link: None, log: Some("x".into()) }];
    let failed = GateOutcome::Fail(FailReason::CiFailed { checks: checks.clone() });
    assert_eq!(said(Some(CiEvidence::Failure { checks })), failed);
    assert_eq!(said(Some(CiEvidence::Unavailable { why: "502".into() })), GateOutcome::Infra("502".into()));
    assert!(matches!(said(None), GateOutcome::Infra(_)));
}

fn changes(file: &str, reason: &str) -> GateOutcome {
    GateOutcome::Fail(FailReason::ChangesRequested { file: file.into(), reason: reason.into() })
}

#[test]
fn the_verdict_is_in_the_front_matter_alone() {
    let review = |text: &str| ask(Gate::ReviewerVerdict, &evidence(&[("12-review.md", text)]));
    for text in ["---\nverdict: APPROVED\n---\n", "---\nverdict: ' approved '\n---\nverdict: REQUEST_CHANGES"] {
        assert_eq!(review(text), GateOutcome::Pass, "{text:?}");
    }
    let rows = [
        ("---\nverdict: REQUEST_CHANGES\nreason: no tests\n---\nAPPROVED", "no tests"),
        ("---\nverdict: request_changes\nsummary: thin\nreason: ''\n---\n", "thin"),
        ("---\nverdict: REQUEST_CHANGES\n---\n\nThe lock is missing.\n", "The lock is missing."),
        ("---\nverdict: REQUEST_CHANGES\n---\n", ""),
    ];
    for (text, reason) in rows {
        assert_eq!(review(text), changes("12-review.md", reason), "{text:?}");
    }
}

#[test]
fn no_verdict_is_a_failure() {
    let rows = [
        "verdict: APPROVED",
        "---\nsummary: 'verdict: APPROVED'\n---\nverdict: APPROVED\n",
        "---\nverdict: MAYBE\n---\n",
        "---\nverdict: [APPROVED]\n---\n",
        "---\nverdict: APPROVED\nverdict: REQUEST_CHANGES\n---\n",
        "---\nverdict:\n---\n",
        "---\nverdict: APPROVED\n",
        "",
    ];
    for text in rows {
        let outcome = ask(Gate::ReviewerVerdict, &evidence(&[("12-review.md", text)]));
        assert!(matches!(outcome, GateOutcome::Fail(FailReason::NoVerdict { .. })), "{text:?}: {outcome}");
    }
    let none = GateOutcome::Fail(FailReason::NotFound { file: "12-review.md".into() });
    assert_eq!(ask(Gate::ReviewerVerdict, &evidence(&[])), none);
}

#[test]
fn the_first_review_file_counts() {
    let (yes, no) = ("---\nverdict: APPROVED\n---\n", "---\nverdict: REQUEST_CHANGES\nreason: old\n---\n");
    let ask = |files: &[(&str, &str)]| ask(Gate::ReviewerVerdict, &evidence(files));
    assert_eq!(ask(&[("09-review.md", yes)]), GateOutcome::Pass);
    assert_eq!(ask(&[("09-review.md", no), ("12-review.md", yes)]), GateOutcome::Pass);
    assert_eq!(ask(&[("09-review.md", no)]), changes("09-review.md", "old"));
    let broken = ask(&[("09-review.md", yes), ("12-review.md", "prose")]);
    assert!(matches!(broken, GateOutcome::Fail(FailReason::NoVerdict { .. })), "no way around a broken newer file");
}

#[test]
fn the_written_verdict_is_that_of_the_file_and_of_nothing_else() {
    let names = ArtifactNames::default();
    let written = |files: &[(&str, &str)]| written_verdict(&names, &evidence(files).artifacts);
    let verdict = |approved, reason: &str| Some(WrittenVerdict { approved, reason: reason.into() });
    let file = |text| [("12-review.md", text)];
    assert_eq!(written(&file("---\nverdict: approved\n---\nfine\n")), verdict(true, "fine"));
    let changes = "---\nverdict: REQUEST_CHANGES\nreason: no tests\n---\n";
    assert_eq!(written(&file(changes)), verdict(false, "no tests"));
    for none in ["", "APPROVED", "---\nverdict: perhaps\n---\n", "---\nresult: APPROVED\n---\n"] {
        assert_eq!(written(&file(none)), None, "{none}");
    }
    assert_eq!(written(&[]), None);
}

fn pull(open: bool, reviews: &[(&str, bool, i64)]) -> Option<PullEvidence> {
    let review = |(reviewer, approved, submitted_at): &(&str, bool, i64)| ReviewEvidence {
        reviewer: (*reviewer).to_owned(),
        approved: *approved,
        body: format!(" from {reviewer} "),
        commit: "a".repeat(40),
        stale: false,
        heard: false,
        person: true,
        submitted_at: *submitted_at,
    };
    Some(PullEvidence { number: 1, merged: false, open, landed: false, reviews: reviews.iter().map(review).collect() })
}

#[test]
fn reviews_of_the_pull_request() {
    let ask = |pull| ask(Gate::ReviewApproved, &Evidence { pull, forge: true, ..evidence(&[]) });
    let rejected = |by: &str| {
        let reason = format!("from {by}");
        GateOutcome::Fail(FailReason::PullRejected { reviewer: by.into(), reason, person: true })
    };
    type Row<'a> = (&'a [(&'a str, bool, i64)], GateOutcome);
    let rows: [Row; 7] = [
        (&[], GateOutcome::Waiting(Waiting::Review)),
        (&[("ann", true, 5)], GateOutcome::Pass),
        (&[("ann", false, 5)], rejected("ann")),
        (&[("ann", true, 5), ("bob", false, 6)], rejected("bob")),
        (&[("ann", true, 7), ("bob", false, 6)], rejected("bob")),
        (&[("eve", false, 4), ("ann", true, 5), ("bob", false, 6)], rejected("bob")),
        (&[("ann", true, 1), ("eve", true, 9)], GateOutcome::Pass),
    ];
    for (reviews, want) in rows {
        assert_eq!(ask(pull(true, reviews)), want, "{reviews:?}");
    }
    let with = |reviews: &[(&str, bool, i64)], change: fn(&mut ReviewEvidence)| {
        let mut pull = pull(true, reviews);
        pull.iter_mut().flat_map(|p| &mut p.reviews).filter(|r| r.reviewer == "ann").for_each(change);
        ask(pull)
    };
    let of_an_older_commit: fn(&mut ReviewEvidence) = |review| review.stale = true;
    let waits = GateOutcome::Waiting(Waiting::Review);
    assert_eq!(with(&[("ann", true, 5)], of_an_older_commit), waits, "it is not the head that ann approved");
    assert_eq!(with(&[("ann", false, 5)], of_an_older_commit), waits, "somebody must look at the head");
    assert_eq!(with(&[("ann", false, 9), ("bob", true, 5)], of_an_older_commit), GateOutcome::Pass);
    assert_eq!(
        with(&[("ann", false, 5), ("bob", true, 9)], |review| review.heard = true),
        waits,
        "once, but it stands"
    );
}

#[test]
fn while_there_is_a_forge_no_file_stands_for_a_review() {
    let file: &[(&str, &str)] = &[("09-review.md", "---\nverdict: APPROVED\n---\n")];
    let ask =
        |forge, pull, files: &[(&str, &str)]| ask(Gate::ReviewApproved, &Evidence { pull, forge, ..evidence(files) });
    let merged = pull(false, &[("ann", true, 5)]).map(|p| PullEvidence { merged: true, ..p });
    for files in [file, &[]] {
        assert_eq!(ask(true, None, files), GateOutcome::Waiting(Waiting::PullMissing));
        assert_eq!(ask(true, pull(false, &[("ann", true, 5)]), files), GateOutcome::Waiting(Waiting::PullClosed));
        assert_eq!(ask(true, merged.clone(), files), GateOutcome::Waiting(Waiting::PullMerged));
        assert_eq!(ask(true, pull(true, &[]), files), GateOutcome::Waiting(Waiting::Review));
    }
    assert_eq!(ask(false, None, file), GateOutcome::Pass);
    assert_eq!(ask(false, None, &[]), GateOutcome::Fail(FailReason::NoPullAndNoReview));
}

#[test]
fn tests_passed_reads_the_result_in_the_front_matter_alone() {
    let report = |text: &str| ask(Gate::TestsPassed, &evidence(&[("13-test-report.md", text)]));
    let failed = |reason: &str| {
        GateOutcome::Fail(FailReason::TestsNotPassed { file: "13-test-report.md".into(), reason: reason.into() })
    };
    assert_eq!(report("---\nresult: pass\n---\n"), GateOutcome::Pass);
    assert_eq!(report("---\nresult: FAIL\nreason: login broken\n---\nresult: PASS"), failed("login broken"));
    assert_eq!(report("---\nresult: FAIL\n---\n"), failed("result: FAIL"));
    let unknown = report("---\nresult: PASSED?\n---\n");
    assert!(
        matches!(&unknown, GateOutcome::Fail(FailReason::NoVerdict { detail, .. }) if detail.contains("PASS, FAIL"))
    );
    assert!(matches!(report("result: PASS"), GateOutcome::Fail(FailReason::NoVerdict { .. })));
    let none = GateOutcome::Fail(FailReason::NotFound { file: "13-test-report.md".into() });
    assert_eq!(ask(Gate::TestsPassed, &evidence(&[])), none);
}

#[test]
fn pr_merged_passes_only_when_the_work_is_in_the_base() {
    let ask = |pull, forge| ask(Gate::PrMerged, &Evidence { pull, forge, ..evidence(&[]) });
    let merged = |landed| pull(false, &[]).map(|pull| PullEvidence { merged: true, landed, ..pull });
    assert_eq!(ask(merged(true), true), GateOutcome::Pass);
    assert_eq!(ask(merged(false), true), GateOutcome::Waiting(Waiting::Merge), "something else was merged");
    assert_eq!(ask(pull(true, &[]), true), GateOutcome::Waiting(Waiting::Merge));
    assert_eq!(ask(pull(false, &[]), true), GateOutcome::Waiting(Waiting::PullClosed));
    assert_eq!(ask(None, true), GateOutcome::Waiting(Waiting::PullMissing));
    assert_eq!(ask(None, false), GateOutcome::Waiting(Waiting::Merge));
}

proptest! {
    #[test]
    fn prose_never_passes_a_review(prose in "[ a-zA-Z:\n-]{0,200}") {
        prop_assume!(!prose.trim_start().starts_with("---"));
        let ev = evidence(&[("12-review.md", &format!("{prose}\nverdict: APPROVED\n---\nverdict: APPROVED\n---\n"))]);
        prop_assert!(matches!(ask(Gate::ReviewerVerdict, &ev), GateOutcome::Fail(_)));
    }
}

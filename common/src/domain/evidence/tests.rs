use super::*;
use crate::domain::pipeline::Step as Row;

const REVIEW: &str = "docs/work-items/ET-1/12-review.md";
const REPORT: &str = "docs/work-items/ET-1/13-test-report.md";

fn step(n: u8, author: &str, ours: bool, files: &[&str]) -> Step {
    let id = format!("{n:02x}").repeat(20).parse().unwrap();
    let files = files.iter().map(|f| (*f).to_owned()).collect();
    Step { id, author: author.into(), ours, is_merge: false, files }
}

fn drift(work: &[&str], documents: &[&str], commits: Vec<Step>) -> Drift {
    let owned = |list: &[&str]| list.iter().map(|f| (*f).to_owned()).collect();
    Drift { work: owned(work), documents: owned(documents), commits, unknown: false }
}

fn merge(n: u8, author: &str, ours: bool) -> Step {
    Step { is_merge: true, ..step(n, author, ours, &[]) }
}

#[test]
fn only_documents_that_our_roles_wrote_leave_evidence_as_it_is() {
    let reviewer = || step(1, "orch reviewer", true, &[REVIEW]);
    let hugo = |files: &[&str]| step(2, "Hugo", false, files);
    let rows: Vec<(&str, Drift, Option<Vec<&str>>)> = vec![
        ("the same commit", Drift::default(), None),
        ("empty commits, or such as undo each other", drift(&[], &[], vec![hugo(&["a.rs"]), hugo(&["a.rs"])]), None),
        ("our own document", drift(&[], &[REVIEW], vec![reviewer()]), None),
        (
            "our own document, and a push that changes nothing in the end",
            drift(&[], &[REVIEW], vec![hugo(&["a.rs"]), reviewer(), hugo(&["a.rs", REPORT])]),
            None,
        ),
        (
            "a push of code",
            drift(&["backdoor.txt"], &[REVIEW], vec![hugo(&["backdoor.txt"]), reviewer()]),
            Some(vec!["Hugo 02020202: backdoor.txt"]),
        ),
        (
            "the deployer's own commit",
            drift(&["VERSION"], &[], vec![step(3, "orch deployer", true, &["VERSION"])]),
            Some(vec!["orch deployer 03030303: VERSION"]),
        ),
        (
            "a person's document",
            drift(&[], &[REVIEW, REPORT], vec![hugo(&[REVIEW]), step(3, "orch tester", true, &[REPORT])]),
            Some(vec!["Hugo 02020202: docs/work-items/ET-1/12-review.md"]),
        ),
        (
            "a person's change of our document",
            drift(&[], &[REVIEW], vec![hugo(&[REVIEW]), reviewer()]),
            Some(vec!["Hugo 02020202: docs/work-items/ET-1/12-review.md"]),
        ),
        ("a document that a rewritten branch has no more", drift(&[], &[REVIEW], vec![]), Some(vec![])),
        (
            "of two such documents one is written anew by us",
            drift(&[], &[REVIEW, REPORT], vec![step(3, "orch tester", true, &[REPORT])]),
            Some(vec![]),
        ),
        (
            "a merged base",
            drift(&["main.rs"], &[], vec![merge(4, "Maria", false), reviewer()]),
            Some(vec!["Maria 04040404: merge"]),
        ),
        ("a commit that is not known any more", Drift { unknown: true, ..Drift::default() }, Some(vec![])),
    ];
    for (name, drift, want) in rows {
        let want = want.map(|list| list.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(drift.voided_by(), want, "{name}");
    }
}

#[test]
fn whose_push_it_was_is_told_in_a_few_words() {
    let files: Vec<String> = (0..7).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let many = (1..=7).map(|n| step(n, "Hu\ngo", false, &names)).collect();
    let by = drift(&names, &[], many).voided_by().unwrap();
    assert_eq!(by.len(), 6);
    assert_eq!(by[0], "Hu?go 01010101: f0, f1, f2, f3, f4, +2");
    assert_eq!(by[5], "+2");
}

#[test]
fn what_is_judged_rests_on_the_stages_of_the_work_that_were_passed() {
    use {Gate as G, Role as R, Stage as S};
    let p = Pipeline::default();
    assert_eq!(bound_stages(&p, S::Development), []);
    assert_eq!(bound_stages(&p, S::Review), [(S::Development, G::TestsLocal)]);
    let at_deploy = [(S::Development, G::TestsLocal), (S::Review, G::ReviewerVerdict), (S::Testing, G::TestsPassed)];
    assert_eq!(bound_stages(&p, S::Deploy), at_deploy);
    // A review of documents, before there is any work, is not undone by the work.
    let row = |stage, gate, role| Row { stage, gate, role };
    let early = Pipeline::new(vec![
        row(S::Created, None, Some(R::Architect)),
        row(S::Architecture, Some(G::ReviewerVerdict), Some(R::Developer)),
        row(S::Development, Some(G::CiGreen), Some(R::Deployer)),
        row(S::Deploy, Some(G::PrMerged), None),
    ])
    .unwrap();
    assert_eq!(bound_stages(&early, S::Deploy), [(S::Development, G::CiGreen)]);
}

#[test]
fn the_first_stage_whose_evidence_is_gone_is_the_one_to_go_back_to() {
    let code = || drift(&["a"], &[], vec![step(2, "Hugo", false, &["a"])]);
    let fine = || drift(&[], &[REVIEW], vec![step(1, "orch reviewer", true, &[REVIEW])]);
    let passed = |drifts: [Drift; 3]| {
        let at = [
            (Stage::Development, Gate::TestsLocal),
            (Stage::Review, Gate::ReviewerVerdict),
            (Stage::Testing, Gate::TestsPassed),
        ];
        first_gone(&at.into_iter().zip(drifts).map(|((stage, gate), d)| (stage, gate, d)).collect::<Vec<_>>())
    };
    assert_eq!(passed([fine(), fine(), fine()]), None);
    let by = vec!["Hugo 02020202: a".to_owned()];
    let gone = passed([code(), code(), code()]).unwrap();
    assert_eq!(gone, Gone { stage: Stage::Development, gate: Gate::TestsLocal, by: by.clone() });
    let gone = passed([fine(), code(), code()]).unwrap();
    assert_eq!(gone, Gone { stage: Stage::Review, gate: Gate::ReviewerVerdict, by });
}

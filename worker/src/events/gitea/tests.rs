//! Every delivery in the fixtures, against what it means.

use super::*;
use crate::events::Source;
use std::path::{Path, PathBuf};

const BRANCH: &str = "feature/PROJ-123-add-export";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/gitea")
}

fn read(body: &str, event: &str, event_type: Option<&str>) -> Result<Parsed<GiteaEvent>, BadEvent> {
    let event_type = event_type.map(str::to_owned);
    parse(&RawEvent { source: Source::Gitea, event: Some(event.to_owned()), event_type, body })
}

/// One line that says all a decision looks at; commits by their first four digits.
fn told(parsed: &Parsed<GiteaEvent>) -> String {
    let event = match parsed {
        Parsed::Ignored { why } => return format!("ignored: {why}"),
        Parsed::Event(event) => event,
    };
    assert_eq!((event.owner.as_str(), event.repo.as_str()), ("acme", "widgets"));
    let short = |sha: &str| sha.get(..4).unwrap().to_owned();
    let here = |branch: &str| if branch == BRANCH { "here".to_owned() } else { branch.to_owned() };
    let what = match &event.what {
        GiteaChange::Push { branch, before, after, ping } => {
            format!("push {} {}..{} ping={ping}", here(branch), short(before), short(after))
        }
        GiteaChange::BranchCreated { branch } => format!("new {}", here(branch)),
        GiteaChange::BranchDeleted { branch } => format!("gone {}", here(branch)),
        GiteaChange::Pull { action, number, branch, head_sha, merged, ends } if !ends.fork && ends.base == "main" => {
            format!("pull {action} #{number} {} {} merged={merged}", here(branch), short(head_sha))
        }
        GiteaChange::Review { number, branch, head_sha, kind, text, ends, .. } if !ends.fork && ends.base == "main" => {
            format!("review #{number} {} {} {kind:?} {text}", here(branch), short(head_sha))
        }
        GiteaChange::Pull { .. } | GiteaChange::Review { .. } => "of another repository".to_owned(),
        GiteaChange::Status { sha, state, context } => format!("status {} {state} {context}", short(sha)),
        GiteaChange::Workflow { branch, sha, done, job } => {
            let job =
                job.as_ref().map(|j| format!(" job {} {} {:?}", j.id, j.page, j.failed_steps)).unwrap_or_default();
            format!("workflow {} {} {done:?}{job}", here(branch), short(sha))
        }
        GiteaChange::Comment { number, is_pull, text, action } => {
            format!("comment #{number} pull={is_pull} {action} {text}")
        }
    };
    format!("{} {what}", event.sender_login)
}

/// File -> meaning. The event names are those of the headers recorded beside the bodies.
const TABLE: &[(&str, &str)] = &[
    ("push.json", "orch-bot push here 9f1c..3a5b ping=false"),
    ("push_new_branch.json", "orch-bot push here 0000..3a5b ping=false"),
    ("push_tag.json", "ignored: tags move nothing"),
    ("create_branch.json", "orch-bot new here"),
    ("delete_branch.json", "orch-bot gone here"),
    ("pull_request_opened.json", "orch-bot pull opened #42 here 3a5b merged=false"),
    ("pull_request_edited_title.json", "orch-bot pull edited #42 here 3a5b merged=false"),
    ("pull_request_synchronized.json", "orch-bot pull synchronized #42 here c0ff merged=false"),
    ("pull_request_synchronized.v1_27.json", "orch-bot pull synchronized #42 here c0ff merged=false"),
    ("pull_request_closed_merged.json", "orch-bot pull closed #42 here 3a5b merged=true"),
    ("pull_request_closed_merged_head_deleted.json", "orch-bot pull closed #42 here 3a5b merged=true"),
    ("pull_request_closed_unmerged.json", "maria pull closed #42 here 3a5b merged=false"),
    ("pull_request_reopened.json", "maria pull reopened #42 here 3a5b merged=false"),
    ("pull_request_review_requested.json", "orch-bot pull review_requested #42 here 3a5b merged=false"),
    ("pull_request_review_approved.json", "review-bot review #42 here 3a5b Approved LGTM"),
    (
        "pull_request_review_rejected.json",
        "review-bot review #42 here 3a5b Rejected Missing test for the empty file case.",
    ),
    ("pull_request_review_comment.json", "maria review #42 here 3a5b Commented nit: rename"),
    ("pull_request_comment_created.json", "maria comment #42 pull=true created :approved: ok to deploy"),
    ("issue_comment_created.json", "maria comment #42 pull=false created plain issue comment"),
    ("issue_comment_edited.json", "maria comment #42 pull=false edited edited issue comment"),
    ("status_pending.json", "orch-bot status 3a5b pending CI / test (push)"),
    ("status_success.json", "orch-bot status 3a5b success CI / test (push)"),
    ("status_failure.json", "orch-bot status 3a5b failure CI / test (push)"),
    ("status_error.json", "orch-bot status 3a5b error CI / test (push)"),
    ("workflow_run_in_progress.json", "orch-bot workflow here 3a5b None"),
    ("workflow_run_completed_success.json", "orch-bot workflow here 3a5b Some(true)"),
    ("workflow_run_completed_failure.json", "orch-bot workflow here 3a5b Some(false)"),
    (
        "workflow_job_completed_success.json",
        "orch-bot workflow here 3a5b Some(true) job 31 http://git.example.test:3000/acme/widgets/actions/runs/9/jobs/0 []",
    ),
];

fn headers() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(fixtures().join("headers.json")).unwrap()).unwrap()
}

#[test]
fn deliveries_mean_what_happened_with_and_without_the_event_type() {
    let headers = headers();
    assert_eq!(headers["files"].as_object().unwrap().len(), TABLE.len(), "every delivery has its line");
    for (file, expected) in TABLE {
        let sent = &headers["files"][file]["headers"];
        let (event, event_type) = (sent["X-Gitea-Event"].as_str().unwrap(), sent["X-Gitea-Event-Type"].as_str());
        let body = std::fs::read_to_string(fixtures().join(file)).unwrap();
        for kind in [event_type, None] {
            let parsed = read(&body, event, kind).unwrap_or_else(|e| panic!("{file}: {e}"));
            assert_eq!(told(&parsed), *expected, "{file} routed by {kind:?} or {event}");
        }
    }
}

#[test]
fn a_test_delivery_is_a_ping_and_a_deletion_is_no_push() {
    let body = std::fs::read_to_string(fixtures().join("push.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&body).unwrap();
    json["before"] = json["after"].clone();
    let parsed = read(&json.to_string(), "push", None).unwrap();
    assert!(told(&parsed).ends_with("3a5b..3a5b ping=true"), "{}", told(&parsed));
    json["after"] = "0".repeat(40).into();
    assert_eq!(told(&read(&json.to_string(), "push", None).unwrap()), "orch-bot gone here");
}

#[test]
fn a_pull_request_is_of_this_repository_only_where_both_ends_say_so() {
    let opened = std::fs::read_to_string(fixtures().join("pull_request_opened.json")).unwrap();
    let approved = std::fs::read_to_string(fixtures().join("pull_request_review_approved.json")).unwrap();
    for (body, kind) in [(opened, "pull_request"), (approved, "pull_request_review_approved")] {
        let own: serde_json::Value = serde_json::from_str(&body).unwrap();
        let base = own["pull_request"]["base"]["repo_id"].clone();
        assert_eq!(own["pull_request"]["head"]["repo_id"], base, "the recorded one is no fork's");
        for (head, foreign) in [(base, false), (999.into(), true), (serde_json::Value::Null, true)] {
            let mut json = own.clone();
            json["pull_request"]["head"]["repo_id"] = head.clone();
            let means = told(&read(&json.to_string(), kind, None).unwrap());
            assert_eq!(means.ends_with("of another repository"), foreign, "{kind} {head}: {means}");
        }
    }
}

#[test]
fn a_push_of_an_older_forgejo_is_read() {
    let body = std::fs::read_to_string(fixtures().join("recorded_forgejo_push_event_payload.json")).unwrap();
    let Ok(Parsed::Event(event)) = read(&body, "push", None) else { panic!() };
    assert!(matches!(event.what, GiteaChange::Push { ping: false, .. }), "{event:?}");
}

#[test]
fn other_events_are_ignored_by_name() {
    for event in ["fork", "release", "wiki", "action_run_success", "repository"] {
        assert_eq!(told(&read("{}", event, None).unwrap()), format!("ignored: {event} events move nothing"));
    }
}

#[test]
fn a_bad_shape_names_its_field() {
    let repo = r#""repository":{"full_name":"acme/widgets"},"sender":{"id":1,"login":"x"}"#;
    let table = [
        ("push", "7".to_owned(), "not a JSON object: it is a number"),
        ("", "{}".to_owned(), "the field 'X-Gitea-Event' is missing"),
        ("push", "{}".to_owned(), "the field 'ref' is missing"),
        ("status", r#"{"sha":"a","state":1}"#.to_owned(), "the field 'state' is not text"),
        ("pull_request", r#"{"action":"opened","number":"1"}"#.to_owned(), "the field 'number' is not a whole number"),
        (
            "status",
            r#"{"sha":"a","state":"b","context":"c"}"#.to_owned(),
            "the field 'repository.full_name' is missing",
        ),
        (
            "workflow_run",
            format!(r#"{{"workflow_run":{{"status":"completed"}},{repo}}}"#),
            "the field 'workflow_run.conclusion' is missing",
        ),
        ("issue_comment", format!(r#"{{"issue":{{"number":1}},{repo}}}"#), "the field 'comment.body' is missing"),
    ];
    for (event, body, expected) in table {
        assert_eq!(read(&body, event, None).unwrap_err().to_string(), expected, "{event} {body}");
    }
}

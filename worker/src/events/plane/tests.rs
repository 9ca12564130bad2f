//! Every delivery in the fixtures, against what it means.

use super::*;
use crate::events::{Event, Source};
use std::path::{Path, PathBuf};

const HUGO: &str = "720e815e-9379-4dfb-aba4-82b657ac208c";
const BOT: &str = "a51d0e41-0f6a-46ac-8af4-acf97e0a5fe1";
const ADA: &str = "99db7b9c-7251-401e-b636-e3e6bca1d53e";
const MARIA: &str = "754009ab-3fb5-424e-909a-b46e9c9d0c4f";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures")
}

fn read(body: &str, event: &str) -> Result<Parsed<PlaneEvent>, BadEvent> {
    parse(&RawEvent { source: Source::Plane, event: Some(event.to_owned()), event_type: None, body })
}

/// One line that says all a decision looks at.
fn told(parsed: &Parsed<PlaneEvent>) -> String {
    let event = match parsed {
        Parsed::Ignored { .. } => return "ignored".into(),
        Parsed::Event(event) => event,
    };
    let actor = event.actor.as_deref().map_or("-", |id| id.get(..4).unwrap());
    let what = match &event.what {
        PlaneChange::ItemCreated(item) => format!("created #{} {}", item.sequence_id, item.title),
        PlaneChange::StateChanged { to, .. } => format!("state {}", to.get(..4).unwrap()),
        PlaneChange::LabelsChanged => "labels".into(),
        PlaneChange::OtherField(name) => format!("field {name}"),
        PlaneChange::ItemDeleted => "deleted".into(),
        PlaneChange::ItemArchived => "archived".into(),
        PlaneChange::Comment(said) => {
            let how = if said.edited { "edit" } else { "say" };
            let own = if said.own_words { "own" } else { "foreign" };
            let text: String = said.text.chars().take(40).collect();
            format!("{how} {own} {} {text}", said.external_source.as_deref().unwrap_or("-"))
        }
    };
    format!("{actor} {what}")
}

#[test]
fn real_deliveries_mean_what_people_did() {
    let table = [
        ("001-issue-created", "720e created #1 Add login page"),
        ("002-issue-created", "a51d created #2 Second item"),
        ("003-issue-updated", "720e state fd14"),
        ("004-issue-updated", "a51d state 0d91"),
        ("005-issue-updated", "720e field name"),
        ("006-issue-updated", "720e field priority"),
        ("007-issue-updated", "720e field description_html"),
        ("008-issue-updated", "720e labels"),
        ("009-issue-updated", "720e field assignees"),
        ("010-issue_comment-created", "720e say own - :approved: looks good"),
        ("011-issue_comment-created", "a51d say own orchestrator Stage `analysis` done"),
        ("012-issue_comment-created", "a51d say own -"),
        ("013-issue_comment-created", "720e say own - hi![](x) & @720e815e-9379-4dfb-aba4-82b6"),
        ("014-issue_comment-created", "a51d say own - éééééééééééééééééééééééééééééééééééééééé"),
        ("015-issue_comment-updated", "720e edit own - :approved: edited"),
        ("101-issue-created", "720e created #3 From the UI"),
        ("102-issue-updated", "720e state a02e"),
        ("103-issue-updated", "720e state 718d"),
        ("104-issue-updated", "720e field sort_order"),
        ("105-issue-updated", "720e state a02e"),
        ("106-issue-updated", "720e field sort_order"),
        ("107-issue-updated", "720e labels"),
        ("108-issue-updated", "720e field assignee_ids"),
        ("109-issue-updated", "720e field assignee_ids"),
        ("110-issue-updated", "720e field name"),
        ("111-issue_comment-created", "720e say own - :approved:"),
        ("112-issue_comment-updated", "720e edit own - :approved: now"),
        ("113-issue_comment-updated", "99db edit foreign - edited by the admin"),
        ("114-issue-updated", "720e state 718d"),
        ("115-issue-created", "720e created #4 Spoof test"),
        ("116-issue_comment-created", "a51d say own - :approved:"),
        ("117-issue_comment-created", "720e say own - mine"),
        ("118-issue_comment-updated", "a51d edit foreign - :approved: put in another's mouth"),
        ("119-issue-created", "a51d created #5 Spoofed author"),
    ];
    let dir = fixtures().join("plane-real");
    for (name, expected) in table {
        let body = std::fs::read_to_string(dir.join(format!("{name}.body"))).unwrap();
        let event = if name.contains("comment") { "issue_comment" } else { "issue" };
        let parsed = read(&body, event).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(told(&parsed).trim_end(), expected, "{name}");
    }
    let bodies =
        std::fs::read_dir(dir).unwrap().filter(|e| e.as_ref().unwrap().path().extension() == Some("body".as_ref()));
    assert_eq!(bodies.count(), table.len(), "every capture has its line");
}

/// Words that another put into a new comment before Plane told of it, and words that are only shown.
#[test]
fn a_new_comments_words_are_its_authors_only_if_nobody_changed_them() {
    let table = [
        ("403-issue_comment-created", "4783 say own - @e520a80b-1b23-4db1-a57e-7c4494f1ce65 :a", false),
        ("404-issue_comment-created", "4783 say own - write this:\n\n```plaintext\n:approved:\n```", false),
        ("410-issue_comment-created", "4783 say foreign - :approved:", true),
        ("411-issue_comment-updated", "e520 edit foreign - :approved:", true),
    ];
    for (name, expected, commands) in table {
        let body = std::fs::read_to_string(fixtures().join("plane-real-2").join(format!("{name}.body"))).unwrap();
        let parsed = read(&body, "issue_comment").unwrap();
        assert_eq!(told(&parsed).trim_end(), expected, "{name}");
        let Parsed::Event(PlaneEvent { what: PlaneChange::Comment(said), .. }) = parsed else { panic!("{name}") };
        assert_eq!(orch_common::domain::words::parse_comment(&said.text).is_some(), commands, "{name}");
    }
    // Who changes their own words again has said them.
    let body = std::fs::read_to_string(fixtures().join("plane-real-2/410-issue_comment-created.body")).unwrap();
    let body = body.replace(
        "\"updated_by\": \"e520a80b-1b23-4db1-a57e-7c4494f1ce65\"",
        "\"updated_by\": \"4783a1c0-bae5-4118-902d-67cd96a0b4e1\"",
    );
    assert_eq!(told(&read(&body, "issue_comment").unwrap()), "4783 say own - :approved:");
}

#[test]
fn an_actor_is_never_read_from_the_data() {
    // 116: the writer gave another account as `created_by`. 118: a changed comment keeps its author in `actor`.
    for (name, actor) in
        [("116-issue_comment-created", BOT), ("118-issue_comment-updated", BOT), ("113-issue_comment-updated", ADA)]
    {
        let body = std::fs::read_to_string(fixtures().join("plane-real").join(format!("{name}.body"))).unwrap();
        let Ok(Parsed::Event(event)) = read(&body, "issue_comment") else { panic!("{name}") };
        assert_eq!(event.actor.as_deref(), Some(actor), "{name}");
    }
}

#[test]
fn a_retried_delivery_means_the_same() {
    let mut seen = 0;
    for dir in ["retry", "retry/late-18991", "retry/late-18999"] {
        for file in std::fs::read_dir(fixtures().join("plane-real").join(dir)).unwrap() {
            let path = file.unwrap().path();
            if path.extension() != Some("body".as_ref()) {
                continue;
            }
            let body = std::fs::read_to_string(&path).unwrap();
            let result = read(&body, "issue");
            if body.is_empty() {
                assert!(matches!(result, Err(BadEvent::NotJson { .. })), "a redirect loses the body: {path:?}");
            } else {
                assert!(told(&result.unwrap()).ends_with("retry probe"), "{path:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 21);
}

#[test]
fn constructed_deliveries_of_both_versions_are_read() {
    let table = [
        ("issue_created.json", "issue", "7540 created #123 "),
        ("issue_updated_state_from_ui.json", "issue", "7540 state 0c6e"),
        ("issue_updated_sort_order_same_drag.json", "issue", "7540 field sort_order"),
        ("issue_updated_state_from_api_bot_echo.json", "issue", "1f0d state 067b"),
        ("issue_updated_state_done.json", "issue", "7540 state 0c6e"),
        ("issue_updated_labels_from_ui.json", "issue", "7540 labels"),
        ("issue_updated_assignees_from_ui.json", "issue", "7540 field assignee_ids"),
        ("issue_updated_description.json", "issue", "7540 field description_html"),
        ("issue_deleted_legacy.json", "issue", "7540 deleted"),
        ("issue_comment_created_approved.json", "issue_comment", "7540 say own - :approved: ok to deploy ✅"),
        ("issue_comment_created_emoji_node.json", "issue_comment", "7540 say own - ✅ looks good"),
        ("issue_comment_created_split_markup.json", "issue_comment", "7540 say own - :approved:\n\n\\> quoted & more"),
        ("issue_comment_created_bot_echo.json", "issue_comment", "1f0d say own orchestrator \\[analyst] done"),
        ("issue_comment_updated.json", "issue_comment", "7540 edit own - :rejected: needs tests"),
        ("project_deleted.json", "project", "ignored"),
        ("v2_workitem_updated.docs_verbatim.json", "workitem.updated", "- field last_activity_at"),
        (
            "v2_workitem_comment_created.docs_verbatim.json",
            "workitem.comment.created",
            "88fc say own - Webhook Test Comment",
        ),
        ("v2_workitem_link_created.docs_verbatim.json", "workitem.link.created", "ignored"),
        ("v2_workitem_updated_state.json", "workitem.updated", "7540 state 0c6e"),
    ];
    for (file, event, expected) in table {
        let body = std::fs::read_to_string(fixtures().join("plane").join(file)).unwrap();
        let line = told(&read(&body, event).unwrap_or_else(|e| panic!("{file}: {e}")));
        assert!(line.starts_with(expected), "{file}: {line}");
    }
}

#[test]
fn a_new_item_carries_what_a_start_rule_asks_for() {
    let body = std::fs::read_to_string(fixtures().join("plane/issue_created.json")).unwrap();
    let Ok(Parsed::Event(event)) = read(&body, "issue") else { panic!() };
    assert_eq!(
        (event.project.as_deref(), event.actor.as_deref()),
        (Some("59e3be42-87ec-4950-99a3-ae639cf2b089"), Some(MARIA))
    );
    let PlaneChange::ItemCreated(item) = event.what else { panic!() };
    assert!(item.state_name.is_some() && item.state_group.is_some() && !item.state_id.is_empty(), "{item:?}");
    assert_eq!(item.labels.len(), item.label_ids.len());
}

#[test]
fn releases_before_0_27_wrote_ids_beside_the_names() {
    let body = r#"{"event":"issue","action":"update","data":{"id":"i","project":"p"},"activity":
        {"field":"state","new_value":"Done","new_identifier":"abcd-state","actor":{"id":"u-1234"}}}"#;
    let Ok(Parsed::Event(event)) = read(body, "issue") else { panic!() };
    assert_eq!(event.what, PlaneChange::StateChanged { to: "abcd-state".into(), at: None });
}

#[test]
fn a_bad_shape_names_its_field() {
    let v1 = |action: &str, data: &str, activity: &str| {
        format!(r#"{{"event":"issue","action":"{action}","data":{data},"activity":{activity}}}"#)
    };
    let who = r#"{"actor":{"id":"u"}}"#;
    let table = [
        ("[]".to_owned(), "not a JSON object: it is a list"),
        ("{".to_owned(), "not a JSON object: EOF while parsing an object at line 1 column 1"),
        (r#"{"event":7}"#.to_owned(), "the field 'event' is not text"),
        (r#"{"event":"issue"}"#.to_owned(), "the field 'action' is missing"),
        (v1("deleted", "{}", who), "the field 'data.id' is missing"),
        (v1("deleted", r#"{"id":"i"}"#, "{}"), "the field 'activity.actor.id' is missing"),
        (v1("updated", r#"{"id":"i"}"#, r#"{"field":"name"}"#), "the field 'data.project' is missing"),
        (v1("updated", r#"{"id":"i"}"#, "{}"), "the field 'activity.field' is missing"),
        (v1("created", r#"{"name":"n","state":"s"}"#, who), "the field 'data.state.id' is missing"),
        (
            v1("created", r#"{"name":"n","state":{"id":"s"},"sequence_id":"1"}"#, who),
            "the field 'data.sequence_id' is not a whole number",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(read(&body, "issue").unwrap_err().to_string(), expected, "{body}");
    }
}

#[test]
fn the_source_chooses_the_reader() {
    let body = std::fs::read_to_string(fixtures().join("plane-real/003-issue-updated.body")).unwrap();
    let raw = RawEvent { source: Source::Plane, event: None, event_type: None, body: &body };
    let parsed = crate::events::parse(&raw).unwrap();
    assert!(matches!(&parsed, Parsed::Event(Event::Plane(e)) if e.actor.as_deref() == Some(HUGO)), "{parsed:?}");
}

//! Tables over what real and constructed senders say.

use super::*;
use actix_web::http::header::{HeaderName, HeaderValue};
use std::collections::HashSet;
use std::path::PathBuf;

type Pairs<'a> = &'a [(&'a str, &'a str)];

const PROJECT: &str = "2fdcb802-fa20-4631-af76-0e9ed39ecfb9";

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn plane(pairs: &[(&str, &str)], text: &str) -> Verdict {
    let known = [PROJECT, "59e3be42-87ec-4950-99a3-ae639cf2b089"].map(str::to_owned);
    plane::read(&HashSet::from(known), &headers(pairs), text.to_owned()).unwrap()
}

fn gitea(pairs: &[(&str, &str)], text: &str) -> Verdict {
    gitea::read(&HashSet::from(["acme/widgets".to_owned()]), &headers(pairs), text.to_owned()).unwrap()
}

fn enqueued(verdict: Verdict) -> NewDelivery {
    match verdict {
        Verdict::Enqueue(new) => *new,
        Verdict::Ignored(reason) | Verdict::Unknown(reason) | Verdict::EnqueueIfRenamed { unknown: reason, .. } => {
            panic!("ignored: {reason}")
        }
    }
}

fn ignored(verdict: Verdict) -> String {
    match verdict {
        Verdict::Ignored(reason) | Verdict::Unknown(reason) => reason,
        Verdict::Enqueue(new) | Verdict::EnqueueIfRenamed { new, .. } => panic!("enqueued: {new:?}"),
    }
}

#[test]
fn plane_by_event_and_project() {
    let of = |event: &str, project: &str| format!(r#"{{"event":"{event}","data":{{"id":"W","project":{project}}}}}"#);
    let known = format!("\"{PROJECT}\"");
    let upper = known.to_uppercase();
    let rows = [
        ("issue", known.as_str(), true),
        ("issue", upper.as_str(), true),
        ("issue_comment", known.as_str(), true),
        ("issue", "null", true),
        ("project", known.as_str(), false),
        ("cycle", known.as_str(), false),
        ("module", known.as_str(), false),
        ("workitem.link.created", known.as_str(), false),
        ("", known.as_str(), false),
        ("issue", "\"00000000-0000-4000-8000-000000000000\"", false),
        ("issue", "\"\"", false),
    ];
    for (event, project, wanted) in rows {
        let verdict = plane(&[("X-Plane-Event", event)], &of(event, project));
        assert_eq!(matches!(verdict, Verdict::Enqueue(_)), wanted, "{event} {project}: {verdict:?}");
    }
    assert!(ignored(plane(&[], &of("issue", "\"other\""))).contains("other"), "the log names the project");
}

#[test]
fn plane_is_known_again_by_its_body_and_version_2_by_its_event_id() {
    let body = fixture("plane-real/003-issue-updated.body");
    let first = enqueued(plane(&[("X-Plane-Event", "issue"), ("X-Plane-Delivery", "a")], &body));
    let retry = enqueued(plane(&[("X-Plane-Event", "issue"), ("X-Plane-Delivery", "b")], &body));
    assert_eq!(first.key, retry.key);
    assert_eq!(first.key, Sha256::digest(body.as_bytes()).to_vec());
    let other = fixture("plane-real/004-issue-updated.body");
    assert_ne!(first.key, enqueued(plane(&[("X-Plane-Event", "issue")], &other)).key);

    let header = [("X-Plane-Event", "workitem.updated")];
    let v2 = fixture("plane/v2_workitem_updated_state.json");
    assert_eq!(enqueued(plane(&header, &v2)).key, b"9d508cd9-36c2-44a5-928d-7ee2f2a3b8a8");
    let again = v2.replace("2a0d0510-9052-446e-a1c7-a704bbd68cba", "another-delivery");
    assert_eq!(enqueued(plane(&header, &again)).key, b"9d508cd9-36c2-44a5-928d-7ee2f2a3b8a8");
    let none = v2.replace("9d508cd9-36c2-44a5-928d-7ee2f2a3b8a8", "None");
    assert_eq!(enqueued(plane(&header, &none)).key.len(), 32, "the hash of the body");
}

#[test]
fn a_work_item_and_its_comments_are_one_order() {
    let item = fixture("plane-real/003-issue-updated.body");
    let comment = fixture("plane-real/010-issue_comment-created.body");
    let item = enqueued(plane(&[], &item)).order_key.unwrap();
    let comment = enqueued(plane(&[], &comment)).order_key.unwrap();
    assert!(item.starts_with(&format!("plane:{PROJECT}:")), "{item}");
    assert_eq!(item, comment);
}

#[test]
fn version_2_is_named_by_its_header_and_version_1_by_its_signed_body() {
    let enum_in_body = fixture("plane/v2_workitem_updated.docs_verbatim.json");
    let new = enqueued(plane(&[("X-Plane-Event", "workitem.updated")], &enum_in_body));
    assert!(new.payload.text().unwrap().contains(r#""event":"workitem.updated""#));
    ignored(plane(&[("X-Plane-Event", "workitem.link.created")], &enum_in_body));

    let body = fixture("plane-real/001-issue-created.body");
    let new = enqueued(plane(&[("X-Plane-Event", "cycle")], &body));
    assert!(new.payload.text().unwrap().contains(r#""event":"issue""#), "the header is not signed");
}

#[test]
fn a_repository_under_a_name_of_nobodys_may_be_a_project_s_by_its_id() {
    let pairs: Pairs<'_> = &[("X-Gitea-Event", "push")];
    let text = r#"{"repository":{"id":11,"full_name":"acme/store"}}"#;
    match gitea(pairs, text) {
        Verdict::EnqueueIfRenamed { id, about: _, new, unknown } => {
            assert_eq!((id, new.repo.as_deref()), (11, Some("acme/store")));
            assert!(unknown.contains("acme/store"), "{unknown}");
        }
        other @ (Verdict::Ignored(_) | Verdict::Unknown(_) | Verdict::Enqueue(_)) => panic!("{other:?}"),
    }
    let known = r#"{"repository":{"id":11,"full_name":"acme/widgets"}}"#;
    assert!(matches!(gitea(pairs, known), Verdict::Enqueue(_)));
}

#[test]
fn gitea_by_event_and_repository() {
    let body = r#"{"repository":{"full_name":"Acme/Widgets"}}"#;
    let rows: &[(Pairs<'_>, &str, bool)] = &[
        (&[("X-Gitea-Event", "push"), ("X-Gitea-Event-Type", "push")], body, true),
        (&[("X-Gitea-Event", "push")], body, true),
        (&[("X-Forgejo-Event", "push")], body, true),
        (&[("X-GitHub-Event", "push")], body, true),
        (&[("X-Gitea-Event", "pull_request"), ("X-Gitea-Event-Type", "pull_request_sync")], body, true),
        (&[("X-Gitea-Event", "pull_request"), ("X-Gitea-Event-Type", "pull_request_label")], body, false),
        (&[("X-Gitea-Event", "pull_request_approved")], body, true),
        (&[("X-Gitea-Event", "issues")], body, false),
        (&[("X-Gitea-Event", "release")], body, false),
        (&[], body, false),
        (&[("X-Gitea-Event", "push")], r#"{"repository":{"full_name":"acme/other"}}"#, false),
        (&[("X-Gitea-Event", "push")], r#"{"repository":null}"#, false),
        (&[("X-Gitea-Event", "push")], "{}", false),
    ];
    for (pairs, text, wanted) in rows {
        let verdict = gitea(pairs, text);
        assert_eq!(matches!(verdict, Verdict::Enqueue(_)), *wanted, "{pairs:?} {text}: {verdict:?}");
    }
    let new = enqueued(gitea(&[("X-Gitea-Event", "push")], body));
    assert_eq!(new.order_key.as_deref(), Some("gitea:Acme/Widgets"));
    assert_eq!(new.repo.as_deref(), Some("Acme/Widgets"));
}

/// One branch's look may take minutes: it holds nothing of another branch, and nothing of its own passes it.
#[test]
fn what_happens_to_one_branch_is_one_order() {
    let of = |name: &str, fields: &str| format!(r#"{{"repository":{{"id":11,"full_name":"{name}"}}{fields}}}"#);
    let pull = |head: &str| format!(r#","number":7,"pull_request":{{"number":7,"head":{head}}}"#);
    let sha = "a".repeat(40);
    let rows: &[(&str, String, &str)] = &[
        ("push", r#","ref":"refs/heads/feature/x""#.into(), ":feature/x"),
        ("create", r#","ref":"feature/x","ref_type":"branch""#.into(), ":feature/x"),
        ("delete", r#","ref":"feature/x","ref_type":"branch""#.into(), ":feature/x"),
        ("pull_request", pull(r#"{"label":"feature/x","ref":"refs/pull/7/head"}"#), ":feature/x"),
        ("pull_request_approved", pull(r#"{"label":"","ref":"feature/x"}"#), ":feature/x"),
        ("pull_request", pull("null"), ""),
        ("workflow_run", format!(r#","workflow_run":{{"head_branch":"feature/x","head_sha":"{sha}"}}"#), ":feature/x"),
        ("workflow_job", format!(r#","workflow_job":{{"head_branch":"","head_sha":"{sha}"}}"#), ":SHA"),
        ("issue_comment", r#","issue":{"number":7}"#.into(), ":#7"),
        ("status", format!(r#","sha":"{sha}""#), ":SHA"),
        ("status", String::new(), ""),
        // What is not as any forge has it is taken all the same, in the order of the repository.
        ("push", r#","ref":7"#.into(), ""),
        ("pull_request", r#","pull_request":[]"#.into(), ""),
        ("push", format!(r#","ref":"{}""#, "x".repeat(300)), ""),
    ];
    for (event, fields, about) in rows {
        let new = enqueued(gitea(&[("X-Gitea-Event", event)], &of("acme/widgets", fields)));
        let wanted = format!("gitea:acme/widgets{}", about.replace("SHA", &sha));
        assert_eq!(new.order_key.as_deref(), Some(wanted.as_str()), "{event} {fields}");
        let Verdict::EnqueueIfRenamed { about: named, new, .. } =
            gitea(&[("X-Gitea-Event", event)], &of("acme/store", fields))
        else {
            panic!("{event} {fields}");
        };
        let wanted = format!("gitea:acme/shop{}", about.replace("SHA", &sha));
        let new = new.of_repository("acme/shop".into(), named.as_deref());
        assert_eq!(new.order_key, Some(wanted), "{event} {fields}, under another name");
    }
}

#[test]
fn gitea_is_known_again_by_its_delivery_id_else_by_its_body() {
    let body = r#"{"repository":{"full_name":"acme/widgets"}}"#;
    let hash = Sha256::digest(body.as_bytes()).to_vec();
    let long = "x".repeat(NAME_BYTES + 1);
    let rows: &[(Pairs<'_>, &[u8])] = &[
        (&[("X-Gitea-Delivery", "d-1")], b"d-1"),
        (&[("X-Forgejo-Delivery", "d-2")], b"d-2"),
        (&[("X-GitHub-Delivery", "d-3")], b"d-3"),
        (&[("X-Gogs-Delivery", "d-4")], b"d-4"),
        (&[("X-Gogs-Delivery", "d-4"), ("X-Gitea-Delivery", "d-1")], b"d-1"),
        (&[("X-Gitea-Delivery", ""), ("X-Gogs-Delivery", "d-4")], b"d-4"),
        (&[("X-Gitea-Delivery", &long)], &hash),
        (&[("X-Gitea-Delivery", "  ")], &hash),
        (&[], &hash),
    ];
    for (pairs, key) in rows {
        let mut all = vec![("X-Gitea-Event", "push")];
        all.extend_from_slice(pairs);
        assert_eq!(enqueued(gitea(&all, body)).key, *key, "{pairs:?}");
    }
}

#[test]
fn the_payload_holds_the_body_as_it_came() {
    let rows = [
        r#"{"repository":{"full_name":"acme/widgets"}}"#,
        "  {\"repository\" :\t{\"full_name\":\"acme/widgets\"}, \"x\": [1.0, 1e999, -0]}\r\n",
        r#"{"a":"\ud83d","b":"\u003c</script>","repository":{"full_name":"acme/widgets"},"n":null}"#,
        "{\"repository\":{\"full_name\":\"acme/widgets\"},\"t\":\"é 🚀 \u{2028}\"}",
    ];
    for text in rows {
        let pairs = [("X-Gitea-Event", "push"), ("X-Gitea-Event-Type", "push"), ("X-Gitea-Delivery", "d\"1")];
        let new = enqueued(gitea(&pairs, text));
        let payload = new.payload.text().unwrap();
        let read: EventPayload<'_> = serde_json::from_str(&payload).unwrap();
        assert_eq!(read.body.get(), text.trim());
        assert_eq!((read.source, read.event.as_deref()), (Source::Gitea, Some("push")));
        assert_eq!((read.event_type.as_deref(), read.delivery.as_deref()), (Some("push"), Some("d\"1")));
    }
    let deep =
        format!(r#"{{"repository":{{"full_name":"acme/widgets"}},"x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let new = enqueued(gitea(&[("X-Gitea-Event", "push")], &deep));
    assert_eq!(serde_json::from_str::<EventPayload<'_>>(&new.payload.text().unwrap()).unwrap().body.get(), deep);
}

#[test]
fn what_is_no_webhook() {
    let not_json = ["", " ", "{", "nope", "{}}", r#"{"a":1,}"#, "[1", "{\"a\":\"\u{1}\"}", "\u{feff}{}", "{'a':1}"];
    let not_an_object = ["[]", "null", "5", "\"{}\"", r#"[null,null,null]"#];
    let shape = [r#"{"event":5}"#, r#"{"data":[]}x"#, r#"{"data":"text"}"#, r#"{"event":"a","event":"b"}"#];
    let read = |text: &str| plane::read(&HashSet::new(), &headers(&[]), text.to_owned()).unwrap_err();
    for text in not_json {
        assert!(matches!(read(text), Malformed::NotJson(_)), "{text:?}: {:?}", read(text));
    }
    for text in not_an_object {
        assert_eq!(read(text), Malformed::NotAnObject, "{text:?}");
    }
    for text in shape {
        let error = read(text);
        assert!(matches!(error, Malformed::Shape(_) | Malformed::NotJson(_)), "{text:?}: {error:?}");
    }
}

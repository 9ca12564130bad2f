//! The answers of a real Plane, byte for byte, through the client.

use super::plane_at;
use orch_common::domain::effect::StateGroup;
use orch_tests::fakes::{Reply, Server, fixture_json};
use orch_worker::clients::ApiError;

const P: &str = "2fdcb802-fa20-4631-af76-0e9ed39ecfb9";
const ITEM: &str = "cdce8fab-747c-4e2a-98b2-3417053fe57c";

/// A server that gives the recorded answer to everything, and says that it was the last page.
fn answering(name: &str) -> Server {
    let mut recorded = fixture_json(&format!("plane-real/rest/{name}.json"))["response"].clone();
    if let Some(more) = recorded["body"].get_mut("next_page_results") {
        *more = false.into();
    }
    let status = recorded["status"].as_u64().unwrap() as u16;
    let mut reply = Reply::json(status, recorded["body"].clone());
    for header in recorded["headers"].as_array().into_iter().flatten() {
        if header[0] == "Retry-After" {
            reply = reply.with("retry-after", header[1].as_str().unwrap());
        }
    }
    // One thing that is not there says so; who asks is found all the same.
    Server::start(move |request| match request.path.contains("/users/me") && status == 404 {
        true => Reply::json(200, serde_json::json!({ "id": "me" })),
        false => reply.clone(),
    })
}

#[tokio::test]
async fn reads_are_understood() {
    let client = |name: &str| {
        let server = answering(name);
        (plane_at(&server.url), server)
    };
    let (plane, _s) = client("01-users-me");
    assert_eq!(plane.me().await.unwrap().display_name, "orchestrator");
    let (plane, _s) = client("02-projects-list");
    assert_eq!(plane.projects().await.unwrap()[0].identifier, "ET");
    let (plane, _s) = client("03-project-detail");
    assert_eq!(plane.project(P).await.unwrap().id, P);
    let (plane, _s) = client("04-project-members");
    assert_eq!(plane.members(P).await.unwrap().len(), 3);
    let (plane, _s) = client("05-workspace-members-as-member");
    let roles: Vec<_> = plane.workspace_members().await.unwrap().into_iter().filter_map(|p| p.role).collect();
    assert_eq!(roles, [15, 15, 20]);
    let (plane, _s) = client("07-states-list");
    let states = plane.states(P).await.unwrap();
    assert!(states.iter().any(|s| s.name == "Todo" && s.group == "unstarted"), "{states:?}");
    let (plane, _s) = client("13-labels-list");
    assert!(!plane.labels(P).await.unwrap().is_empty());
    let (plane, _s) = client("20-work-items-list");
    assert!(!plane.work_items_updated_since(P, 0).await.unwrap().is_empty());
    let (plane, _s) = client("22-work-item-get");
    let item = plane.work_item(P, ITEM).await.unwrap();
    assert_eq!((item.sequence_id, item.state.name), (1, None));
    let (plane, _s) = client("23-work-item-get-expanded");
    let item = plane.work_item(P, ITEM).await.unwrap();
    assert_eq!((item.state.name.as_deref(), item.state.group.as_deref()), (Some("Backlog"), Some("backlog")));
    let (plane, _s) = client("47-comments-list");
    assert!(!plane.comments(P, ITEM).await.unwrap().is_empty());
    let (plane, _s) = client("50-activities-list");
    let history = plane.activities(P, ITEM).await.unwrap();
    assert!(history.iter().any(|a| a.field.as_deref() == Some("state") && a.new_identifier.is_some()), "{history:?}");
}

#[tokio::test]
async fn a_time_in_another_zone_is_the_same_instant() {
    let recorded = fixture_json("plane-real/rest/316-timezone-of-token-user.json").to_string();
    assert!(recorded.contains("+05:30"), "the capture is of a user elsewhere");
    let server = answering("22-work-item-get");
    let item = plane_at(&server.url).work_item(P, ITEM).await.unwrap();
    assert_eq!(item.created_at, 1_795_340_559_129);
}

#[tokio::test]
async fn writes_that_were_made_before_are_recognised() {
    let comment = answering("41-comment-create-same-external-id");
    let posted = plane_at(&comment.url).post_comment(P, ITEM, "<p>x</p>", "job-7").await.unwrap();
    assert_eq!((posted.existed, posted.id.as_str()), (true, "0ed18ce3-9c3b-4967-94f7-6cef85fcedda"));
    let fresh = answering("40-comment-create-orchestrator");
    let posted = plane_at(&fresh.url).post_comment(P, ITEM, "<p>x</p>", "job-7").await.unwrap();
    assert_eq!((posted.existed, posted.id.as_str()), (false, "0ed18ce3-9c3b-4967-94f7-6cef85fcedda"));
    let link = answering("54-link-add-again");
    assert!(!plane_at(&link.url).add_link(P, ITEM, "http://x/1", "one").await.unwrap());
    let link = answering("53-link-add");
    let url = "http://127.0.0.1:3000/acme/et/pulls/1";
    assert!(plane_at(&link.url).add_link(P, ITEM, url, "PR 1").await.unwrap());
    let state = answering("09-state-create-duplicate");
    let state = plane_at(&state.url).create_state(P, "Analysis", StateGroup::Started).await.unwrap();
    assert_eq!(state.id, "0d911f93-beb2-46d4-b36d-93f3988e6a24");
    let state = answering("08-state-create-as-admin");
    assert_eq!(plane_at(&state.url).create_state(P, "Analysis", StateGroup::Started).await.unwrap().name, "Analysis");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let limited = answering("200-rate-limited-429");
    let error = plane_at(&limited.url).states(P).await.unwrap_err();
    assert_eq!(error, ApiError::RateLimited { retry_after_s: 57 });
    let table = [
        ("55-err-no-token", "not allowed"),
        ("56-err-bad-token", "not allowed"),
        ("57-err-bad-workspace", "not allowed"),
        ("58-err-unknown-project", "not allowed"),
        ("59-err-unknown-work-item", "not found"),
        ("62-err-non-uuid-id", "not found"),
        ("63-err-no-trailing-slash-get", "refused with status 301"),
        ("302-per-page-too-large", "refused with status 400"),
        ("303-per-page-zero", "unavailable: status 500"),
        ("61-err-comment-on-unknown-work-item", "refused with status 400"),
    ];
    for (name, expected) in table {
        let server = answering(name);
        let error = plane_at(&server.url).work_item(P, ITEM).await.unwrap_err();
        assert!(error.to_string().starts_with(expected), "{name}: {error}");
    }
}

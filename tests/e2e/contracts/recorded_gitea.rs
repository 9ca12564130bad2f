//! Answers of real forges, and of their versions as read in the source, through the client.

use super::gitea_at;
use orch_tests::fakes::{Reply, Server, fixture_json};
use orch_worker::clients::ApiError;
use orch_worker::clients::gitea::standing;
use serde_json::Value;

const REPO: &str = "test_repo";

/// Gives a fixture's answer to every first page, and nothing on later ones.
fn answering(name: &str) -> Server {
    let file = fixture_json(&format!("gitea/{name}.json"));
    let (status, body) = match file.get("request") {
        Some(_) => (file["status"].as_u64().unwrap() as u16, file["body"].clone()),
        None => (200, file),
    };
    Server::start(move |request| {
        let later = request.query("page").is_some_and(|page| page != "1");
        let empty = if body.is_array() { Value::Array(Vec::new()) } else { body.clone() };
        Reply::json(status, if later { empty } else { body.clone() })
    })
}

#[tokio::test]
async fn recorded_answers_are_understood() {
    let server = answering("recorded_version");
    assert_eq!(gitea_at(&server.url).version().await.unwrap().gitea, Some((1, 23)));
    let server = answering("recorded_forgejo_version");
    let version = gitea_at(&server.url).version().await.unwrap();
    assert!(version.forgejo && !version.sends_status_events());
    let server = answering("recorded_repo");
    assert_eq!(gitea_at(&server.url).repo(REPO).await.unwrap().full_name, "gitea/test_repo");
    let server = answering("recorded_pulls_page1");
    let pulls = gitea_at(&server.url).newest_open_pulls(REPO).await.unwrap();
    assert_eq!(pulls.iter().map(|p| p.number).collect::<Vec<_>>(), [13, 12, 11]);
    let gone = pulls.iter().find(|p| p.number == 12).unwrap();
    assert_ne!(gone.branch(), gone.head.r#ref, "the label outlives the branch");
    let server = answering("recorded_forgejo_pulls_agit");
    assert!(!gitea_at(&server.url).newest_open_pulls(REPO).await.unwrap().is_empty());
    let server = answering("recorded_pull_reviews");
    let client = gitea_at(&server.url);
    assert!(!client.all_reviews(REPO, 7).await.unwrap().is_empty());
    let server = answering("recorded_issue_comments");
    assert!(!gitea_at(&server.url).comments(REPO, 4).await.unwrap().is_empty());
}

#[tokio::test]
async fn constructed_answers_are_understood() {
    let server = answering("rest_branch");
    let branch = gitea_at(&server.url).branch(REPO, "feature/PROJ-123-add-export").await.unwrap().unwrap();
    assert_eq!(branch.head(), "3a5b7c9d1e3f5a7b9c1d3e5f7a9b1c3d5e7f9a1b");
    let server = answering("rest_pull");
    let pull = gitea_at(&server.url).pull(REPO, 42).await.unwrap().unwrap();
    assert!(pull.is_open() && pull.mergeable && pull.branch() == "feature/PROJ-123-add-export");
    let server = answering("rest_reviews");
    let reviews = gitea_at(&server.url).all_reviews(REPO, 42).await.unwrap();
    let stand = standing(&reviews);
    assert_eq!(stand.iter().map(|r| (r.id, r.rejects())).collect::<Vec<_>>(), [(502, false)]);
}

#[tokio::test]
async fn no_status_at_all_is_no_status_in_every_version() {
    for version in ["v1_24", "v1_25", "v1_26"] {
        let server = answering(&format!("rest_combined_status_none.{version}"));
        let status = gitea_at(&server.url).combined_status(REPO, "3a5b").await.unwrap();
        assert!(status.contexts.is_empty() && status.server_time.is_some(), "{version}: {status:?}");
    }
    let server = answering("rest_combined_status_pending");
    let client = gitea_at(&server.url);
    let checks = client.checks(&client.combined_status(REPO, "3a5b").await.unwrap());
    assert_eq!(checks.len(), 2);
    assert!(checks.iter().all(|check| check.at > 0), "{checks:?}");
}

#[tokio::test]
async fn each_documented_error_has_its_kind() {
    let errors = fixture_json("gitea/rest_errors.json");
    for (name, body) in errors.as_object().unwrap() {
        let status: u16 = name.split('_').next().unwrap().parse().unwrap();
        let answer = body.clone();
        let server = Server::start(move |_| Reply::json(status, answer.clone()));
        let error = gitea_at(&server.url).repo(REPO).await.unwrap_err();
        let right = match status {
            401 | 403 => matches!(error, ApiError::Unauthorized(_)),
            404 => error == ApiError::NotFound,
            409 => matches!(error, ApiError::Conflict { .. }),
            _ => matches!(error, ApiError::Refused { status: s, .. } if s == status),
        };
        assert!(right, "{name}: {error}");
    }
}

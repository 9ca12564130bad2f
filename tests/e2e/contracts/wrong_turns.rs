//! Everything that goes wrong between two programs, and the error each becomes. No token shows up in any.

use super::{gitea_at, plane_at};
use orch_tests::fakes::{FakeGitea, FakePlane, Fault, Reply, Server};
use orch_worker::clients::ApiError;
use orch_worker::clients::plane::{PlaneClient, PlaneSettings};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::time::Duration;

/// The variant, without its texts.
fn kind(error: &ApiError) -> &'static str {
    match error {
        ApiError::RateLimited { .. } => "rate limited",
        ApiError::NotFound => "not found",
        ApiError::Unauthorized(_) => "unauthorized",
        ApiError::Conflict { .. } => "conflict",
        ApiError::Refused { .. } => "refused",
        ApiError::Unavailable { .. } => "unavailable",
        ApiError::Malformed { .. } => "malformed",
    }
}

#[tokio::test]
async fn each_wrong_turn_has_its_error() {
    let answer = |status, body: Value| Fault::Answer(Reply::json(status, body));
    let html =
        Reply { status: 200, headers: vec![("content-type", "text/html".into())], body: b"<html>login".to_vec() };
    let moved = Reply::empty(301).with("location", "http://127.0.0.1:1/");
    let table: [(&str, Fault, &str, usize); 11] = [
        ("slow", Fault::Slow(Duration::from_secs(10)), "unavailable", 1),
        ("cut", Fault::Cut, "unavailable", 3),
        ("401", answer(401, json!({ "detail": "no" })), "unauthorized", 1),
        ("403", answer(403, json!({ "detail": "no" })), "unauthorized", 1),
        // Twice: the second call asks whether anything is found at all.
        ("404", answer(404, json!({ "error": "The requested resource does not exist." })), "not found", 2),
        ("301", Fault::Answer(moved), "refused", 1),
        ("415", answer(415, json!({})), "refused", 1),
        ("500", answer(500, json!({})), "unavailable", 1),
        ("502", answer(502, json!({})), "unavailable", 3),
        ("503 for long", Fault::Answer(Reply::empty(503).with("retry-after", 60)), "unavailable", 1),
        ("a login page", Fault::Answer(html), "malformed", 1),
    ];
    for (what, fault, expected, tries) in table {
        let plane = FakePlane::start();
        let client = plane_at(plane.url());
        plane.fail_when("", "/projects/", 3, fault);
        let error = client.project(FakePlane::PROJECT).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{what}: {error}");
        assert!(!error.to_string().contains(FakePlane::TOKEN), "{what}: {error}");
        if what != "slow" {
            assert_eq!(plane.requests().len(), tries, "{what}");
        }
    }
}

/// A service that finds nothing at all, not even who asks, has not said that one thing is gone.
#[tokio::test]
async fn not_found_is_believed_of_a_service_that_finds_something() {
    let (plane, forge) = (FakePlane::start(), FakeGitea::start());
    forge.add_plain_repo("widgets");
    let (planes, forges) = (plane_at(plane.url()), gitea_at(forge.url()));
    let item = uuid::Uuid::new_v4().to_string();
    assert_eq!(planes.work_item(FakePlane::PROJECT, &item).await.unwrap_err(), ApiError::NotFound);
    assert_eq!(forges.pull("widgets", 7).await.unwrap(), None);
    assert_eq!(forges.all_reviews("widgets", 7).await.unwrap_err(), ApiError::NotFound);
    let nothing = Fault::Answer(Reply::json(404, json!({ "message": "not found" })));
    plane.fall_ill(Some(nothing.clone()));
    forge.fall_ill(Some(nothing));
    assert_eq!(kind(&planes.work_item(FakePlane::PROJECT, &item).await.unwrap_err()), "unavailable");
    assert_eq!(kind(&forges.pull("widgets", 7).await.unwrap_err()), "unavailable");
    assert_eq!(kind(&forges.all_reviews("widgets", 7).await.unwrap_err()), "unavailable");
}

#[tokio::test]
async fn a_short_outage_is_waited_out() {
    for fault in [Fault::Cut, Fault::status(502), Fault::status(503), Fault::status(504)] {
        let plane = FakePlane::start();
        plane.fail_next(2, fault.clone());
        assert_eq!(plane_at(plane.url()).me().await.unwrap().id, FakePlane::BOT, "{fault:?}");
        assert_eq!(plane.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_write_that_could_double_is_not_repeated() {
    let forge = FakeGitea::start();
    forge.add_plain_repo("widgets");
    forge.set_branch("widgets", "work", &"b".repeat(40));
    forge.fail_when("POST", "/pulls", 1, Fault::LostAnswer);
    let client = gitea_at(forge.url());
    let new = orch_worker::clients::gitea::NewPull { branch: "work", base: "main", title: "t", body: "" };
    assert_eq!(kind(&client.create_pull("widgets", new).await.unwrap_err()), "unavailable");
    assert_eq!(forge.pulls("widgets").len(), 1);
    let again = client.create_pull("widgets", new).await.unwrap();
    assert_eq!((again.number, again.existed), (1, true));
}

#[tokio::test]
async fn a_refused_connection_is_an_unavailable_service() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = plane_at(&format!("http://127.0.0.1:{port}")).me().await.unwrap_err();
    assert_eq!(kind(&error), "unavailable", "{error}");
}

#[tokio::test]
async fn a_bad_token_and_a_wrong_workspace_are_told_apart_from_absence() {
    let plane = FakePlane::start();
    let client = |workspace: &str, token: &str| {
        let settings = PlaneSettings { url: plane.url().into(), workspace: workspace.into(), token: token.into() };
        PlaneClient::new(settings).unwrap()
    };
    let bad = client(FakePlane::WORKSPACE, "plane_api_wrong").me().await.unwrap_err();
    assert_eq!(bad, ApiError::Unauthorized(r#"{"detail":"Given API token is not valid"}"#.into()));
    let nowhere = client("nope", FakePlane::TOKEN).states(FakePlane::PROJECT).await.unwrap_err();
    assert_eq!(kind(&nowhere), "unauthorized");
    let missing = plane_at(plane.url()).work_item(FakePlane::PROJECT, &uuid::Uuid::new_v4().to_string()).await;
    assert_eq!(missing.unwrap_err(), ApiError::NotFound);
}

#[tokio::test]
async fn the_servers_limit_stops_every_later_call_without_asking() {
    let plane = FakePlane::start();
    plane.limit_per_minute(Some(2));
    let first = plane_at(plane.url()).with_rate(2);
    first.me().await.unwrap();
    first.me().await.unwrap();
    let wait = first.me().await.unwrap_err().retry_after().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    assert_eq!(plane.requests().len(), 2, "what is left is known, and no more is asked for");
    // Who has not called yet is told.
    let client = plane_at(plane.url());
    let wait = client.me().await.unwrap_err().retry_after().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(plane.requests().len(), 3);
    assert_eq!(kind(&client.states(FakePlane::PROJECT).await.unwrap_err()), "rate limited");
    assert_eq!(plane.requests().len(), 3, "the server was not asked again");
    let word = client.limited().word().unwrap();
    let neighbour = plane_at(plane.url());
    neighbour.limited().learn(word);
    assert_eq!(kind(&neighbour.me().await.unwrap_err()), "rate limited");
    assert_eq!(plane.requests().len(), 3);
}

#[tokio::test]
async fn lists_are_read_to_their_end_and_no_further() {
    let plane = FakePlane::start();
    let client = plane_at(plane.url());
    let (item, _) = plane.create_item("one", "", &[]);
    for n in 0..230 {
        plane.comment(&item, &format!("<p>{n}</p>"));
    }
    let comments = client.comments(FakePlane::PROJECT, &item).await.unwrap();
    let texts: Vec<&str> = comments.iter().map(|c| c.comment_html.as_str()).collect();
    assert_eq!((texts.len(), texts[0], texts[229]), (230, "<p>229</p>", "<p>0</p>"));
    assert_eq!(plane.requests().len(), 3);

    plane.forget_requests();
    for n in 0..250 {
        plane.create_item(&format!("item {n}"), "", &[]);
    }
    let all = client.work_items_updated_since(FakePlane::PROJECT, 0).await.unwrap();
    assert_eq!((all.len(), plane.requests().len()), (251, 3));
    plane.forget_requests();
    let since = all[4].updated_at;
    let fresh = client.work_items_updated_since(FakePlane::PROJECT, since).await.unwrap();
    assert_eq!((fresh.len(), plane.requests().len()), (5, 1), "left where the list becomes older");
}

#[tokio::test]
async fn a_pull_request_is_found_by_its_ends_however_many_there_are() {
    let forge = FakeGitea::start();
    forge.add_plain_repo("widgets");
    let client = gitea_at(forge.url());
    for n in 0..120 {
        let branch = format!("work-{n}");
        forge.set_branch("widgets", &branch, &format!("{n:040x}"));
        let new = orch_worker::clients::gitea::NewPull { branch: &branch, base: "main", title: "t", body: "" };
        client.create_pull("widgets", new).await.unwrap();
    }
    forge.forget_requests();
    let found = client.pull_between("widgets", "main", "work-0").await.unwrap();
    assert_eq!((found.map(|pull| pull.number), forge.requests().len()), (Some(1), 1));
    assert_eq!(client.pull_between("widgets", "main", "work-x").await.unwrap(), None);
    forge.forget_requests();
    let newest = client.newest_open_pulls("widgets").await.unwrap();
    assert_eq!((newest.len(), newest[0].number, forge.requests().len()), (50, 120, 1));
}

#[tokio::test]
async fn a_server_before_1_1_is_called_by_its_old_routes() {
    let plane = FakePlane::start();
    plane.only_old_routes();
    let client = plane_at(plane.url());
    let (item, _) = plane.create_item("one", "", &[]);
    assert_eq!(client.work_item(FakePlane::PROJECT, &item).await.unwrap().name, "one");
    plane.forget_requests();
    client.comments(FakePlane::PROJECT, &item).await.unwrap();
    assert_eq!(plane.requests().len(), 1, "it has learnt");
}

#[tokio::test]
async fn a_wrong_id_does_not_look_like_an_old_server() {
    let plane = FakePlane::start();
    let client = plane_at(plane.url());
    assert_eq!(client.work_item(FakePlane::PROJECT, "no-uuid").await.unwrap_err(), ApiError::NotFound);
    plane.forget_requests();
    let (item, _) = plane.create_item("one", "", &[]);
    client.work_item(FakePlane::PROJECT, &item).await.unwrap();
    assert!(plane.requests()[0].path.contains("/work-items/"));
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let server = Server::start(|_| Reply { status: 200, headers: vec![], body: vec![b' '; 17 << 20] });
    let error = gitea_at(&server.url).version().await.unwrap_err();
    assert_eq!(error, ApiError::Malformed { why: "larger than 16 MiB".into() });
}

#[tokio::test]
async fn every_path_of_plane_ends_in_a_slash() {
    let plane = FakePlane::start();
    let client = plane_at(plane.url());
    let (item, _) = plane.create_item("one", "", &["auto"]);
    client.projects().await.unwrap();
    let people = client.workspace_members().await.unwrap();
    assert!(people.iter().any(|person| person.id == FakePlane::BOT && person.role == Some(15)), "{people:?}");
    client.labels(FakePlane::PROJECT).await.unwrap();
    client.members(FakePlane::PROJECT).await.unwrap();
    client.activities(FakePlane::PROJECT, &item).await.unwrap();
    client.add_link(FakePlane::PROJECT, &item, "http://x/1", "one").await.unwrap();
    let requests = plane.requests();
    assert!(requests.iter().all(|r| r.path.ends_with('/') && r.status < 300), "{requests:?}");
    let agent = requests[0].header("user-agent").unwrap();
    assert!(agent.starts_with("orch/"), "{agent}");
}

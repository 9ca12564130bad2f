//! Every request of the forge client against the forge's own description, for the oldest and the newest version.

use super::gitea_at;
use orch_common::domain::effect::StatusState;
use orch_common::domain::merge::MergeStyle;
use orch_tests::fakes::{FakeGitea, Request, fixture_json};
use orch_worker::clients::gitea::{Asked, GiteaClient, NewHook, NewMerge, NewPull, NewReview, NewStatus};
use serde_json::Value;

const REPO: &str = "widgets";
const BRANCH: &str = "feature/PROJ-1-x";

/// The merge form goes out in both spellings, since 1.26 renamed its keys.
const ALIASES: &[(&str, &str)] =
    &[("Do", "do"), ("MergeTitleField", "merge_title_field"), ("MergeMessageField", "merge_message_field")];

/// Uses every call once that the client has.
async fn use_everything(forge: &FakeGitea, client: &GiteaClient) {
    forge.add_plain_repo(REPO);
    client.me().await.unwrap();
    client.version().await.unwrap();
    client.repo(REPO).await.unwrap();
    client.create_branch(REPO, BRANCH, "main").await.unwrap();
    client.branch(REPO, BRANCH).await.unwrap().unwrap();
    let head = "b".repeat(40);
    forge.set_branch(REPO, BRANCH, &head);
    let new = NewPull { branch: BRANCH, base: "main", title: "t", body: "b" };
    let number = client.create_pull(REPO, new).await.unwrap().number;
    client.pull(REPO, number).await.unwrap().unwrap();
    client.pull_between(REPO, "main", BRANCH).await.unwrap().unwrap();
    client.newest_open_pulls(REPO).await.unwrap();
    client.all_reviews(REPO, number).await.unwrap();
    client.combined_status(REPO, &head).await.unwrap();
    let status = NewStatus {
        context: "orch/gate",
        state: StatusState::Success,
        description: "ok",
        target_url: Some("http://plane.test/x"),
    };
    client.set_status(REPO, &head, status).await.unwrap();
    client.post_comment_once(REPO, number, "k", "text").await.unwrap();
    let by_reviewer = super::gitea_reviewer_at(forge.url());
    let commit = head.parse().unwrap();
    for (key, approved) in [("v1", false), ("v2", true)] {
        let review = NewReview { approved, head: &commit, key, text: "so" };
        assert!(by_reviewer.reviews_under(REPO, number, key).await.unwrap().is_empty());
        by_reviewer.post_review(REPO, number, review).await.unwrap();
        assert_eq!(by_reviewer.reviews_under(REPO, number, key).await.unwrap().len(), 1);
    }
    let given = client.all_reviews(REPO, number).await.unwrap();
    client.line_comments(REPO, number, given[0].id).await.unwrap();
    by_reviewer.delete_review(REPO, number, given[0].id).await.unwrap();
    forge.set_team("backend", &["hugo"]);
    assert_eq!(client.team_members(FakeGitea::OWNER, "Backend").await.unwrap()[0].login, "hugo");
    let pull = client.pull(REPO, number).await.unwrap().unwrap();
    for who in [Asked::Person("hugo"), Asked::Team("backend")] {
        client.ask_for_review(REPO, &pull, who).await.unwrap();
    }
    client.close_pull(REPO, number).await.unwrap();
    client.reopen_pull(REPO, number).await.unwrap();
    client.person("hugo").await.unwrap().unwrap();
    client.reviewers_of(REPO).await.unwrap();
    client.protections(REPO).await.unwrap();
    client.has_workflows(REPO, "main").await.unwrap();
    client.is_merged(REPO, number).await.unwrap();
    let head = head.parse().unwrap();
    let merge = NewMerge { style: MergeStyle::Squash, head: &head, title: "t", message: "m", delete_branch: false };
    client.merge(REPO, number, merge).await;
    let hook =
        client.create_hook(REPO, NewHook { url: "http://127.0.0.1:8500/webhook/gitea", secret: "s" }).await.unwrap();
    client.hooks(REPO).await.unwrap();
    client.test_hook(REPO, hook.id).await.unwrap();
    client.delete_hook(REPO, hook.id).await.unwrap();
    client.delete_branch(REPO, BRANCH).await.unwrap();
}

/// The operation of a request: the template's segments fit, and a trailing name that may have slashes takes the rest.
fn operation<'a>(swagger: &'a Value, request: &Request) -> Option<&'a Value> {
    let path = request.path.strip_prefix(swagger["basePath"].as_str()?)?;
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let wanted: Vec<&str> = template.split('/').collect();
        let takes_rest = ["{branch}", "{filepath}", "{base}/{head}"].iter().any(|end| template.ends_with(end))
            && parts.len() >= wanted.len();
        (parts.len() == wanted.len() || takes_rest)
            && wanted.iter().zip(&parts).all(|(want, part)| want.starts_with('{') || want == part)
    };
    let paths = swagger["paths"].as_object()?;
    // A literal template goes before one with a parameter in the same place, and before one that takes the rest.
    let rank = |template: &str| (template.matches('{').count(), std::cmp::Reverse(template.matches('/').count()));
    let best = paths.iter().filter(|(template, _)| fits(template)).min_by_key(|(template, _)| rank(template))?;
    best.1.get(request.method.to_lowercase())
}

fn parameters<'a>(operation: &'a Value, place: &'a str) -> impl Iterator<Item = &'a Value> {
    operation["parameters"].as_array().into_iter().flatten().filter(move |p| p["in"] == place)
}

fn check_body(swagger: &Value, operation: &Value, request: &Request) -> Result<(), String> {
    let body = request.json();
    let Some(schema) = parameters(operation, "body").next() else {
        return if body.is_null() { Ok(()) } else { Err("a body where none is described".into()) };
    };
    let name = schema["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
    let definition = &swagger["definitions"][name];
    let known = |key: &str| !definition["properties"][key].is_null();
    for (key, value) in body.as_object().ok_or("no body")? {
        let alias = ALIASES.iter().any(|(old, new)| (key == old && known(new)) || (key == new && known(old)));
        if !known(key) && !alias {
            return Err(format!("{name} has no '{key}'"));
        }
        let allowed = definition["properties"][key]["enum"].as_array();
        if allowed.is_some_and(|allowed| !allowed.contains(value)) {
            return Err(format!("{name}.{key} cannot be {value}"));
        }
    }
    let required = definition["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    match required.into_iter().find(|key| body.get(*key).is_none()) {
        Some(key) => Err(format!("{name} needs '{key}'")),
        None => Ok(()),
    }
}

fn check(swagger: &Value, request: &Request) -> Result<(), String> {
    let operation = operation(swagger, request).ok_or("no such operation")?;
    for (key, _) in &request.query {
        if !parameters(operation, "query").any(|p| p["name"] == key.as_str()) {
            return Err(format!("no query parameter '{key}'"));
        }
    }
    check_body(swagger, operation, request)
}

#[tokio::test]
async fn every_request_is_one_the_forge_describes() {
    for (version, file) in [((1, 22), "gitea/swagger.v1.22.0.json"), ((1, 26), "gitea/swagger.v1.json")] {
        let forge = FakeGitea::start_version(version);
        use_everything(&forge, &gitea_at(forge.url())).await;
        let (swagger, requests) = (fixture_json(file), forge.requests());
        assert!(requests.len() >= 20, "{}", requests.len());
        for request in &requests {
            let at = format!("{} {} for {file}", request.method, request.path);
            assert_eq!(check(&swagger, request), Ok(()), "{at}");
            assert!(matches!(request.status, 200..300 | 404 | 409), "{at}: {}", request.status);
        }
    }
}

#[tokio::test]
async fn the_check_itself_finds_mistakes() {
    let swagger = fixture_json("gitea/swagger.v1.json");
    let request = |method: &str, path: &str, body: &str| Request {
        method: method.into(),
        path: format!("/api/v1/repos/a/b/{path}"),
        query: Vec::new(),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
        status: 0,
    };
    let table = [
        (request("GET", "nothing", ""), "no such operation"),
        (request("PUT", "pulls", ""), "no such operation"),
        (request("POST", "branches", r#"{"new_branch_name":"x","old":"y"}"#), "CreateBranchRepoOption has no 'old'"),
        (request("POST", "branches", r#"{"old_ref_name":"y"}"#), "CreateBranchRepoOption needs 'new_branch_name'"),
        (request("POST", "pulls/1/merge", r#"{"do":"melt"}"#), "MergePullRequestOption.do cannot be \"melt\""),
    ];
    for (request, expected) in table {
        assert_eq!(check(&swagger, &request), Err(expected.to_owned()), "{}", request.path);
    }
}

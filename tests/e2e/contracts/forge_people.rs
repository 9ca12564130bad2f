//! The tests' forge is no kinder than a real one: people and their reviews, pull requests and their ends.

use super::forge_calls::{call, of};
use orch_tests::fakes::{BranchRule, FakeGitea, InlineRow, Right};
use serde_json::{Value, json};
use std::time::Duration;

const REPO: &str = "widgets";
const BRANCH: &str = "feature/ET-1-x";

/// A forge with the bot's pull request #1 of a branch.
async fn forge() -> FakeGitea {
    let forge = FakeGitea::start();
    forge.add_plain_repo(REPO);
    forge.set_branch(REPO, BRANCH, &"b".repeat(40));
    let new = json!({ "head": BRANCH, "base": "main", "title": "ET-1", "body": "" });
    assert_eq!(call(&forge, FakeGitea::BOT, "POST", "/pulls", new).await.0, 201);
    forge
}

/// Who said what of #1, each with the marks the list gives: `off` official, `dis` dismissed, `stale`.
async fn said(forge: &FakeGitea) -> Vec<String> {
    let (_, all) = call(forge, FakeGitea::BOT, "GET", "/pulls/1/reviews", Value::Null).await;
    let one = |r: &Value| {
        let marks = [("off", &r["official"]), ("dis", &r["dismissed"]), ("stale", &r["stale"])];
        let marks: Vec<&str> = marks.iter().filter(|(_, is)| **is == json!(true)).map(|(name, _)| *name).collect();
        format!("{} {} {}", of(r, "/user/login"), of(r, "/state"), marks.join(" ")).trim_end().to_owned()
    };
    all.as_array().unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn a_review_is_official_by_right_and_only_the_newest_verdict_keeps_it() {
    let forge = forge().await;
    for (login, state) in [
        ("hugo", "REQUEST_CHANGES"),
        ("rita", "REQUEST_CHANGES"),
        ("hugo", "APPROVED"),
        ("stranger", "APPROVED"),
        ("tom", "APPROVED"),
        ("tom", "REQUEST_CHANGES"),
        ("hugo", "APPROVED"),
        ("rita", "APPROVED"),
        ("maria", "COMMENT"),
    ] {
        forge.review(REPO, 1, login, state, "so");
    }
    let expected = [
        "hugo REQUEST_CHANGES dis",
        "rita REQUEST_CHANGES dis",
        "hugo APPROVED",
        "stranger APPROVED",
        "tom APPROVED",
        "tom REQUEST_CHANGES off",
        "hugo APPROVED off",
        "rita APPROVED",
        "maria COMMENT",
    ];
    assert_eq!(said(&forge).await, expected);
    let told = forge
        .deliveries()
        .iter()
        .filter(|d| d.header("X-Gitea-Event-Type").is_some_and(|t| t.contains("review_approved")))
        .count();
    assert_eq!(told, 5, "a stranger's is delivered like any other");
    // A base with a list of its own: those and no others.
    let rule = BranchRule { approvers: Some(vec!["rita".into()]), ..BranchRule::default() };
    forge.set_rule(REPO, "main", rule);
    forge.review(REPO, 1, "rita", "APPROVED", "");
    forge.review(REPO, 1, "ada", "APPROVED", "");
    assert_eq!(said(&forge).await[9..], ["rita APPROVED off", "ada APPROVED"]);
}

#[tokio::test]
async fn what_a_deleted_account_said_stays_and_counts() {
    let forge = forge().await;
    forge.review(REPO, 1, "hugo", "APPROVED", "so");
    forge.delete_account("hugo");
    assert_eq!(said(&forge).await, ["Ghost APPROVED off"]);
    let (_, all) = call(&forge, FakeGitea::BOT, "GET", "/pulls/1/reviews", Value::Null).await;
    assert_eq!(all[0]["user"]["id"], -1);
    assert_eq!(call(&forge, "hugo", "GET", "", Value::Null).await.0, 401);
}

#[tokio::test]
async fn a_review_is_stale_some_time_after_the_push_and_names_its_commit_at_once() {
    let forge = forge().await;
    forge.marks_stale_after(REPO, Duration::from_millis(400));
    forge.review(REPO, 1, "hugo", "APPROVED", "so");
    forge.set_branch(REPO, BRANCH, &"c".repeat(40));
    let (_, all) = call(&forge, FakeGitea::BOT, "GET", "/pulls/1/reviews", Value::Null).await;
    assert_eq!((of(&all[0], "/commit_id"), &all[0]["stale"]), ("b".repeat(40), &json!(false)));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(said(&forge).await, ["hugo APPROVED off stale"]);
    // A rule may take approvals back at a push.
    let rule = BranchRule { dismiss_stale: true, ..BranchRule::default() };
    forge.set_rule(REPO, "main", rule);
    forge.set_branch(REPO, BRANCH, &"d".repeat(40));
    assert_eq!(said(&forge).await, ["hugo APPROVED off dis"]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(said(&forge).await, ["hugo APPROVED off dis stale"]);
}

#[tokio::test]
async fn reviews_that_are_refused() {
    let forge = forge().await;
    let give = async |login: &str, event: &str, body: &str| {
        call(&forge, login, "POST", "/pulls/1/reviews", json!({ "event": event, "body": body })).await
    };
    for (login, event, body, words) in [
        (FakeGitea::BOT, "APPROVED", "x", "approve your own pull is not allowed"),
        (FakeGitea::BOT, "REQUEST_CHANGES", "x", "reject your own pull is not allowed"),
        ("hugo", "REQUEST_CHANGES", "", "review event REQUEST_CHANGES requires a body or a comment"),
        ("hugo", "PENDING", "", "review event PENDING requires a body or a comment"),
        ("hugo", "SPLENDID", "x", "[Event]: In"),
    ] {
        let (status, answer) = give(login, event, body).await;
        assert_eq!((status, of(&answer, "/message").as_str()), (422, words), "{login} {event}");
    }
    assert_eq!(give("hugo", "APPROVED", "").await.0, 200);
    forge.close(REPO, 1);
    let (status, answer) = give("tom", "APPROVED", "x").await;
    assert_eq!((status, of(&answer, "/message")), (422, "can't submit review for a closed or merged PR".into()));
}

#[tokio::test]
async fn comments_on_lines_belong_to_their_review() {
    let forge = forge().await;
    let line = InlineRow { path: "src/a.rs".into(), line: 7, hunk: "@@ -1 +7 @@".into(), body: "why?".into() };
    forge.review_lines(REPO, 1, "hugo", ("REQUEST_CHANGES", ""), vec![line]);
    let id = forge.reviews_of(REPO, 1)[0].id;
    let (_, lines) = call(&forge, FakeGitea::BOT, "GET", &format!("/pulls/1/reviews/{id}/comments"), Value::Null).await;
    let told = ["/path", "/diff_hunk", "/body", "/user/login"].map(|at| of(&lines[0], at));
    assert_eq!(told, ["src/a.rs", "@@ -1 +7 @@", "why?", "hugo"]);
    assert_eq!(lines[0]["position"], 7);
}

#[tokio::test]
async fn who_is_asked_for_a_review_is_asked_until_the_verdict() {
    let forge = forge().await;
    forge.set_team("backend", &["tom"]);
    let path = "/pulls/1/requested_reviewers";
    let ask = async |login: &str, names: Value| call(&forge, login, "POST", path, names).await;
    assert_eq!(
        ask(FakeGitea::BOT, json!({ "reviewers": ["hugo", "rita"], "team_reviewers": ["backend"] })).await.0,
        201
    );
    let asked = async || {
        let (_, pull) = call(&forge, FakeGitea::BOT, "GET", "/pulls/1", Value::Null).await;
        let names = pull["requested_reviewers"].as_array().unwrap().iter().map(|u| of(u, "/login")).collect::<Vec<_>>();
        (names, of(&pull["requested_reviewers_teams"][0], "/name"))
    };
    assert_eq!(asked().await, (vec!["hugo".to_owned(), "rita".to_owned()], "backend".to_owned()));
    forge.review(REPO, 1, "hugo", "COMMENT", "hm");
    forge.review(REPO, 1, "rita", "APPROVED", "");
    assert_eq!(asked().await.0, ["hugo"]);
    assert_eq!(said(&forge).await, ["hugo REQUEST_REVIEW off", "hugo COMMENT", "rita APPROVED"]);
    assert_eq!(ask(FakeGitea::BOT, json!({ "reviewers": ["nobody-at-all"] })).await.0, 404);
    assert_eq!(ask(FakeGitea::BOT, json!({ "reviewers": [FakeGitea::BOT] })).await.0, 422);
    assert_eq!(ask("rita", json!({ "reviewers": ["tom"] })).await.0, 403);
    let (status, _) = call(&forge, FakeGitea::BOT, "DELETE", path, json!({ "reviewers": ["hugo"] })).await;
    assert_eq!((status, asked().await.0.len()), (204, 0));
}

#[tokio::test]
async fn several_pull_requests_of_one_branch_are_told_apart_by_number_and_repository() {
    let forge = forge().await;
    forge.set_branch(REPO, "develop", &"e".repeat(40));
    let backport = forge.open_pull_as("hugo", REPO, BRANCH, "develop");
    let fork = forge.open_fork_pull("stranger", REPO, BRANCH, &"f".repeat(40));
    let agit = forge.open_agit_pull("hugo", REPO, &"9".repeat(40));
    let shown = async |number: i64| {
        let (_, pull) = call(&forge, FakeGitea::BOT, "GET", &format!("/pulls/{number}"), Value::Null).await;
        let ours = pull["head"]["repo_id"] == pull["base"]["repo_id"];
        (of(&pull, "/head/label"), of(&pull, "/head/ref"), of(&pull, "/base/ref"), ours, of(&pull, "/user/login"))
    };
    let is =
        |label: &str, at: &str, base: &str, ours, by: &str| (label.into(), at.into(), base.into(), ours, by.into());
    assert_eq!(shown(1).await, is(BRANCH, BRANCH, "main", true, FakeGitea::BOT));
    assert_eq!(shown(backport).await, is(BRANCH, BRANCH, "develop", true, "hugo"));
    assert_eq!(shown(fork).await, is(BRANCH, BRANCH, "main", false, "stranger"));
    assert_eq!(shown(agit).await, is("", &format!("refs/pull/{agit}/head"), "main", true, "hugo"));
    for (base, number) in [("main", 1), ("develop", backport)] {
        let (_, pull) = call(&forge, FakeGitea::BOT, "GET", &format!("/pulls/{base}/{BRANCH}"), Value::Null).await;
        assert_eq!(pull["number"], number);
    }
    let again = json!({ "head": BRANCH, "base": "main", "title": "again", "body": "" });
    assert_eq!(call(&forge, FakeGitea::BOT, "POST", "/pulls", again).await.0, 409);
    let none = json!({ "head": "main", "base": "main", "title": "probe", "body": "" });
    assert_eq!(call(&forge, FakeGitea::BOT, "POST", "/pulls", none.clone()).await.0, 422);
    assert_eq!(call(&forge, "stranger", "POST", "/pulls", none).await.0, 404);
    forge.delete_fork(REPO, fork);
    let (_, gone) = call(&forge, FakeGitea::BOT, "GET", &format!("/pulls/{fork}"), Value::Null).await;
    assert_eq!(
        (&gone["head"]["repo"], &gone["head"]["repo_id"], of(&gone, "/state").as_str()),
        (&Value::Null, &json!(-1), "closed")
    );
}

#[tokio::test]
async fn a_deleted_branch_closes_its_pull_request_and_only_a_person_opens_it_again() {
    let forge = forge().await;
    forge.delete_branch_as("hugo", REPO, BRANCH);
    let state = async || of(&call(&forge, FakeGitea::BOT, "GET", "/pulls/1", Value::Null).await.1, "/state");
    assert_eq!(state().await, "closed");
    let closed = forge.deliveries().pop().unwrap();
    let body: Value = serde_json::from_str(&closed.body).unwrap();
    assert_eq!((of(&body, "/action"), &body["pull_request"]["merged"]), ("closed".into(), &json!(false)));
    let open = json!({ "state": "open" });
    assert_eq!(call(&forge, FakeGitea::BOT, "PATCH", "/pulls/1", open.clone()).await.0, 404, "no branch");
    forge.set_branch(REPO, BRANCH, &"c".repeat(40));
    assert_eq!(state().await, "closed", "the branch alone opens nothing");
    assert_eq!(call(&forge, "rita", "PATCH", "/pulls/1", open.clone()).await.0, 403);
    assert_eq!(call(&forge, FakeGitea::BOT, "PATCH", "/pulls/1", open).await.0, 201);
    assert_eq!(state().await, "open");
}

#[tokio::test]
async fn who_merged_is_told_of_one_and_not_in_lists() {
    let forge = forge().await;
    forge.merge_as("maria", REPO, 1);
    let (_, one) = call(&forge, FakeGitea::BOT, "GET", "/pulls/1", Value::Null).await;
    let (_, all) = call(&forge, FakeGitea::BOT, "GET", "/pulls?state=all", Value::Null).await;
    assert_eq!((of(&one, "/merged_by/login"), &all[0]["merged_by"]), ("maria".into(), &Value::Null));
}

#[tokio::test]
async fn what_a_repository_hides_or_lacks() {
    let forge = forge().await;
    forge.make_private(REPO);
    assert_eq!(call(&forge, "stranger", "GET", "/pulls/1", Value::Null).await.0, 404);
    assert_eq!(call(&forge, "rita", "GET", "/pulls/1", Value::Null).await.0, 200);
    forge.set_right("stranger", Right::Read);
    assert_eq!(call(&forge, "stranger", "GET", "/pulls/1", Value::Null).await.0, 200);
    for path in ["/hooks", "/branch_protections"] {
        assert_eq!(call(&forge, "hugo", "GET", path, Value::Null).await.0, 403, "{path}");
    }
    forge.switch_pulls_off(REPO);
    assert_eq!(call(&forge, FakeGitea::BOT, "GET", "/pulls", Value::Null).await.0, 404);
    let (_, repo) = call(&forge, FakeGitea::BOT, "GET", "", Value::Null).await;
    assert_eq!(repo["has_pull_requests"], false);
}

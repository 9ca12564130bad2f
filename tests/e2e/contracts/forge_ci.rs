//! The tests' forge is no kinder than a real one: statuses, and the jobs of its own CI.

use super::forge_calls::{call, of, send, told};
use orch_tests::fakes::{FakeGitea, NewActionJob};
use serde_json::{Value, json};

const REPO: &str = "widgets";

fn forge() -> (FakeGitea, String) {
    let forge = FakeGitea::start();
    forge.add_plain_repo(REPO);
    let head = "b".repeat(40);
    forge.set_branch(REPO, "work", &head);
    (forge, head)
}

fn job(name: &str, event: &str, sha: &str) -> NewActionJob {
    let branch = if event == "push" { "work" } else { "" };
    let of = str::to_owned;
    NewActionJob { workflow: of("ci"), name: of(name), event: of(event), sha: of(sha), branch: of(branch) }
}

#[tokio::test]
async fn a_combined_status_is_of_its_page_and_of_the_newest_of_each_context() {
    let (forge, head) = forge();
    let path = format!("/commits/{head}/status");
    let (_, none) = call(&forge, FakeGitea::BOT, "GET", &path, Value::Null).await;
    assert_eq!((of(&none, "/state").as_str(), &none["statuses"]), ("", &Value::Null));
    for (context, state) in [("a", "failure"), ("b", "pending"), ("a", "success"), ("c", "splendid")] {
        forge.ci(REPO, &head, context, state);
    }
    let (_, total, text) = send(&forge, FakeGitea::BOT, "GET", &format!("{path}?limit=2"), Value::Null, None).await;
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (total.as_deref(), &page["total_count"], of(&page, "/state").as_str()),
        (Some("3"), &json!(2), "success")
    );
    let (_, all) = call(&forge, FakeGitea::BOT, "GET", &format!("/commits/{head}/statuses"), Value::Null).await;
    let told: Vec<String> =
        all.as_array().unwrap().iter().map(|s| of(s, "/context") + " " + &of(s, "/status")).collect();
    assert_eq!(told, ["c splendid", "a success", "b pending", "a failure"]);
    let body = json!({ "context": "x", "state": "success" });
    assert_eq!(call(&forge, "rita", "POST", &format!("/statuses/{head}"), body).await.0, 403);
}

#[tokio::test]
async fn a_job_tells_of_itself_in_the_order_of_a_quick_one() {
    let (forge, head) = forge();
    let id = forge.job_waits(REPO, job("test", "push", &head));
    forge.job_begins(REPO, id);
    forge.job_ends(REPO, id, "failure", "2026-11-26T14:40:12.1226130Z ##[group]Run test\nboom\n");
    let order = [
        "status pending",
        "workflow_run requested",
        "workflow_job queued",
        "workflow_job in_progress",
        "status pending",
        "status failure",
        "workflow_job completed",
        "workflow_run completed",
    ];
    assert_eq!(told(&forge), order);
    let ended =
        forge.deliveries().into_iter().rfind(|d| d.header("X-Gitea-Event-Type") == Some("workflow_job")).unwrap();
    let body: Value = serde_json::from_str(&ended.body).unwrap();
    assert_eq!(
        (&body["workflow_job"]["id"], of(&body, "/workflow_job/steps/0/conclusion")),
        (&json!(id), "failure".into())
    );
    let status = forge.statuses_of(REPO, &head).pop().unwrap();
    assert_eq!(
        (status.context.as_str(), status.target_url.as_str()),
        ("ci / test (push)", "/acme/widgets/actions/runs/1/jobs/0")
    );
}

#[tokio::test]
async fn that_a_quick_job_runs_is_told_before_that_it_waits() {
    let (forge, head) = forge();
    forge.quick_job(REPO, job("test", "push", &head), "success", "ok\n");
    let order = [
        "status pending",
        "workflow_run requested",
        "workflow_job in_progress",
        "workflow_job queued",
        "status success",
        "workflow_job completed",
        "workflow_run completed",
    ];
    assert_eq!(told(&forge), order);
    let of_status = forge.deliveries().into_iter().rfind(|d| d.header("X-Gitea-Event-Type") == Some("status")).unwrap();
    let body: Value = serde_json::from_str(&of_status.body).unwrap();
    let link = format!("{}/acme/widgets/actions/runs/1/jobs/0", forge.url());
    assert_eq!(of(&body, "/target_url"), link, "a delivery has the host");
}

#[tokio::test]
async fn a_writer_reads_one_job_and_its_log_and_no_list() {
    let (forge, head) = forge();
    let id = forge.job_waits(REPO, job("test", "pull_request", &head));
    let get = async |login: &str, path: &str, range: Option<&'static str>| {
        send(&forge, login, "GET", path, Value::Null, range).await
    };
    for (login, path, status) in [
        ("hugo", "/actions/runs", 403),
        ("hugo", "/actions/jobs", 403),
        (FakeGitea::BOT, "/actions/runs", 403),
        ("ada", "/actions/runs", 200),
        ("hugo", "/actions/tasks", 200),
    ] {
        assert_eq!(get(login, path, None).await.0, status, "{login} {path}");
    }
    let logs = format!("/actions/jobs/{id}/logs");
    assert_eq!(get("hugo", &logs, None).await.0, 404, "it has not begun");
    forge.job_begins(REPO, id);
    forge.job_ends(REPO, id, "cancelled", "one\ntwo\nthree\n");
    let answer = get("hugo", &logs, Some("bytes=-6")).await;
    assert_eq!((answer.0, answer.2.as_str()), (206, "three\n"));
    assert_eq!(get("hugo", &logs, None).await.2, "one\ntwo\nthree\n");
    let (_, one) = call(&forge, "hugo", "GET", &format!("/actions/jobs/{id}"), Value::Null).await;
    assert_eq!((of(&one, "/conclusion").as_str(), &one["steps"]), ("cancelled", &Value::Null));
    assert_eq!(get("hugo", "/actions/jobs/1", None).await.0, 404, "the number that people see is no id");
    let status = forge.statuses_of(REPO, &head).pop().unwrap();
    assert_eq!((status.state.as_str(), status.description.as_str()), ("failure", "Has been cancelled"));
}

#[tokio::test]
async fn two_runs_of_one_context_follow_each_other_and_a_skipped_job_says_so() {
    let (forge, head) = forge();
    for (name, conclusion) in [("test", "success"), ("test", "success"), ("after", "skipped")] {
        let id = forge.job_waits(REPO, job(name, "push", &head));
        forge.job_ends(REPO, id, conclusion, "");
    }
    let said: Vec<String> = forge.statuses_of(REPO, &head).into_iter().map(|s| s.state).collect();
    assert_eq!(said, ["pending", "success", "pending", "success", "pending", "skipped"]);
}

#[tokio::test]
async fn forgejo_delivers_no_status_and_no_job() {
    let (forge, head) = forge();
    forge.be_forgejo();
    let id = forge.job_waits(REPO, job("test", "push", &head));
    forge.job_ends(REPO, id, "success", "");
    forge.ci(REPO, &head, "ci", "success");
    assert_eq!((told(&forge), forge.statuses_of(REPO, &head).len()), (vec![], 3));
}

//! Every captured delivery of a running Gitea, by the real parser and the real rules, against how it must be judged.

use super::rig::{context_of, now_ms};
use hmac::{Hmac, KeyInit, Mac};
use orch_common::domain::decide::{ForgeEvent, Trigger};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::deliveries::{self, EventPayload, NewDelivery, Source};
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Move, NewTask, Task};
use orch_common::store::{Conn, StoreError};
use orch_tests::fakes::{FakeGitea, FakePlane, Reply, Server, fixture, fixture_json};
use orch_worker::context::Context;
use orch_worker::engine::AdvancePayload;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex};

/// With which the deliveries were signed.
const SECRET: &[u8] = b"gitea-real-throw-away-secret-01";
const REPO: &str = "acme/shop";
/// The tasks by their branches, each with its own pull request.
const TASKS: [(&str, Option<i64>); 7] = [
    ("feature/ET-001-add-a-thing", Some(2)),
    ("feature/ET-002-second", Some(3)),
    ("feature/ET-003-third", Some(4)),
    ("feature/ET-004-fourth", None),
    ("feature/ET-005-rebase", Some(5)),
    ("feature/ET-006-squash", Some(6)),
    ("feature/ET-007-workflows", Some(13)),
];

/// The forge as it answered then: who has which token, and the reviews up to one of them, as they stood when it was given.
fn forge(upto: Arc<Mutex<Option<i64>>>) -> Server {
    let account = |id: i64, login: &str| Reply::json(200, json!({ "id": id, "login": login }));
    Server::start(move |request| match request.segments().as_slice() {
        ["api", "v1", "user"] if request.header("authorization").is_some_and(|t| t.ends_with(FakeGitea::TOKEN)) => {
            account(5, "bot")
        }
        ["api", "v1", "user"] => account(6, "reviewer"),
        [.., "pulls", "2", "reviews"] if request.query("page") == Some("1") => {
            Reply::json(200, reviews(*upto.lock().unwrap()))
        }
        [.., "reviews"] => Reply::json(200, json!([])),
        ["api", "v1", "repos", "acme", "shop"] => {
            Reply::json(200, fixture_json("gitea/rest_pull.json")["base"]["repo"].clone())
        }
        [.., "pulls", _] => Reply::json(200, fixture_json("gitea/rest_pull.json")),
        _ => Reply::json(404, json!({ "message": "not found" })),
    })
}

fn reviews(upto: Option<i64>) -> Value {
    let mut all = fixture_json("gitea-real/api/04-reviews.json")["body"].as_array().unwrap().clone();
    if let Some(upto) = upto {
        all.retain(|r| r["id"].as_i64().unwrap() <= upto);
        for review in all.iter_mut().filter(|r| r["state"] == "REQUEST_CHANGES") {
            let writes = ["hugo", "tom"].contains(&review["user"]["login"].as_str().unwrap());
            (review["dismissed"], review["official"]) = (json!(false), json!(writes));
        }
    }
    Value::Array(all)
}

/// A line of the table.
struct Row<'a> {
    file: &'a str,
    event: &'a str,
    signature: &'a str,
    expected: &'a str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let [file, event, signature, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            Row { file, event, signature, expected }
        })
        .collect()
}

fn place(conn: &mut Conn, task: &Task, stage: Stage, head: Option<&str>) -> Result<(), StoreError> {
    jobs::cancel_queued_of_task(conn, task.id, "placed by the test", now_ms())?;
    let task = tasks::get(conn, task.id)?.unwrap();
    let to = Move::to(stage, TaskState::Active);
    assert!(tasks::compare_and_move(conn, &task, &to, now_ms())?);
    tasks::note_worked(conn, task.id, stage)?;
    if let Some(head) = head {
        tasks::note_head(conn, task.id, head, now_ms())?;
    }
    Ok(())
}

/// What waits for a task: the trigger's name and the branch.
async fn triggers(ctx: &Context) -> Vec<String> {
    let read = |conn: &mut Conn| -> Result<Vec<(String, Job)>, StoreError> {
        let mut all = Vec::new();
        for task in tasks::open(conn)? {
            all.extend(jobs::unfinished_of_task(conn, task.id)?.into_iter().map(|job| (task.branch.clone(), job)));
        }
        Ok(all)
    };
    let name = |(branch, job): (String, Job)| {
        let AdvancePayload { trigger, .. } = serde_json::from_str(&job.payload).unwrap();
        let what = match trigger {
            Trigger::Forge { what: ForgeEvent::Pushed } => "pushed",
            Trigger::Forge { what: ForgeEvent::CiFinished } => "ci_finished",
            Trigger::Forge { what: ForgeEvent::ReviewApproved } => "review_approved",
            Trigger::Forge { what: ForgeEvent::ReviewRejected { .. } } => "review_rejected",
            Trigger::Forge { what: ForgeEvent::PullMerged } => "pull_merged",
            other => panic!("{other:?}"),
        };
        format!("{what} {branch}")
    };
    ctx.store.read(read).await.unwrap().into_iter().map(name).collect()
}

async fn deliver(ctx: &Arc<Context>, row: &Row<'_>, body: &str) {
    let payload = EventPayload {
        source: Source::Gitea,
        event: Some(row.event.to_owned()),
        event_type: row.file.split('-').nth(1).map(str::to_owned),
        delivery: None,
        body: serde_json::from_str(body).unwrap(),
    };
    let new = NewDelivery {
        source: Source::Gitea,
        key: Sha256::digest(row.file.as_bytes()).to_vec(),
        order_key: Some("gitea:acme/shop".into()),
        repo: None,
        payload: serde_json::to_string(&payload).unwrap().into(),
    };
    ctx.store.write(move |c| deliveries::insert(c, &new, now_ms())).await.unwrap();
    let name = ctx.name.clone();
    let job = ctx.store.write(move |c| jobs::claim(c, JobKind::Event, &name, now_ms())).await.unwrap().unwrap();
    orch_worker::events::handle(Arc::clone(ctx), job).await;
}

#[tokio::test]
async fn every_captured_delivery_is_judged_as_it_must_be() {
    let upto = Arc::new(Mutex::new(None));
    let (forge, plane) = (forge(Arc::clone(&upto)), FakePlane::start());
    let dir = tempfile::tempdir().unwrap();
    let ctx = context_of(&dir, (plane.url(), &forge.url), REPO, "review_gate = \"review_approved\"");
    let mut all = Vec::new();
    for (n, (branch, pull)) in TASKS.iter().enumerate() {
        let new = NewTask {
            project: FakePlane::PROJECT.into(),
            work_item: format!("00000000-0000-4000-8000-{n:012}"),
            key: format!("ET-{:03}", n + 1),
            title: "t".into(),
            description: String::new(),
            repo: REPO.into(),
            branch: (*branch).into(),
            base: "main".into(),
        };
        let pull = *pull;
        let made = move |c: &mut Conn| {
            let task = tasks::insert(c, &new, now_ms())?.unwrap();
            pull.map_or(Ok(()), |number| tasks::note_pull(c, task.id, number, now_ms()))?;
            Ok(task)
        };
        all.push(ctx.store.write(made).await.unwrap());
    }
    let table = std::fs::read_to_string(fixture("gitea-real/judged.tsv")).unwrap();
    let rows = rows(&table);
    assert!(rows.len() > 200, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let body = std::fs::read_to_string(fixture(&format!("gitea-real/{}.body", row.file))).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(body.as_bytes());
        assert_eq!(hex::encode(mac.finalize().into_bytes()), row.signature, "{}", row.file);
        let (kind, json): (_, Value) = (row.file.split('-').nth(1).unwrap(), serde_json::from_str(&body).unwrap());
        let stage = match kind {
            "status" | "workflow_job" | "workflow_run" => Stage::Development,
            "pull_request" => Stage::Deploy,
            _ => Stage::Review,
        };
        // The commit a status is of is the first task's head; a job without a branch is told by it as well.
        let head = json["sha"]
            .as_str()
            .or(json["workflow_job"]["head_sha"].as_str())
            .or(json["workflow_run"]["head_sha"].as_str());
        let head = head.filter(|head| row.expected.ends_with(&head[..7]));
        for task in &all {
            let (task, head) = (task.clone(), head.filter(|_| task.id == all[0].id).map(str::to_owned));
            ctx.store.write(move |c| place(c, &task, stage, head.as_deref())).await.unwrap();
        }
        *upto.lock().unwrap() = match &row.file[..3] {
            "089" => Some(6),
            "090" => Some(7),
            "091" => Some(8),
            _ => None,
        };
        deliver(&ctx, &row, &body).await;
        let found = triggers(&ctx).await.join(", ");
        let expected = match (row.expected, head) {
            ("ignored", _) => String::new(),
            (_, Some(_)) => format!("ci_finished {}", TASKS[0].0),
            (other, None) => other.to_owned(),
        };
        if found != expected {
            wrong.push(format!("{}: expected '{expected}', found '{found}'", row.file));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

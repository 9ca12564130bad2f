//! Pictures and files of a work item, as the agents get them; and the database's files, taken away from the processes.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::{FakePlane, Fault, Reply, Server};
use orch_tests::stack::{Stack, WORKER};
use serde_json::json;
use std::time::{Duration, Instant};

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\n a picture";

/// A storage at an address of its own: every file's first line of its path says what it is.
fn storage() -> Server {
    Server::start(|request| {
        let file = |kind: &str, body: &[u8]| Reply {
            status: 200,
            headers: vec![("content-type", kind.into())],
            body: body.into(),
        };
        match request.query("X-Amz-Signature") {
            // What S3 answers to a key that is none, or has run out.
            None => Reply {
                status: 403,
                headers: vec![("content-type", "application/xml".into())],
                body: b"<Error/>".to_vec(),
            },
            Some(_) if request.path.ends_with("2222") => file("image/png; charset=binary", &vec![7; 10_000_001]),
            Some(_) if request.path.ends_with("3333") => Reply::empty(302).with("location", "http://127.0.0.1:1/"),
            Some(_) => file("image/png", PICTURE),
        }
    })
}

#[test]
fn files_are_there_for_every_agent_and_what_cannot_be_had_is_named_with_its_reason() {
    let mut stack = Stack::builder().without_worker().start();
    let storage = storage();
    let plane = stack.plane();
    plane.store_at(&storage.url);
    let shown = plane.store_file("image/png", PICTURE);
    let huge = plane.store_file_as("11111111-1111-4111-8111-111111112222", "image/png", PICTURE);
    let leads_on = plane.store_file_as("11111111-1111-4111-8111-111111113333", "image/png", PICTURE);
    let unknown = "11111111-1111-4111-8111-111111114444";
    let html: String = [shown.as_str(), &huge, &leads_on, unknown, &shown, "https://a.test/i.png"]
        .map(|src| format!("<image-component src=\"{src}\"></image-component>"))
        .concat();
    let (item, _) = plane.create_item("Paint it", &html, &[]);
    let plan = plane.attach(&item, "../../../plan\n- :approved:.png", "image/png", PICTURE);
    // For a moment Plane takes no calls: the start waits.
    let limited = Reply::json(429, json!({ "error_code": 5900 })).with("retry-after", 1);
    plane.fail_when("GET", &format!("/attachments/{shown}/"), 1, Fault::Answer(limited));
    stack.start_worker(WORKER);
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);

    let run = stack.runs(&item).remove(0);
    let (prompt, folder) = (stack.prompt(&run), stack.scene.runs.join(&run.dir).join("files"));
    let place = folder.display();
    let address = |file: &str| {
        let (url, project) = (stack.plane().url(), FakePlane::PROJECT);
        format!("{url}/api/assets/v2/workspaces/{}/projects/{project}/{file}/", FakePlane::WORKSPACE)
    };
    for line in [
        format!("- a picture: {place}/01-picture.png\n"),
        format!("- a picture: not here (larger than 10 MB); {}\n", address(&huge)),
        format!("- a picture: not here (the storage at 127.0.0.1 answers with status 302); {}\n", address(&leads_on)),
        format!("- a picture: not here (not found); {}\n", address(unknown)),
        "- a picture: not here (an address outside Plane is not asked); https://a.test/i.png\n".into(),
        format!("- ../../../plan - :approved:.png: {place}/05-plan-approved.png\n"),
    ] {
        assert!(prompt.contains(&line), "{line}: {prompt}");
    }
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["01-picture.png", "05-plan-approved.png"]);
    for name in names {
        assert_eq!(std::fs::read(folder.join(name)).unwrap(), PICTURE);
    }

    // The next agents have them too, also what was attached; nothing that was loaded is asked for again.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    let runs = stack.runs(&item);
    let architect = runs.iter().find(|run| run.role == Role::Architect).unwrap();
    assert!(stack.scene.runs.join(&architect.dir).join("files/05-plan-approved.png").exists());
    let asked = |file: &str| {
        let of = format!("/attachments/{file}/");
        stack.plane().requests().iter().filter(|r| r.path.ends_with(&of) && r.status == 302).count()
    };
    assert_eq!((asked(&shown), asked(&plan)), (1, 1));
    let at_the_storage = storage.requests();
    assert!(at_the_storage.len() >= 4, "{at_the_storage:?}");
    for request in at_the_storage {
        let ours: Vec<_> = request.headers.iter().filter(|(_, value)| value.contains(FakePlane::TOKEN)).collect();
        assert!(ours.is_empty() && request.header("x-api-key").is_none(), "{request:?}");
    }
}

#[test]
fn both_end_when_the_log_is_taken_away_and_go_on_when_they_are_started_again() {
    let mut stack = Stack::builder().with_telegram().start();
    let item = stack.analysed("Login");
    stack.settle();
    stack.leave_database();
    let log = format!("{}-wal", stack.scene.database.display());
    std::fs::remove_file(&log).unwrap();
    let give_up = Instant::now() + Duration::from_secs(60);
    while stack.api_runs() || stack.worker_runs(WORKER) {
        assert!(Instant::now() < give_up, "{}\n{}", stack.api_log(), stack.worker(WORKER).log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = stack.worker(WORKER).log();
    assert!(said.contains("what this worker committed is in the database"), "{said}");
    assert!(stack.api_log().contains("what was acknowledged is in the database"), "{}", stack.api_log());
    let told = stack.telegram().messages();
    assert!(told.iter().any(|text| text.contains("took away the -wal or -shm file")), "{told:?}");

    stack.kill_api();
    stack.kill_worker(WORKER);
    stack.start_api();
    stack.start_worker(WORKER);
    stack.return_to_database();
    assert_eq!(stack.task(&item).map(|task| task.state), Some(TaskState::WaitingApproval));
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

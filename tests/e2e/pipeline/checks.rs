//! CI as the gate of development: red work goes back with its logs, silence is told with a choice.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::NewActionJob;
use orch_tests::stack::{REPO, Stack};

fn job(name: &str, sha: &str, branch: &str) -> NewActionJob {
    let of = str::to_owned;
    NewActionJob { workflow: of("ci"), name: of(name), event: of("push"), sha: of(sha), branch: of(branch) }
}

/// The head on which the task waits for CI, once it is another than `before`.
fn waits_for_ci(stack: &Stack, item: &str, before: Option<&str>) -> String {
    stack.wait_for("the task to wait for CI", || {
        let task = stack.task(item)?;
        let head = task.head.clone().filter(|head| Some(head.as_str()) != before)?;
        let waits = task.said.as_ref()?.starts_with(&format!("{head}:waiting:ci"));
        (task.stage == Stage::Development && task.worked && waits).then_some(head)
    })
}

#[test]
fn red_checks_bring_the_developer_back_with_their_links_and_the_ends_of_their_logs() {
    let stack = Stack::builder()
        .project("development_gate", "ci_green")
        .set("worker.ci_settle_s", 1)
        .set("agent.role_run_cap", 2)
        .start();
    let item = stack.approved("Login");
    let head = waits_for_ci(&stack, &item, None);
    let branch = stack.task(&item).unwrap().branch;
    // The first green one is not enough.
    stack.gitea().quick_job(REPO, job("lint", &head, &branch), "success", "fine\n");
    stack.gitea().ci(REPO, &head, "orch/development", "success");
    let log: String = (0..250).map(|n| format!("2026-11-26T14:40:12.1226130Z line {n} of the build\n")).collect();
    stack.gitea().quick_job(REPO, job("build", &head, &branch), "failure", &log);
    let said = stack.wait_said(&item, "ci red");
    assert!(said.contains("ci / build (push)") && said.contains("attempt 2 of 2") && !said.contains("lint"), "{said}");
    let second = waits_for_ci(&stack, &item, Some(&head));
    let developers = || stack.runs(&item).into_iter().filter(|r| r.role == Role::Developer).collect::<Vec<_>>();
    let prompt = stack.prompt(&developers()[1]);
    let link = format!("{}/acme/shop/actions/runs/2/jobs/0", stack.gitea().url());
    assert!(
        prompt.contains(&link) && prompt.contains("line 249 of the build") && !prompt.contains("line 180 of"),
        "{prompt}"
    );
    let logs = stack.scene.runs.join(&developers()[1].dir).join("checks.log");
    assert!(prompt.contains(&logs.to_string_lossy().into_owned()));
    let logs = std::fs::read_to_string(logs).unwrap();
    assert_eq!(logs.lines().filter(|l| l.ends_with("of the build")).count(), 200);
    assert_eq!(stack.stages(&item).last(), Some(&Stage::Development), "{:?}", stack.stages(&item));

    // Red again: the developer has had its runs. Another try is told what was found last.
    stack.gitea().quick_job(REPO, job("build", &second, &branch), "failure", "still red\n");
    let blocked = stack.wait_said(&item, "cap reached");
    assert!(blocked.contains("ci / build (push)") && blocked.contains("/actions/runs/3/jobs/0"), "{blocked}");
    stack.plane().comment(&item, "<p>:retry:</p>");
    let third = waits_for_ci(&stack, &item, Some(&second));
    let prompt = stack.prompt(&developers()[2]);
    assert!(prompt.contains("asked for another try") && prompt.contains("still red"), "{prompt}");

    // Cancelled is not failed; run again it is green.
    let cancelled = stack.gitea().job_waits(REPO, job("build", &third, &branch));
    stack.gitea().job_ends(REPO, cancelled, "cancelled", "");
    let said = stack.wait_said(&item, "ci waits");
    assert!(said.contains("cancelled") && said.contains("ci / build (push)") && said.contains(":approved:"), "{said}");
    stack.gitea().quick_job(REPO, job("build", &third, &branch), "success", "");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(developers().len(), 3);
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "ci waits").count(), 1);
}

#[test]
fn that_ci_says_nothing_is_told_once_and_a_persons_word_goes_on_without_it() {
    let stack = Stack::builder()
        .project("development_gate", "ci_green")
        .set("worker.reconcile_s", 1)
        .set("worker.ci_silence_s", 1)
        .start();
    let item = stack.approved("Login");
    let said = stack.wait_said(&item, "ci waits");
    assert!(said.contains("nothing of this commit"), "{said}");
    let looks = || stack.gates(&item).into_iter().filter(|(gate, _)| gate == "ci_green").count();
    let before = looks();
    stack.wait("two more looks", || looks() >= before + 2);
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "ci waits").count(), 1, "once");
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1);
    assert!(stack.gates(&item).contains(&("ci_green".into(), "pass".into())), "the word is bound to the commit");
}

#[test]
fn where_no_status_is_told_of_a_quick_round_asks_for_those_of_waiting_heads() {
    let stack = Stack::builder().project("development_gate", "ci_green").set("worker.ci_poll_s", 1).start();
    stack.gitea().be_forgejo();
    let item = stack.approved("Login");
    let head = waits_for_ci(&stack, &item, None);
    let branch = stack.task(&item).unwrap().branch;
    stack.gitea().quick_job(REPO, job("test", &head, &branch), "success", "");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

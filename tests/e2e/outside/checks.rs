//! What CI says of a commit, asked of the forge: which checks count, when they are judged, whose log is fetched; and what is done
//! about news while somebody looks.

use super::rig::{REPO, Rig};
use orch_common::domain::checks::Unfinished;
use orch_common::domain::decide::Trigger;
use orch_common::domain::gate::OutcomeKind;
use orch_common::domain::gate::{CiEvidence, Gate};
use orch_common::domain::job::JobKind;
use orch_common::domain::stage::{CommitId, Stage, TaskState};
use orch_common::store::gates::{self, NewGateResult};
use orch_common::store::jobs::{self, NewJob};
use orch_common::store::tasks;
use orch_tests::fakes::{BranchRule, FakeGitea, NewActionJob};
use orch_worker::engine::{AdvancePayload, Seen};
use orch_worker::gates::Checked;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A task at development, whose head the forge has.
async fn at_development(project: &str, settle_s: u64) -> (Rig, CommitId) {
    let mut rig = Rig::new(project).await;
    let config = &mut Arc::get_mut(&mut rig.ctx).unwrap().rules.config;
    config.worker.ci_settle_s = settle_s;
    let (_, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    rig.arrives(&created).await;
    let task = rig.place(Stage::Development, TaskState::Active).await;
    let head = "b".repeat(40);
    rig.gitea.set_branch(REPO, &task.branch, &head);
    let (id, sha) = (task.id, head.clone());
    rig.store().write(move |c| tasks::note_head(c, id, &sha, 1)).await.unwrap();
    (rig, head.parse().unwrap())
}

async fn ask(rig: &Rig, head: &CommitId) -> CiEvidence {
    let task = rig.task().await.unwrap();
    let project = rig.ctx.config.projects.iter().next().unwrap();
    Checked { seen: &Seen::new(&rig.ctx, project, &task), base: None, head }.ask().await
}

/// In a few words.
async fn said(rig: &Rig, head: &CommitId) -> String {
    match ask(rig, head).await {
        CiEvidence::Success => "success".into(),
        CiEvidence::Failure { checks } => {
            format!("failure {}", checks.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(" "))
        }
        CiEvidence::Unavailable { why } => format!("unavailable {why}"),
        CiEvidence::Waiting { on, names, overdue, .. } => {
            let late = if overdue { " overdue" } else { "" };
            format!("{on:?}{late} {}", names.join(" ")).trim_end().to_owned()
        }
    }
}

#[tokio::test]
async fn the_project_or_the_bases_rule_says_which_checks_count() {
    let rule = |contexts: &[&str]| BranchRule {
        contexts: contexts.iter().map(|c| (*c).to_owned()).collect(),
        ..BranchRule::default()
    };
    let green_and_red = [("ci / test (push)", "success"), ("nightly", "failure"), ("orch/review", "failure")];
    for (project, rules, statuses, wanted) in [
        ("", &[][..], &green_and_red[..], "failure nightly"),
        ("required_checks = [\"ci / *\"]", &[], &green_and_red, "success"),
        ("required_checks = [\"ci / *\", \"lint\"]", &[], &green_and_red, "Nothing lint"),
        ("", &["ci / test*"], &green_and_red, "success"),
        ("required_checks = [\"nightly\"]", &["ci / test*"], &green_and_red, "failure nightly"),
        ("", &["orch/review"], &[("ci", "success")], "success"),
        ("", &[], &[("orch/review", "success")], "Nothing"),
        ("", &[], &[("ci", "splendid")], "Running ci"),
        ("", &[], &[("ci", "pending"), ("ci", "success"), ("ci", "pending"), ("ci", "success")], "success"),
        ("", &[], &[("ci", "success"), ("ci", "pending")], "Running ci"),
    ] {
        let (rig, head) = at_development(project, 0).await;
        if !rules.is_empty() {
            rig.gitea.set_rule(REPO, "main", rule(rules));
        }
        for (context, state) in statuses {
            rig.gitea.ci(REPO, head.as_str(), context, state);
        }
        assert_eq!(said(&rig, &head).await, wanted, "{project} {rules:?} {statuses:?}");
    }
}

#[tokio::test]
async fn checks_are_read_to_the_last_page_and_judged_once_they_are_still() {
    let (mut rig, head) = at_development("", 10).await;
    for n in 0..60 {
        rig.gitea.ci(REPO, head.as_str(), &format!("job {n}"), "success");
    }
    let CiEvidence::Waiting { on: Unfinished::Settling, again_in_ms: Some(ms), .. } = ask(&rig, &head).await else {
        panic!("the first green ones are not enough");
    };
    assert!((1..=11_000).contains(&ms), "{ms}");
    rig.gitea.statuses_age(REPO, MINUTE);
    assert_eq!(said(&rig, &head).await, "success");
    rig.gitea.ci(REPO, head.as_str(), "job 60", "failure");
    assert_eq!(said(&rig, &head).await, "Settling job 60");
    rig.gitea.statuses_age(REPO, MINUTE);
    assert_eq!(said(&rig, &head).await, "failure job 60");
    rig.gitea.ci_says(REPO, head.as_str(), ("job 60", "failure", "Has been cancelled"));
    rig.gitea.statuses_age(REPO, MINUTE);
    assert_eq!(said(&rig, &head).await, "Cancelled job 60", "cancelled is not failed");

    // The request's own runs are registered after it is opened.
    rig.gitea.ci(REPO, head.as_str(), "job 60", "success");
    rig.gitea.statuses_age(REPO, MINUTE);
    assert_eq!(said(&rig, &head).await, "success");
    let task = rig.task().await.unwrap().id;
    let pull = NewJob {
        kind: JobKind::Effect,
        role: None,
        repo: None,
        task_id: Some(task),
        payload: "{}".into(),
        dedupe_key: Some(format!("effect:t{task}:pull")),
        order_key: None,
        available_at: None,
    };
    rig.store().write(move |c| jobs::enqueue(c, &pull, super::rig::now_ms())).await.unwrap();
    assert_eq!(said(&rig, &head).await, "Settling");
    Arc::get_mut(&mut rig.ctx).unwrap().rules.config.worker.ci_settle_s = 0;
    assert_eq!(said(&rig, &head).await, "success");
}

#[tokio::test]
async fn silence_and_late_checks_are_overdue_and_a_project_may_go_on_without_any() {
    for (project, wanted) in [
        ("", "Nothing overdue"),
        ("without_checks = \"pass\"", "success"),
        // What is asked for by name is not gone without.
        ("without_checks = \"pass\"\nrequired_checks = [\"ci\"]", "Nothing overdue ci"),
    ] {
        let (rig, head) = at_development(project, 0).await;
        assert!(said(&rig, &head).await.starts_with("Nothing") && !said(&rig, &head).await.contains("overdue"));
        let looked = NewGateResult {
            task_id: rig.task().await.unwrap().id,
            job_id: None,
            gate: Gate::CiGreen,
            outcome: OutcomeKind::Waiting,
            reason: None,
            head: head.to_string(),
            tree: "c".repeat(40),
            command: None,
            exit_code: None,
            duration_ms: None,
            output_sha256: None,
            evidence: head.to_string(),
            detail: None,
            at: super::rig::now_ms() - 601_000,
        };
        rig.store().write(move |c| gates::record(c, &looked)).await.unwrap();
        assert_eq!(said(&rig, &head).await, wanted, "{project}");
        rig.gitea.ci(REPO, head.as_str(), "ci", "pending");
        assert_eq!(said(&rig, &head).await, "Running ci", "{project}: what has begun is no silence");
        rig.gitea.statuses_age(REPO, 61 * MINUTE);
        assert_eq!(said(&rig, &head).await, "Running overdue ci", "{project}");
    }
}

fn job(name: &str, sha: &str) -> NewActionJob {
    let of = str::to_owned;
    NewActionJob { workflow: of("ci"), name: of(name), event: of("push"), sha: of(sha), branch: of("work") }
}

#[tokio::test]
async fn the_log_is_that_of_the_failed_job_by_the_id_that_a_delivery_told() {
    let (rig, head) = at_development("", 0).await;
    // An earlier run, whose job has the number of the later run as its id.
    let other = rig.gitea.quick_job(REPO, job("other", &"d".repeat(40)), "failure", "the log of another run\n");
    let mut decoys = 1;
    while decoys + 1 < other {
        rig.gitea.quick_job(REPO, job("other", &"d".repeat(40)), "success", "the log of another run\n");
        decoys += 1;
    }
    let before = rig.gitea.deliveries().len();
    let log: String =
        (0..300).map(|n| format!("2026-11-26T14:40:12.1226130Z line {n} {}\n", FakeGitea::TOKEN)).collect();
    let id = rig.gitea.quick_job(REPO, job("test", head.as_str()), "failure", &log);
    assert_ne!(id, other);
    let link = format!("{}/acme/widgets/actions/runs/{other}/jobs/0", rig.gitea.url());
    let CiEvidence::Failure { checks } = ask(&rig, &head).await else { panic!("red") };
    assert_eq!((checks[0].name.as_str(), checks[0].says.as_str()), ("ci / test (push)", "Failing after 3s"));
    assert_eq!((checks[0].link.as_deref(), &checks[0].log), (Some(link.as_str()), &None), "no id was told");

    for delivery in rig.gitea.deliveries().split_off(before) {
        rig.arrives(&delivery).await;
    }
    let CiEvidence::Failure { checks } = ask(&rig, &head).await else { panic!("red") };
    let log = checks[0].log.clone().unwrap();
    assert_eq!((log.lines().count(), log.lines().next()), (200, Some("line 100 ***")), "{log}");
    assert_eq!(log.lines().last(), Some("line 299 ***"));
    assert_eq!(checks[0].says, "Failing after 3s, at: run the tests");
    let page = format!("/acme/widgets/actions/jobs/{id}/logs");
    let asked = rig.gitea.requests().into_iter().filter(|r| r.path.contains("/logs")).collect::<Vec<_>>();
    assert!(asked.iter().all(|r| r.path.ends_with(&page) && r.header("range").is_some()), "{asked:?}");
}

#[tokio::test]
async fn a_result_that_comes_while_the_gate_is_looked_at_is_looked_at_after_it() {
    let (rig, head) = at_development("development_gate = \"ci_green\"", 0).await;
    let looks = async || rig.waiting(JobKind::Advance).await;
    let first = rig.gitea.ci(REPO, head.as_str(), "lint", "success");
    rig.arrives(&first).await;
    assert_eq!(looks().await, ["forge ci_finished"]);
    let second = rig.gitea.ci(REPO, head.as_str(), "build", "success");
    rig.arrives(&second).await;
    assert_eq!(looks().await.len(), 1, "the look that is to come sees it");
    let name = rig.ctx.name.clone();
    let begun = rig.store().write(move |c| jobs::claim(c, JobKind::Advance, &name, super::rig::now_ms())).await;
    assert!(begun.unwrap().is_some());
    for _ in 0..2 {
        let late = rig.gitea.ci(REPO, head.as_str(), "late", "failure");
        rig.arrives(&late).await;
        assert_eq!(looks().await, ["forge ci_finished"], "one more, after the one that has begun");
    }
}

#[tokio::test]
async fn a_look_that_was_put_off_holds_up_no_word() {
    let (rig, _head) = at_development("development_gate = \"ci_green\"", 0).await;
    let task = rig.task().await.unwrap();
    let payload = AdvancePayload { trigger: Trigger::Look, stage: Some(Stage::Development) };
    let put_off = NewJob {
        kind: JobKind::Advance,
        role: None,
        repo: None,
        task_id: Some(task.id),
        payload: serde_json::to_string(&payload).unwrap(),
        dedupe_key: None,
        order_key: Some(format!("task:{}", task.id)),
        available_at: Some(super::rig::now_ms() + 600_000),
    };
    let said = rig.plane.comment(&task.work_item, "<p>:approved:</p>");
    rig.arrives(&said).await;
    rig.store().write(move |c| jobs::enqueue(c, &put_off, super::rig::now_ms())).await.unwrap();
    let (id, name) = (task.id, rig.ctx.name.clone());
    let policy = rig.ctx.policy(rig.ctx.config.projects.iter().next().unwrap());
    let claimed = rig.store().write(move |c| jobs::claim(c, JobKind::Advance, &name, super::rig::now_ms())).await;
    let word = claimed.unwrap().expect("the word is due");
    assert!(word.payload.contains("approve"), "{}", word.payload);
    let history = move |c: &mut orch_common::store::Conn| {
        let task = tasks::get(c, id)?.unwrap();
        orch_worker::engine::facts::history(c, &task, &policy, word.id)
    };
    assert!(!rig.store().read(history).await.unwrap().busy);
}

//! Rules that several modules hold together, on a real database and without any service.

use crate::context::{ACCOUNT, Context};
use crate::engine::{AdvancePayload, AgentPayload};
use crate::lanes::Claim;
use crate::{effects, job_end, runs};
use orch_common::config::Config;
use orch_common::domain::breaker::{Breaker, BreakerState};
use orch_common::domain::decide::Trigger;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::domain::task::Brief;
use orch_common::store::accounts::{self, Account};
use orch_common::store::jobs::{self, Job, NewJob};
use orch_common::store::tasks::{self, Move, NewTask, Task};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const NOW: i64 = 1_000_000;

/// A worker's inside in a folder: one project, an agent program that answers, no services.
fn context(dir: &Path) -> Arc<Context> {
    let (file, agent) = (dir.join("orch.toml"), agent_in(dir));
    let dir = dir.display();
    let text = format!(
        "[database]\npath = \"{dir}/orch.db\"\n[worker]\nrepos_dir = \"{dir}/repos\"\nruns_dir = \"{dir}/runs\"\nname = \"me\"\n\
         [agent]\nclaude_bin = \"{}\"\n[resilience]\npreflight_cache_ttl_s = 3600\n\
         [[projects]]\nplane_project = \"a2c4f2b4-0d6b-4c5e-9a39-5f6f9e2f1a11\"\nrepo = \"acme/shop\"\nid_prefix = \"ET\"\n",
        agent.display()
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::load(Some(&file), &BTreeMap::new()).unwrap().config;
    Context::build(config, CancellationToken::new()).unwrap()
}

fn agent_in(dir: &Path) -> std::path::PathBuf {
    let agent = dir.join("claude");
    std::fs::write(&agent, "#!/bin/sh\necho '2.1.0 (Claude Code)'\n").unwrap();
    std::fs::set_permissions(&agent, std::fs::Permissions::from_mode(0o755)).unwrap();
    agent
}

/// The one task, at work.
fn task_at(ctx: &Context, stage: Stage) -> Task {
    let project = ctx.config.projects.iter().next().unwrap().plane_project.clone();
    let new = NewTask {
        project,
        work_item: "item".into(),
        key: "ET-001".into(),
        title: String::new(),
        description: String::new(),
        repo: "acme/shop".into(),
        branch: "feature/ET-001-x".into(),
        base: "main".into(),
    };
    let to = Move::to(stage, TaskState::Active);
    let write = |c: &mut orch_common::store::Conn| {
        let task = tasks::insert(c, &new, NOW)?.expect("a new one");
        assert!(tasks::compare_and_move(c, &task, &to, NOW)?);
        Ok(tasks::get(c, task.id)?.expect("it is there"))
    };
    ctx.store.write_now(write).unwrap()
}

fn now(ctx: &Context, task: &Task) -> Task {
    ctx.store.write_now(|c| tasks::get(c, task.id)).unwrap().unwrap()
}

fn queue(ctx: &Context, kind: JobKind, task: Option<i64>, payload: String, order: &str) {
    let role = (kind == JobKind::Agent).then_some(Role::Developer);
    let order_key = Some(order.to_owned());
    let new =
        NewJob { kind, role, repo: None, task_id: task, payload, dedupe_key: None, order_key, available_at: None };
    ctx.store.write_now(|c| jobs::enqueue(c, &new, NOW)).unwrap().unwrap();
}

fn claim(ctx: &Context, kind: JobKind) -> Job {
    ctx.store.write_now(|c| jobs::claim(c, kind, "me", crate::clock::now_ms())).unwrap().expect("a job that is due")
}

/// The jobs behind this one, by their payloads.
fn behind(ctx: &Context, job: i64) -> Vec<String> {
    let all = |c: &mut orch_common::store::Conn| (job + 1..).map_while(|id| jobs::get(c, id).transpose()).collect();
    let all: Vec<Job> = ctx.store.write_now(all).unwrap();
    all.into_iter().map(|job| job.payload).collect()
}

fn says(effects: &[String], kind: &str) -> usize {
    effects.iter().filter(|payload| payload.contains(&format!("\"{kind}\""))).count()
}

fn for_the_developer() -> String {
    let payload = AgentPayload { role: Role::Developer, stage: Stage::Development, brief: Brief::First };
    serde_json::to_string(&payload).unwrap()
}

#[tokio::test]
async fn an_agent_that_is_lost_six_times_is_told_everywhere_and_blocks_its_task() {
    let dir = tempfile::tempdir().unwrap();
    let ctx = context(dir.path());
    let task = task_at(&ctx, Stage::Development);
    queue(&ctx, JobKind::Agent, Some(task.id), for_the_developer(), &format!("task:{}", task.id));
    for loss in 1..=6 {
        assert_eq!(now(&ctx, &task).state, TaskState::Active, "after {loss} losses");
        let job = claim(&ctx, JobKind::Agent);
        runs::adopt(Arc::clone(&ctx), job.clone()).await;
        let job = ctx.store.write_now(|c| jobs::get(c, job.id)).unwrap().unwrap();
        let wanted = if loss < 6 { JobStatus::Queued } else { JobStatus::Failed };
        assert_eq!((job.status, job.attempts), (wanted, i32::from(loss == 6)), "after {loss} losses");
    }
    let task = now(&ctx, &task);
    assert_eq!(task.state, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|why| why.contains("lost 6 times")), "{task:?}");
    let told = behind(&ctx, 1);
    assert_eq!((says(&told, "plane_comment"), says(&told, "telegram")), (1, 1), "{told:?}");
}

#[tokio::test]
async fn a_look_that_is_given_up_blocks_its_task() {
    let dir = tempfile::tempdir().unwrap();
    let ctx = context(dir.path());
    let task = task_at(&ctx, Stage::Development);
    let look = AdvancePayload { trigger: Trigger::Look, stage: None };
    queue(&ctx, JobKind::Advance, Some(task.id), serde_json::to_string(&look).unwrap(), &format!("task:{}", task.id));
    job_end::failed(&ctx, &claim(&ctx, JobKind::Advance), "the disk is gone", None).await;
    let task = now(&ctx, &task);
    assert_eq!(task.state, TaskState::Blocked);
    assert!(task.state_reason.as_ref().is_some_and(|why| why.contains("the disk is gone")), "{task:?}");
}

#[tokio::test]
async fn what_cannot_be_told_somewhere_is_told_elsewhere_and_not_there() {
    for (order, chat, comment) in [("all:telegram", 0, 1), ("task:1:plane", 1, 0), ("task:1:gitea", 1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let ctx = context(dir.path());
        let task = task_at(&ctx, Stage::Development);
        // An effect that cannot even be read; where it goes is known.
        queue(&ctx, JobKind::Effect, Some(task.id), "no effect".into(), order);
        let job = claim(&ctx, JobKind::Effect);
        effects::handle(Arc::clone(&ctx), job.clone()).await;
        let told = behind(&ctx, job.id);
        assert_eq!((says(&told, "telegram"), says(&told, "plane_comment")), (chat, comment), "{order}: {told:?}");
    }
}

#[tokio::test]
async fn before_a_probe_the_agent_program_is_asked_anew() {
    let dir = tempfile::tempdir().unwrap();
    let ctx = context(dir.path());
    let task = task_at(&ctx, Stage::Development);
    assert!(matches!(runs::claim_agent(&ctx).await.unwrap(), Claim::Wait(_)), "nothing is queued");
    // It is gone, and the answer of a moment ago is still believed.
    std::fs::remove_file(dir.path().join("claude")).unwrap();
    assert!(ctx.preflight.check().await.ok);
    queue(&ctx, JobKind::Agent, Some(task.id), for_the_developer(), &format!("task:{}", task.id));
    let put = |state| {
        let breaker = Breaker { state, consecutive_transient: 3, opened_at_ms: Some(1) };
        let account = Account { breaker, ..Account::default() };
        ctx.store.write_now(|c| accounts::put(c, ACCOUNT, &account, NOW)).unwrap();
    };
    put(BreakerState::HalfOpen { probe_job: None });
    assert!(matches!(runs::claim_agent(&ctx).await.unwrap(), Claim::Wait(_)), "no probe without its program");
    agent_in(dir.path());
    let Claim::Job(probe) = runs::claim_agent(&ctx).await.unwrap() else { panic!("the probe") };
    let account = ctx.store.write_now(|c| accounts::get(c, ACCOUNT)).unwrap();
    assert_eq!(account.breaker.state, BreakerState::HalfOpen { probe_job: Some(probe.id) });
}

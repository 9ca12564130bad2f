//! One task's life, told in many ways: what arrives is shuffled, repeated, lost and found by asking. Every telling ends
//! at the same stage and state and shows people the same things.

use super::rig::{REPO, Rig, intake, now_ms};
use orch_common::domain::decide::{Changed, Finding, Trigger, decide, needs_finding};
use orch_common::domain::effect::Effect;
use orch_common::domain::gate::{GateOutcome, Waiting};
use orch_common::domain::job::{JobEnd, JobKind};
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::domain::words::Command;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, deliveries};
use orch_tests::fakes::{Delivery, FakeGitea, FakePlane};
use orch_worker::clients::gitea::NewPull;
use orch_worker::context::Context;
use orch_worker::engine::AdvancePayload;
use orch_worker::engine::apply::{Applied, Asked, apply, enqueue_advance};
use orch_worker::engine::facts::{facts, history};
use std::sync::Arc;

/// A small generator of its own, so that a failure can be told again by its number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n.max(1)
    }

    fn shuffle<T>(&mut self, all: &mut [T]) {
        for n in (1..all.len()).rev() {
            all.swap(n, self.below(n + 1));
        }
    }
}

/// How a life is told.
struct Telling {
    dice: Option<Dice>,
    /// Some deliveries are lost, and found by asking.
    loses: bool,
}

/// What is left of a life.
#[derive(Debug, PartialEq, Eq)]
struct End {
    stage: Stage,
    state: TaskState,
    effects: Vec<String>,
}

/// Takes the phase's deliveries in, in this telling's way; earlier ones may come again.
async fn tell(rig: &mut Rig, telling: &mut Telling, phase: Vec<Delivery>, earlier: &mut Vec<Delivery>) {
    let mut all = phase.clone();
    if let Some(dice) = &mut telling.dice {
        if telling.loses {
            all.retain(|_| dice.below(3) > 0);
        }
        for _ in 0..dice.below(6) {
            let pool = if dice.below(2) == 0 || earlier.is_empty() { &phase } else { &*earlier };
            all.extend(pool.get(dice.below(pool.len())).cloned());
        }
        dice.shuffle(&mut all);
    }
    // As if the keys had been forgotten: the rules themselves must know a deed again.
    let mut new: Vec<_> = all.iter().map(intake).collect();
    new.iter_mut().for_each(|delivery| delivery.key = uuid::Uuid::new_v4().as_bytes().to_vec());
    let insert = move |c: &mut Conn| new.iter().try_for_each(|d| deliveries::insert(c, d, now_ms()).map(drop));
    rig.store().write(insert).await.unwrap();
    while rig.one(JobKind::Event).await {}
    if telling.loses {
        rig.reconciler.round(&rig.ctx).await.unwrap();
        while rig.one(JobKind::Event).await {}
    }
    earlier.extend(phase);
}

/// Runs agents and gates of the task until nothing waits: every agent ends well, every gate passes but the one that
/// waits for a person.
async fn pump(rig: &Rig) {
    loop {
        let (ctx, gitea) = (Arc::clone(&rig.ctx), Arc::clone(&rig.gitea));
        let step = move |conn: &mut Conn| -> Result<bool, StoreError> {
            if let Some(job) = jobs::claim(conn, JobKind::Agent, &ctx.name, now_ms())? {
                agent(conn, &job)?;
                return Ok(true);
            }
            match jobs::claim(conn, JobKind::Advance, &ctx.name, now_ms())? {
                Some(job) => advance(conn, &ctx, &gitea, &job).map(|()| true),
                None => Ok(false),
            }
        };
        if !rig.store().write(step).await.unwrap() {
            return;
        }
    }
}

fn agent(conn: &mut Conn, job: &Job) -> Result<(), StoreError> {
    let task = tasks::get(conn, job.task_id.unwrap())?.unwrap();
    let trigger = Trigger::AgentEnded { role: job.role.unwrap(), log: "log".into() };
    assert!(jobs::finish(conn, job, &JobEnd::Done { note: None }, now_ms())?);
    tasks::note_worked(conn, task.id, task.stage)?;
    enqueue_advance(conn, &task, &trigger, &format!("run:{}", job.id), now_ms())
}

fn advance(conn: &mut Conn, ctx: &Context, gitea: &FakeGitea, job: &Job) -> Result<(), StoreError> {
    let AdvancePayload { trigger, .. } = serde_json::from_str(&job.payload).unwrap();
    let task = tasks::get(conn, job.task_id.unwrap())?.unwrap();
    let project = ctx.config.projects.by_plane(&task.project).unwrap();
    let policy = ctx.policy(project);
    let approved = matches!(trigger, Trigger::Command { command: Command::Approve, .. });
    let outcome = match task.stage {
        Stage::Analysis if !approved => GateOutcome::Waiting(Waiting::Approval),
        Stage::Deploy if !gitea.pull_of(REPO, &task.branch).is_some_and(|pull| pull.merged) => {
            GateOutcome::Waiting(Waiting::Merge)
        }
        _ => GateOutcome::Pass,
    };
    let gate = policy.pipeline.gate(task.stage);
    let finding = Finding {
        gate,
        outcome,
        fingerprint: format!("{}", task.stage),
        questions: None,
        verdict: None,
        changed: Changed::Work,
        checks: Vec::new(),
        hold: None,
    };
    let facts = facts(&task)?;
    let history = history(conn, &task, &policy, job.id)?;
    let finding = needs_finding(&facts, &trigger).then_some(&finding);
    let decision = decide(&facts, &trigger, finding, &history, &policy);
    let asked = Asked { project, trigger: &trigger, job_id: job.id, now: now_ms() };
    let applied = apply(conn, ctx, &task, &decision, &asked)?;
    assert!(matches!(applied, Applied::Yes(_)), "{applied:?}");
    assert!(jobs::finish(conn, job, &JobEnd::Done { note: None }, now_ms())?);
    Ok(())
}

/// Lives one life to its end.
async fn live(rig: &mut Rig, n: usize, telling: &mut Telling) -> End {
    let mut earlier = Vec::new();
    let (item, created) = rig.plane.create_item(&format!("Life {n}"), "<p>please</p>", &[]);
    let chatter = rig.plane.comment_as(FakePlane::BOT, &item, "<p>The analyst has started.</p>");
    tell(rig, telling, vec![created, chatter], &mut earlier).await;
    let task = by_item(rig, &item).await;
    pump(rig).await;

    let approval = [
        rig.plane.comment(&item, "<p>I will read it</p>"),
        rig.plane.comment_as(FakePlane::BOT, &item, "<p>:approved:</p>"),
        rig.plane.comment(&item, "<p>:approved:</p>"),
    ];
    tell(rig, telling, approval.to_vec(), &mut earlier).await;
    // The architect and the developer work; then somebody pauses, and resumes.
    let head = format!("{:040x}", n + 1);
    rig.gitea.set_branch(REPO, &task.branch, &head);
    let new = NewPull { branch: &task.branch, base: "main", title: "t", body: "" };
    let number = rig.ctx.outside.gitea.clone().unwrap().create_pull(REPO, new).await.unwrap().number;
    let id = task.id;
    rig.store().write(move |c| tasks::note_pull(c, id, number, now_ms())).await.unwrap();
    let paused = [
        rig.plane.comment(&item, "<p>:pause: wait a moment</p>"),
        rig.gitea.pushed(FakeGitea::BOT, REPO, &task.branch, &"a".repeat(40)),
        rig.gitea.ci(REPO, &head, "orch/review", "success"),
    ];
    agents_until(rig, &task, Role::Reviewer).await;
    tell(rig, telling, paused.to_vec(), &mut earlier).await;
    pump(rig).await;
    let resumed = [rig.plane.comment(&item, "<p>:retry:</p>"), rig.plane.comment(&item, "<p>:resume: go on</p>")];
    // A person's words keep their order: the second answers the first.
    for word in resumed {
        tell(rig, telling, vec![word], &mut earlier).await;
        pump(rig).await;
    }
    // A person merges; the forge has more to say about that, and a reviewer of the same mind.
    let merged = [
        rig.gitea.review(REPO, number, "maria", "APPROVED", "good"),
        rig.gitea.merge_as("maria", REPO, number),
        rig.gitea.ci(REPO, &head, "build", "success"),
        rig.plane.comment(&item, "<p>merged it</p>"),
    ];
    tell(rig, telling, merged.to_vec(), &mut earlier).await;
    pump(rig).await;
    tell(rig, telling, Vec::new(), &mut earlier).await;
    pump(rig).await;
    let task = by_item(rig, &item).await;
    End { stage: task.stage, state: task.state, effects: effects(rig, &task).await }
}

/// Pumps one step at a time until an agent of this role waits.
async fn agents_until(rig: &Rig, task: &Task, role: Role) {
    loop {
        let (ctx, gitea, id) = (Arc::clone(&rig.ctx), Arc::clone(&rig.gitea), task.id);
        let step = move |conn: &mut Conn| -> Result<bool, StoreError> {
            let there = jobs::unfinished_of_task(conn, id)?.iter().any(|j| j.role == Some(role));
            if there {
                return Ok(false);
            }
            if let Some(job) = jobs::claim(conn, JobKind::Agent, &ctx.name, now_ms())? {
                agent(conn, &job)?;
            } else if let Some(job) = jobs::claim(conn, JobKind::Advance, &ctx.name, now_ms())? {
                advance(conn, &ctx, &gitea, &job)?;
            } else {
                panic!("{role} never starts: {:?}", tasks::get(conn, id)?);
            }
            Ok(true)
        };
        if !rig.store().write(step).await.unwrap() {
            return;
        }
    }
}

async fn by_item(rig: &Rig, item: &str) -> Task {
    let id = item.to_owned();
    rig.store().read(move |c| tasks::by_work_item_alone(c, &id)).await.unwrap().expect("a task")
}

/// What people were shown, with this life's names taken out, in no order.
async fn effects(rig: &Rig, task: &Task) -> Vec<String> {
    let id = task.id;
    let all = rig.store().read(move |c| jobs::of_task(c, id)).await.unwrap();
    let effect = |job: &Job| -> String {
        let effect: Effect = serde_json::from_str(&job.payload).unwrap();
        let text = match effect {
            Effect::PlaneComment { text, .. } => format!("comment {text}"),
            Effect::GiteaComment { text, .. } => format!("beside the code {text}"),
            other => serde_json::to_string(&other).unwrap(),
        };
        let number = task.key.rsplit('-').next().unwrap().trim_start_matches('0').to_owned();
        let names = [(&task.work_item, "ITEM"), (&task.branch, "BRANCH"), (&task.key, "KEY"), (&task.title, "TITLE")];
        let text = names.iter().fold(text, |text, (name, stands)| text.replace(name.as_str(), stands));
        text.replace(&format!("#{number}"), "#N")
    };
    let mut shown: Vec<String> = all.iter().filter(|j| j.kind == JobKind::Effect).map(effect).collect();
    shown.sort();
    shown
}

async fn tellings(count: usize) {
    let mut rig = Rig::new("deploy_gate = \"pr_merged\"").await;
    let plain = live(&mut rig, 0, &mut Telling { dice: None, loses: false }).await;
    assert_eq!((plain.stage, plain.state), (Stage::Done, TaskState::Done));
    assert!(plain.effects.len() > 15, "{:#?}", plain.effects);
    for n in 1..=count {
        let dice = Some(Dice(n as u64));
        let told = live(&mut rig, n, &mut Telling { dice, loses: n % 20 == 0 }).await;
        assert_eq!(told, plain, "telling {n}");
    }
}

#[tokio::test]
async fn a_tasks_life_ends_alike_in_sixty_orders_of_its_deliveries() {
    tellings(60).await;
}

#[tokio::test]
#[ignore = "some minutes"]
async fn a_tasks_life_ends_alike_in_a_thousand_orders_of_its_deliveries() {
    tellings(1000).await;
}

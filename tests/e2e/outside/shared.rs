//! Two workers of one database: what one of them is told by Plane or Telegram, the other heeds without being told, and
//! they do not merge side by side.

use super::rig::now_ms;
use orch_common::config::Config;
use orch_common::domain::effect::{Effect, StateGroup};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::store::jobs::{self, Job, NewJob};
use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_worker::context::Context;
use orch_worker::engine::merge_lease::MergeLease;
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Two workers with clients of their own, as two processes have them.
struct Pair {
    plane: FakePlane,
    _gitea: FakeGitea,
    telegram: FakeTelegram,
    workers: [Arc<Context>; 2],
    _dir: TempDir,
}

impl Pair {
    fn new() -> Pair {
        let (plane, gitea, telegram) = (FakePlane::start(), FakeGitea::start(), FakeTelegram::start());
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "[database]\npath = \"{0}/orch.db\"\n[worker]\nrepos_dir = \"{0}/repos\"\nruns_dir = \"{0}/runs\"\n\
             [plane]\nurl = \"{1}\"\nworkspace = \"{2}\"\napi_token = \"{3}\"\n[telegram]\nbot_token = \"{4}\"\n\
             chat_id = \"{5}\"\napi_url = \"{6}\"\n[gitea]\nurl = \"{7}\"\nowner = \"acme\"\ntoken = \"{8}\"\n",
            dir.path().display(),
            plane.url(),
            FakePlane::WORKSPACE,
            FakePlane::TOKEN,
            FakeTelegram::TOKEN,
            FakeTelegram::CHAT,
            telegram.url(),
            gitea.url(),
            FakeGitea::TOKEN,
        );
        let file = dir.path().join("orch.toml");
        std::fs::write(&file, text).unwrap();
        let worker = |name: &str| {
            let mut config = Config::load(Some(&file), &BTreeMap::new()).unwrap().config;
            config.worker.name = Some(name.to_owned());
            Context::build(config, CancellationToken::new()).unwrap()
        };
        Pair { workers: [worker("one"), worker("two")], plane, _gitea: gitea, telegram, _dir: dir }
    }

    /// Has one of them send an effect; the job afterwards.
    async fn send(&self, worker: usize, effect: Effect) -> Job {
        let ctx = &self.workers[worker];
        let (name, payload) = (ctx.name.clone(), serde_json::to_string(&effect).unwrap());
        // Without a place in any order, as if each were of another task.
        let new = NewJob {
            kind: JobKind::Effect,
            role: None,
            repo: None,
            task_id: None,
            payload,
            dedupe_key: None,
            order_key: None,
            available_at: None,
        };
        let enqueue = move |c: &mut _| {
            jobs::enqueue(c, &new, now_ms())?;
            jobs::claim(c, JobKind::Effect, &name, now_ms())
        };
        let job = ctx.store.write(enqueue).await.unwrap().expect("a job that is due");
        let id = job.id;
        orch_worker::effects::handle(Arc::clone(ctx), job).await;
        ctx.store.read(move |c| jobs::get(c, id)).await.unwrap().unwrap()
    }
}

fn message(text: &str) -> Effect {
    Effect::Telegram { text: text.into() }
}

#[tokio::test]
async fn where_the_chat_has_moved_is_learnt_once() {
    let pair = Pair::new();
    pair.telegram.move_chat(-1009);
    for worker in [0, 1] {
        assert_eq!(pair.send(worker, message("x")).await.status, JobStatus::Done);
    }
    let asked: Vec<_> = pair.telegram.requests().iter().map(|r| r.json()["chat_id"].clone()).collect();
    assert_eq!(asked, ["-100200", "-1009", "-1009"], "the second worker asks the old chat no more");
    assert_eq!(pair.telegram.chats(), ["-1009", "-1009"]);
}

#[tokio::test]
async fn a_flood_limit_of_one_worker_is_every_workers() {
    let pair = Pair::new();
    pair.telegram.flood(31);
    let begun = now_ms();
    let job = pair.send(0, message("first")).await;
    assert_eq!(job.status, JobStatus::Queued);
    assert!(job.available_at.unwrap() >= begun + 31_000, "{job:?}");
    let job = pair.send(1, message("second")).await;
    assert_eq!(job.status, JobStatus::Queued);
    assert!(job.available_at.unwrap() >= begun + 29_000, "{job:?}");
    assert_eq!(pair.telegram.requests().len(), 1, "the second was not even sent");
}

#[tokio::test]
async fn the_calls_that_plane_allows_a_token_are_for_both() {
    let pair = Pair::new();
    let (item, _) = pair.plane.create_item("one", "", &[]);
    let state = |name: &str| Effect::PlaneState {
        project: FakePlane::PROJECT.into(),
        work_item: item.clone(),
        name: name.into(),
        group: StateGroup::Started,
    };
    pair.plane.limit_per_minute(Some(2));
    // Two calls: the states, the move.
    assert_eq!(pair.send(0, state("In Progress")).await.status, JobStatus::Done);
    let late = pair.send(1, state("Done")).await;
    assert_eq!(late.status, JobStatus::Queued, "the token's third call of this minute");
    let asked = pair.plane.requests().len();
    assert_eq!(pair.send(0, state("Todo")).await.status, JobStatus::Queued);
    assert_eq!(pair.plane.requests().len(), asked, "the first worker was told by the second");
    assert_eq!(pair.plane.state_of(&item), "In Progress");
}

#[tokio::test]
async fn two_workers_never_merge_in_one_repository_at_a_time() {
    let pair = Pair::new();
    let [one, two] = [&pair.workers[0], &pair.workers[1]];
    let first = MergeLease::take(one, 1, "acme/Widgets").await.unwrap().unwrap();
    assert!(MergeLease::take(two, 2, "acme/widgets").await.unwrap().is_none(), "another worker");
    assert!(MergeLease::take(one, 3, "acme/widgets").await.unwrap().is_none(), "another task of the same worker");
    let elsewhere = MergeLease::take(two, 2, "acme/gadgets").await.unwrap();
    assert!(elsewhere.is_some(), "another repository");
    first.give_back(one).await;
    assert!(MergeLease::take(two, 2, "acme/widgets").await.unwrap().is_some());
}

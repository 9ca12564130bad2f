//! The writer against a real database, with another process's lock played by a second connection.

use super::*;
use crate::limits::Memory;
use diesel::connection::SimpleConnection;
use orch_common::store::deliveries::Source;
use orch_common::store::{Durability, Store, jobs, refusals};
use std::sync::mpsc;
use std::time::Instant;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

struct Setup {
    intake: Intake,
    writer: Writer,
    store: Store,
    _dir: TempDir,
}

fn options(dir: &TempDir) -> StoreOptions {
    StoreOptions {
        pool_size: 2,
        durability: Durability::Full,
        patience: LOCK_ATTEMPT,
        ..StoreOptions::new(dir.path().join("orch.db"))
    }
}

async fn ready() -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_and_migrate(&options(&dir)).unwrap();
    let (intake, writer) = Intake::start(options(&dir)).unwrap();
    until(|| intake.standing().phase() == Phase::Ready).await;
    Setup { intake, writer, store, _dir: dir }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn delivery(key: &str) -> NewDelivery {
    NewDelivery {
        source: Source::Gitea,
        key: key.as_bytes().to_vec(),
        order_key: None,
        repo: None,
        payload: "{}".into(),
    }
}

impl Setup {
    fn send(&self, new: NewDelivery) -> tokio::task::JoinHandle<Outcome> {
        let intake = self.intake.clone();
        tokio::spawn(async move { intake.commit(new, Memory::default().hold(), PATIENCE).await })
    }

    /// Holds the write lock until the returned sender is dropped.
    fn lock(&self) -> mpsc::Sender<()> {
        let (held, holding) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let store = self.store.clone();
        std::thread::spawn(move || {
            store.write_now(|_| {
                held.send(()).unwrap();
                let _dropped = released.recv();
                Ok(())
            })
        });
        holding.recv().unwrap();
        release
    }

    fn event_jobs(&self) -> i64 {
        let counts = jobs::counts(&mut self.store.connection().unwrap()).unwrap();
        counts[&orch_common::domain::job::JobKind::Event]["queued"]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_committed_once_and_known_again() {
    let setup = ready().await;
    let Ok(Committed::Queued(job)) = setup.send(delivery("a")).await.unwrap() else { panic!("not queued") };
    assert_eq!(setup.event_jobs(), 1);
    assert_eq!(setup.send(delivery("a")).await.unwrap(), Ok(Committed::Duplicate(job)));
    assert_eq!(setup.event_jobs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_of_one_commit_are_jobs_when_they_are_answered() {
    let setup = ready().await;
    let lock = setup.lock();
    let sent: Vec<_> = (0..40).map(|n| setup.send(delivery(&n.to_string()))).collect();
    until(|| matches!(setup.intake.standing().phase(), Phase::Failing(_))).await;
    drop(lock);
    let mut ids = Vec::new();
    for sent in sent {
        match sent.await.unwrap() {
            Ok(Committed::Queued(id)) => ids.push(id),
            other => panic!("{other:?}"),
        }
    }
    ids.sort_unstable();
    assert_eq!((ids, setup.event_jobs()), ((1..=40).collect(), 40));
    let row = |id| jobs::get(&mut setup.store.connection().unwrap(), id).unwrap();
    assert!((1..=40).all(|id| row(id).is_some()));
    assert!(matches!(setup.send(delivery("7")).await.unwrap(), Ok(Committed::Duplicate(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_delivery_does_not_spoil_its_batch() {
    let setup = ready().await;
    let sql = "CREATE UNIQUE INDEX one_per_repo ON jobs (repo) WHERE repo = 'poison'";
    setup.store.connection().unwrap().batch_execute(sql).unwrap();
    let poison = |key: &str| NewDelivery { repo: Some("poison".into()), ..delivery(key) };
    assert!(matches!(setup.send(poison("first")).await.unwrap(), Ok(Committed::Queued(_))));

    let lock = setup.lock();
    let sent: Vec<_> =
        (0..7).map(|n| setup.send(if n == 3 { poison("second") } else { delivery(&format!("good-{n}")) })).collect();
    // The first is tried against the lock, and the others gather behind it.
    until(|| matches!(setup.intake.standing().phase(), Phase::Failing(_))).await;
    drop(lock);
    for (n, sent) in sent.into_iter().enumerate() {
        match sent.await.unwrap() {
            Ok(Committed::Queued(_)) => assert_ne!(n, 3),
            other => assert_eq!((n, other), (3, Err(IntakeError::Rejected))),
        }
    }
    assert_eq!(setup.event_jobs(), 7);
    until(|| setup.intake.standing().phase() == Phase::Ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_wait_for_the_lock_is_told_so_and_saved_all_the_same() {
    let setup = ready().await;
    let lock = setup.lock();
    let intake = setup.intake.clone();
    let outcome = intake.commit(delivery("late"), Memory::default().hold(), Duration::from_millis(50)).await;
    assert!(matches!(outcome, Err(IntakeError::Unavailable(_))), "{outcome:?}");
    drop(lock);
    until(|| setup.event_jobs() == 1).await;
    assert!(matches!(setup.send(delivery("late")).await.unwrap(), Ok(Committed::Duplicate(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_so_at_once_and_loses_nothing_it_took() {
    let setup = ready().await;
    let lock = setup.lock();
    let many = QUEUE_DEPTH + 600;
    let sent: Vec<_> = (0..many).map(|n| setup.send(delivery(&n.to_string()))).collect();
    until(|| sent.iter().filter(|handle| handle.is_finished()).count() >= 300).await;
    drop(lock);
    let mut queued = 0;
    for sent in sent {
        match sent.await.unwrap() {
            Ok(Committed::Queued(_)) => queued += 1,
            other => assert_eq!(other, Err(IntakeError::Unavailable("too many deliveries wait for the database"))),
        }
    }
    assert!(queued >= QUEUE_DEPTH as i64 && queued < many as i64, "{queued}");
    assert_eq!(setup.event_jobs(), queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_commits_what_was_accepted() {
    let setup = ready().await;
    let lock = setup.lock();
    let sent: Vec<_> = (0..50).map(|n| setup.send(delivery(&n.to_string()))).collect();
    until(|| matches!(setup.intake.standing().phase(), Phase::Failing(_))).await;
    let (gone, Setup { writer, store, intake, _dir }) = (setup.writer.gone(), setup);
    // One that was handed over surely stands before the word to stop: it has been tried.
    let stopping = tokio::task::spawn_blocking(|| writer.stop());
    drop(lock);
    assert!(stopping.await.unwrap());
    gone.cancelled().await;
    let mut queued = 0;
    for sent in sent {
        if matches!(sent.await.unwrap(), Ok(Committed::Queued(_))) {
            queued += 1;
        }
    }
    assert!(queued > 0);
    let counts = jobs::counts(&mut store.connection().unwrap()).unwrap();
    assert_eq!(counts[&orch_common::domain::job::JobKind::Event]["queued"], queued, "answered is committed");
    let late = intake.commit(delivery("late"), Memory::default().hold(), PATIENCE).await;
    assert!(matches!(late, Err(IntakeError::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_the_schema_is_current_nothing_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (intake, writer) = Intake::start(options(&dir)).unwrap();
    until(|| matches!(intake.standing().phase(), Phase::Outdated(_))).await;
    let refused = intake.commit(delivery("a"), Memory::default().hold(), PATIENCE).await;
    assert_eq!(refused, Err(IntakeError::Unavailable("the database's schema is not current")));
    Store::open(&options(&dir)).unwrap().migrate().unwrap();
    until(|| intake.standing().phase() == Phase::Ready).await;
    assert!(matches!(intake.commit(delivery("a"), Memory::default().hold(), PATIENCE).await, Ok(Committed::Queued(_))));
    assert!(tokio::task::spawn_blocking(|| writer.stop()).await.unwrap());
}

#[tokio::test]
async fn refusals_reach_the_database_also_where_no_delivery_comes() {
    let setup = ready().await;
    let counted = |store: &Store| {
        let all = refusals::all(&mut store.connection().unwrap()).unwrap();
        all.iter().map(|r| r.count).sum::<i64>()
    };
    setup.intake.refused(Source::Gitea, Reason::WrongSignature);
    until(|| counted(&setup.store) == 1).await;
    // The next ones wait for their turn, and the writer's end loses none.
    (0..50).for_each(|_| setup.intake.refused(Source::Gitea, Reason::WrongSignature));
    let Setup { intake: _, writer, store, _dir } = setup;
    assert!(tokio::task::spawn_blocking(move || writer.stop()).await.unwrap());
    assert_eq!(counted(&store), 51);
}

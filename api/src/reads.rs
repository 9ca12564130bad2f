//! Reading the database for the views: connections of their own, few and on blocking threads, so that a reader
//! neither waits for the writer nor keeps it waiting.

use crate::intake::{Intake, Phase};
use crate::problem::Problem;
use orch_common::store::{Conn, Durability, Store, StoreError, StoreOptions};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};

/// Connections, and views that are made at a time.
const READERS: u32 = 2;

/// How long a view may take; beyond, its reader is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// The readers' side of the database.
pub struct Reads {
    options: StoreOptions,
    /// With the writer's count of openings it belongs to: when that opens another file, so do the readers.
    store: Mutex<Option<(u64, Store)>>,
    turns: Semaphore,
}

impl Reads {
    /// Opens nothing yet: the writer is the first to open the database.
    pub fn new(database: PathBuf) -> Self {
        let options = StoreOptions { pool_size: READERS, durability: Durability::Full, ..StoreOptions::new(database) };
        Reads { options, store: Mutex::new(None), turns: Semaphore::new(READERS as usize) }
    }

    /// Runs `query` on a reader's connection.
    ///
    /// # Errors
    /// 503 where the database cannot be read now; the reason is logged.
    pub async fn read<T, F>(&self, intake: &Intake, query: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        if matches!(intake.standing().phase(), Phase::Opening | Phase::Unusable(_)) {
            return Err(Problem::unavailable("the database is not open", 1));
        }
        match tokio::time::timeout(PATIENCE, self.run(intake.standing().openings(), query)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::warn!(%error, "view not served: database read failed");
                Err(Problem::unavailable("the database cannot be read", 1))
            }
            Err(_) => Err(Problem::unavailable("the database did not answer in time", 1)),
        }
    }

    async fn run<T, F>(&self, opening: u64, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        // Closed never: an error here means nothing but that the process ends.
        let _turn = self.turns.acquire().await;
        self.store(opening).await?.read(query).await
    }

    async fn store(&self, opening: u64) -> Result<Store, StoreError> {
        let mut current = self.store.lock().await;
        if let Some((_, store)) = current.as_ref().filter(|(of, _)| *of == opening) {
            return Ok(store.clone());
        }
        let store = open(self.options.clone()).await?;
        *current = Some((opening, store.clone()));
        Ok(store)
    }
}

async fn open(options: StoreOptions) -> Result<Store, StoreError> {
    let opened = tokio::task::spawn_blocking(move || Store::open(&options)).await;
    opened.unwrap_or_else(|join| Err(StoreError::Corrupt(format!("opening the database did not finish: {join}"))))
}

//! The files that Plane keeps for a work item: what is attached to it, and the pictures of its text and its comments. Plane
//! answers with the address of the file in its storage, good for an hour.

use super::{NEW_ROUTE, PlaneClient, Route};
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use crate::clients::storage::{Fetched, is_redirect};
use std::sync::atomic::Ordering;

/// Why a file is not here.
#[derive(Debug)]
pub enum NotLoaded {
    /// Plane takes no calls now, or is away: nothing else could be had either.
    Plane(ApiError),
    /// This one cannot be had, for people.
    File(String),
}

impl PlaneClient {
    /// One file of at most `most` bytes, by its id. The token goes to Plane alone.
    pub async fn file(&self, project: &str, item: &str, file: &str, most: u64) -> Result<Fetched, NotLoaded> {
        if self.old_routes.load(Ordering::Relaxed) {
            return Err(NotLoaded::File("this release of Plane gives programs no files".into()));
        }
        let path = Route::Items { project, rest: &[item, "attachments", file] }.path(self, NEW_ROUTE);
        let answer = match self.exchange(&Call::get(path)).await {
            Ok(answer) if is_redirect(answer.status) => {
                return self.http.fetch(answer.location(), most).await.map_err(NotLoaded::File);
            }
            other => other,
        };
        let error = match self.limited.noting(answer.and_then(|answer| self.http.take(answer))) {
            Ok(_) => return Err(NotLoaded::File("Plane names no address of it".into())),
            Err(error) => error,
        };
        // A file that Plane stumbles over holds nobody up.
        let is_away = error.retry_after().is_some() || (error.is_transient() && self.probe().await.is_err());
        Err(if is_away { NotLoaded::Plane(error) } else { NotLoaded::File(error.to_string()) })
    }
}

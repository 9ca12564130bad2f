//! Work items, their comments, links and history.

use super::{Activity, Attachment, Comment, EXTERNAL_SOURCE, PlaneClient, Posted, Route, WorkItem};
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde_json::{Value, json};

impl PlaneClient {
    /// One work item, with the names of its state and labels.
    pub async fn work_item(&self, project: &str, item: &str) -> Result<WorkItem, ApiError> {
        self.send_by(Route::Items { project, rest: &[item] }, |path| Call::get(path).query("expand", "state,labels"))
            .await?
            .json()
    }

    /// Moves the item to a state. The same state again changes nothing and sends no webhook.
    pub async fn set_state(&self, project: &str, item: &str, state_id: &str) -> Result<(), ApiError> {
        let body = json!({ "state": state_id });
        self.send_by(Route::Items { project, rest: &[item] }, |path| Call::new(Method::PATCH, path).json(body.clone()))
            .await
            .map(drop)
    }

    /// All comments, newest first.
    pub async fn comments(&self, project: &str, item: &str) -> Result<Vec<Comment>, ApiError> {
        self.all_pages(Route::Items { project, rest: &[item, "comments"] }, &[], |_| false).await
    }

    /// One comment as it is now; `None` = it is gone. Where it alone cannot be had, the thread says whether it is there.
    pub async fn comment(&self, project: &str, item: &str, comment: &str) -> Result<Option<Comment>, ApiError> {
        let route = Route::Items { project, rest: &[item, "comments", comment] };
        match self.send_by(route, Call::get).await {
            Ok(answer) => answer.json().map(Some),
            Err(ApiError::NotFound | ApiError::Refused { status: 405, .. }) => {
                Ok(self.comments(project, item).await?.into_iter().find(|c| c.id == comment))
            }
            Err(error) => Err(error),
        }
    }

    /// The files that are attached to an item; a bare list. Releases before 1.1 have none that can be asked for.
    pub async fn attachments(&self, project: &str, item: &str) -> Result<Vec<Attachment>, ApiError> {
        match self.send_by(Route::Items { project, rest: &[item, "attachments"] }, Call::get).await {
            Ok(answer) => answer.json(),
            Err(ApiError::NotFound) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// A comment that is there once under `external_id`, however often this is called. Plane looks and then
    /// inserts, so two callers at the same instant could still make two: one task's effects have one sender.
    pub async fn post_comment(
        &self,
        project: &str,
        item: &str,
        html: &str,
        external_id: &str,
    ) -> Result<Posted, ApiError> {
        let body = json!({
            "comment_html": html,
            "access": "INTERNAL",
            "external_source": EXTERNAL_SOURCE,
            "external_id": external_id,
        });
        let post = |path| Call::post(path, body.clone()).repeatable();
        match self.send_by(Route::Items { project, rest: &[item, "comments"] }, post).await {
            Ok(answer) => {
                let created: Value = answer.json()?;
                let id = created.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                Ok(Posted { id, existed: false })
            }
            Err(ApiError::Conflict { existing_id, .. }) => {
                Ok(Posted { id: existing_id.unwrap_or_default(), existed: true })
            }
            Err(other) => Err(other),
        }
    }

    /// A link on the item; `false`: the URL was there already.
    pub async fn add_link(&self, project: &str, item: &str, url: &str, title: &str) -> Result<bool, ApiError> {
        let body = json!({ "url": url, "title": title });
        let post = |path| Call::post(path, body.clone()).repeatable();
        match self.send_by(Route::Items { project, rest: &[item, "links"] }, post).await {
            Ok(_) => Ok(true),
            Err(ApiError::Refused { status: 400, body }) if body.contains("already exists") => Ok(false),
            Err(ApiError::Conflict { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The items changed at or after `since_ms` (epoch milliseconds), newest change first. Plane has no such
    /// filter: the list is read in that order and left where it becomes older.
    pub async fn work_items_updated_since(&self, project: &str, since_ms: i64) -> Result<Vec<WorkItem>, ApiError> {
        let query = [("order_by", "-updated_at"), ("expand", "state,labels")];
        let older = |all: &[WorkItem]| all.last().is_some_and(|last| last.updated_at < since_ms);
        let mut items = self.all_pages(Route::Items { project, rest: &[] }, &query, older).await?;
        items.retain(|item| item.updated_at >= since_ms);
        Ok(items)
    }

    /// The item's history, oldest first; comments are not in it.
    pub async fn activities(&self, project: &str, item: &str) -> Result<Vec<Activity>, ApiError> {
        self.all_pages(Route::Items { project, rest: &[item, "activities"] }, &[], |_| false).await
    }
}

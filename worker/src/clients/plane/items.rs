//! Work items, their comments, links and history.

use super::{Activity, Attachment, Comment, EXTERNAL_SOURCE, Link, PlaneClient, Posted, Route, WorkItem};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use reqwest::Method;
use serde_json::json;

/// Whether a work item is there.
#[derive(Debug)]
pub enum Presence {
    There(Box<WorkItem>),
    /// Put away: it is in no list, and not to be had by its id; its thread is.
    Archived,
    Gone,
}

impl PlaneClient {
    /// The item, or what has become of it. A proxy in front of a Plane that restarts says "not found" too: that counts only
    /// while the project is found.
    pub async fn presence(&self, project: &str, item: &str) -> Result<Presence, ApiError> {
        match self.work_item(project, item).await {
            Ok(found) if found.archived_at.is_some() => return Ok(Presence::Archived),
            Ok(found) => return Ok(Presence::There(Box::new(found))),
            Err(ApiError::NotFound) => {}
            Err(error) => return Err(error),
        }
        self.project(project).await?;
        match self.comments(project, item).await {
            Ok(thread) if thread.iter().any(|c| c.external_source.as_deref() == Some(EXTERNAL_SOURCE)) => {
                Ok(Presence::Archived)
            }
            Ok(_) | Err(ApiError::NotFound) => Ok(Presence::Gone),
            Err(error) => Err(error),
        }
    }

    /// One work item, with the names of its state and labels.
    pub async fn work_item(&self, project: &str, item: &str) -> Result<WorkItem, ApiError> {
        self.send_by(Route::Items { project, rest: &[item] }, |path| Call::get(path).query("expand", "state,labels"))
            .await?
            .json()
    }

    /// Moves the item to a state; gives it as it is then. The same state again changes nothing and sends no webhook.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] where the answer does not have it in that state.
    pub async fn set_state(&self, project: &str, item: &str, state_id: &str) -> Result<WorkItem, ApiError> {
        let body = json!({ "state": state_id });
        let patch = |path| Call::new(Method::PATCH, path).json(body.clone());
        let now: WorkItem = self.send_by(Route::Items { project, rest: &[item] }, patch).await?.json()?;
        says(now.state.id.eq_ignore_ascii_case(state_id), "the item in its new state").map(|()| now)
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

    /// Posts a comment, once: what becomes of a lost answer is the caller's to look for (see [`PlaneClient::comment_under`]).
    /// Plane looks for the `external_id` and then inserts, so a second call while the first is under way makes two.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] where the answer is not that comment.
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
        let post = |path| Call::post(path, body.clone());
        match self.send_by(Route::Items { project, rest: &[item, "comments"] }, post).await {
            Ok(answer) => {
                let made: Comment = answer.json()?;
                says(made.external_id.as_deref() == Some(external_id), "the comment")?;
                Ok(Posted { id: made.id, existed: false })
            }
            Err(ApiError::Conflict { existing_id: Some(id), .. }) => Ok(Posted { id, existed: true }),
            Err(other) => Err(other),
        }
    }

    /// Our own comment under this key, if it is there.
    pub async fn comment_under(
        &self,
        project: &str,
        item: &str,
        external_id: &str,
    ) -> Result<Option<String>, ApiError> {
        let thread = self.comments(project, item).await?;
        Ok(thread.into_iter().find(|c| c.is_under(external_id)).map(|c| c.id))
    }

    /// Deletes a comment; `false`: it was gone.
    pub async fn delete_comment(&self, project: &str, item: &str, comment: &str) -> Result<bool, ApiError> {
        self.delete(project, &[item, "comments", comment]).await
    }

    /// The item's links.
    pub async fn links(&self, project: &str, item: &str) -> Result<Vec<Link>, ApiError> {
        self.all_pages(Route::Items { project, rest: &[item, "links"] }, &[], |_| false).await
    }

    /// A link on the item; `false`: the URL was there already. Of a lost answer the same holds as of a comment's.
    pub async fn add_link(&self, project: &str, item: &str, url: &str, title: &str) -> Result<bool, ApiError> {
        let body = json!({ "url": url, "title": title });
        let post = |path| Call::post(path, body.clone());
        match self.send_by(Route::Items { project, rest: &[item, "links"] }, post).await {
            Ok(answer) => {
                let made: Link = answer.json()?;
                says(made.url == url, "the link").map(|()| true)
            }
            Err(ApiError::Refused { status: 400, body }) if body.contains("already exists") => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Deletes a link; `false`: it was gone.
    pub async fn delete_link(&self, project: &str, item: &str, link: &str) -> Result<bool, ApiError> {
        self.delete(project, &[item, "links", link]).await
    }

    async fn delete(&self, project: &str, rest: &[&str]) -> Result<bool, ApiError> {
        match self.send_by(Route::Items { project, rest }, |path| Call::new(Method::DELETE, path)).await {
            Ok(answer) => answer.deleted().map(|()| true),
            Err(ApiError::NotFound) => Ok(false),
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

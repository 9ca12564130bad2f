//! Projects and what belongs to them: states, labels, members.

use super::{Label, Person, PlaneClient, Project, Route, State};
use crate::clients::call::says;
use crate::clients::error::ApiError;
use crate::clients::http::Call;
use orch_common::domain::effect::StateGroup;
use serde_json::json;

impl PlaneClient {
    /// Every project this account may see.
    pub async fn projects(&self) -> Result<Vec<Project>, ApiError> {
        self.all_pages(Route::Workspace(&["projects"]), &[], |_| false).await
    }

    /// One project. An unknown one is [`ApiError::Unauthorized`]: Plane does not tell the two apart.
    pub async fn project(&self, project: &str) -> Result<Project, ApiError> {
        self.send_by(Route::Project { project, rest: &[] }, Call::get).await?.json()
    }

    pub async fn states(&self, project: &str) -> Result<Vec<State>, ApiError> {
        self.listed(project, "states").await
    }

    pub async fn labels(&self, project: &str) -> Result<Vec<Label>, ApiError> {
        self.listed(project, "labels").await
    }

    /// The people of the workspace, with their roles.
    pub async fn workspace_members(&self) -> Result<Vec<Person>, ApiError> {
        self.send_by(Route::Workspace(&["members"]), Call::get).await?.json()
    }

    /// The people of a project (a bare array, without roles).
    pub async fn members(&self, project: &str) -> Result<Vec<Person>, ApiError> {
        self.send_by(Route::Project { project, rest: &["members"] }, Call::get).await?.json()
    }

    /// A new state; where the name is taken, the one that has it.
    pub async fn create_state(&self, project: &str, name: &str, group: StateGroup) -> Result<State, ApiError> {
        let body = json!({ "name": name, "group": group.as_str(), "color": color(group) });
        let states = Route::Project { project, rest: &["states"] };
        let created = self.send_by(states, |path| Call::post(path, body.clone())).await;
        match created {
            Ok(answer) => {
                let made: State = answer.json()?;
                says(made.name == name, "the state").map(|()| made)
            }
            Err(ApiError::Conflict { existing_id: Some(id), .. }) => {
                Ok(State { id, name: name.to_owned(), group: group.as_str().to_owned(), default: false })
            }
            Err(other) => Err(other),
        }
    }

    async fn listed<T: serde::de::DeserializeOwned>(&self, project: &str, what: &str) -> Result<Vec<T>, ApiError> {
        self.all_pages(Route::Project { project, rest: &[what] }, &[], |_| false).await
    }
}

/// The colours Plane gives its own states of the group.
const fn color(group: StateGroup) -> &'static str {
    match group {
        StateGroup::Backlog | StateGroup::Unstarted => "#60646C",
        StateGroup::Started => "#F59E0B",
        StateGroup::Completed => "#46A758",
        StateGroup::Cancelled => "#9AA4BC",
    }
}

//! What a decision needs besides the database: the configuration and the texts. No clients, no folders, no network, so
//! that an operator's command decides by the very code of the worker and cannot reach further.

use crate::context::pipeline_of;
use crate::templates::{self, TemplateError};
use orch_common::config::{Config, Project};
use orch_common::domain::budget::Limits;
use orch_common::domain::decide::Policy;
use orch_common::domain::gate::Gate;
use orch_common::domain::messages::{Catalogue, Message};
use orch_common::domain::names::BranchName;
use orch_common::domain::stage::Stage;
use orch_common::store::tasks::Task;

/// Configuration and texts.
pub struct Rules {
    pub config: Config,
    pub catalogue: Catalogue,
}

impl Rules {
    /// Reads the operator's templates, where there are any, and nothing else.
    ///
    /// # Errors
    /// A template that cannot be read or used.
    pub fn new(config: Config) -> Result<Rules, TemplateError> {
        let templates = config.worker.templates_dir.as_deref().map(templates::read).transpose()?.unwrap_or_default();
        let catalogue = Catalogue::new(templates::locale(&config), templates)?;
        Ok(Rules { config, catalogue })
    }

    /// The rules of a project.
    pub fn policy(&self, project: &Project) -> Policy {
        Policy {
            pipeline: pipeline_of(project),
            role_run_cap: self.config.role_run_cap(project),
            merge: project.merge,
            names: project.artifacts.clone(),
            analyst_minutes: self
                .config
                .run_limits(project, orch_common::domain::stage::Role::Analyst)
                .timeout_s
                .div_ceil(60)
                .clamp(1, 15),
            reviewer_account: self.config.gitea.reviewer_token.is_some()
                && pipeline_of(project).gate(Stage::Review) == Some(Gate::ReviewApproved),
        }
    }

    /// What a project's tasks may spend.
    pub fn limits(&self, project: &Project) -> Limits {
        let b = self.config.budget_of(project);
        Limits {
            run_usd: b.run_usd,
            run_turns: b.run_turns,
            task_usd: b.task_usd,
            task_runs: b.task_runs,
            project_usd_per_day: b.project_usd_per_day,
            day_usd: b.day_usd,
            run_tokens: b.run_tokens,
            task_tokens: b.task_tokens,
            project_tokens_per_day: b.project_tokens_per_day,
            day_tokens: b.day_tokens,
        }
    }

    /// Where people find the work item; `None` where Plane is not configured.
    pub fn work_item_url(&self, task: &Task) -> Option<String> {
        let plane = &self.config.plane;
        let (base, workspace) = (plane.url.as_ref()?, plane.workspace.as_ref()?);
        let base = base.as_str().trim_end_matches('/');
        Some(format!("{base}/{workspace}/projects/{}/issues/{}", task.project, task.work_item))
    }

    /// A message to the team's chat about a task.
    pub fn chat_text(&self, task: &Task, message: &Message) -> String {
        match task.key.parse() {
            Ok(key) => self.catalogue.render_for_chat(&key, message),
            Err(_) => self.catalogue.render(message),
        }
    }
}

/// What a task's branch of the project is called, for instance.
pub fn sample_branch(project: &Project) -> String {
    let key = format!("{}-001", project.id_prefix).parse();
    key.map_or_else(|_| "feature/X-001-x".to_owned(), |key| BranchName::for_task(&key, "x").as_str().to_owned())
}

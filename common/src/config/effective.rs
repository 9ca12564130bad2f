//! What holds for one project and one role once the project's own words are laid over the general ones, and
//! what is still missing for a process to do all of its work.

use super::address::GitRemote;
use super::load::Config;
use super::projects::Project;
use super::running::BudgetConfig;
use crate::domain::stage::Role;

/// The bounds and the model of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLimits {
    pub timeout_s: u64,
    pub kill_grace_s: u64,
    /// 0 = off.
    pub stall_s: u64,
    pub max_turns: Option<u32>,
    pub max_usd: Option<f64>,
    pub model: Option<String>,
    pub fallback_model: Option<String>,
}

impl Config {
    /// What holds for a run of `role`. The time limit is the first of: the project's for the role, the general
    /// one for the role, the project's, the general one.
    pub fn run_limits(&self, project: &Project, role: Role) -> RunLimits {
        let (agent, limits) = (&self.agent, &project.limits);
        let per_role = limits.timeout_overrides.get(&role).or_else(|| agent.timeout_overrides.get(&role)).copied();
        let budget = self.budget_of(project);
        RunLimits {
            timeout_s: per_role.or(limits.agent_timeout_s).unwrap_or(agent.timeout_s),
            kill_grace_s: agent.kill_grace_s,
            stall_s: limits.stall_s.unwrap_or(agent.stall_s),
            max_turns: budget.run_turns,
            max_usd: budget.run_usd,
            model: project.models.get(&role).or(agent.model.as_ref()).cloned(),
            fallback_model: agent.fallback_model.clone(),
        }
    }

    /// The runs of one role since the last word of a person.
    pub fn role_run_cap(&self, project: &Project) -> u32 {
        project.limits.role_run_cap.unwrap_or(self.agent.role_run_cap)
    }

    /// What may be spent on one project; `day_usd` and `day_tokens` stay the bounds of all projects together.
    pub fn budget_of(&self, project: &Project) -> BudgetConfig {
        let (own, all) = (&project.budget, &self.budget);
        BudgetConfig {
            run_usd: own.run_usd.or(all.run_usd),
            run_turns: own.run_turns.or(all.run_turns),
            task_usd: own.task_usd.or(all.task_usd),
            task_runs: own.task_runs.or(all.task_runs),
            project_usd_per_day: own.usd_per_day.or(all.project_usd_per_day),
            day_usd: all.day_usd,
            run_tokens: own.run_tokens.or(all.run_tokens),
            task_tokens: own.task_tokens.or(all.task_tokens),
            project_tokens_per_day: own.tokens_per_day.or(all.project_tokens_per_day),
            day_tokens: all.day_tokens,
        }
    }

    /// Where git clones the project from: its own remote, else `<gitea.git_url or gitea.url>/<owner>/<name>.git`.
    pub fn git_remote(&self, project: &Project) -> Option<GitRemote> {
        let forge = || self.gitea.url.as_ref().and_then(|url| url.as_str().parse::<GitRemote>().ok());
        let base = || self.gitea.git_url.clone().or_else(forge);
        project.remote.clone().or_else(|| base().map(|base| base.repo(&project.repo)))
    }

    /// The variables without which the API refuses part of its work; to be said at the start.
    pub fn missing_for_api(&self) -> Vec<&'static str> {
        let exposed = !self.api.bind.ip().is_loopback();
        missing([
            ("ORCH_PLANE_WEBHOOK_SECRET", self.plane.webhook_secret.is_some()),
            ("ORCH_GITEA_WEBHOOK_SECRET", self.gitea.webhook_secret.is_some()),
            ("ORCH_API_READ_TOKEN", !exposed || self.api.read_token.is_some()),
        ])
    }

    /// The variables without which the worker cannot do its work; Telegram is a choice and not among them.
    pub fn missing_for_worker(&self) -> Vec<&'static str> {
        missing([
            ("ORCH_PLANE_URL", self.plane.url.is_some()),
            ("ORCH_PLANE_WORKSPACE", self.plane.workspace.is_some()),
            ("ORCH_PLANE_API_TOKEN", self.plane.api_token.is_some()),
            ("ORCH_GITEA_URL", self.gitea.url.is_some()),
            ("ORCH_GITEA_TOKEN", self.gitea.token.is_some()),
        ])
    }
}

fn missing<const N: usize>(needed: [(&'static str, bool); N]) -> Vec<&'static str> {
    needed.into_iter().filter(|(_, set)| !set).map(|(name, _)| name).collect()
}

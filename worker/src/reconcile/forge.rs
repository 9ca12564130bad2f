//! What happened in a repository since it was asked last: one list of the pull requests that changed, and of the
//! branches of idle tasks what their gates wait for. A verdict found here is a reason to look, not evidence.

use super::checks;
use super::findings::Findings;
use super::{OVERLAP_MS, Reconciler, RoundError, position};
use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, Pull, standing};
use crate::clock::now_ms;
use crate::context::{Context, pipeline_of};
use crate::engine::pull_state::oddity;
use crate::events::{Ends, GiteaChange, GiteaEvent, Observed, ReviewKind, Speakers};
use crate::outage::{Scope, blame};
use orch_common::config::Project;
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::jobs;
use orch_common::store::tasks::{self, Task};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Idle tasks whose branch is asked for in one round.
const MOST_BRANCHES: usize = 20;

/// Asks; what was found before a failure counts.
pub(super) async fn ask(ctx: &Arc<Context>, memory: &mut Reconciler, project: &Project) -> Findings {
    let mut findings = Findings::default();
    let Some(gitea) = ctx.outside.gitea.clone() else { return findings };
    // A forge or a repository that takes nothing is said of here, too: no job may meet it for days.
    let scopes = [Scope::Gitea, Scope::Repo(project.repo.clone())];
    if let Some(away) = blame(ctx, &scopes).await {
        let why = ctx.outages.words_of(&away).unwrap_or_default();
        findings.trouble = Some(RoundError::Outside(ApiError::Unavailable { why }));
        return findings;
    }
    let asking = Asking { ctx, gitea: &gitea, project };
    if let Err(trouble) = asking.ask_into(memory, &mut findings).await {
        findings.trouble = Some(trouble);
    }
    findings
}

/// One repository.
struct Asking<'a> {
    ctx: &'a Context,
    gitea: &'a GiteaClient,
    project: &'a Project,
}

impl Asking<'_> {
    async fn ask_into(&self, memory: &mut Reconciler, findings: &mut Findings) -> Result<(), RoundError> {
        let name = format!("gitea:since:{}", self.project.repo.to_lowercase());
        let since = position(self.ctx, name.clone()).await?;
        let mut pulls = self.gitea.pulls_updated_since(&self.project.repo, since.saturating_sub(OVERLAP_MS)).await?;
        pulls.sort_by_key(|pull| pull.updated_at);
        let mut reviewed = BTreeSet::new();
        for pull in &pulls {
            let thing = format!("{}#{}", self.project.repo, pull.number);
            if !memory.knows(&thing, pull.updated_at) {
                self.look_at(pull, &mut reviewed, findings).await?;
                memory.deal_with(&thing, pull.updated_at);
            }
            if pull.updated_at > since {
                findings.position = Some((name.clone(), pull.updated_at));
            }
        }
        self.idle_tasks(memory, &reviewed, findings).await
    }

    async fn look_at(
        &self,
        pull: &Pull,
        reviewed: &mut BTreeSet<i64>,
        findings: &mut Findings,
    ) -> Result<(), RoundError> {
        let (repo, number) = (self.project.repo.clone(), pull.number);
        let task = self.ctx.store.read(move |c| tasks::by_pull(c, &repo, number)).await?;
        let Some(task) = task.filter(|t| !t.state.is_terminal()) else { return Ok(()) };
        if pull.merged {
            let what = GiteaChange::Pull {
                action: "closed".to_owned(),
                number: pull.number,
                branch: task.branch.clone(),
                head_sha: pull.head.sha.clone(),
                merged: true,
                ends: ends(pull),
            };
            let key = format!("gitea:merged:{}:{}", self.project.repo, pull.number);
            findings.push(key, pull.updated_at, self.event(None, what));
            return Ok(());
        }
        self.as_it_should_be(pull, &task, findings).await?;
        if pull.is_open() && hears_reviews(task.stage) && self.is_idle(&task).await? {
            reviewed.insert(task.id);
            self.reviews(pull, &task, findings).await?;
        }
        Ok(())
    }

    /// What nobody told of the state or the base of a pull request that is not merged.
    async fn as_it_should_be(&self, pull: &Pull, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
        let id = task.id;
        let known = self.ctx.store.read(move |c| in_the_way::get(c, id, Kind::Pull)).await?;
        let odd = oddity(self.project, task, pull).map(|odd| odd.key());
        if odd == known {
            return Ok(());
        }
        let what = GiteaChange::Pull {
            action: if pull.is_open() { "edited" } else { "closed" }.to_owned(),
            number: pull.number,
            branch: task.branch.clone(),
            head_sha: pull.head.sha.clone(),
            merged: false,
            ends: ends(pull),
        };
        let odd = odd.unwrap_or_default();
        let key = format!("gitea:pull:{}:{}:{odd}:{}", self.project.repo, pull.number, pull.updated_at);
        findings.push(key, pull.updated_at, self.event(None, what));
        Ok(())
    }

    /// A verdict that comes while work is under way is found again after it.
    async fn is_idle(&self, task: &Task) -> Result<bool, RoundError> {
        let id = task.id;
        Ok(self.ctx.store.read(move |c| jobs::unfinished_of_task(c, id)).await?.is_empty())
    }

    /// The verdicts that stand, each by its id.
    async fn reviews(&self, pull: &Pull, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
        let all = self.gitea.all_reviews(&self.project.repo, pull.number).await?;
        let speakers = Speakers::of(self.ctx, self.project).await?;
        for review in standing(&all).into_iter().filter(|r| speakers.voice(r).is_some()) {
            let what = GiteaChange::Review {
                id: Some(review.id),
                number: pull.number,
                branch: task.branch.clone(),
                head_sha: pull.head.sha.clone(),
                kind: if review.rejects() { ReviewKind::Rejected } else { ReviewKind::Approved },
                text: review.words().to_owned(),
                ends: ends(pull),
            };
            let by = review.user.as_ref().map(|user| (user.id, user.login.clone()));
            let key = format!("gitea:review:{}:{}", self.project.repo, review.id);
            findings.push(key, review.submitted_at, self.event(by, what));
        }
        Ok(())
    }

    /// Tasks that wait with no job of their own: has their branch moved, has CI or a reviewer spoken?
    async fn idle_tasks(
        &self,
        memory: &Reconciler,
        reviewed: &BTreeSet<i64>,
        findings: &mut Findings,
    ) -> Result<(), RoundError> {
        let repo = self.project.repo.clone();
        let idle = self
            .ctx
            .store
            .read(move |conn| {
                let mut idle = Vec::new();
                for task in tasks::open(conn)?.into_iter().filter(|t| t.repo == repo && can_move(t)) {
                    if jobs::unfinished_of_task(conn, task.id)?.is_empty() {
                        idle.push(task);
                    }
                }
                Ok(idle)
            })
            .await?;
        for task in memory.some_of(&idle, MOST_BRANCHES) {
            self.branch(task, findings).await?;
            if pipeline_of(self.project).gate(task.stage) == Some(Gate::CiGreen) {
                findings.extend(checks::finding(self.gitea, self.project, task).await?);
            }
            if !reviewed.contains(&task.id)
                && let Some(number) = task.pull
                && let Some(pull) = self.gitea.pull(&self.project.repo, number).await?
            {
                if !pull.merged {
                    self.as_it_should_be(&pull, task, findings).await?;
                }
                if hears_reviews(task.stage) && pull.is_open() {
                    self.reviews(&pull, task, findings).await?;
                }
            }
        }
        Ok(())
    }

    /// Commits that nobody told of.
    async fn branch(&self, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
        let Some(before) = task.head.clone() else { return Ok(()) };
        let Some(branch) = self.gitea.branch(&self.project.repo, &task.branch).await? else {
            let key = format!("gitea:gone:{}:{before}:{}", task.id, task.stage_version);
            let what = GiteaChange::BranchDeleted { branch: task.branch.clone() };
            findings.push(key, now_ms(), self.event(None, what));
            return Ok(());
        };
        let after = branch.head().to_owned();
        let id = task.id;
        if self.ctx.store.read(move |c| in_the_way::get(c, id, Kind::Branch)).await?.is_some() {
            let key = format!("gitea:back:{}:{after}:{}", task.id, task.stage_version);
            let what = GiteaChange::BranchCreated { branch: task.branch.clone() };
            findings.push(key, now_ms(), self.event(None, what));
            return Ok(());
        }
        if after == before {
            return Ok(());
        }
        let key = format!("gitea:push:{}:{after}", task.id);
        let what = GiteaChange::Push { branch: task.branch.clone(), before, after, ping: false };
        findings.push(key, now_ms(), self.event(None, what));
        Ok(())
    }

    /// `by`: who did it, where the forge says so.
    fn event(&self, by: Option<(i64, String)>, what: GiteaChange) -> Observed {
        event(self.project, by, what)
    }
}

/// What was seen in a project's repository, as a delivery would tell it.
pub(super) fn event(project: &Project, by: Option<(i64, String)>, what: GiteaChange) -> Observed {
    let (sender_id, sender_login) = by.unwrap_or_default();
    let (owner, repo) = (project.owner().to_owned(), project.repo_name().to_owned());
    Observed::Gitea(GiteaEvent { owner, repo, repo_id: None, sender_id, sender_login, what })
}

/// The stages at which a verdict at the forge moves a task.
fn hears_reviews(stage: Stage) -> bool {
    matches!(stage, Stage::Review | Stage::Testing | Stage::Deploy)
}

fn ends(pull: &Pull) -> Ends {
    Ends { base: pull.base.label.clone(), fork: pull.is_of_fork() }
}

fn can_move(task: &Task) -> bool {
    matches!(task.state, TaskState::Active | TaskState::WaitingApproval)
}

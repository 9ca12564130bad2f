//! What happened in a repository since it was asked last: our tasks' own pull requests by their numbers, and of idle tasks what
//! their gates wait for. It costs the same however many others there are. A verdict found here is a reason to look, not evidence.

use super::checks;
use super::findings::Findings;
use super::{Reconciler, RoundError};
use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, Pull, standing};
use crate::clock::now_ms;
use crate::context::{Context, pipeline_of};
use crate::engine::pull_state::oddity;
use crate::events::{Ends, GiteaChange, GiteaEvent, Observed, ReviewKind, Speakers};
use crate::outage::{Scope, blame};
use orch_common::config::Project;
use orch_common::domain::gate::Gate;
use orch_common::domain::oddity::Oddity;
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::in_the_way::{self, Kind};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, jobs};
use std::sync::Arc;

/// Tasks that are asked for in one round.
const MOST_TASKS: usize = 50;

/// Asks; what was found before a failure counts.
pub(super) async fn ask(ctx: &Arc<Context>, memory: &Reconciler, project: &Project) -> Findings {
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

/// A task, and whether it waits with no job of its own.
struct Asked {
    task: Task,
    idle: bool,
}

impl Asking<'_> {
    async fn ask_into(&self, memory: &Reconciler, findings: &mut Findings) -> Result<(), RoundError> {
        let repo = self.project.repo.clone();
        let read = move |conn: &mut Conn| {
            let mut all = Vec::new();
            for task in tasks::open(conn)?.into_iter().filter(|task| task.repo == repo) {
                let idle = can_move(&task) && jobs::unfinished_of_task(conn, task.id)?.is_empty();
                all.extend((idle || task.pull.is_some()).then_some(Asked { task, idle }));
            }
            Ok(all)
        };
        let all = self.ctx.store.read(read).await?;
        for asked in memory.some_of(&all, MOST_TASKS) {
            self.task(asked, findings).await?;
        }
        Ok(())
    }

    /// What nobody told of the state or the base of a pull request that is not merged.
    async fn as_it_should_be(&self, pull: &Pull, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
        let id = task.id;
        let known = self.ctx.store.read(move |c| in_the_way::get(c, id, Kind::Pull)).await?;
        let odd = match oddity(self.project, task, pull) {
            Oddity::SaidElsewhere => return Ok(()),
            Oddity::None => None,
            Oddity::Is(odd) => Some(odd.key()),
        };
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

    /// Is it merged; and of one that waits: has its branch moved, has CI or a reviewer spoken?
    async fn task(&self, Asked { task, idle }: &Asked, findings: &mut Findings) -> Result<(), RoundError> {
        let pull = match task.pull {
            Some(number) => self.gitea.pull(&self.project.repo, number).await?,
            None => None,
        };
        match &pull {
            Some(pull) if pull.merged => self.merged(pull, task, findings),
            Some(pull) => self.as_it_should_be(pull, task, findings).await?,
            None => {}
        }
        // A verdict that comes while work is under way is found again after it.
        if !idle {
            return Ok(());
        }
        // One whose branch was renamed goes on with the other one.
        let open = pull.filter(|pull| pull.is_open() && pull.branch() == task.branch);
        self.branch(task, open.as_ref(), findings).await?;
        if pipeline_of(self.project).gate(task.stage) == Some(Gate::CiGreen) {
            findings.extend(checks::finding(self.gitea, self.project, task).await?);
        }
        match open {
            Some(pull) if hears_reviews(task.stage) => self.reviews(&pull, task, findings).await,
            Some(_) | None => Ok(()),
        }
    }

    fn merged(&self, pull: &Pull, task: &Task, findings: &mut Findings) {
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
                head_sha: review.commit_id.clone(),
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

    /// Commits that nobody told of. An open pull request's head is the branch's.
    async fn branch(&self, task: &Task, open: Option<&Pull>, findings: &mut Findings) -> Result<(), RoundError> {
        let Some(before) = task.head.clone() else { return Ok(()) };
        let after = match open {
            Some(pull) => pull.head.sha.clone(),
            None => match self.gitea.branch(&self.project.repo, &task.branch).await? {
                Some(branch) => branch.head().to_owned(),
                None => {
                    let key = format!("gitea:gone:{}:{before}:{}", task.id, task.stage_version);
                    let what = GiteaChange::BranchDeleted { branch: task.branch.clone() };
                    findings.push(key, now_ms(), self.event(None, what));
                    return Ok(());
                }
            },
        };
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

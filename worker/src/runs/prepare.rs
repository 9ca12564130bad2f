//! Everything before a run's process exists: is it still wanted, may it be paid for, where does it work, what is
//! it told. What goes wrong here is a start that came to nothing: time mends it, or a person is told.

use super::files::{self, Files};
use super::refused::Refused;
use super::reread::{Story, reread};
use super::story::tell_unread;
use super::{clear, guard, leftovers, prompt, session};
use crate::agent::account::{Account, AccountError};
use crate::agent::command::{self, GitIdentity, LaunchPlan, PermissionMode, Session};
use crate::agent::environment::suits_another_user;
use crate::agent::{RunDir, RunSpec};
use crate::clock::now_ms;
use crate::context::Context;
use crate::engine::AgentPayload;
use crate::engine::apply::wants_agent;
use crate::engine::hold;
use crate::engine::{branch_gone, held_by, note_joined};
use crate::git::{GitError, SubmoduleRules, Worktree};
use orch_common::config::Project;
use orch_common::domain::clash::Clash;
use orch_common::domain::fault::Fault;
use orch_common::domain::run::{RunOutcome, RunState};
use orch_common::domain::stage::{CommitId, Role};
use orch_common::domain::task::Brief;
use orch_common::failpoint::{self, Point};
use orch_common::store::heard::{self, Heard};
use orch_common::store::jobs::{self, Job};
use orch_common::store::leftovers as store_leftovers;
use orch_common::store::runs::{self, NewRun, Run};
use orch_common::store::tasks::{self, Task};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const MB: u64 = 1024 * 1024;
/// A run that has written this many times its cap is ended.
const HARD_LIMIT_CAPS: u64 = 16;

/// A run that is ready to be launched; its row exists.
pub(super) struct Prepared {
    pub run: String,
    pub dir: PathBuf,
    pub spec: RunSpec,
    pub prompt: String,
    /// The logs of failed checks, for the run's folder.
    pub checks_log: Option<String>,
    /// The pictures and files of the work item.
    pub files: Files,
}

/// What the job is about.
struct Work {
    task: Task,
    project: Project,
    payload: AgentPayload,
    earlier: Vec<Run>,
    /// The role's last run that ended well, whatever its job.
    judged: Option<Run>,
    /// What the forge said last of its branches; `None` = it said more than is known.
    heard: Option<Vec<Heard>>,
    /// How long ago the task's last agent ended, whatever its job.
    idle: Option<Duration>,
    /// What earlier runs left, for the prompt.
    left: Vec<String>,
    /// The last run was another role's and did not end well: what it left uncommitted is not this role's work.
    not_its_own: bool,
}

/// Prepares a run and writes its row.
pub(super) async fn prepare(ctx: &Arc<Context>, job: &Job) -> Result<Prepared, Refused> {
    let mut work = load(ctx, job).await?;
    let run = Uuid::new_v4().to_string();
    let home = home(ctx).map_err(|e| Refused::person(Fault::NoAccount, &e))?;
    let session = session(&work, home.clone()).await;
    // Who is asked for a verdict mends the file that is there.
    let judges_anew = matches!(session, Session::Fresh(_)) && !is_asked(&work);
    let Begun { worktree, place, begins_on, clash } = worktree(ctx, &work, judges_anew).await?;
    failpoint::here(Point::AgentWorktree);
    let dir = ctx.runs_dir.join(&run);
    let spec = spec(ctx, &work, place, &run, &session, home).await?;
    let story = reread(ctx, job, &mut work.task).await?;
    let mut prompt = prompt(&work, &session, &story);
    // Who is asked for a verdict alone has them already.
    let files = match &ctx.outside.plane {
        Some(plane) if !is_asked(&work) => files::load(ctx, plane, job, &work.task, (&run, &story.files)).await?,
        Some(_) | None => Files::default(),
    };
    prompt += &prompt::where_the_files_are(&files.lines);
    if let Some(unread) = &story.unread {
        prompt += &prompt::without_the_thread(&unread.why);
    }
    let checks_log = prompt::logs_of(&work.payload.brief);
    // A user of its own does not get into the run's folder.
    if checks_log.is_some() && ctx.tenant.is_none() {
        prompt += &prompt::where_the_logs_are(&RunDir::at(&dir).checks_log());
    }
    if let Some(clash) = clash.filter(|_| !matches!(work.payload.brief, Brief::BranchClash { .. })) {
        prompt.push_str(&prompt::in_the_way(&clash));
    }
    failpoint::here(Point::AgentRow);
    insert(ctx, job, &work, (&worktree, begins_on), (&run, &session), story).await?;
    failpoint::here(Point::AgentRowWritten);
    Ok(Prepared { run, dir, spec, prompt, checks_log, files })
}

/// The agents' home is theirs: it is looked at where that holds nobody up.
async fn session(work: &Work, home: Option<PathBuf>) -> Session {
    let earlier = work.earlier.clone();
    let kept = move |id: &Uuid| home.as_ref().is_some_and(|h| session::is_kept(h, id));
    let (judged, is_asked) = (work.judged.clone(), is_asked(work));
    let found = tokio::task::spawn_blocking(move || match is_asked {
        true => session::for_asking(&earlier, judged.as_ref(), kept),
        false => session::for_next(&earlier, kept),
    });
    let found = found.await;
    found.unwrap_or_else(|_| Session::Fresh(Uuid::new_v4()))
}

/// Only the verdict is asked for.
fn is_asked(work: &Work) -> bool {
    matches!(work.payload.brief, Brief::VerdictAsked { .. })
}

/// What the agent is told. A session that goes on has been told already.
fn prompt(work: &Work, session: &Session, story: &Story) -> String {
    let role = work.payload.role;
    match (session, &work.payload.brief) {
        (Session::Resume(_), Brief::VerdictAsked { file, detail }) => {
            return prompt::ask_for_verdict(role, &work.task, file, detail);
        }
        (Session::Resume(_), _) => return prompt::go_on(role, &work.task, &work.left),
        (Session::Fresh(_), _) => {}
    }
    let tests = work.project.test_command.as_ref().map(ToString::to_string);
    let (brief, names) = (&work.payload.brief, &work.project.artifacts);
    prompt::build(role, &work.task, brief, names, tests.as_deref(), &story.said, &work.left)
}

/// Where the CLI keeps its sessions: as configured, else the agents' own user's, else the worker's.
fn home(ctx: &Context) -> Result<Option<PathBuf>, AccountError> {
    let agent = &ctx.config.agent;
    match (&agent.home, &agent.user) {
        (Some(home), _) => Ok(Some(home.clone())),
        (None, Some(user)) => Ok(Some(Account::named(user)?.home)),
        (None, None) => Ok(std::env::var_os("HOME").map(PathBuf::from)),
    }
}

async fn load(ctx: &Arc<Context>, job: &Job) -> Result<Work, Refused> {
    let payload: AgentPayload = serde_json::from_str(&job.payload)
        .map_err(|e| Refused::NotWanted { why: format!("the job's payload cannot be read: {e}") })?;
    let (task_id, job_id) = (job.task_id.unwrap_or_default(), job.id);
    let inner = Arc::clone(ctx);
    ctx.store
        .read(move |c| {
            let Some(task) = tasks::get(c, task_id)? else {
                return Ok(Err(Refused::NotWanted { why: "the task is gone".into() }));
            };
            let Some(project) = inner.config.projects.by_plane(&task.project) else {
                return Ok(Err(Refused::NotWanted { why: "the project is no longer registered".into() }));
            };
            if !wants_agent(&task, &payload) {
                let why = format!("the task is {} at '{}' by now", task.state, task.stage);
                return Ok(Err(Refused::NotWanted { why }));
            }
            if let Some(message) = guard::must_stop(c, &inner, project, &task, now_ms())? {
                return Ok(Err(Refused::Block { message }));
            }
            let mut earlier = runs::of_task(c, task.id)?;
            let ended_well = |r: &&Run| r.role == payload.role && r.outcome == Some(RunOutcome::Success);
            let judged = earlier.iter().rfind(ended_well).cloned();
            let not_its_own = earlier.last().is_some_and(|last| left_unfinished(last, payload.role));
            let left = leftovers::for_prompt(&store_leftovers::of_task(c, task.id)?);
            let idle = earlier.iter().filter_map(|run| run.finished_at).max().map(since);
            earlier.retain(|r| r.job_id == job_id);
            let heard = heard::of_repo(c, &task.repo)?;
            let (project, payload) = (project.clone(), payload.clone());
            Ok(Ok(Work { task, project, payload, earlier, judged, heard, idle, left, not_its_own }))
        })
        .await?
}

/// The time since then, in ms since the epoch; nothing where clocks disagree.
fn since(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms() - at).unwrap_or(0))
}

/// Whether what a run left uncommitted is another role's.
fn left_unfinished(last: &Run, role: Role) -> bool {
    last.role != role && last.outcome != Some(RunOutcome::Success)
}

/// Where an agent begins.
struct Begun {
    worktree: Worktree,
    /// The folder that it works in: the worktree's, or the workshop of a user of its own.
    place: PathBuf,
    /// The commit that it begins on.
    begins_on: CommitId,
    /// What it has to join first.
    clash: Option<Clash>,
}

/// Who judges anew finds no verdict of an earlier round there.
async fn worktree(ctx: &Context, work: &Work, judges_anew: bool) -> Result<Begun, Refused> {
    let remote = ctx.remote(&work.project)?;
    let (task, cancel) = (&work.task, &ctx.stopping);
    let heard = work.heard.as_deref().filter(|_| ctx.tenant.is_none());
    let names = (task.repo.as_str(), task.key.as_str(), task.branch.as_str(), task.base.as_str());
    if let Err(error) = ctx.repos.fetch_unless_fresh(names, heard, work.idle, &remote, cancel).await {
        return Err(held_by(task, &error).map_or_else(|| error.into(), |message| Refused::Held { message }));
    }
    let worktree = ctx.repos.ensure_worktree(&task.repo, &task.key, &task.branch, &task.base, cancel).await?;
    match branch_gone(ctx, task, &worktree).await? {
        None => hold::is_over_for(ctx, task).await?,
        // Whoever asks for another try has been told that it makes the branch again.
        Some(_) if matches!(work.payload.brief, Brief::Again { .. }) => {
            ctx.repos.forget_gone(&worktree, cancel).await?
        }
        Some(message) => return Err(Refused::Held { message }),
    }
    let shop = ctx.tenant.as_ref().map(|tenant| ctx.repos.workshop(&worktree, tenant)).transpose()?;
    if work.not_its_own {
        leftovers::before_removal(ctx, task).await?;
        ctx.repos.put_aside(&worktree, shop.as_ref(), cancel).await?;
    }
    // What an interrupted run committed is part of the branch before anything else joins it.
    if let Some(shop) = &shop {
        ctx.repos.collect(&worktree, shop, None, cancel).await?;
    }
    // What people pushed meanwhile is what the agent must see; what cannot be joined by itself the agent joins.
    let joined = match &shop {
        // What was collected moved the branch since it was looked at.
        Some(_) => ctx.repos.join_moved(&worktree, cancel).await,
        None => ctx.repos.join_fetched(&worktree, cancel).await,
    };
    let clash = match joined {
        Ok(joined) => {
            note_joined(ctx, task, &joined).await?;
            None
        }
        Err(error @ (GitError::Diverged { .. } | GitError::Conflict { .. })) => {
            let clash = ctx.repos.clash_of(&worktree, &error, cancel).await?;
            if let GitError::Diverged { theirs, .. } = &error {
                ctx.repos.give_way(&worktree, theirs, cancel).await?;
            }
            clash
        }
        Err(error) => return Err(error.into()),
    };
    if judges_anew {
        let (role, names) = (work.payload.role, &work.project.artifacts);
        clear::old_verdicts(ctx, task, role, names, &worktree).await?;
    }
    if let Some(shop) = &shop {
        ctx.repos.furnish(&worktree, &task.base, shop, cancel).await?;
    }
    let rules = SubmoduleRules { remote: &remote, hosts: &work.project.submodule_hosts };
    ctx.repos.furnish_submodules(&worktree, shop.as_ref(), &rules, cancel).await?;
    let place = shop.map_or_else(|| worktree.path.clone(), |shop| shop.path);
    let begins_on = ctx.repos.head(&worktree, cancel).await?;
    Ok(Begun { worktree, place, begins_on, clash })
}

async fn spec(
    ctx: &Context,
    work: &Work,
    place: PathBuf,
    run: &str,
    session: &Session,
    home: Option<PathBuf>,
) -> Result<RunSpec, Refused> {
    let report = ctx.preflight.check().await;
    let Some(program) = report.path.filter(|_| report.ok) else {
        let why = report.reason.unwrap_or_else(|| "the agent program was not found".into());
        return Err(Refused::Later { why, disk: false });
    };
    let mut plan = plan(ctx, &work.project, work.payload.role, session);
    plan.home = home;
    let line = command::build(&plan).map_err(|e| Refused::person(Fault::NoStart, &e))?;
    let limits = ctx.config.run_limits(&work.project, work.payload.role);
    let cap = ctx.config.agent.log_cap_mb.saturating_mul(MB);
    Ok(RunSpec {
        run_id: run.to_owned(),
        program,
        args: line.args,
        env: line.env,
        cwd: place,
        timeout_s: limits.timeout_s,
        grace_s: limits.kill_grace_s,
        stall_s: limits.stall_s,
        result_linger_s: ctx.config.agent.result_linger_s,
        log_cap_bytes: cap,
        log_hard_limit_bytes: cap.saturating_mul(HARD_LIMIT_CAPS),
        user: ctx.config.agent.user.clone(),
        max_processes: ctx.config.agent.max_processes,
        max_memory_mb: ctx.config.agent.max_memory_mb,
    })
}

fn plan(ctx: &Context, project: &Project, role: Role, session: &Session) -> LaunchPlan {
    let (agent, limits) = (&ctx.config.agent, ctx.config.run_limits(project, role));
    let mut plan = LaunchPlan::new(role, *session);
    plan.model = limits.model;
    plan.fallback_model = limits.fallback_model;
    plan.permission_mode = match agent.permission_mode {
        orch_common::config::PermissionMode::DontAsk => PermissionMode::DontAsk,
        orch_common::config::PermissionMode::AcceptEdits => PermissionMode::AcceptEdits,
        orch_common::config::PermissionMode::BypassPermissions => PermissionMode::BypassPermissions,
    };
    plan.allowed_tools = agent.allowed_tools.clone();
    plan.disallowed_tools = agent.disallowed_tools.clone();
    plan.max_turns = limits.max_turns;
    plan.max_budget_usd = limits.max_usd;
    plan.git = GitIdentity::of_role(role);
    plan.extra_env = project.env.iter().map(|(k, v)| (k.clone(), v.expose().to_owned())).collect();
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let suits = |name: &str| agent.user.is_none() || suits_another_user(name);
    plan.base_env = std::env::vars_os().filter_map(text).filter(|(name, _)| suits(name)).collect();
    plan
}

/// Writes the run's row, if the job is still this worker's.
async fn insert(
    ctx: &Arc<Context>,
    job: &Job,
    work: &Work,
    (worktree, begins_on): (&Worktree, CommitId),
    (run, session): (&str, &Session),
    story: Story,
) -> Result<(), Refused> {
    let (session_id, resumed) = match session {
        Session::Fresh(id) => (id.to_string(), false),
        Session::Resume(id) => (id.to_string(), true),
    };
    let new = NewRun {
        id: run.to_owned(),
        job_id: job.id,
        task_id: work.task.id,
        role: work.payload.role,
        stage: work.payload.stage,
        worker: ctx.name.clone(),
        host: ctx.host.clone(),
        dir: run.to_owned(),
        state: RunState::Starting,
        session_id: Some(session_id),
        resumed,
        head_before: Some(begins_on.to_string()),
        started_at: now_ms(),
    };
    let (job, head) = (job.clone(), worktree.head.to_string());
    let (inner, task) = (Arc::clone(ctx), work.task.clone());
    let ours = ctx
        .store
        .write(move |c| {
            if !jobs::is_held(c, &job)? {
                return Ok(false);
            }
            runs::insert(c, &new)?;
            tasks::note_head(c, new.task_id, &head, new.started_at)?;
            if let Some(unread) = &story.unread {
                tell_unread(c, &inner, &task, &job, (new.role, unread), new.started_at)?;
            }
            Ok(true)
        })
        .await?;
    if ours { Ok(()) } else { Err(Refused::NotOurs) }
}

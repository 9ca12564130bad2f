//! The one exit of a job that will not run again by itself, of whatever kind and for whatever reason: people are told in the
//! chat and on the work item, and a task that nothing else would move is blocked with the reason. What was given up stays
//! so until a person speaks. Everything in the transaction that ends the job.

use crate::alerts;
use crate::context::Context;
use crate::engine::AgentPayload;
use crate::engine::apply::{enqueue_effect, wants_agent};
use crate::engine::facts::{carries_a_word, has_an_end};
use crate::engine::submit::submit_block;
use crate::events::Once;
use crate::rules::Rules;
use orch_common::domain::effect::{Destination, Effect};
use orch_common::domain::job::JobKind;
use orch_common::domain::messages::Message;
use orch_common::domain::stage::TaskState;
use orch_common::store::jobs::{self, Job};
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, cursors, standing};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Gives up `job`, which has its end already.
pub fn give_up(conn: &mut Conn, ctx: &Context, job: &Job, error: &str, now: i64) -> Result<(), StoreError> {
    give_up_with(conn, ctx, job, (&words_of(job, error), error), now)
}

/// The same, where people are told more of it than the error.
pub fn give_up_with(
    conn: &mut Conn,
    ctx: &Context,
    job: &Job,
    (message, error): (&Message, &str),
    now: i64,
) -> Result<(), StoreError> {
    tracing::error!(job = job.id, kind = %job.kind, %error, "the job failed for good");
    let task = task_of(conn, job)?;
    if let Some(word) = word_of(job) {
        // Or the reconciler would find that nobody has acted on it, and begin it again.
        word.take(conn, "given up", now)?;
    }
    if let Some(deed) = deed_of(&job.payload).filter(|_| job.kind == JobKind::Event) {
        cursors::put(conn, &given_up(job.repo.as_deref(), &deed), "", now)?;
    }
    let project = task.as_ref().and_then(|t| ctx.config.projects.by_plane(&t.project));
    if let (Some(task), Some(project)) = (&task, project)
        && stops_its_task(conn, task, job)?
    {
        submit_block(conn, ctx, project, task, message, job.id, now)?;
        return Ok(());
    }
    tell(conn, ctx, task.as_ref(), job, error, now)
}

/// Blocks an active task that nothing will move any more; `why` is what it came to. To be called by whatever ends a job of
/// a task, in the same transaction.
pub fn see_attended(
    conn: &mut Conn,
    rules: &Rules,
    task: i64,
    (job, why): (i64, &str),
    now: i64,
) -> Result<bool, StoreError> {
    let Some(task) = tasks::get(conn, task)? else { return Ok(false) };
    let Some(project) = rules.config.projects.by_plane(&task.project) else { return Ok(false) };
    if standing::is_attended(conn, &task)? {
        return Ok(false);
    }
    let reason = format!("nobody works at '{}' and nothing is waited for: {why}", task.stage);
    tracing::error!(key = task.key, %reason, "blocked");
    submit_block(conn, rules, project, &task, &Message::Blocked { reason }, job, now)?;
    Ok(true)
}

/// What people are told of a job whose task is blocked by its end.
fn words_of(job: &Job, error: &str) -> Message {
    let error = error.to_owned();
    let id = job.id;
    match (job.kind, job.role) {
        (JobKind::Agent, Some(role)) => Message::AgentFailed { role, error },
        (JobKind::Agent, None) => Message::JobFailed { kind: job.kind, id, error },
        (JobKind::Advance, _) => Message::Blocked { reason: format!("its gate could not be looked at: {error}") },
        (JobKind::Event, _) => {
            let reason =
                format!("what was done at its work item or its branch could not be handled (job {id}): {error}");
            Message::Blocked { reason }
        }
        (JobKind::Effect, _) => Message::Blocked { reason: format!("job {id} failed for good: {error}") },
    }
}

/// Whether nothing moves the task any more without this job.
fn stops_its_task(conn: &mut Conn, task: &Task, job: &Job) -> Result<bool, StoreError> {
    let mut others = jobs::unfinished_of_task(conn, task.id)?;
    others.retain(|other| other.id != job.id);
    let agent_ahead = others.iter().any(|other| other.kind == JobKind::Agent);
    Ok(match job.kind {
        JobKind::Agent => {
            let payload = serde_json::from_str::<AgentPayload>(&job.payload);
            !agent_ahead && payload.is_ok_and(|payload| wants_agent(task, &payload))
        }
        // Another look may only find what this one did; an end and a word are decided on by themselves.
        JobKind::Advance => is_open(task) && !others.iter().any(|other| has_an_end(other) || carries_a_word(other)),
        JobKind::Event => is_open(task) && others.is_empty() && was_tried(job),
        JobKind::Effect => is_open(task) && others.is_empty() && is_waited_for(job),
    })
}

fn is_open(task: &Task) -> bool {
    match task.state {
        TaskState::Active | TaskState::WaitingApproval | TaskState::NeedsInput => true,
        TaskState::Paused | TaskState::Blocked | TaskState::Cancelled | TaskState::Done => false,
    }
}

/// A delivery that nobody understands was never more than news; one that ended its worker, or could not be handled for a
/// day, may have been what the task waits for.
fn was_tried(job: &Job) -> bool {
    job.recoveries > 0 || job.attempts >= job.max_attempts
}

/// Without these at the forge no gate behind them is ever passed.
fn is_waited_for(job: &Job) -> bool {
    match serde_json::from_str::<Effect>(&job.payload) {
        Ok(Effect::GiteaBranch { .. } | Effect::GiteaPull { .. } | Effect::GiteaReview { .. }) => true,
        Ok(
            Effect::GiteaComment { .. }
            | Effect::GiteaAsk { .. }
            | Effect::GiteaStatus { .. }
            | Effect::GiteaMerge { .. }
            | Effect::GiteaGiveUp { .. }
            | Effect::GiteaReopen { .. }
            | Effect::PlaneComment { .. }
            | Effect::PlaneState { .. }
            | Effect::PlaneLink { .. }
            | Effect::Telegram { .. },
        )
        | Err(_) => false,
    }
}

/// What makes an alert one. Effects of a task that fail for one reason are one: a workflow that refuses every move of a card.
fn cause_key(job: &Job, error: &str, now: i64) -> String {
    match (job.kind, job.task_id) {
        (JobKind::Effect, Some(task)) => format!("t{task}:failed:{}", cause_of(error)),
        _ => format!("job{}:failed:{now}", job.id),
    }
}

/// A short name of a reason: words count, numbers and ids do not.
fn cause_of(error: &str) -> String {
    let is_word = |part: &&str| !part.is_empty() && !part.contains(|c: char| c.is_ascii_digit());
    let words: Vec<&str> =
        error.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').filter(is_word).collect();
    let mut sum = DefaultHasher::new();
    words.hash(&mut sum);
    format!("{:016x}", sum.finish())
}

/// Once in each place that is not the one where it went wrong.
fn tell(
    conn: &mut Conn,
    ctx: &Context,
    task: Option<&Task>,
    job: &Job,
    error: &str,
    now: i64,
) -> Result<(), StoreError> {
    let key = cause_key(job, error, now);
    let message = &Message::JobFailed { kind: job.kind, id: job.id, error: error.to_owned() };
    if !goes_to(job, Destination::Telegram) {
        alerts::raise(conn, ctx, task.map(|task| task.id), message, &key, now)?;
    }
    let Some(task) = task.filter(|_| !goes_to(job, Destination::Plane)) else { return Ok(()) };
    let effect = Effect::PlaneComment {
        project: task.project.clone(),
        work_item: task.work_item.clone(),
        key: key.clone(),
        text: ctx.catalogue.render(message),
    };
    enqueue_effect(conn, Some(task.id), &effect, &key, now)
}

fn goes_to(job: &Job, to: Destination) -> bool {
    job.kind == JobKind::Effect && job.order_key.as_deref().is_some_and(|key| key.ends_with(to.as_str()))
}

/// The task of a job. An event names none; its place in the queue and its body do.
fn task_of(conn: &mut Conn, job: &Job) -> Result<Option<Task>, StoreError> {
    if let Some(id) = job.task_id {
        return tasks::get(conn, id);
    }
    if job.kind != JobKind::Event {
        return Ok(None);
    }
    let item = job.order_key.as_deref().and_then(|key| key.strip_prefix("plane:")?.split_once(':'));
    if let Some((_, item)) = item {
        return tasks::by_work_item_alone(conn, item);
    }
    match job.repo.as_deref().zip(branch_of(&job.payload)) {
        Some((repo, branch)) => tasks::by_branch(conn, repo, &branch),
        None => Ok(None),
    }
}

/// The person's word in Plane that an event was about.
fn word_of(job: &Job) -> Option<Once> {
    let payload: serde_json::Value = serde_json::from_str(&job.payload).ok().filter(|_| job.kind == JobKind::Event)?;
    let text = |at: &str| payload.pointer(at).and_then(serde_json::Value::as_str);
    let kind = text("/event_type").or_else(|| text("/event")).unwrap_or_default();
    let delivered = text("/body/data/id").filter(|_| kind.contains("comment") && text("/source") == Some("plane"));
    delivered.or_else(|| text("/observed/plane/what/Comment/comment_id")).map(Once::comment)
}

/// The branch that the forge told of. Nothing of what usually reads deliveries is asked: it may be what went wrong.
fn branch_of(payload: &str) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(payload).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let told = ["/body/ref", "/body/pull_request/head/ref"].iter().find_map(|at| payload.pointer(at).and_then(text));
    let seen =
        || payload.pointer("/observed/gitea/what")?.as_object()?.values().find_map(|what| text(what.get("branch")?));
    let branch = told.or_else(seen)?;
    Some(branch.strip_prefix("refs/heads/").map_or(branch.clone(), str::to_owned))
}

/// What happened at the forge by an event, however it came: what was given up is not begun again because a round finds it.
/// `None` = nothing that a round finds. As with the branch, nothing of what usually reads deliveries is asked.
fn deed_of(payload: &str) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(payload).ok()?;
    let found = payload.pointer("/observed/gitea/what").and_then(|what| what.as_object()?.iter().next());
    let (kind, at) = match found {
        Some((kind, what)) => (kind.as_str(), what),
        None => {
            let kind = payload.get("event_type").or_else(|| payload.get("event"))?.as_str()?;
            let at_forge = payload.get("source").is_some_and(|source| source == "gitea");
            (kind, payload.get("body").filter(|_| at_forge)?)
        }
    };
    let text = |names: &[&str]| names.iter().find_map(|name| at.pointer(name)?.as_str()).unwrap_or_default().to_owned();
    let number = || at.pointer("/number")?.as_i64();
    let branch = text(&["/branch", "/ref"]);
    let branch = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
    let head = text(&["/head_sha", "/pull_request/head/sha"]);
    Some(match kind {
        "Push" | "push" => format!("push:{branch}:{}", text(&["/after"])),
        "BranchDeleted" | "delete" => format!("gone:{branch}"),
        "BranchCreated" | "create" => format!("back:{branch}"),
        "Status" | "status" => format!("ci:{}:{}", text(&["/sha"]), text(&["/state"])),
        "Review" | "pull_request_review_approved" | "pull_request_review_rejected" => {
            let by = payload.pointer("/observed/gitea/sender_id").or_else(|| at.pointer("/sender/id"))?.as_i64()?;
            format!("review:{}:{by}:{head}", number()?)
        }
        "Pull" | "pull_request" => {
            let merged = ["/merged", "/pull_request/merged"].iter().any(|name| at.pointer(name) == Some(&true.into()));
            format!("pull:{}:{}", number()?, if merged { "merged".to_owned() } else { text(&["/action"]) })
        }
        _ => return None,
    })
}

/// What the names of their marks begin with.
pub(crate) const GIVEN_UP: &str = "given up:";

fn given_up(repo: Option<&str>, deed: &str) -> String {
    format!("{GIVEN_UP}{}:{deed}", repo.unwrap_or_default().to_lowercase())
}

/// Whether an event of the forge about the same was given up.
pub(crate) fn is_given_up(conn: &mut Conn, repo: Option<&str>, payload: &str) -> Result<bool, StoreError> {
    match deed_of(payload) {
        Some(deed) => Ok(cursors::get(conn, &given_up(repo, &deed))?.is_some()),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it was delivered, and as a round finds it.
    #[test]
    fn what_was_done_at_the_forge_is_the_same_however_it_came() {
        let told = |event: &str, body: &str| format!(r#"{{"source":"gitea","event_type":"{event}","body":{body}}}"#);
        let seen = |what: &str| format!(r#"{{"observed":{{"gitea":{{"sender_id":7,"what":{what}}}}}}}"#);
        let pull = |more: &str| {
            format!(
                r#"{{"number":3,{more}"sender":{{"id":7}},"pull_request":{{"merged":MERGED,"head":{{"sha":"abc"}}}}}}"#
            )
        };
        let (merged, open) = (
            pull(r#""action":"closed","#).replace("MERGED", "true"),
            pull(r#""action":"closed","#).replace("MERGED", "false"),
        );
        let table = [
            (
                told("push", r#"{"ref":"refs/heads/feature/x","after":"abc"}"#),
                seen(r#"{"Push":{"branch":"feature/x","before":"0","after":"abc","ping":false}}"#),
                "push:feature/x:abc",
            ),
            (
                told("delete", r#"{"ref":"feature/x","ref_type":"branch"}"#),
                seen(r#"{"BranchDeleted":{"branch":"feature/x"}}"#),
                "gone:feature/x",
            ),
            (
                told("status", r#"{"sha":"abc","state":"failure"}"#),
                seen(r#"{"Status":{"sha":"abc","state":"failure","context":"combined"}}"#),
                "ci:abc:failure",
            ),
            (
                told("pull_request_review_rejected", &open),
                seen(r#"{"Review":{"id":9,"number":3,"branch":"x","head_sha":"abc","kind":"Rejected","text":""}}"#),
                "review:3:7:abc",
            ),
            (
                told("pull_request", &merged),
                seen(r#"{"Pull":{"action":"closed","number":3,"branch":"x","head_sha":"abc","merged":true}}"#),
                "pull:3:merged",
            ),
            (
                told("pull_request", &open),
                seen(r#"{"Pull":{"action":"closed","number":3,"branch":"x","head_sha":"abc","merged":false}}"#),
                "pull:3:closed",
            ),
        ];
        for (told, seen, deed) in table {
            assert_eq!((deed_of(&told).as_deref(), deed_of(&seen).as_deref()), (Some(deed), Some(deed)), "{told}");
        }
        let of_plane = r#"{"source":"plane","event":"push","body":{"ref":"refs/heads/x","after":"abc"}}"#;
        assert_eq!((deed_of(of_plane), deed_of("no JSON")), (None, None));
    }

    #[test]
    fn a_reason_is_the_same_whatever_numbers_it_names() {
        let refused = |state: &str| {
            format!(
                r#"plane_state: refused with status 400: {{"state":["Invalid pk \"{state}\" - object does not exist."]}}"#
            )
        };
        let one = cause_of(&refused("720e815e-9379-4dfb-aba4-82b657ac208c"));
        assert_eq!(one, cause_of(&refused("a51d0e41-0f6a-46ac-8af4-acf97e0a5fe1")));
        assert_ne!(one, cause_of(&refused("720e815e-9379").replace("does not exist", "may not be moved")));
        assert_ne!(one, cause_of(&refused("720e815e-9379").replace("plane_state", "plane_comment")));
    }
    use orch_common::domain::job::JobStatus;

    #[test]
    fn the_word_of_an_event_is_known_without_its_parser() {
        let event = |kind, payload: &str| {
            let (payload, order_key) = (payload.to_owned(), None);
            let job = Job { kind, payload, order_key, ..a_job() };
            word_of(&job)
        };
        let word = Some(Once::comment("c1"));
        let delivered = r#"{"source":"plane","event":"issue_comment","body":{"data":{"id":"c1"}}}"#;
        assert_eq!(event(JobKind::Event, delivered), word);
        assert_eq!(event(JobKind::Effect, delivered), None);
        assert_eq!(event(JobKind::Event, r#"{"source":"plane","event":"issue","body":{"data":{"id":"c1"}}}"#), None);
        let seen = r#"{"observed":{"plane":{"what":{"Comment":{"comment_id":"c1"}}}}}"#;
        assert_eq!(event(JobKind::Event, seen), word);
    }

    fn a_job() -> Job {
        Job {
            id: 1,
            kind: JobKind::Event,
            role: None,
            repo: None,
            task_id: None,
            status: JobStatus::Failed,
            attempts: 1,
            max_attempts: 20,
            transient_attempts: 0,
            recoveries: 5,
            run_id: None,
            error: None,
            note: None,
            worker: None,
            dedupe_key: None,
            order_key: None,
            ready: true,
            available_at: None,
            created_at: 0,
            started_at: None,
            finished_at: None,
            payload: String::new(),
        }
    }

    #[test]
    fn the_branch_of_a_delivery_is_read_without_its_parser() {
        let table = [
            (r#"{"body":{"ref":"refs/heads/feature/ET-001-x"}}"#, Some("feature/ET-001-x")),
            (r#"{"body":{"pull_request":{"head":{"ref":"feature/ET-002-y"}}}}"#, Some("feature/ET-002-y")),
            (r#"{"observed":{"gitea":{"what":{"push":{"branch":"feature/ET-003-z"}}}}}"#, Some("feature/ET-003-z")),
            (r#"{"body":{"sha":"0"}}"#, None),
            ("no JSON", None),
        ];
        for (payload, wanted) in table {
            assert_eq!(branch_of(payload).as_deref(), wanted, "{payload}");
        }
    }
}

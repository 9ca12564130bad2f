//! The forge answers, and takes nothing of ours until a person has mended something: said at once where no minute of waiting can
//! change it, in the chat and on each work item that is under way, with what is to be done.

use super::Scope;
use crate::alerts;
use crate::clients::ApiError;
use crate::clients::causes::{Asked, Cause, Token, What, diagnose};
use crate::clients::gitea::Repo;
use crate::context::Context;
use crate::engine::apply::enqueue_effect;
use orch_common::domain::effect::Effect;
use orch_common::domain::messages::Message;
use orch_common::domain::refusal::Refusal;
use orch_common::domain::stage::TaskState;
use orch_common::store::tasks::{self, Task};
use orch_common::store::{Conn, StoreError, outages};

/// Why it takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shut {
    pub why: Refusal,
    /// It cannot be a fault that passes: the forge has said so itself.
    pub sure: bool,
}

impl Shut {
    /// A rule about the names of tasks' branches.
    pub const RULE: Shut = Shut { why: Refusal::BranchRule, sure: true };

    const fn sure(why: Refusal) -> Option<Shut> {
        Some(Shut { why, sure: true })
    }

    const fn perhaps(why: Refusal) -> Option<Shut> {
        Some(Shut { why, sure: false })
    }

    /// By an answer; `None` = time may mend it.
    pub fn of(scope: &Scope, error: &ApiError) -> Option<Shut> {
        let asked = match scope {
            Scope::Gitea => Asked::forge(What::Account),
            Scope::Reviewer => Asked::forge(What::Account).by(Token::Reviewer),
            Scope::Repo(repo) => Asked::forge(What::Repo(repo)),
            Scope::Plane | Scope::Project(_) | Scope::Telegram | Scope::Git(_) | Scope::Disk(_) => return None,
        };
        match diagnose(&asked, error).cause {
            Cause::Suspended => Shut::sure(Refusal::Suspended),
            Cause::PasswordToChange => Shut::sure(Refusal::PasswordToChange),
            Cause::Archived => Shut::sure(Refusal::Archived),
            Cause::Mirror => Shut::sure(Refusal::Mirror),
            Cause::Moved { .. } if matches!(scope, Scope::Repo(_)) => Shut::sure(Refusal::Moved),
            // A forge that is being restored or upgraded says the same for a minute.
            Cause::TokenUnknown => Shut::perhaps(Refusal::TokenUnknown),
            Cause::NotThere => Shut::perhaps(Refusal::NotThere),
            Cause::NotAllowed | Cause::AdminOnly | Cause::NotInOrganisation => Shut::perhaps(Refusal::NotAllowed),
            Cause::ScopeMissing { .. }
            | Cause::Empty
            // The whole forge at another address is no rename.
            | Cause::Moved { .. }
            | Cause::BranchRule
            | Cause::NotTheApi
            | Cause::WrongScheme
            | Cause::CertificateUntrusted
            | Cause::CertificateExpired
            | Cause::CertificateOfOther
            | Cause::Tls
            | Cause::HostUnknown
            | Cause::ConnectionRefused
            | Cause::Silent
            | Cause::Cut
            | Cause::Proxy
            | Cause::TooManyCalls
            | Cause::ServiceFault
            | Cause::Other => None,
        }
    }

    /// Why nothing of ours gets into a repository that is there, with the forge's words.
    pub fn of_repository(repo: &Repo) -> Option<(Shut, &'static str)> {
        let (why, words) = match () {
            () if repo.archived => (Refusal::Archived, "archived: true"),
            () if repo.mirror => (Refusal::Mirror, "mirror: true"),
            () if !repo.permissions.push => (Refusal::NotAllowed, "permissions.push: false"),
            () if !repo.has_pull_requests => (Refusal::PullsOff, "has_pull_requests: false"),
            () => return None,
        };
        Some((Shut { why, sure: true }, words))
    }
}

/// Tells the chat and the work items that are under way, once for each `key`.
pub(super) fn tell(
    conn: &mut Conn,
    ctx: &Context,
    scope: &Scope,
    (why, words): (Refusal, &str),
    key: &str,
    now: i64,
) -> Result<(), StoreError> {
    let message = Message::ForgeShut { what: scope.for_people(), why, words: words.to_owned() };
    alerts::raise(conn, ctx, None, &message, key, now)?;
    let concerned = |repo: &str| match scope {
        Scope::Repo(of) | Scope::Git(of) => of.eq_ignore_ascii_case(repo),
        Scope::Gitea | Scope::Reviewer => true,
        Scope::Plane | Scope::Project(_) | Scope::Telegram | Scope::Disk(_) => false,
    };
    let open = tasks::open(conn)?;
    let under_way = |state: TaskState| matches!(state, TaskState::Active | TaskState::WaitingApproval);
    for task in open.iter().filter(|task| under_way(task.state) && concerned(&task.repo)) {
        tell_task(conn, ctx, task, &message, key, now)?;
    }
    Ok(())
}

/// Tells the work item of a task that came later, unless it has been told.
pub(super) fn tell_later(
    conn: &mut Conn,
    ctx: &Context,
    task: i64,
    (scope, why, words): (&Scope, Refusal, &str),
    now: i64,
) -> Result<(), StoreError> {
    let (Some(task), Some(known)) = (tasks::get(conn, task)?, outages::get(conn, &scope.to_string())?) else {
        return Ok(());
    };
    let message = Message::ForgeShut { what: scope.for_people(), why, words: words.to_owned() };
    tell_task(conn, ctx, &task, &message, &key_of(scope, known.since), now)
}

/// What makes the words about one time that it is shut one.
pub(super) fn key_of(scope: &Scope, since: i64) -> String {
    format!("shut:{scope}:{since}")
}

fn tell_task(
    conn: &mut Conn,
    ctx: &Context,
    task: &Task,
    message: &Message,
    key: &str,
    now: i64,
) -> Result<(), StoreError> {
    let (project, work_item) = (task.project.clone(), task.work_item.clone());
    let key = format!("t{}:{key}", task.id);
    let comment = Effect::PlaneComment { project, work_item, key: key.clone(), text: ctx.catalogue.render(message) };
    enqueue_effect(conn, Some(task.id), &comment, &key, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_only_a_person_can_end_is_told_from_what_may_pass() {
        let refused = |status, body: &str| ApiError::Refused { status, body: body.to_owned() };
        let says = |body: &str| ApiError::Unauthorized(body.to_owned());
        let away = ApiError::Unavailable { why: "status 502".into() };
        let repo = Scope::Repo("acme/shop".into());
        let table = [
            (Scope::Gitea, says("This account is prohibited from signing in"), Shut::sure(Refusal::Suspended)),
            (Scope::Reviewer, says("You must change your password"), Shut::sure(Refusal::PasswordToChange)),
            (Scope::Gitea, says("invalid username, password or token"), Shut::perhaps(Refusal::TokenUnknown)),
            (repo.clone(), ApiError::NotFound, Shut::perhaps(Refusal::NotThere)),
            (repo.clone(), says(""), Shut::perhaps(Refusal::NotAllowed)),
            (repo.clone(), refused(301, ""), Shut::sure(Refusal::Moved)),
            (repo.clone(), refused(307, ""), Shut::sure(Refusal::Moved)),
            (repo.clone(), refused(423, ""), Shut::sure(Refusal::Archived)),
            (repo, away.clone(), None),
            (Scope::Gitea, away, None),
            (Scope::Gitea, ApiError::NotFound, None),
            (Scope::Gitea, refused(301, ""), None),
            (Scope::Plane, says("invalid username, password or token"), None),
        ];
        for (scope, error, expected) in table {
            assert_eq!(Shut::of(&scope, &error), expected, "{scope} {error}");
        }
    }

    #[test]
    fn a_repository_that_takes_nothing_says_why() {
        let may = |push: bool| json!({ "push": push, "pull": true, "admin": false });
        let table = [
            (json!({ "permissions": may(true) }), None),
            (json!({ "permissions": may(false) }), Some(Refusal::NotAllowed)),
            (json!({ "permissions": may(true), "archived": true }), Some(Refusal::Archived)),
            (json!({ "permissions": may(true), "mirror": true }), Some(Refusal::Mirror)),
            (json!({ "permissions": may(true), "has_pull_requests": false }), Some(Refusal::PullsOff)),
        ];
        for (extra, expected) in table {
            let mut row = json!({ "id": 1, "name": "shop", "full_name": "acme/shop" });
            for (key, value) in extra.as_object().unwrap() {
                row[key] = value.clone();
            }
            let repo = serde_json::from_value::<Repo>(row).unwrap();
            assert_eq!(Shut::of_repository(&repo).map(|(shut, _)| shut.why), expected, "{extra}");
        }
    }
}

//! Plane: the token, the workspace, each project, its states and people; what Plane would say to our address.

use super::address::{Objection, objections};
use super::deliveries::{self, Proof};
use super::report::Report;
use super::{Asked, clock};
use crate::clients::ApiError;
use crate::clients::causes::{self, Cause, Service, Token, What, diagnose};
use crate::clients::plane::{Person, PlaneClient};
use futures_util::future::join_all;
use orch_common::config::Project;
use orch_common::domain::task::Situation;
use orch_common::store::deliveries::Source;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// A name that takes longer to be found will not be.
const RESOLVED: Duration = Duration::from_secs(3);
/// The least role that may write.
const MEMBER: i32 = 15;

/// Calls of one look.
const MOST_CALLS: usize = 40;
/// Calls of the minute that are not touched.
const LEFT_TO_THE_WORKER: usize = 15;
const CALLS_OF_A_PROJECT: usize = 3;

const NOT_SET: &str = "set plane.url, plane.workspace and plane.api_token (ORCH_PLANE_...)";

const ACCOUNT: causes::Asked<'static> =
    causes::Asked { service: Service::Plane, token: Token::Own, what: What::Account };

pub async fn check(report: &Report, asked: &Asked<'_>) {
    webhook(report, asked).await;
    let Some(plane) = &asked.outside.plane else {
        return report.fail("plane", "not configured", NOT_SET);
    };
    let (me, time) = match report.during("plane.token", plane.me_and_time()).await {
        Ok(found) => found,
        Err(error) => {
            let why = diagnose(&ACCOUNT, &error);
            return report.failed(if why.cause == Cause::TokenUnknown { "plane.token" } else { "plane" }, why);
        }
    };
    report.ok("plane.token", format!("it is '{}' ({})", me.display_name, me.id));
    clock(report, "plane", time, asked.now);
    if looks_like_a_bot(&me) {
        report.ok("plane.account", "it looks like a program's");
    } else {
        let found = format!("'{}' looks like a person's account", me.display_name);
        let todo = "its words and moves are ignored as the orchestrator's own: use an account of its own";
        report.warn("plane.account", found, todo);
    }
    role(report, plane, &me).await;
    let projects: Vec<&Project> = asked.config.projects.iter().collect();
    let room = room(plane.calls(), plane.calls_left()) / CALLS_OF_A_PROJECT;
    let (now, later) = projects.split_at(projects.len().min(room));
    join_all(now.iter().map(|listed| project(report, plane, &me, listed))).await;
    if let [first, ..] = later {
        let found = format!(
            "{} and others ({}) were not looked at, to leave Plane's allowance to the worker",
            first.id_prefix,
            later.len()
        );
        report.warn("plane.projects", found, "look again in a minute");
    }
    report.ok("plane.calls", spent(plane.calls(), plane.calls_left()));
}

/// How many more calls may be made for this look.
fn room(made: usize, left: Option<usize>) -> usize {
    let ours = MOST_CALLS.saturating_sub(made);
    left.map_or(ours, |left| ours.min(left.saturating_sub(LEFT_TO_THE_WORKER)))
}

/// What this look took of the allowance, which is the token's: the worker lives on it too.
fn spent(made: usize, left: Option<usize>) -> String {
    let left =
        left.map(|left| format!("; Plane takes {left} more of this token within the minute")).unwrap_or_default();
    format!("{made} made for this look, counted with the worker's{left}")
}

/// A guest may read, and may not do what Orch does; Plane's tokens have no scopes of their own.
async fn role(report: &Report, plane: &PlaneClient, me: &Person) {
    let Ok(all) = report.during("plane.role", plane.workspace_members()).await else { return };
    let mine = all.iter().find(|person| person.id.eq_ignore_ascii_case(&me.id)).and_then(|person| person.role);
    match mine {
        Some(role) if role < MEMBER => {
            let todo = "make it a Member: a guest can neither make states nor move work items of others";
            report.fail("plane.role", "the bot is a guest of the workspace", todo);
        }
        Some(20) => report.ok("plane.role", "admin of the workspace; a Member would do"),
        Some(_) => report.ok("plane.role", "member of the workspace"),
        // Older servers do not list roles.
        None => {}
    }
}

/// A name or address that says that it is a program's.
fn looks_like_a_bot(me: &Person) -> bool {
    let words = ["bot", "orch", "agent", "automat", "service", "ci-", "robot"];
    let text = format!("{} {}", me.display_name, me.email.as_deref().unwrap_or_default()).to_lowercase();
    words.iter().any(|word| text.contains(word))
}

async fn project(report: &Report, plane: &PlaneClient, me: &Person, listed: &Project) {
    let id = &listed.plane_project;
    let check = |what: &str| format!("plane.{what} {}", listed.id_prefix);
    let (found, members, states) = report
        .during(&check("project"), async { tokio::join!(plane.project(id), plane.members(id), plane.states(id)) })
        .await;
    match found {
        Ok(found) if found.member_role.is_some_and(|role| role < MEMBER) => {
            let todo =
                "make it a Member of the project: of a guest Plane takes comments, and refuses every change of a state";
            report.fail(check("project"), format!("the bot is a guest of '{}'", found.name), todo);
        }
        Ok(found) => report.ok(check("project"), format!("'{}' ({})", found.name, found.identifier)),
        Err(ApiError::Unauthorized(_) | ApiError::NotFound) => {
            let todo = "check plane.workspace and plane_project, and add the bot to the project as a Member";
            return report.fail(check("project"), format!("{id} is not there, or not for this account"), todo);
        }
        Err(error) => {
            return report
                .failed(check("project"), diagnose(&causes::Asked { what: What::Repo(id), ..ACCOUNT }, &error));
        }
    }
    match members {
        Ok(members) => people(report, &check("members"), me, listed, &members),
        Err(error) => report.warn(check("members"), error.to_string(), "the bot must be a Member of the project"),
    }
    match states {
        Ok(states) => {
            let there = |name: &str| states.iter().any(|s| s.name.eq_ignore_ascii_case(name));
            let wanted: BTreeSet<&str> = Situation::ALL.iter().map(|s| listed.state_name(*s)).collect();
            let missing: Vec<&str> = wanted.into_iter().filter(|name| !there(name)).collect();
            report.ok(
                check("states"),
                match missing.as_slice() {
                    [] => "all there".to_owned(),
                    missing => format!("these will be made when first needed: {}", missing.join(", ")),
                },
            );
        }
        Err(error) => report.fail(check("states"), error.to_string(), "the bot must be a Member of the project"),
    }
}

fn people(report: &Report, check: &str, me: &Person, listed: &Project, members: &[Person]) {
    let is_member = |id: &str| members.iter().any(|m| m.id.eq_ignore_ascii_case(id));
    if listed.approvers.iter().any(|a| a.eq_ignore_ascii_case(&me.id)) {
        let todo = "take it out of approvers: its words are never a person's";
        return report.fail(check, "the bot itself is among the approvers", todo);
    }
    let strangers: Vec<&str> = listed.approvers.iter().map(String::as_str).filter(|a| !is_member(a)).collect();
    match (is_member(&me.id), strangers.as_slice()) {
        (false, _) => report.fail(check, "the bot is no member", "add it to the project as a Member"),
        (true, []) => report.ok(check, format!("the bot is one of {}", members.len())),
        (true, strangers) => {
            let found = format!("approvers who are no members: {}", strangers.join(", "));
            report.warn(check, found, "add them to the project, or mend the ids");
        }
    }
}

/// Plane's webhook cannot be seen with an API token; what can be said without it.
async fn webhook(report: &Report, asked: &Asked<'_>) {
    let steps = "docs/PLANE.md has the steps";
    if asked.config.plane.webhook_secret.is_none() {
        let todo = format!("make a webhook in Plane and set plane.webhook_secret to what it shows; {steps}");
        report.fail("plane.webhook_secret", "not set: every webhook of Plane is refused", todo);
    } else {
        report.ok("plane.webhook_secret", "set");
    }
    let cure = "set plane.webhook_secret to what Plane shows for the webhook, and restart orch-api";
    if deliveries::check(report, asked, Source::Plane, cure) == Proof::Nothing {
        report.warn("plane.webhook", "none has come yet", format!("make a webhook in Plane; {steps}"));
    }
    address(report, asked).await;
}

async fn address(report: &Report, asked: &Asked<'_>) {
    let check = "plane.address";
    let Some(ours) = asked.config.worker.public_url.as_ref().and_then(|url| Url::parse(url.as_str()).ok()) else {
        let todo = "set worker.public_url to the address under which Plane and the forge reach orch-api";
        return report.warn(check, "not known how we are reached", todo);
    };
    let plane = asked.config.plane.url.as_ref().and_then(|url| Url::parse(url.as_str()).ok());
    let host = ours.host_str().unwrap_or_default().to_owned();
    let found = objections(&ours, plane.as_ref(), &resolve(&ours).await);
    if found.is_empty() {
        return report.ok(check, format!("{ours} is one that Plane takes"));
    }
    for objection in found {
        let (says, todo) = match objection {
            Objection::LocalWithoutPort => {
                ("Plane refuses localhost and 127.0.0.1 without a port".to_owned(), "name the port".to_owned())
            }
            Objection::NameWithoutDot => (
                format!("Plane takes no name without a dot, such as '{host}'"),
                format!("use '{host}.internal' (an alias in your network) or an IP address"),
            ),
            Objection::Inside => (
                format!("'{host}' is an address of the inside"),
                format!("Plane 1.3.1+: WEBHOOK_ALLOWED_HOSTS={host} for its api AND worker; 1.2.3 to 1.3.0 cannot"),
            ),
            Objection::PlanesOwnHost => (
                format!("'{host}' is Plane's own host or below it"),
                format!("another name, or on Plane 1.3.1+ WEBHOOK_ALLOWED_HOSTS={host} for its api AND worker"),
            ),
        };
        match objection {
            Objection::LocalWithoutPort | Objection::NameWithoutDot => report.fail(check, says, todo),
            // That deliveries come proves that Plane was told.
            Objection::Inside | Objection::PlanesOwnHost if asked.known.heard(Source::Plane).is_some() => {
                report.ok(check, format!("{says}, and deliveries come"));
            }
            // Whether Plane was told otherwise shows nowhere but where the webhook is typed in.
            Objection::Inside | Objection::PlanesOwnHost => {
                report.warn(check, says, format!("{todo}. If that is done: the first delivery settles it"));
            }
        }
    }
}

/// The addresses of a name; none where it cannot be found soon.
pub(super) async fn resolve(url: &Url) -> Vec<IpAddr> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Vec::new() };
    match tokio::time::timeout(RESOLVED, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(all)) => all.map(|a| a.ip()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_bounded_and_leaves_the_worker_its_part() {
        let table =
            [((2, None), 38), ((2, Some(58)), 38), ((2, Some(30)), 15), ((2, Some(10)), 0), ((50, Some(60)), 0)];
        for ((made, left), expected) in table {
            assert_eq!(room(made, left), expected, "{made} {left:?}");
        }
        assert_eq!(spent(5, None), "5 made for this look, counted with the worker's");
        assert!(spent(5, Some(55)).ends_with("; Plane takes 55 more of this token within the minute"));
    }
}

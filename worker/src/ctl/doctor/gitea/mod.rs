//! The forge: the server, both accounts and their tokens, and for every project its repository, rules, reviewers and webhook. All of
//! it is asked without writing anything.

mod hook;
mod people;
mod repo;
mod rules;

use super::deliveries::{self, Proof};
use super::report::Report;
use super::{Asked, SLOW, clock};
use crate::clients::ApiError;
use crate::clients::causes::{self, Cause, Diagnosis, Token, What, diagnose};
use crate::clients::gitea::{Account, ForgeVersion, GiteaClient, Scopes};
use crate::context::pipeline_of;
pub use crate::rules::sample_branch;
use futures_util::future::join_all;
use orch_common::config::Project;
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::Stage;
use orch_common::store::deliveries::Source;
use std::time::Instant;

/// What the bot's token needs.
pub const NEEDED: [&str; 3] = ["write:repository", "write:issue", "read:user"];
/// What the second account's token needs.
const NEEDED_BY_REVIEWER: [&str; 2] = ["write:repository", "read:user"];
/// To see who is in a team.
const NEEDED_FOR_TEAMS: &str = "read:organization";

/// What is known of the forge once it has answered.
struct Forge<'a> {
    client: &'a GiteaClient,
    me: Account,
    scopes: Option<Scopes>,
    version: ForgeVersion,
    /// What its deliveries say so far.
    proof: Proof,
}

fn forge(what: What<'_>) -> causes::Asked<'_> {
    causes::Asked::forge(what)
}

pub async fn check(report: &Report, asked: &Asked<'_>) {
    match asked.config.gitea.webhook_secret {
        None => {
            let todo = "choose one (`openssl rand -hex 32`) and set gitea.webhook_secret";
            report.fail("gitea.webhook_secret", "not set: every webhook of the forge is refused", todo);
        }
        Some(_) => report.ok("gitea.webhook_secret", "set"),
    }
    let cure = "`orchctl init --hooks-only --replace-hooks` sets gitea.webhook_secret there; by hand: at the webhook, in the forge";
    let proof = deliveries::check(report, asked, Source::Gitea, cure);
    let Some(client) = &asked.outside.gitea else {
        return report.fail("gitea", "not configured", "set gitea.url and gitea.token (ORCH_GITEA_...)");
    };
    if let Some(todo) = misplaced(asked) {
        return report.fail("gitea", "gitea.url is not the address of the forge itself", todo);
    }
    let second = reviewer(report, asked, client);
    let (_, ()) = tokio::join!(second, own(report, asked, client, proof));
}

/// An address that ends within the API.
fn misplaced(asked: &Asked<'_>) -> Option<String> {
    let url = asked.config.gitea.url.as_ref()?.as_str();
    let (base, _) = url.split_once("/api/").or_else(|| url.strip_suffix("/api").map(|base| (base, "")))?;
    Some(format!("set gitea.url to {base}, as people open it"))
}

async fn own(report: &Report, asked: &Asked<'_>, client: &GiteaClient, proof: Proof) {
    let began = Instant::now();
    let (version, me, scopes) =
        report.during("gitea", async { tokio::join!(client.version_and_time(), client.me(), client.scopes()) }).await;
    let took = began.elapsed();
    let (version, time) = match version {
        Ok(found) => found,
        Err(error) => return refused(report, "gitea", diagnose(&forge(What::Server), &error)),
    };
    let kind = if version.forgejo { "Forgejo" } else { "Gitea" };
    let found = format!("{kind} {}", version.raw);
    match (version.gitea.is_none_or(|v| v < (1, 22)), version.sends_status_events()) {
        (true, _) => report.warn("gitea", found, "1.22 is the oldest that is supported"),
        (false, _) if took >= SLOW => {
            let found = format!("{found}; it took {:.1} s to say so", took.as_secs_f32());
            report.warn("gitea", found, "see what keeps it, or what lies between: everything will be as slow");
        }
        (false, true) => report.ok("gitea", found),
        (false, false) => report.ok("gitea", format!("{found}; it sends no statuses, they are asked for")),
    }
    clock(report, "gitea", time, asked.now);
    let me = match me {
        Ok(me) => me.clone(),
        Err(error) => return refused(report, "gitea.token", diagnose(&forge(What::Account), &error)),
    };
    report.ok("gitea.token", format!("it is '{}'", me.login));
    let scopes = match scopes {
        Ok(scopes) => scopes,
        Err(error) => return refused(report, "gitea.scopes", diagnose(&forge(What::Account), &error)),
    };
    if let Some(scopes) = &scopes {
        let teams = asked.config.projects.iter().any(names_a_team).then_some(NEEDED_FOR_TEAMS);
        let needed: Vec<&str> = NEEDED.into_iter().chain(teams).collect();
        if !has_scopes(report, "gitea.scopes", scopes, &needed, Token::Own) {
            return;
        }
    }
    let known = Forge { client, me, scopes, version, proof };
    join_all(asked.config.projects.iter().map(|project| repo::check(report, asked, &known, project))).await;
}

/// What is about the token stands under the token's name, whichever call found it.
fn refused(report: &Report, check: &str, why: Diagnosis) {
    let of_token = matches!(
        why.cause,
        Cause::TokenUnknown | Cause::Suspended | Cause::PasswordToChange | Cause::ScopeMissing { .. }
    );
    report.failed(if of_token && check == "gitea" { "gitea.token" } else { check }, why);
}

/// Says which scopes are missing, all at once.
fn has_scopes(report: &Report, check: &str, scopes: &Scopes, needed: &[&str], token: Token) -> bool {
    let missing: Vec<String> = needed.iter().filter(|s| !scopes.allow(s)).map(|s| (*s).to_owned()).collect();
    if missing.is_empty() {
        report.ok(check, format!("the token has what is needed: {}", needed.join(", ")));
        return true;
    }
    let cause = Cause::ScopeMissing { required: missing, given: Some(scopes.names().to_vec()) };
    report.failed(check, Diagnosis::of(&forge(What::Account).by(token), cause, ""));
    false
}

fn names_a_team(project: &Project) -> bool {
    project.reviewers.iter().any(|name| name.starts_with("team:"))
}

fn waits_for_reviews(project: &Project) -> bool {
    pipeline_of(project).gate(Stage::Review) == Some(Gate::ReviewApproved)
}

/// A forge lets nobody approve their own pull request.
async fn reviewer(report: &Report, asked: &Asked<'_>, own: &GiteaClient) {
    let check = "gitea.reviewer";
    let wanted: Vec<&Project> = asked.config.projects.iter().filter(|p| waits_for_reviews(p)).collect();
    let Some(second) = &asked.outside.reviewer else {
        return match wanted.as_slice() {
            [] => report.ok(check, "none, and none is needed"),
            _ => report.ok(check, "none: people approve the pull requests that review_approved waits for"),
        };
    };
    let of = |what| forge(what).by(Token::Reviewer);
    let answers = async { tokio::join!(second.me(), second.scopes(), own.me()) };
    let (account, scopes, me) = report.during(check, answers).await;
    let account = match account {
        Ok(account) => account,
        Err(error) => return report.failed(check, diagnose(&of(What::Account), &error)),
    };
    if me.is_ok_and(|me| me.id == account.id) {
        let found = format!("both tokens are of '{}'", account.login);
        return report.fail(check, found, "the forge lets nobody approve an own pull request: use a second account");
    }
    match scopes {
        Err(error) => return report.failed(check, diagnose(&of(What::Account), &error)),
        Ok(Some(scopes)) if NEEDED_BY_REVIEWER.iter().any(|s| !scopes.allow(s)) => {
            has_scopes(report, check, &scopes, &NEEDED_BY_REVIEWER, Token::Reviewer);
            return;
        }
        Ok(_) => {}
    }
    let faults = join_all(wanted.iter().map(|project| not_counted(second, project))).await;
    match faults.into_iter().flatten().next() {
        Some(why) => report.failed(check, why),
        None if wanted.is_empty() => {
            report.ok(check, format!("it is '{}'; no project waits for reviews at the forge", account.login));
        }
        None => report.ok(check, format!("it is '{}', and gives the reviewer's verdicts", account.login)),
    }
}

/// Why the second account's reviews of a project would not count.
async fn not_counted(second: &GiteaClient, project: &Project) -> Option<Diagnosis> {
    let of = forge(What::Repo(&project.repo)).by(Token::Reviewer);
    match second.repo(&project.repo).await {
        Ok(repo) if repo.permissions.push => None,
        Ok(_) => Some(Diagnosis::of(&of, Cause::NotAllowed, "a review without write access counts for nothing")),
        Err(error @ (ApiError::NotFound | ApiError::Unauthorized(_))) => Some(diagnose(&of, &error)),
        // The bot's own calls say what keeps the forge.
        Err(_) => None,
    }
}

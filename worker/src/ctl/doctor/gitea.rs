//! The forge: version, token and its rights, the webhook of every repository, the second account.

use super::address::is_inside;
use super::plane::resolve;
use super::report::Report;
use super::{Asked, age, clock};
use crate::clients::ApiError;
use crate::clients::gitea::{Account, GiteaClient, HOOK_EVENTS, Hook, NOT_EVERYWHERE};
use orch_common::config::Project;
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::Stage;
use url::Url;

pub async fn check(report: &mut Report, asked: &Asked<'_>) {
    if asked.config.gitea.webhook_secret.is_none() {
        let todo = "choose one (`openssl rand -hex 32`) and set gitea.webhook_secret";
        report.fail("gitea.webhook_secret", "not set: every webhook of the forge is refused", todo);
    } else {
        report.ok("gitea.webhook_secret", "set");
    }
    let Some(gitea) = &asked.outside.gitea else {
        let todo = "set gitea.url and gitea.token (ORCH_GITEA_...)";
        return report.fail("gitea", "not configured", todo);
    };
    match gitea.version().await {
        Ok(version) => {
            let kind = if version.forgejo { "Forgejo" } else { "Gitea" };
            let old = version.gitea.is_none_or(|v| v < (1, 22));
            let found = format!("{kind} {}", version.raw);
            match (old, version.sends_status_events()) {
                (true, _) => report.warn("gitea", found, "1.22 is the oldest that is supported"),
                (false, true) => report.ok("gitea", found),
                (false, false) => report.ok("gitea", format!("{found}; it sends no statuses, they are asked for")),
            }
        }
        Err(error) => return report.fail("gitea", error.to_string(), "see that gitea.url is reachable from here"),
    }
    clock(report, "gitea", gitea.server_time().await.ok().flatten(), asked.now);
    let me = match gitea.me().await {
        Ok(me) => me.clone(),
        Err(error) => return report.fail("gitea.token", error.to_string(), token_todo(&error)),
    };
    report.ok("gitea.token", format!("it is '{}'", me.login));
    reviewer(report, asked, &me).await;
    for project in asked.config.projects.iter() {
        repository(report, asked, gitea, project).await;
    }
    address(report, asked);
}

fn token_todo(error: &ApiError) -> &'static str {
    match error {
        ApiError::Unauthorized(why) if why.contains("scope") => {
            "give the token the scopes write:repository, write:issue and read:user"
        }
        ApiError::Unauthorized(_) => "make a new token and set gitea.token",
        ApiError::RateLimited { .. }
        | ApiError::NotFound
        | ApiError::Conflict { .. }
        | ApiError::Refused { .. }
        | ApiError::Unavailable { .. }
        | ApiError::Malformed { .. } => "see that gitea.url is the forge's own address",
    }
}

/// A forge lets nobody approve their own pull request.
async fn reviewer(report: &mut Report, asked: &Asked<'_>, me: &Account) {
    let check = "gitea.reviewer";
    let needed = asked
        .config
        .projects
        .iter()
        .any(|p| crate::context::pipeline_of(p).gate(Stage::Review) == Some(Gate::ReviewApproved));
    let Some(second) = &asked.outside.reviewer else {
        return match needed {
            true => report.ok(check, "none: people approve the pull requests that review_approved waits for"),
            false => report.ok(check, "none, and none is needed"),
        };
    };
    match second.me().await {
        Ok(account) if account.id == me.id => {
            let found = format!("both tokens are of '{}'", me.login);
            report.fail(check, found, "the forge lets nobody approve an own pull request: use a second account");
        }
        Ok(account) => match blind_for(second, asked).await {
            None if needed => report.ok(check, format!("it is '{}', and gives the reviewer's verdicts", account.login)),
            None => report.ok(check, format!("it is '{}'; no project waits for reviews at the forge", account.login)),
            Some(repo) => {
                let todo = "add it to the repository as a collaborator (write, so that its review counts)";
                report.fail(check, format!("'{}' does not see {repo}", account.login), todo);
            }
        },
        Err(error) => report.fail(check, error.to_string(), token_todo(&error)),
    }
}

/// A repository that the second account should review in and cannot see.
async fn blind_for(second: &GiteaClient, asked: &Asked<'_>) -> Option<String> {
    for project in asked.config.projects.iter() {
        let reviews = crate::context::pipeline_of(project).gate(Stage::Review) == Some(Gate::ReviewApproved);
        if reviews && matches!(second.repo(&project.repo).await, Err(ApiError::NotFound | ApiError::Unauthorized(_))) {
            return Some(project.repo.clone());
        }
    }
    None
}

async fn repository(report: &mut Report, asked: &Asked<'_>, gitea: &GiteaClient, project: &Project) {
    let check = format!("gitea.repo {}", project.repo);
    let found = gitea.repo(&project.repo).await;
    if let Ok(repo) = &found
        && !repo.archived
        && repo.permissions.push
    {
        scopes(report, gitea, project, &repo.default_branch).await;
    }
    match found {
        Ok(repo) if repo.archived => report.fail(check, "archived: nothing can be written", "unarchive it"),
        Ok(repo) if !repo.permissions.push => {
            report.fail(check, "the account may not push", "give it write access (a collaborator, or a team)");
        }
        Ok(repo) if !repo.permissions.admin => {
            let todo = "only admins see and make webhooks: make it admin, or make the webhook by hand (docs/GITEA.md)";
            report.warn(check, "the account may push but is no admin", todo);
        }
        Ok(_) => report.ok(check, "the account may push and is admin"),
        Err(ApiError::NotFound) => {
            let todo = "mend the project's repo, and add the account as a collaborator";
            return report.fail(check, "not there, or not for this account", todo);
        }
        Err(error) => return report.fail(check, error.to_string(), token_todo(&error)),
    }
    hook(report, asked, gitea, project).await;
}

/// The account may, but does its token?
async fn scopes(report: &mut Report, gitea: &GiteaClient, project: &Project, default_branch: &str) {
    let check = format!("gitea.scopes {}", project.repo);
    let tried = [
        ("write to the repository", gitea.try_writing(&project.repo, default_branch).await),
        ("comment", gitea.try_commenting(&project.repo).await),
    ];
    for (what, answer) in &tried {
        match answer {
            Ok(()) => {}
            Err(error @ ApiError::Unauthorized(_)) => {
                return report.fail(check, format!("the token may not {what}: {error}"), token_todo(error));
            }
            Err(error) => return report.warn(check, format!("could not try to {what}: {error}"), "try again"),
        }
    }
    report.ok(check, "the token may write to the repository and comment");
}

async fn hook(report: &mut Report, asked: &Asked<'_>, gitea: &GiteaClient, project: &Project) {
    let check = format!("gitea.hook {}", project.repo);
    let install = "`orchctl init --hooks-only` installs it";
    let hooks = match gitea.hooks(&project.repo).await {
        Ok(hooks) => hooks,
        Err(ApiError::Unauthorized(_) | ApiError::NotFound) => {
            return report.warn(check, "cannot be seen by this account", "look in the repository's settings");
        }
        Err(error) => return report.fail(check, error.to_string(), "try again"),
    };
    let ours = asked.config.worker.public_url.as_ref().map(|url| format!("{}/webhook/gitea", url.as_str()));
    let leads_to_us = |hook: &&Hook| match &ours {
        Some(url) => hook.config.url.trim_end_matches('/') == url,
        None => hook.config.url.trim_end_matches('/').ends_with("/webhook/gitea"),
    };
    let mine: Vec<&Hook> = hooks.iter().filter(leads_to_us).collect();
    let (Some(hook), further) = (mine.first(), mine.len().saturating_sub(1)) else {
        let found = match hooks.iter().find(|h| h.config.url.contains("/webhook/gitea")) {
            Some(other) => format!("none leads to us; one leads to {}", other.config.url),
            None => "none leads to us".to_owned(),
        };
        return report.fail(check, found, install);
    };
    let missing: Vec<&str> = HOOK_EVENTS.iter().copied().filter(|e| !hook.events.iter().any(|h| h == e)).collect();
    let lacks_only_some = missing.iter().all(|event| NOT_EVERYWHERE.contains(event));
    match () {
        () if !hook.active => report.fail(check, format!("#{} is switched off", hook.id), "switch it on in the forge"),
        () if hook.config.content_type != "json" && hook.config.content_type != "form" => {
            report.fail(check, format!("#{} sends '{}'", hook.id, hook.config.content_type), install);
        }
        () if !missing.is_empty() && !lacks_only_some => {
            report.fail(check, format!("#{} does not tell of: {}", hook.id, missing.join(", ")), install);
        }
        () if further > 0 => {
            let todo = "harmless (repeated deliveries do nothing), but delete all but one";
            report.warn(check, format!("{} of them lead to us", mine.len()), todo);
        }
        () => report.ok(check, format!("#{} leads to {}", hook.id, hook.config.url)),
    }
}

fn address(report: &mut Report, asked: &Asked<'_>) {
    let check = "gitea.address";
    if let Some(at) = asked.known.gitea_heard {
        return report.ok(check, format!("the last delivery came {}", age(asked.now, at)));
    }
    let ours = asked.config.worker.public_url.as_ref().and_then(|url| Url::parse(url.as_str()).ok());
    match ours {
        Some(ours) if is_inside(&ours, &resolve(&ours)) => {
            let host = ours.host_str().unwrap_or_default();
            let todo = format!("in the forge's app.ini: [webhook] ALLOWED_HOST_LIST = external,{host}");
            report.warn(check, format!("no delivery has come, and '{host}' is an address of the inside"), todo);
        }
        Some(_) => report.warn(check, "no delivery has come yet", "test the webhook from the repository's settings"),
        None => report.warn(check, "not known how we are reached", "set worker.public_url"),
    }
}

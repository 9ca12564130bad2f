//! The forge's webhooks: one per repository, known by its address. The server never shows a secret and cannot change
//! one, so a replacement is made first and the old one deleted after; what is delivered twice acts once.

use crate::clients::ApiError;
use crate::clients::gitea::{GiteaClient, HOOK_EVENTS, Hook, NOT_EVERYWHERE, NewHook};
use crate::context::build_outside;
use crate::ctl::error::CtlError;
use crate::ctl::screen::Screen;
use orch_common::config::Config;

/// Installs what is missing; `false` where something could not be installed.
pub async fn install(screen: &mut Screen<'_>, config: &Config, replace: bool) -> Result<bool, CtlError> {
    let outside = build_outside(config)?;
    let (gitea, url, secret) = match (&outside.gitea, &config.worker.public_url, &config.gitea.webhook_secret) {
        (Some(gitea), Some(url), Some(secret)) => (gitea, format!("{}/webhook/gitea", url.as_str()), secret),
        (None, _, _) => return skipped(screen, "gitea.url and gitea.token are not both set"),
        (_, None, _) => return skipped(screen, "worker.public_url is not set"),
        (_, _, None) => return skipped(screen, "gitea.webhook_secret is not set"),
    };
    let mut all = true;
    for project in config.projects.iter() {
        let new = NewHook { url: &url, secret: secret.expose() };
        match one(gitea, &project.repo, new, replace).await {
            Ok(done) => screen.line(format!("webhook of {}: {done}", project.repo))?,
            Err(error) => {
                all = false;
                screen.line(format!("webhook of {}: {}", project.repo, why(&error)))?;
            }
        }
    }
    Ok(all)
}

fn skipped(screen: &mut Screen<'_>, why: &str) -> Result<bool, CtlError> {
    screen.line(format!("no webhook is installed: {why}; later: `orchctl init --hooks-only`"))?;
    Ok(true)
}

async fn one(gitea: &GiteaClient, repo: &str, new: NewHook<'_>, replace: bool) -> Result<String, ApiError> {
    let hooks = gitea.hooks(repo).await?;
    let same = |hook: &&Hook| hook.config.url.trim_end_matches('/') == new.url;
    let old: Vec<i64> = hooks.iter().filter(same).map(|hook| hook.id).collect();
    let good = hooks.iter().filter(same).find(|hook| hook.active && tells_all(hook));
    if let Some(good) = good.filter(|_| !replace) {
        return Ok(format!("#{} is there already (if its secret was changed: --replace-hooks)", good.id));
    }
    let made = gitea.create_hook(repo, new).await?;
    for id in &old {
        gitea.delete_hook(repo, *id).await?;
    }
    let asked = if made.events.iter().any(|e| e == "status") { "" } else { "; statuses are asked for" };
    Ok(match old.as_slice() {
        [] => format!("#{} installed, it leads to {}{asked}", made.id, new.url),
        old => format!("#{} installed in the place of {} other(s){asked}", made.id, old.len()),
    })
}

/// Whether nothing is left out that every server knows.
fn tells_all(hook: &Hook) -> bool {
    let known = HOOK_EVENTS.iter().filter(|event| !NOT_EVERYWHERE.contains(event));
    known.into_iter().all(|event| hook.events.iter().any(|e| e == event))
}

fn why(error: &ApiError) -> String {
    match error {
        ApiError::Unauthorized(_) => "this account is no admin of it; make the webhook by hand (docs/GITEA.md)".into(),
        ApiError::NotFound => "the repository is not there, or not for this account".into(),
        ApiError::RateLimited { .. }
        | ApiError::Conflict { .. }
        | ApiError::Refused { .. }
        | ApiError::Unavailable { .. }
        | ApiError::Malformed { .. } => error.to_string(),
    }
}

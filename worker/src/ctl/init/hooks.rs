//! The forge's webhooks: one per repository, known by its address and compared as a whole. The server never shows a secret and cannot
//! change one, so what is not right is replaced: the new one first, then the old ones are deleted; what is delivered twice acts once.

use crate::clients::ApiError;
use crate::clients::causes::{Asked, What, diagnose};
use crate::clients::gitea::{ForgeVersion, GiteaClient, Hook, HookFault, NewHook};
use crate::context::build_outside;
use crate::ctl::doctor::{sample_branch, wrong_secret};
use crate::ctl::error::CtlError;
use crate::ctl::screen::Screen;
use orch_common::config::{Config, Project};
use orch_common::store::deliveries::{Source, last_received};
use orch_common::store::{Store, StoreError, StoreOptions, refusals};

/// How the webhooks are to be.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Replace those that look right, too.
    pub replace: bool,
    /// They are all that was asked for, so that there are none is a failure.
    pub only: bool,
}

/// Installs what is missing and mends what is wrong; `false` where something could not be done.
pub async fn install(screen: &mut Screen<'_>, config: &Config, wish: Wish) -> Result<bool, CtlError> {
    let outside = build_outside(config)?;
    let (gitea, url, secret) = match (&outside.gitea, &config.worker.public_url, &config.gitea.webhook_secret) {
        (Some(gitea), Some(url), Some(secret)) => (gitea, format!("{}/webhook/gitea", url.as_str()), secret),
        (None, _, _) => return skipped(screen, "gitea.url and gitea.token are not both set", wish),
        (_, None, _) => return skipped(screen, "worker.public_url is not set", wish),
        (_, _, None) => return skipped(screen, "gitea.webhook_secret is not set", wish),
    };
    let version = match gitea.version().await {
        Ok(version) => version,
        Err(error) => {
            screen
                .line(format!("no webhook is installed: {}", diagnose(&Asked::forge(What::Server), &error).text()))?;
            return Ok(false);
        }
    };
    let refused = is_refused(config);
    if refused && !wish.replace {
        screen.line("deliveries came that were signed with another secret: the webhooks are replaced")?;
    }
    let mut all = true;
    for project in config.projects.iter() {
        let new = NewHook { url: &url, secret: secret.expose() };
        match one(gitea, &version, project, new, wish.replace || refused).await {
            Ok(done) => screen.line(format!("webhook of {}: {done}", project.repo))?,
            Err(why) => {
                all = false;
                screen.line(format!("webhook of {}: {why}", project.repo))?;
                by_hand(screen, &url)?;
            }
        }
    }
    Ok(all)
}

fn skipped(screen: &mut Screen<'_>, why: &str, wish: Wish) -> Result<bool, CtlError> {
    let later = if wish.only { "" } else { "; later: `orchctl init --hooks-only`" };
    screen.line(format!("no webhook is installed: {why}{later}"))?;
    Ok(!wish.only)
}

async fn one(
    gitea: &GiteaClient,
    version: &ForgeVersion,
    project: &Project,
    new: NewHook<'_>,
    replace: bool,
) -> Result<String, String> {
    let repo = &project.repo;
    let said = |error: ApiError| diagnose(&Asked::forge(What::Hooks(repo)), &error).text();
    let hooks = gitea.hooks(repo).await.map_err(said)?;
    let branch = sample_branch(project);
    let ours: Vec<&Hook> = hooks.iter().filter(|hook| hook.leads_to(new.url)).collect();
    let good = ours.iter().find(|hook| hook.faults(version, &branch).is_empty()).filter(|_| !replace);
    let (id, done) = match good {
        Some(good) => (good.id, format!("#{} is there already and as it should be", good.id)),
        None => {
            let made = gitea.create_hook(repo, new).await.map_err(said)?;
            let faults: Vec<String> = made.faults(version, &branch).iter().map(HookFault::to_string).collect();
            if !faults.is_empty() {
                return Err(format!("#{} was made, but it {}", made.id, faults.join("; ")));
            }
            let asked = if version.sends_status_events() { "" } else { "; statuses are asked for" };
            (made.id, format!("#{} installed, it leads to {}{asked}", made.id, new.url))
        }
    };
    let others: Vec<i64> = ours.iter().map(|hook| hook.id).filter(|other| *other != id).collect();
    for other in &others {
        gitea.delete_hook(repo, *other).await.map_err(said)?;
    }
    Ok(match others.len() {
        0 => done,
        n => format!("{done}; {n} other(s) that led here are removed"),
    })
}

/// Whether the last deliveries were refused for want of the right secret. Without a database nothing is known.
fn is_refused(config: &Config) -> bool {
    let path = &config.database.path;
    let look = || -> Result<bool, StoreError> {
        let store = Store::open(&StoreOptions { pool_size: 1, ..StoreOptions::new(path) })?;
        store.check_schema()?;
        let conn = &mut *store.connection()?;
        let heard = last_received(conn, Source::Gitea)?;
        Ok(wrong_secret(&refusals::all(conn)?, Source::Gitea, heard).is_some())
    };
    path.exists() && look().unwrap_or(false)
}

fn by_hand(screen: &mut Screen<'_>, url: &str) -> Result<(), CtlError> {
    screen.line("   by hand, as an admin of the repository: Settings > Webhooks > Add webhook > Gitea (or Forgejo)")?;
    screen.line(format!("   Target URL: {url}; POST; application/json; Secret: the value of gitea.webhook_secret"))?;
    screen.line(
        "   Branch filter: *; Custom events: Push, Create, Delete, everything of pull requests, Issue comment,",
    )?;
    screen.line("   Commit status, Workflow jobs; Active: yes. Then: Test delivery, and `orchctl doctor`")?;
    Ok(())
}

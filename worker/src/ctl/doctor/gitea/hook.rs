//! A project's webhook: compared as a whole where it can be seen, and else judged by what comes.

use super::{Asked, Forge, Proof, forge, sample_branch};
use crate::clients::causes::{What, diagnose};
use crate::clients::gitea::{Hook, HookFault, Repo};
use crate::ctl::doctor::address::is_inside;
use crate::ctl::doctor::age;
use crate::ctl::doctor::plane::resolve;
use crate::ctl::doctor::report::Report;
use orch_common::config::Project;
use std::time::{Duration, Instant};
use url::Url;

const INSTALL: &str = "`orchctl init --hooks-only` mends it";
/// A set-up takes its time, and what it changes in the repository is not told by webhook.
const SAME_ACT_MS: i64 = 60_000;
/// The forge itself gives a delivery up after 5 s.
const ARRIVES: Duration = Duration::from_secs(8);

pub async fn check(report: &Report, asked: &Asked<'_>, known: &Forge<'_>, project: &Project, repo: &Repo) {
    let check = format!("gitea.hook {}", project.repo);
    if asked.config.worker.public_url.is_none() {
        let todo = "set worker.public_url to the address under which the forge reaches orch-api";
        return report.warn(check, "not known how we are reached, so not known which webhook is ours", todo);
    }
    if !repo.permissions.admin {
        return unseen(report, asked, known, project, &check);
    }
    let hooks = match report.during(&check, known.client.hooks(&project.repo)).await {
        Ok(hooks) => hooks,
        Err(error) => return report.failed(check, diagnose(&forge(What::Hooks(&project.repo)), &error)),
    };
    let ours = asked.hook_address();
    let mine: Vec<&Hook> = hooks.iter().filter(|hook| hook.leads_to(&ours)).collect();
    let branch = sample_branch(project);
    let judged: Vec<(&Hook, Vec<HookFault>)> =
        mine.iter().map(|hook| (*hook, hook.faults(&known.version, &branch))).collect();
    let Some((hook, faults)) = judged.iter().min_by_key(|(_, faults)| faults.len()) else {
        let found = match hooks.iter().find(|h| h.config.url.contains("/webhook/gitea")) {
            Some(other) => format!("none leads to {ours}; one leads to {}", other.config.url),
            None => format!("none leads to {ours}"),
        };
        return report.fail(check, found, format!("{INSTALL}; or mend worker.public_url"));
    };
    let good = judged.iter().filter(|(_, faults)| faults.is_empty()).count();
    match faults.as_slice() {
        [] if good > 1 => {
            let todo = format!("repeated deliveries do nothing, but cost time: {INSTALL}");
            report.warn(check, format!("{good} of them lead to us"), todo);
        }
        [] => arrives(report, asked, known, (project, repo), hook).await,
        faults => {
            let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
            let found = format!("#{} {}", hook.id, said.join("; "));
            match faults.iter().all(HookFault::is_mild) {
                true => report.warn(check, found, INSTALL),
                false => report.fail(check, found, INSTALL),
            }
        }
    }
}

/// Only an admin sees webhooks.
fn unseen(report: &Report, asked: &Asked<'_>, known: &Forge<'_>, project: &Project, check: &str) {
    match (asked.known.heard_about(&project.repo), known.proof) {
        (Some(at), _) => {
            report.ok(check, format!("its last delivery came {}; only an admin sees the webhook", age(asked.now, at)))
        }
        // That is said already, with its cure.
        (None, Proof::Refused) => report.ok(check, "only an admin sees it; deliveries come, and are refused"),
        (None, Proof::Heard(_) | Proof::Nothing) => {
            let found = "no delivery of this repository has come, and only an admin sees the webhook";
            let todo = "make it by hand (docs/GITEA.md), press 'Test delivery' on its page, and look again";
            report.warn(check, found, todo);
        }
    }
}

/// A webhook that is right may still be delivered nowhere: the forge keeps addresses of the inside from its webhooks.
async fn arrives(
    report: &Report,
    asked: &Asked<'_>,
    known: &Forge<'_>,
    (project, repo): (&Project, &Repo),
    hook: &Hook,
) {
    let check = format!("gitea.hook {}", project.repo);
    let leads = format!("#{} leads to {}", hook.id, hook.config.url);
    if asked.deliver {
        return deliver(report, asked, known, project, hook).await;
    }
    if let Some(at) = asked.known.heard_about(&project.repo) {
        return report.ok(check, format!("{leads}; its last delivery came {}", age(asked.now, at)));
    }
    let something_happened = repo.updated_at > hook.created_at + SAME_ACT_MS && hook.created_at > 0;
    match known.proof {
        Proof::Refused => report.ok(check, format!("{leads}; its deliveries come, and are refused")),
        Proof::Heard(_) | Proof::Nothing if asked.known.readable && something_happened => {
            let found = format!("{leads}, and nothing came, though something has happened there since");
            report.warn(check, found, undelivered(asked).await);
        }
        Proof::Heard(_) | Proof::Nothing => {
            report.ok(check, format!("{leads}; nothing has come yet: `orchctl doctor --deliver` tries it"));
        }
    }
}

async fn undelivered(asked: &Asked<'_>) -> String {
    let ours = Url::parse(&asked.hook_address()).ok();
    let look = "look at 'Recent deliveries' on its page, and whether orch-api runs and the forge's machine reaches it";
    let Some(ours) = ours else { return look.to_owned() };
    if !is_inside(&ours, &resolve(&ours).await) {
        return look.to_owned();
    }
    let host = ours.host_str().unwrap_or_default();
    format!(
        "'{host}' is an address of the inside: in the forge's app.ini, [webhook] ALLOWED_HOST_LIST = external,{host}; else {look}"
    )
}

/// Has the forge deliver, and waits for it: the one sure proof.
async fn deliver(report: &Report, asked: &Asked<'_>, known: &Forge<'_>, project: &Project, hook: &Hook) {
    let check = format!("gitea.hook {}", project.repo);
    let state = || asked.known.arrived(&project.repo);
    let before = state();
    if let Err(error) = report.during(&check, known.client.test_hook(&project.repo, hook.id)).await {
        return report.failed(check, diagnose(&forge(What::Hooks(&project.repo)), &error));
    }
    let began = Instant::now();
    let arrived = report.during(&check, async {
        while began.elapsed() < ARRIVES {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = state();
            if now != before {
                return Some(now);
            }
        }
        None
    });
    match arrived.await {
        Some(now) if now.about != before.about => {
            report.ok(check, format!("#{} leads to {}; its test delivery came", hook.id, hook.config.url));
        }
        Some(_) => {
            let todo =
                "`orchctl init --hooks-only --replace-hooks` sets gitea.webhook_secret there; then restart orch-api";
            report.fail(check, format!("the test delivery of #{} came, and was refused", hook.id), todo);
        }
        None => {
            let found = format!("the test delivery of #{} did not come within {} s", hook.id, ARRIVES.as_secs());
            report.fail(check, found, undelivered(asked).await);
        }
    }
}

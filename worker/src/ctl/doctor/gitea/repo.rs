//! A project's repository: whether work can be done there at all; then its rules, reviewers and webhook.

use super::{Asked, Forge, forge, hook, people, rules};
use crate::clients::ApiError;
use crate::clients::causes::{Cause, Diagnosis, What, diagnose};
use crate::clients::gitea::Repo;
use crate::ctl::doctor::report::Report;
use orch_common::config::Project;

pub async fn check(report: &Report, asked: &Asked<'_>, known: &Forge<'_>, project: &Project) {
    let check = format!("gitea.repo {}", project.repo);
    let repo = match report.during(&check, known.client.repo(&project.repo)).await {
        Ok(repo) => repo,
        Err(error) => return unseen(report, asked, known, project, &error).await,
    };
    let stops = stops(project, &repo);
    for why in &stops {
        report.failed(&check, why.clone());
    }
    if !repo.has_pull_requests {
        let todo = "switch them on in its settings (Advanced settings > Enable pull requests)";
        return report.fail(check, "pull requests are switched off: no work can be offered", todo);
    }
    if !stops.is_empty() {
        return;
    }
    match repo.permissions.admin {
        true => report.ok(&check, "the account may push and is admin"),
        false => report.ok(&check, "the account may push; it is no admin, so its webhook is made by hand"),
    }
    if known.scopes.is_none() && !may_write(report, known, project, &repo).await {
        return;
    }
    tokio::join!(
        rules::check(report, known, project, &repo),
        people::check(report, known, project, &repo),
        hook::check(report, asked, known, project, &repo),
    );
}

/// What makes all work there pointless.
fn stops(project: &Project, repo: &Repo) -> Vec<Diagnosis> {
    let of = forge(What::Repo(&project.repo));
    let found = [
        (repo.archived, Cause::Archived),
        (repo.mirror, Cause::Mirror),
        (repo.empty, Cause::Empty),
        (!repo.permissions.push, Cause::NotAllowed),
    ];
    let words = |cause: &Cause| if *cause == Cause::NotAllowed { "it may not push" } else { "" };
    found.into_iter().filter(|(is, _)| *is).map(|(_, cause)| Diagnosis::of(&of, cause.clone(), words(&cause))).collect()
}

/// A 404 has more than one reason, and does not say which.
async fn unseen(report: &Report, asked: &Asked<'_>, known: &Forge<'_>, project: &Project, error: &ApiError) {
    let check = format!("gitea.repo {}", project.repo);
    if *error == ApiError::NotFound {
        if known.scopes.as_ref().is_some_and(super::Scopes::is_public_only) {
            let found = "not there, or private: the token of gitea.token is limited to public repositories";
            return report.fail(
                check,
                found,
                "make a new token that is not limited to public repositories, and set gitea.token",
            );
        }
        let public = match asked.stranger {
            Some(stranger) => report.during(&check, stranger.repo(&project.repo)).await.is_ok(),
            None => false,
        };
        if public {
            let found = "anybody sees it but the bot's account: the forge wants a second factor of it (TWO_FACTOR_AUTH = enforced)";
            let todo =
                "sign in as the bot's account, set up two-factor authentication, and make a new token for gitea.token";
            return report.fail(check, found, todo);
        }
    }
    report.failed(check, diagnose(&forge(What::Repo(&project.repo)), error));
}

/// Where the forge does not name a token's scopes: by what nothing can come of.
async fn may_write(report: &Report, known: &Forge<'_>, project: &Project, repo: &Repo) -> bool {
    let check = "gitea.scopes";
    let branch = &repo.default_branch;
    let tried =
        async { tokio::join!(known.client.may_write(&project.repo, branch), known.client.may_comment(&project.repo)) };
    let (writing, commenting) = report.during(check, tried).await;
    let failed = [writing, commenting].into_iter().find_map(Result::err);
    match failed {
        Some(error) => report.failed(check, diagnose(&forge(What::Repo(&project.repo)), &error)),
        None => {
            report.ok(check, "the token may write to the repository and comment");
            return true;
        }
    }
    false
}

//! The reviewers that a project names: whether they exist, and may review there.

use super::{Forge, forge};
use crate::clients::ApiError;
use crate::clients::causes::{What, diagnose};
use crate::clients::gitea::Repo;
use crate::ctl::doctor::report::Report;
use crate::events::people_and_teams;
use futures_util::future::join_all;
use orch_common::config::Project;

pub async fn check(report: &Report, known: &Forge<'_>, project: &Project, repo: &Repo) {
    if project.reviewers.is_empty() {
        return;
    }
    let check = format!("gitea.reviewers {}", project.repo);
    let (people, teams) = people_and_teams(project);
    let found = report
        .during(&check, async {
            tokio::join!(
                join_all(people.iter().map(|login| person(known, project, repo, login))),
                join_all(teams.iter().map(|name| team(known, project, name))),
            )
        })
        .await;
    let faults: Vec<(String, String)> = found.0.into_iter().chain(found.1).flatten().collect();
    if faults.is_empty() {
        return report.ok(check, project.reviewers.join(", "));
    }
    for (found, todo) in faults {
        report.fail(&check, found, todo);
    }
}

async fn person(known: &Forge<'_>, project: &Project, repo: &Repo, login: &str) -> Option<(String, String)> {
    if login.eq_ignore_ascii_case(&known.me.login) {
        let found = format!("'{login}' is the bot's own account, and nobody approves an own pull request");
        return Some((found, "take it out of the project's reviewers".to_owned()));
    }
    match known.client.person(login).await {
        Ok(None) => Some((format!("the forge has no account '{login}'"), "mend the project's reviewers".to_owned())),
        Ok(Some(_)) if !repo.private => None,
        Ok(Some(_)) => cannot_read(known, project, login).await,
        Err(error) => Some(said(What::Account, &error)),
    }
}

/// Of a private repository: whoever can be asked for a review may read it.
async fn cannot_read(known: &Forge<'_>, project: &Project, login: &str) -> Option<(String, String)> {
    match known.client.reviewers_of(&project.repo).await {
        Ok(all) if all.iter().any(|person| person.login.eq_ignore_ascii_case(login)) => None,
        Ok(_) => {
            let found = format!("'{login}' may not read the repository, so cannot review there");
            Some((found, "add that account as a collaborator, or mend the project's reviewers".to_owned()))
        }
        // Some versions tell it to fewer people.
        Err(ApiError::Unauthorized(_) | ApiError::NotFound) => None,
        Err(error) => Some(said(What::Repo(&project.repo), &error)),
    }
}

async fn team(known: &Forge<'_>, project: &Project, name: &str) -> Option<(String, String)> {
    match known.client.team_members(project.owner(), name).await {
        Ok(members) if members.is_empty() => {
            Some((format!("the team '{name}' has no members"), "add people to it, or name others".to_owned()))
        }
        Ok(_) => None,
        Err(error) => Some(said(What::Team(name), &error)),
    }
}

fn said(what: What<'_>, error: &ApiError) -> (String, String) {
    let why = diagnose(&forge(what), error);
    (why.found, why.cure)
}

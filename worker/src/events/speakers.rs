//! Who may speak at the forge: the one answer for deliveries, rounds, gates and merges. A project's list of reviewers, else what
//! the forge calls official; never we ourselves, and never what is left of a deleted account.

use crate::clients::ApiError;
use crate::clients::gitea::Review;
use crate::context::{Context, pipeline_of};
use orch_common::config::Project;
use orch_common::domain::gate::Gate;
use orch_common::domain::stage::Stage;
use std::collections::BTreeSet;

/// What the name of a team begins with in a project's list.
const TEAM: &str = "team:";

/// Those who may speak in a project.
#[derive(Debug)]
pub struct Speakers {
    /// Our own account.
    own: Option<i64>,
    /// The account that gives the reviewer role's verdicts.
    second: Option<i64>,
    /// Its reviews count: the gate asks for reviews at the forge.
    second_counts: bool,
    /// The project's list, logins in lower case; `None` = it has none.
    listed: Option<BTreeSet<String>>,
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    Person,
    /// The reviewer role, by an account of its own.
    Program,
}

impl Speakers {
    /// Asks the forge who we are, and who is in the teams of the project's list.
    ///
    /// # Errors
    /// Where the forge does not say; a team that it does not know has no members.
    pub async fn of(ctx: &Context, project: &Project) -> Result<Speakers, ApiError> {
        Ok(Speakers {
            own: ctx.accounts.own_in_gitea(&ctx.outside).await?,
            second: ctx.accounts.reviewer_in_gitea(&ctx.outside).await?,
            second_counts: pipeline_of(project).gate(Stage::Review) == Some(Gate::ReviewApproved),
            listed: listed(ctx, project).await?,
        })
    }

    /// Whose word a verdict is; `None` = nobody's who may give one.
    pub fn voice(&self, review: &Review) -> Option<Voice> {
        // Ids below 1 are no accounts: -1 stands for every deleted one, -2 for the forge's own CI.
        let user = review.user.as_ref().filter(|user| user.id > 0 && Some(user.id) != self.own)?;
        if Some(user.id) == self.second {
            return (self.second_counts && review.official).then_some(Voice::Program);
        }
        let counts = match &self.listed {
            Some(list) => list.contains(&user.login.to_lowercase()),
            None => review.official,
        };
        counts.then_some(Voice::Person)
    }
}

async fn listed(ctx: &Context, project: &Project) -> Result<Option<BTreeSet<String>>, ApiError> {
    let mut names = BTreeSet::new();
    for entry in &project.reviewers {
        let Some(team) = entry.strip_prefix(TEAM) else {
            names.insert(entry.to_lowercase());
            continue;
        };
        let Some(gitea) = &ctx.outside.gitea else { continue };
        let repo = gitea.names().now(&project.repo);
        let owner = repo.split_once('/').map_or_else(|| project.owner(), |(owner, _)| owner);
        match gitea.team_members(owner, team).await {
            Ok(members) => names.extend(members.into_iter().map(|member| member.login.to_lowercase())),
            Err(ApiError::NotFound) => {
                tracing::warn!(team, repo = %project.repo, "a team of the project's reviewers is not known to the forge");
            }
            Err(other) => return Err(other),
        }
    }
    Ok((!project.reviewers.is_empty()).then_some(names))
}

/// The people and the teams of a project's list, as the forge names them.
pub fn people_and_teams(project: &Project) -> (Vec<String>, Vec<String>) {
    let (teams, people): (Vec<_>, Vec<_>) = project.reviewers.iter().partition(|name| name.starts_with(TEAM));
    let bare = |name: &String| name.trim_start_matches(TEAM).to_owned();
    (people.into_iter().cloned().collect(), teams.into_iter().map(bare).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::gitea::Account;

    fn by(id: i64, login: &str, official: bool) -> Review {
        Review {
            id: 1,
            user: Some(Account { id, login: login.into() }),
            state: "APPROVED".into(),
            body: String::new(),
            commit_id: String::new(),
            stale: false,
            official,
            dismissed: false,
            submitted_at: 0,
            comments_count: 0,
        }
    }

    #[test]
    fn official_or_listed_and_never_we_or_a_ghost() {
        let listed = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        let speakers = |second_counts, listed| Speakers { own: Some(5), second: Some(6), second_counts, listed };
        let open = speakers(true, None);
        let table = [
            (by(7, "hugo", true), Some(Voice::Person)),
            (by(8, "stranger", false), None),
            (by(5, "orch-bot", true), None),
            (by(6, "orch-reviewer", true), Some(Voice::Program)),
            (by(6, "orch-reviewer", false), None),
            (by(-1, "Ghost", true), None),
            (by(-2, "gitea-actions", true), None),
            (by(0, "", true), None),
            (Review { user: None, ..by(7, "hugo", true) }, None),
        ];
        for (review, voice) in table {
            assert_eq!(open.voice(&review), voice, "{:?}", review.user);
        }
        assert_eq!(speakers(false, None).voice(&by(6, "orch-reviewer", true)), None);
        let narrow = speakers(true, listed(&["rita"]));
        assert_eq!(narrow.voice(&by(9, "Rita", false)), Some(Voice::Person), "without regard to case");
        assert_eq!(narrow.voice(&by(7, "hugo", true)), None, "official, but not on the list");
        assert_eq!(narrow.voice(&by(-1, "rita", true)), None);
        assert_eq!(narrow.voice(&by(6, "orch-reviewer", true)), Some(Voice::Program));
    }
}

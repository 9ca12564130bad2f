//! Each answer is tried as it is given: what is wrong with it is best mended while it is still before one's eyes.

use super::address::{ForgeAddress, forge_addresses};
use crate::clients::causes::{self, Cause, Diagnosis, Service, Token, What, diagnose};
use crate::clients::gitea::{GiteaClient, GiteaSettings, Repo};
use crate::clients::plane::{PlaneClient, PlaneSettings};
use crate::clients::{ApiError, Network, Timing};
use std::io;
use std::time::Duration;
use tokio::runtime::Runtime;

const TIMING: Timing =
    Timing { connect: Duration::from_secs(3), total: Duration::from_secs(7), first_pause: Duration::from_millis(300) };

/// Asks the services.
pub struct Trial {
    runtime: Runtime,
    network: Network,
}

/// What an answer turned out to be.
type Tried<T> = Result<T, Box<Diagnosis>>;

fn forge(what: What<'_>) -> causes::Asked<'_> {
    causes::Asked::forge(what)
}

fn plane(what: What<'_>) -> causes::Asked<'_> {
    causes::Asked { service: Service::Plane, token: Token::Own, what }
}

fn said<'a>(of: causes::Asked<'a>) -> impl Fn(ApiError) -> Box<Diagnosis> + 'a {
    move |error| Box::new(diagnose(&of, &error))
}

impl Trial {
    pub fn new(network: Network) -> io::Result<Trial> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Trial { runtime, network })
    }

    fn gitea(&self, url: &str, token: &str) -> Result<GiteaClient, ApiError> {
        let settings = GiteaSettings { url: url.to_owned(), owner: String::new(), token: token.to_owned() };
        GiteaClient::with_timing(settings, TIMING)?.through(&self.network)
    }

    /// The forge of a page's address, with its version, and the repository of the page.
    pub fn forge(&self, page: &str) -> Tried<(ForgeAddress, String)> {
        let mut first = None;
        for candidate in forge_addresses(page) {
            let client = self.gitea(&candidate.url, "").map_err(said(forge(What::Server)))?;
            match self.runtime.block_on(client.version()) {
                Ok(version) => {
                    let kind = if version.forgejo { "Forgejo" } else { "Gitea" };
                    return Ok((candidate, format!("{kind} {}", version.raw)));
                }
                // It shows nobody its version without a token; that is the forge's own word, not a page's.
                Err(ApiError::Unauthorized(body)) if body.contains("message") => {
                    return Ok((candidate, "a forge that wants a token".to_owned()));
                }
                Err(error) => {
                    let why = diagnose(&forge(What::Server), &error);
                    let goes_on = why.cause == Cause::NotTheApi;
                    let kept = first.get_or_insert(why);
                    if !goes_on {
                        return Err(Box::new(kept.clone()));
                    }
                }
            }
        }
        Err(Box::new(first.unwrap_or_else(|| Diagnosis::of(&forge(What::Server), Cause::NotTheApi, ""))))
    }

    /// Whose token it is; what it may not do is a fault, too.
    pub fn token(&self, url: &str, token: &str) -> Tried<String> {
        let client = self.gitea(url, token).map_err(said(forge(What::Account)))?;
        let answers = self.runtime.block_on(async { tokio::join!(client.me(), client.scopes()) });
        let me = answers.0.map_err(said(forge(What::Account)))?;
        let scopes = answers.1.map_err(said(forge(What::Account)))?;
        let lacks = |scope: &&&str| scopes.as_ref().is_some_and(|all| !all.allow(scope));
        let missing: Vec<String> =
            crate::ctl::doctor::NEEDED_SCOPES.iter().filter(lacks).map(|s| (*s).to_owned()).collect();
        if missing.is_empty() {
            return Ok(me.login.clone());
        }
        let given = scopes.map(|all| all.names().to_vec());
        let cause = Cause::ScopeMissing { required: missing, given };
        Err(Box::new(Diagnosis::of(&forge(What::Account), cause, "")))
    }

    /// The repository, if work can be done there.
    pub fn repo(&self, url: &str, token: &str, name: &str) -> Tried<Repo> {
        let of = forge(What::Repo(name));
        let client = self.gitea(url, token).map_err(said(of))?;
        let repo = self.runtime.block_on(client.repo(name)).map_err(said(of))?;
        let faults = [
            (repo.archived, Cause::Archived),
            (repo.mirror, Cause::Mirror),
            (repo.empty, Cause::Empty),
            (!repo.permissions.push, Cause::NotAllowed),
        ];
        match faults.into_iter().find(|(is, _)| *is) {
            Some((_, cause)) => Err(Box::new(Diagnosis::of(&of, cause, ""))),
            None => Ok(repo),
        }
    }

    /// Whether the branch is there.
    pub fn branch(&self, url: &str, token: &str, (repo, branch): (&str, &str)) -> Tried<bool> {
        let of = forge(What::Repo(repo));
        let client = self.gitea(url, token).map_err(said(of))?;
        Ok(self.runtime.block_on(client.branch(repo, branch)).map_err(said(of))?.is_some())
    }

    fn plane(&self, url: &str, workspace: &str, token: &str) -> Result<PlaneClient, ApiError> {
        let settings = PlaneSettings { url: url.to_owned(), workspace: workspace.to_owned(), token: token.to_owned() };
        PlaneClient::with_timing(settings, TIMING)?.through(&self.network)
    }

    /// Whose token it is in Plane.
    pub fn plane_token(&self, url: &str, token: &str) -> Tried<String> {
        let of = plane(What::Account);
        let client = self.plane(url, "none", token).map_err(said(of))?;
        Ok(self.runtime.block_on(client.me()).map_err(said(of))?.display_name)
    }

    /// The project's name and identifier.
    pub fn plane_project(&self, url: &str, (workspace, token): (&str, &str), id: &str) -> Tried<(String, String)> {
        let of = plane(What::Repo(id));
        let client = self.plane(url, workspace, token).map_err(said(of))?;
        let found = self.runtime.block_on(client.project(id)).map_err(|error| {
            let why = diagnose(&of, &error);
            let cure = "mend the project's id or the workspace, or add the bot to the project as a Member".to_owned();
            Box::new(Diagnosis { cure, ..why })
        })?;
        Ok((found.name, found.identifier))
    }
}

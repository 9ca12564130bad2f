//! What must be known, asked for one by one: a flag wins, then a variable, then what is typed, then the default.

use super::Given;
use crate::ctl::error::CtlError;
use crate::ctl::screen::Screen;
use orch_common::config::{BaseUrl, Secret};
use std::io::BufRead as _;
use uuid::Uuid;

/// A value's rule: `None` = usable, else what is allowed.
type Rule = fn(&str) -> Option<&'static str>;

/// Everything that goes into the file. `None` = left out.
pub struct Answers {
    pub plane_url: Option<String>,
    pub plane_workspace: Option<String>,
    pub plane_project: String,
    pub plane_token: Option<Hidden>,
    pub plane_secret: Option<Hidden>,
    pub gitea_url: Option<String>,
    pub gitea_token: Option<Hidden>,
    pub gitea_secret: Hidden,
    pub repo: String,
    pub id_prefix: String,
    pub default_branch: String,
    pub test_command: Option<String>,
    pub public_url: Option<String>,
}

/// A secret, and whether the environment has it (then the file need not).
pub struct Hidden {
    pub text: Secret,
    pub variable: Option<&'static str>,
}

/// A conversation, or its absence.
pub struct Asking<'a, 'b> {
    screen: &'a mut Screen<'b>,
    asks: bool,
}

impl<'a, 'b> Asking<'a, 'b> {
    pub fn new(screen: &'a mut Screen<'b>, asks: bool) -> Self {
        Asking { screen, asks }
    }

    /// Asks until the answer obeys the rule; an empty one means the default.
    fn value(
        &mut self,
        question: &str,
        given: Option<&String>,
        default: Option<&str>,
        rule: Rule,
    ) -> Result<Option<String>, CtlError> {
        if let Some(given) = given {
            return match rule(given) {
                None => Ok(Some(given.clone())),
                Some(allowed) => Err(CtlError::Usage(format!("{question}: '{given}': allowed: {allowed}"))),
            };
        }
        if !self.asks {
            return Ok(default.map(str::to_owned));
        }
        let shown = default.map(|d| format!(" [{d}]")).unwrap_or_default();
        loop {
            self.screen.line(format!("{question}{shown}:"))?;
            self.screen.flush()?;
            let Some(text) = typed()? else {
                return Err(CtlError::Failed("the input ended before all was said; nothing was written".to_owned()));
            };
            if text.is_empty() {
                return Ok(default.map(str::to_owned));
            }
            match rule(&text) {
                None => return Ok(Some(text)),
                Some(allowed) => self.screen.line(format!("allowed: {allowed}"))?,
            }
        }
    }

    fn needed(
        &mut self,
        question: &str,
        flag: &str,
        given: Option<&String>,
        default: Option<&str>,
        rule: Rule,
    ) -> Result<String, CtlError> {
        loop {
            if let Some(value) = self.value(question, given, default, rule)? {
                return Ok(value);
            }
            if !self.asks {
                return Err(CtlError::Usage(format!("{flag} is needed")));
            }
            self.screen.line("this one is needed")?;
        }
    }

    fn secret(&mut self, question: &str, variable: &'static str) -> Result<Option<Hidden>, CtlError> {
        if let Some(text) = std::env::var(variable).ok().filter(|text| !text.trim().is_empty()) {
            self.screen.line(format!("{question}: taken from {variable}"))?;
            return Ok(Some(Hidden { text: Secret::new(text.trim()), variable: Some(variable) }));
        }
        let typed = self.value(question, None, None, one_line)?;
        Ok(typed.map(|text| Hidden { text: Secret::new(text), variable: None }))
    }
}

/// One line of the input; `None` at its end.
fn typed() -> Result<Option<String>, CtlError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

impl Answers {
    pub fn collect(asking: &mut Asking<'_, '_>, given: &Given) -> Result<Answers, CtlError> {
        let plane_url = asking.value("Plane's address (empty: no Plane)", given.plane_url.as_ref(), None, url)?;
        let has_plane = plane_url.is_some();
        let plane_workspace = match has_plane {
            true => asking.value("Plane workspace (its slug)", given.plane_workspace.as_ref(), None, one_line)?,
            false => None,
        };
        let plane_token = match has_plane {
            true => asking.secret("API token of the bot's account in Plane", "ORCH_PLANE_API_TOKEN")?,
            false => None,
        };
        let plane_project =
            asking.needed("Plane project (its id)", "--plane-project", given.plane_project.as_ref(), None, uuid)?;
        let plane_secret =
            asking.secret("Secret of Plane's webhook (empty: set it later)", "ORCH_PLANE_WEBHOOK_SECRET")?;
        let gitea_url = asking.value("Gitea's address (empty: no Gitea)", given.gitea_url.as_ref(), None, url)?;
        let gitea_token = match gitea_url.is_some() {
            true => asking.secret("Access token of the bot's account in Gitea", "ORCH_GITEA_TOKEN")?,
            false => None,
        };
        let repo = asking.needed("Repository, owner/name", "--repo", given.repo.as_ref(), None, repo)?;
        let guess = prefix_of(&repo);
        let prefix = Some(guess.as_str());
        let id_prefix = asking.needed("Prefix of ids", "--id-prefix", given.id_prefix.as_ref(), prefix, one_line)?;
        let branch = given.default_branch.as_ref();
        let default_branch = asking.needed("Default branch", "--default-branch", branch, Some("main"), one_line)?;
        let tests = given.test_command.as_ref();
        let test_command = asking.value("Command that runs the tests (empty: none)", tests, None, one_line)?;
        let reached = "Address under which Plane and Gitea reach orch-api (empty: set it later)";
        let public_url = asking.value(reached, given.public_url.as_ref(), None, url)?;
        Ok(Answers {
            plane_url,
            plane_workspace,
            plane_project,
            plane_token,
            plane_secret,
            gitea_url,
            gitea_token,
            gitea_secret: gitea_secret(),
            repo,
            id_prefix,
            default_branch,
            test_command,
            public_url,
        })
    }
}

/// The forge's secret is ours to choose.
fn gitea_secret() -> Hidden {
    const VARIABLE: &str = "ORCH_GITEA_WEBHOOK_SECRET";
    match std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty()) {
        Some(text) => Hidden { text: Secret::new(text.trim()), variable: Some(VARIABLE) },
        None => {
            let text = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            Hidden { text: Secret::new(text), variable: None }
        }
    }
}

/// `acme/web-shop` -> `WEBSHOP`.
fn prefix_of(repo: &str) -> String {
    let name = repo.rsplit('/').next().unwrap_or(repo);
    let letters = name.chars().filter(char::is_ascii_alphanumeric).skip_while(char::is_ascii_digit);
    let prefix: String = letters.take(8).collect::<String>().to_ascii_uppercase();
    if prefix.is_empty() { "ORCH".to_owned() } else { prefix }
}

fn url(text: &str) -> Option<&'static str> {
    text.parse::<BaseUrl>().err().map(|_| BaseUrl::ALLOWED)
}

fn uuid(text: &str) -> Option<&'static str> {
    Uuid::parse_str(text).err().map(|_| "a UUID; it is in the address of the project's page")
}

fn repo(text: &str) -> Option<&'static str> {
    let parts: Vec<&str> = text.split('/').collect();
    (parts.len() != 2 || parts.iter().any(|part| part.is_empty())).then_some("owner/name")
}

fn one_line(text: &str) -> Option<&'static str> {
    (text.trim().is_empty() || text.chars().any(char::is_control)).then_some("text of one line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_guessed_from_the_repository() {
        for (repo, expected) in [("acme/web-shop", "WEBSHOP"), ("a/2048", "ORCH"), ("a/3d-printer-farm", "DPRINTER")] {
            assert_eq!(prefix_of(repo), expected);
        }
    }

    #[test]
    fn every_rule_says_what_is_allowed() {
        assert!(url("https://plane.example").is_none() && url("plane").is_some());
        assert!(uuid("0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11").is_none() && uuid("ET").is_some());
        assert!(repo("a/b").is_none() && repo("a").is_some() && repo("a/").is_some() && repo("a/b/c").is_some());
    }
}

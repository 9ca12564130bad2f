//! What must be known, asked for one by one: a flag wins, then a variable, then what is typed, then the default. In a
//! conversation each answer is tried at once; the same answer given again is kept whatever came of it.

use super::address::{forge_alone, plane_address, repo_of};
use super::trial::Trial;
use super::{Given, steps, typed};
use crate::clients::causes::{Asked, Cause, Diagnosis, What};
use crate::ctl::error::CtlError;
use crate::ctl::screen::Screen;
use orch_common::config::{BaseUrl, Secret};
use std::path::PathBuf;
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
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<BaseUrl>,
}

/// A secret, and whether the environment has it (then the file need not).
pub struct Hidden {
    pub text: Secret,
    pub variable: Option<&'static str>,
}

/// A conversation, or its absence.
pub struct Asking<'a, 'b> {
    screen: &'a mut Screen<'b>,
    /// Tries answers; `None` = nothing is asked.
    trial: Option<Trial>,
}

/// An answer that was tried: as it is to be kept, and what was found.
type Tried = Result<(String, String), Box<Diagnosis>>;

/// One question.
#[derive(Clone, Copy)]
struct Question<'a> {
    text: &'a str,
    default: Option<&'a str>,
    rule: Rule,
    hidden: bool,
}

impl<'a> Question<'a> {
    const fn new(text: &'a str, rule: Rule) -> Self {
        Question { text, default: None, rule, hidden: false }
    }

    const fn or(self, default: Option<&'a str>) -> Self {
        Question { default, ..self }
    }
}

impl<'a, 'b> Asking<'a, 'b> {
    pub fn new(screen: &'a mut Screen<'b>, trial: Option<Trial>) -> Self {
        Asking { screen, trial }
    }

    /// Asks until the answer obeys the rule; an empty one means the default.
    fn value(&mut self, question: Question<'_>, given: Option<&String>) -> Result<Option<String>, CtlError> {
        let Question { text, default, rule, hidden } = question;
        if let Some(given) = given {
            return match rule(given) {
                None => Ok(Some(given.clone())),
                Some(allowed) => Err(CtlError::Usage(format!("{text}: '{given}': allowed: {allowed}"))),
            };
        }
        if self.trial.is_none() {
            return Ok(default.map(str::to_owned));
        }
        let shown = default.map(|d| format!(" [{d}]")).unwrap_or_default();
        loop {
            let silent = hidden.then(typed::Hidden::begin);
            self.screen.line(format!("{text}{shown}:"))?;
            self.screen.flush()?;
            let typed = typed::line()?;
            drop(silent);
            let Some(typed) = typed else {
                return Err(CtlError::Failed("the input ended before all was said; nothing was written".to_owned()));
            };
            if typed.is_empty() {
                return Ok(default.map(str::to_owned));
            }
            match rule(&typed) {
                None => return Ok(Some(typed)),
                Some(allowed) => self.screen.line(format!("allowed: {allowed}"))?,
            }
        }
    }

    /// As [`Asking::value`], with an answer that works, or that was given twice.
    fn tried(
        &mut self,
        question: Question<'_>,
        given: Option<&String>,
        attempt: impl Fn(&Trial, &str) -> Tried,
    ) -> Result<Option<String>, CtlError> {
        let (mut given, mut before) = (given, None);
        loop {
            let Some(answer) = self.value(question, given)? else { return Ok(None) };
            let Some(trial) = &self.trial else { return Ok(Some(answer)) };
            match attempt(trial, &answer) {
                Ok((kept, found)) => {
                    if !found.is_empty() {
                        self.screen.line(format!("   {found}"))?;
                    }
                    return Ok(Some(kept));
                }
                Err(_) if before.as_ref() == Some(&answer) => {
                    self.screen.line("   kept as it is")?;
                    return Ok(Some(answer));
                }
                Err(why) => {
                    self.screen.line(format!("   {}", why.text()))?;
                    self.screen.line("   another answer, please; the same again is kept as it is")?;
                    (given, before) = (None, Some(answer));
                }
            }
        }
    }

    fn needed(
        &mut self,
        question: Question<'_>,
        flag: &str,
        given: Option<&String>,
        attempt: impl Fn(&Trial, &str) -> Tried,
    ) -> Result<String, CtlError> {
        loop {
            if let Some(value) = self.tried(question, given, &attempt)? {
                return Ok(value);
            }
            if self.trial.is_none() {
                return Err(CtlError::Usage(format!("{flag} is needed")));
            }
            self.screen.line("this one is needed")?;
        }
    }

    /// A secret of a variable is tried as well; where it does not work, one is asked for.
    fn secret(
        &mut self,
        text: &str,
        variable: &'static str,
        attempt: impl Fn(&Trial, &str) -> Tried,
    ) -> Result<Option<Hidden>, CtlError> {
        let given = std::env::var(variable).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        if given.is_some() {
            self.screen.line(format!("{text}: taken from {variable}"))?;
        }
        let question = Question { hidden: true, ..Question::new(text, one_line) };
        let secret = self.tried(question, given.as_ref(), attempt)?;
        Ok(secret.map(|text| {
            let variable = (given.as_ref() == Some(&text)).then_some(variable);
            Hidden { text: Secret::new(text), variable }
        }))
    }
}

/// Nothing can be found out about it.
fn untried(_: &Trial, answer: &str) -> Tried {
    Ok((answer.to_owned(), String::new()))
}

/// What is known of Plane once it was asked for.
struct PlaneAnswers {
    url: Option<String>,
    workspace: Option<String>,
    token: Option<Hidden>,
    project: String,
    /// What Plane's own ids of the project begin with.
    identifier: Option<String>,
}

impl PlaneAnswers {
    fn collect(asking: &mut Asking<'_, '_>, given: &Given) -> Result<PlaneAnswers, CtlError> {
        let question = Question::new("Plane's address, or that of the project's page (empty: no Plane)", page);
        let page = asking.value(question, given.plane_url.as_ref())?.and_then(|page| plane_address(&page));
        let known = page.clone().unwrap_or_default();
        let mut token = None;
        let mut workspace = None;
        if page.is_some() {
            let question = Question::new("Plane workspace (its slug)", one_line).or(known.workspace.as_deref());
            workspace = asking.value(question, given.plane_workspace.as_ref())?;
            let attempt = |trial: &Trial, token: &str| {
                let name = trial.plane_token(&known.url, token)?;
                Ok((token.to_owned(), format!("it is '{name}'")))
            };
            token = asking.secret("API token of the bot's account in Plane", "ORCH_PLANE_API_TOKEN", attempt)?;
        }
        let identifier = std::cell::RefCell::new(None);
        let attempt = |trial: &Trial, id: &str| {
            let (Some(workspace), Some(token)) = (&workspace, &token) else { return untried(trial, id) };
            let (name, short) = trial.plane_project(&known.url, (workspace, token.text.expose()), id)?;
            let found = format!("'{name}' ({short})");
            identifier.replace(Some(short));
            Ok((id.to_owned(), found))
        };
        let question = Question::new("Plane project (its id)", uuid).or(known.project.as_deref());
        let project = asking.needed(question, "--plane-project", given.plane_project.as_ref(), attempt)?;
        let url = page.map(|_| known.url.clone());
        Ok(PlaneAnswers { url, identifier: identifier.take(), workspace, token, project })
    }
}

impl Answers {
    pub fn collect(asking: &mut Asking<'_, '_>, given: &Given) -> Result<Answers, CtlError> {
        let plane = PlaneAnswers::collect(asking, given)?;
        let plane_secret =
            asking.secret("Secret of Plane's webhook (empty: set it later)", "ORCH_PLANE_WEBHOOK_SECRET", untried)?;
        let page_repo = std::cell::RefCell::new(None);
        let attempt = |trial: &Trial, text: &str| {
            let (address, found) = trial.forge(text)?;
            page_repo.replace(address.repo);
            Ok((address.url, found))
        };
        let question = Question::new("Gitea's address, or that of any page of the repository (empty: no Gitea)", page);
        let gitea_url = asking.tried(question, given.gitea_url.as_ref(), attempt)?;
        let gitea_url = gitea_url.map(|url| forge_alone(&url));
        let gitea_token = match &gitea_url {
            Some(url) => token(asking, url)?,
            None => None,
        };
        let page_repo = page_repo.take();
        let question = Question::new("Repository, owner/name", repo).or(page_repo.as_deref());
        let at_forge = gitea_url.as_deref().zip(gitea_token.as_ref().map(|token| token.text.expose()));
        let usual = std::cell::RefCell::new(None);
        let attempt = |trial: &Trial, name: &str| {
            let name = repo_of(name, gitea_url.as_deref());
            let Some((url, token)) = at_forge else { return Ok((name, String::new())) };
            let found = trial.repo(url, token, &name)?;
            let may = if found.permissions.admin { "write, and make its webhook" } else { "write" };
            usual.replace(Some(found.default_branch).filter(|branch| !branch.is_empty()));
            Ok((name, format!("the account may {may}")))
        };
        let repo = asking.needed(question, "--repo", given.repo.as_ref(), attempt)?;
        let repo = repo_of(&repo, gitea_url.as_deref());
        let guess = plane.identifier.clone().unwrap_or_else(|| prefix_of(&repo));
        let question = Question::new("Prefix of ids", one_line).or(Some(&guess));
        let id_prefix = asking.needed(question, "--id-prefix", given.id_prefix.as_ref(), untried)?;
        let usual = usual.take().unwrap_or_else(|| "main".to_owned());
        let question = Question::new("Default branch", one_line).or(Some(&usual));
        let attempt = |trial: &Trial, branch: &str| {
            let Some((url, token)) = at_forge else { return untried(trial, branch) };
            match trial.branch(url, token, (&repo, branch))? {
                true => Ok((branch.to_owned(), String::new())),
                false => Err(Box::new(no_branch(&repo, branch))),
            }
        };
        let default_branch = asking.needed(question, "--default-branch", given.default_branch.as_ref(), attempt)?;
        let question = Question::new("Command that runs the tests (empty: none)", one_line);
        let test_command = asking.value(question, given.test_command.as_ref())?;
        let question = Question::new("Address under which Plane and Gitea reach orch-api (empty: set it later)", url);
        let public_url = asking.value(question, given.public_url.as_ref())?;
        Ok(Answers {
            plane_url: plane.url,
            plane_workspace: plane.workspace,
            plane_project: plane.project,
            plane_token: plane.token,
            plane_secret,
            gitea_url: gitea_url.clone(),
            gitea_secret: gitea_secret(),
            repo: repo.clone(),
            id_prefix,
            default_branch,
            test_command,
            public_url,
            ca_file: None,
            proxy: None,
            gitea_token,
        })
    }
}

fn token(asking: &mut Asking<'_, '_>, url: &str) -> Result<Option<Hidden>, CtlError> {
    if asking.trial.is_some() {
        steps::for_token(asking.screen, url)?;
    }
    let attempt = |trial: &Trial, token: &str| {
        let login = trial.token(url, token)?;
        Ok((token.to_owned(), format!("it is '{login}'")))
    };
    asking.secret("Access token of the bot's account in Gitea", "ORCH_GITEA_TOKEN", attempt)
}

fn no_branch(repo: &str, branch: &str) -> Diagnosis {
    let asked = Asked::forge(What::Repo(repo));
    let why = Diagnosis::of(&asked, Cause::NotThere, "");
    Diagnosis { found: format!("{repo} has no branch {branch}"), cure: "push it, or name another".to_owned(), ..why }
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

/// An address of a page, with whatever comes after its path.
fn page(text: &str) -> Option<&'static str> {
    plane_address(text).map_or(Some("an http:// or https:// address"), |_| None)
}

fn uuid(text: &str) -> Option<&'static str> {
    Uuid::parse_str(text).err().map(|_| "a UUID; it is in the address of the project's page")
}

fn repo(text: &str) -> Option<&'static str> {
    let name = repo_of(text, None);
    let parts: Vec<&str> = name.split('/').collect();
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

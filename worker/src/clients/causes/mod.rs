//! What a refusal or a silence of a service means, and who can mend it: the one table *answer -> cause -> cure*, for `orchctl
//! doctor`, `orchctl init` and the worker's own errors. Pure: it knows which service was asked, for what, and with whose
//! token; it asks nothing itself.

mod cures;
mod words;

use super::error::ApiError;
use crate::git::GitError;

/// A service that can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Plane,
    Forge,
    Telegram,
}

/// Whose credentials went with the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The orchestrator's own account.
    Own,
    /// The second account, which reviews.
    Reviewer,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// Whether the service is there.
    Server,
    /// Whose token it is.
    Account,
    /// A repository or a project, and what is in it.
    Repo(&'a str),
    /// The webhooks of a repository.
    Hooks(&'a str),
    /// A team of the owner.
    Team(&'a str),
}

/// One call, as far as its answer's meaning depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    pub service: Service,
    pub token: Token,
    pub what: What<'a>,
}

impl<'a> Asked<'a> {
    /// Of the forge, with the own token.
    pub const fn forge(what: What<'a>) -> Self {
        Asked { service: Service::Forge, token: Token::Own, what }
    }

    /// The same with another token.
    #[must_use]
    pub const fn by(self, token: Token) -> Self {
        Asked { token, ..self }
    }
}

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The service knows no such token: mistyped, revoked, or its account is gone.
    TokenUnknown,
    /// The account may not sign in.
    Suspended,
    /// The account must choose a new password first.
    PasswordToChange,
    /// The token lacks a scope. `given`: what it has, where the service says so.
    ScopeMissing {
        required: Vec<String>,
        given: Option<Vec<String>>,
    },
    /// Only admins of the repository may.
    AdminOnly,
    /// The account is no member of the organisation.
    NotInOrganisation,
    /// Another right is missing.
    NotAllowed,
    Archived,
    Mirror,
    Empty,
    /// A rule of a branch keeps the account out.
    BranchRule,
    /// It has another address now.
    Moved {
        to: Option<String>,
    },
    /// Not there, or not for this account.
    NotThere,
    /// Something answers, but not this service's API.
    NotTheApi,
    /// Plain HTTP to a port that speaks TLS, or the other way round.
    WrongScheme,
    /// Nobody who is trusted signed the certificate.
    CertificateUntrusted,
    CertificateExpired,
    /// The certificate is another host's.
    CertificateOfOther,
    /// The TLS connection could not be made for another reason.
    Tls,
    HostUnknown,
    ConnectionRefused,
    /// No answer in time.
    Silent,
    /// The connection broke.
    Cut,
    /// The proxy wants credentials, or cannot be reached.
    Proxy,
    /// Too many calls for now.
    TooManyCalls,
    /// The service has a fault of its own.
    ServiceFault,
    /// Whatever the table does not know.
    Other,
}

/// Who can end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MendedBy {
    /// Whoever has Orch's configuration in hand.
    Operator,
    /// An administrator of the service.
    ServiceAdmin,
    /// An admin of the repository or the project.
    RepoAdmin,
    /// Nobody has to: it passes.
    Time,
}

/// A cause, the service's own words, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    pub cause: Cause,
    /// For people: the cause, then the service's words where they say more.
    pub found: String,
    /// For people: what to do.
    pub cure: String,
    pub by: MendedBy,
}

impl Diagnosis {
    /// Of a cause that is known otherwise than by an answer; `words` may be empty.
    pub fn of(asked: &Asked<'_>, cause: Cause, words: &str) -> Diagnosis {
        let (found, cure) = (cures::found(asked, &cause, words), cures::cure(asked, &cause));
        Diagnosis { by: cures::mended_by(&cause), cause, found, cure }
    }

    /// Cause and cure as one text.
    pub fn text(&self) -> String {
        format!("{}: {}", self.found, self.cure)
    }
}

/// What the failure of a call means.
pub fn diagnose(asked: &Asked<'_>, error: &ApiError) -> Diagnosis {
    let (cause, said) = match error {
        ApiError::RateLimited { .. } => (Cause::TooManyCalls, error.to_string()),
        ApiError::NotFound => (of_nothing(asked), String::new()),
        ApiError::Unauthorized(body) => of_refusal(asked, body, Cause::NotAllowed),
        ApiError::Conflict { body, .. } => of_refusal(asked, body, Cause::Other),
        ApiError::Refused { status, body } => of_status(asked, *status, body),
        ApiError::Unavailable { why } => of_silence(why),
        ApiError::Malformed { why } => (Cause::NotTheApi, why.clone()),
    };
    Diagnosis::of(asked, cause, &said)
}

/// What the failure of git at the forge means; `None` where the fault is not between us and the forge.
pub fn diagnose_git(asked: &Asked<'_>, error: &GitError) -> Option<Diagnosis> {
    let (text, otherwise) = match error {
        GitError::NotFound { what } => (what, Cause::NotThere),
        // A host that is not the forge's may be meant, which has no token of ours.
        GitError::AuthFailed { tail } => (tail, Cause::TokenUnknown),
        GitError::Unavailable { tail } => (tail, Cause::Other),
        GitError::Declined { why } => (why, Cause::NotAllowed),
        GitError::Timeout { .. } => return Some(Diagnosis::of(asked, Cause::Silent, &error.to_string())),
        GitError::BadName { .. }
        | GitError::Conflict { .. }
        | GitError::Diverged { .. }
        | GitError::Rejected { .. }
        | GitError::InUse { .. }
        | GitError::TooLarge { .. }
        | GitError::NoSpace
        | GitError::Lfs(_)
        | GitError::Submodule(_)
        | GitError::Corrupt { .. }
        | GitError::Cancelled
        | GitError::Io { .. }
        | GitError::Other { .. } => return None,
    };
    let cause = words::of_git(text).unwrap_or(otherwise);
    Some(Diagnosis::of(asked, cause, &words::last_line(text)))
}

/// The scopes that a refusal says a token has.
pub fn scopes_of(body: &str) -> Option<Vec<String>> {
    let Some(Cause::ScopeMissing { given, .. }) = words::scope(&words::message(body)) else { return None };
    given
}

/// A 404 has no words that count.
fn of_nothing(asked: &Asked<'_>) -> Cause {
    match (asked.what, asked.service) {
        // Telegram has the token in the path.
        (What::Server | What::Account, Service::Telegram) => Cause::TokenUnknown,
        (What::Server | What::Account, Service::Plane | Service::Forge) => Cause::NotTheApi,
        (What::Repo(_) | What::Hooks(_) | What::Team(_), _) => Cause::NotThere,
    }
}

/// A 401, 403 or 409: the words tell which.
fn of_refusal(asked: &Asked<'_>, body: &str, otherwise: Cause) -> (Cause, String) {
    if words::is_page(body) {
        return (Cause::NotTheApi, words::of_page(body));
    }
    let said = words::message(body);
    let known = words::scope(&said).or_else(|| words::of_refusal(&said));
    let otherwise = match (asked.service, asked.what) {
        // Plane and Telegram refuse a token without a word of their own.
        (Service::Plane | Service::Telegram, What::Server | What::Account) => Cause::TokenUnknown,
        (Service::Plane | Service::Telegram, _) | (Service::Forge, _) => otherwise,
    };
    (known.unwrap_or(otherwise), said)
}

fn of_status(asked: &Asked<'_>, status: u16, body: &str) -> (Cause, String) {
    match status {
        300..=399 => {
            let to = body.strip_prefix(super::http::REDIRECTED).map(|to| to.trim().to_owned());
            (Cause::Moved { to: to.filter(|to| !to.is_empty()) }, String::new())
        }
        407 => (Cause::Proxy, words::message(body)),
        423 => (Cause::Archived, words::message(body)),
        _ => {
            let (cause, said) = of_refusal(asked, body, Cause::Other);
            (cause, if status == 0 { said } else { format!("{said} (status {status})") })
        }
    }
}

/// No answer, a cut one, or a 5xx.
fn of_silence(why: &str) -> (Cause, String) {
    let said = why.strip_prefix("status ").map_or_else(|| why.to_owned(), |rest| format!("status {}", shortened(rest)));
    (words::of_transport(why).unwrap_or(Cause::Other), said)
}

/// A status and the beginning of a body, which may be a page.
fn shortened(text: &str) -> String {
    let (status, body) = text.split_once(':').unwrap_or((text, ""));
    let said = if words::is_page(body) { words::of_page(body) } else { words::message(body.trim()) };
    if said.is_empty() { status.to_owned() } else { format!("{status}: {said}") }
}

#[cfg(test)]
mod tests;

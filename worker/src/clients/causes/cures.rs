//! The texts of the table: what a cause is called, what to do about it, and who can.

use super::{Asked, Cause, MendedBy, Service, Token, What};

impl Service {
    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Plane => "Plane",
            Service::Forge => "the forge",
            Service::Telegram => "Telegram",
        }
    }

    /// The setting that holds its address.
    pub const fn address_setting(self) -> &'static str {
        match self {
            Service::Plane => "plane.url",
            Service::Forge => "gitea.url",
            Service::Telegram => "telegram.api_url",
        }
    }
}

impl Asked<'_> {
    /// The setting that holds the token of the call.
    pub const fn token_setting(&self) -> &'static str {
        match (self.service, self.token) {
            (Service::Plane, _) => "plane.api_token",
            (Service::Telegram, _) => "telegram.bot_token",
            (Service::Forge, Token::Own) => "gitea.token",
            (Service::Forge, Token::Reviewer) => "gitea.reviewer_token",
        }
    }

    /// Whose account it is.
    const fn account(&self) -> &'static str {
        match self.token {
            Token::Own => "the bot's account",
            Token::Reviewer => "the reviewer's account",
        }
    }

    fn object(&self) -> String {
        match self.what {
            What::Server | What::Account => self.service.name().to_owned(),
            What::Repo(name) | What::Hooks(name) => name.to_owned(),
            What::Team(name) => format!("the team '{name}'"),
        }
    }
}

/// The cause, and the service's words where they say more.
pub(super) fn found(asked: &Asked<'_>, cause: &Cause, words: &str) -> String {
    let text = named(asked, cause);
    let adds = !words.is_empty() && !matches!(cause, Cause::ScopeMissing { .. });
    if !adds {
        return text;
    }
    let end = words.trim_end_matches('.');
    if matches!(cause, Cause::Other) { format!("{text}: {end}") } else { format!("{text} ({end})") }
}

fn named(asked: &Asked<'_>, cause: &Cause) -> String {
    let (service, token, account, object) =
        (asked.service.name(), asked.token_setting(), asked.account(), asked.object());
    match cause {
        Cause::TokenUnknown => format!("{service} does not know the token of {token}"),
        Cause::Suspended => format!("{account} may not sign in at {service}"),
        Cause::PasswordToChange => format!("{account} must change its password before {service} lets it in"),
        Cause::ScopeMissing { required, given } => scopes(token, required, given.as_deref()),
        Cause::AdminOnly => format!("{account} is no admin of {object}"),
        Cause::NotInOrganisation => format!("{account} is no member of the organisation of {object}"),
        Cause::NotAllowed => format!("{account} may not do this in {object}"),
        Cause::Archived => format!("{object} is archived: nothing can be written"),
        Cause::Mirror => format!("{object} is a mirror: nothing can be written"),
        Cause::Empty => format!("{object} is empty: there is no branch to start from"),
        Cause::BranchRule => format!("a branch rule of {object} keeps {account} out"),
        Cause::Moved { to: Some(to) } => format!("{object} has another address now: {to}"),
        Cause::Moved { to: None } => format!("{object} has another address now"),
        Cause::NotThere => format!("{object} is not there, or {account} may not see it"),
        Cause::NotTheApi => format!("what answers at {} is not the API of {service}", asked.service.address_setting()),
        Cause::WrongScheme => "http:// and https:// are confused: the port speaks the other one".to_owned(),
        Cause::CertificateUntrusted => format!("the certificate of {service} is signed by nobody who is trusted here"),
        Cause::CertificateExpired => format!("the certificate of {service} has expired, or is not valid yet"),
        Cause::CertificateOfOther => format!("the certificate of {service} is for another host name"),
        Cause::Tls => format!("no TLS connection to {service} could be made"),
        Cause::HostUnknown => format!("the host name of {service} cannot be resolved"),
        Cause::ConnectionRefused => format!("nothing listens at the address of {service}"),
        Cause::Silent => format!("{service} did not answer in time"),
        Cause::Cut => format!("{service} broke the connection"),
        Cause::Proxy => format!("the proxy does not let us through to {service}"),
        Cause::TooManyCalls => format!("{service} allows no more calls for now"),
        Cause::ServiceFault => format!("{service} has a fault of its own"),
        Cause::Other => format!("{service} refused"),
    }
}

fn scopes(token: &str, required: &[String], given: Option<&[String]>) -> String {
    let has = match given {
        None => String::new(),
        Some([]) => ": it has none".to_owned(),
        Some(given) => format!(": it has only {}", given.join(", ")),
    };
    format!("the token of {token} lacks the scope {}{has}", required.join(", "))
}

/// What to do.
pub(super) fn cure(asked: &Asked<'_>, cause: &Cause) -> String {
    let (service, token, account, object, address) =
        (asked.service.name(), asked.token_setting(), asked.account(), asked.object(), asked.service.address_setting());
    match cause {
        Cause::TokenUnknown => format!("make a new token as {account} ({}) and set {token}", where_tokens_are(asked)),
        Cause::Suspended => {
            format!("let an administrator of {service} allow its sign-in (user administration: active, not prohibited)")
        }
        Cause::PasswordToChange => format!("sign in to {service} once in a browser as {account} and change it"),
        Cause::ScopeMissing { .. } => format!(
            "make a new token as {account} with {} and set {token}",
            match asked.token {
                Token::Own => "write:repository, write:issue and read:user (and read:organization for teams)",
                Token::Reviewer => "write:repository, write:issue and read:user",
            }
        ),
        Cause::AdminOnly => format!("make it an admin of {object}, or do by hand what needs one (docs/GITEA.md)"),
        Cause::NotInOrganisation => "add it to a team of the organisation, or name people instead of a team".to_owned(),
        Cause::NotAllowed => format!("give {account} write access to {object} (a collaborator, or a team)"),
        Cause::Archived => format!("unarchive {object} in its settings, or take it out of [[projects]]"),
        Cause::Mirror => format!("make {object} a regular repository in its settings, or name the one it mirrors"),
        Cause::Empty => "push a first commit to the default branch".to_owned(),
        Cause::BranchRule => format!("let {account} in by the rule's lists (Settings > Branches)"),
        Cause::Moved { .. } => match asked.what {
            What::Server | What::Account => format!("set {address} to the address that it is redirected to"),
            What::Repo(_) | What::Hooks(_) | What::Team(_) => "set the project's repo to the new name".to_owned(),
        },
        Cause::NotThere => match asked.what {
            What::Team(_) => "mend the team's name in the project's reviewers".to_owned(),
            What::Server | What::Account | What::Repo(_) | What::Hooks(_) => {
                format!("mend the project's repo, or add {account} to it as a collaborator")
            }
        },
        Cause::NotTheApi => {
            format!(
                "set {address} to the address as people open it, without /api/v1, past any page that asks to sign in"
            )
        }
        Cause::WrongScheme => format!("write {address} with the other of http:// and https://"),
        Cause::CertificateUntrusted => {
            "set network.ca_file to the file of the authority that signed it (PEM)".to_owned()
        }
        Cause::CertificateExpired => format!("renew it at {service}; if it is new, set this machine's clock"),
        Cause::CertificateOfOther => format!("set {address} to the name that is in the certificate, or renew that"),
        Cause::Tls => format!("see that {service} offers TLS 1.2 or 1.3 at {address}"),
        Cause::HostUnknown => format!("mend the host name in {address}, or this machine's DNS"),
        Cause::ConnectionRefused => format!("start {service}, or mend host and port in {address}"),
        Cause::Silent => {
            format!("see that {service} runs, and that no firewall lies between; network.proxy names a proxy")
        }
        Cause::Cut => format!("try again; if it stays so, look into the log of {service}, or of the proxy before it"),
        Cause::Proxy => "mend network.proxy (or HTTPS_PROXY), or name the host in network.no_proxy".to_owned(),
        Cause::TooManyCalls => "wait: it goes on by itself".to_owned(),
        Cause::ServiceFault => format!("look into the log of {service}"),
        Cause::Other => format!("see what {service} says"),
    }
}

fn where_tokens_are(asked: &Asked<'_>) -> &'static str {
    match asked.service {
        Service::Forge => "Settings > Applications > Generate new token",
        Service::Plane => "Profile settings > Personal Access Tokens",
        Service::Telegram => "ask @BotFather",
    }
}

pub(super) const fn mended_by(cause: &Cause) -> MendedBy {
    match cause {
        Cause::TokenUnknown
        | Cause::PasswordToChange
        | Cause::ScopeMissing { .. }
        | Cause::Moved { .. }
        | Cause::NotTheApi
        | Cause::WrongScheme
        | Cause::CertificateUntrusted
        | Cause::CertificateOfOther
        | Cause::HostUnknown
        | Cause::Proxy => MendedBy::Operator,
        Cause::Suspended
        | Cause::CertificateExpired
        | Cause::Tls
        | Cause::ConnectionRefused
        | Cause::Silent
        | Cause::Cut
        | Cause::ServiceFault
        | Cause::Other => MendedBy::ServiceAdmin,
        Cause::AdminOnly
        | Cause::NotInOrganisation
        | Cause::NotAllowed
        | Cause::Archived
        | Cause::Mirror
        | Cause::Empty
        | Cause::BranchRule
        | Cause::NotThere => MendedBy::RepoAdmin,
        Cause::TooManyCalls => MendedBy::Time,
    }
}

//! The words that services, TLS, the system and git use, and what they stand for. In lower case, the most specific first.

use super::Cause;
use serde_json::Value;

type Row = (&'static str, Cause);

/// In the body of a 4xx.
const REFUSALS: &[Row] = &[
    ("prohibited from signing in", Cause::Suspended),
    ("account is not activated", Cause::Suspended),
    ("must change your password", Cause::PasswordToChange),
    ("change your password at", Cause::PasswordToChange),
    ("invalid username, password or token", Cause::TokenUnknown),
    ("user does not exist [uid: 0", Cause::TokenUnknown),
    ("access token does not exist", Cause::TokenUnknown),
    ("token is required", Cause::TokenUnknown),
    ("credentials are incorrect or have expired", Cause::TokenUnknown),
    ("given api token is not valid", Cause::TokenUnknown),
    ("authentication credentials were not provided", Cause::TokenUnknown),
    ("must be an organization member", Cause::NotInOrganisation),
    ("user should be an owner or a collaborator with admin write", Cause::AdminOnly),
    ("user should be the owner of the repo", Cause::AdminOnly),
    ("git repository is a mirror", Cause::Mirror),
    ("git repository is empty", Cause::Empty),
    ("archived", Cause::Archived),
    ("protected branch", Cause::BranchRule),
    ("user not allowed to merge", Cause::BranchRule),
    ("http request to an https server", Cause::WrongScheme),
    ("plain http request was sent to https port", Cause::WrongScheme),
];

/// In the text of a call that got no usable answer.
const TRANSPORT: &[Row] = &[
    ("unknownissuer", Cause::CertificateUntrusted),
    ("self-signed certificate", Cause::CertificateUntrusted),
    ("self signed certificate", Cause::CertificateUntrusted),
    ("unable to get local issuer certificate", Cause::CertificateUntrusted),
    // A certificate of an authority, presented as a server's.
    ("causedasendentity", Cause::CertificateUntrusted),
    ("certificate expired", Cause::CertificateExpired),
    ("certificate has expired", Cause::CertificateExpired),
    ("certificate not valid yet", Cause::CertificateExpired),
    ("certificate is not yet valid", Cause::CertificateExpired),
    ("notvalidforname", Cause::CertificateOfOther),
    ("not valid for name", Cause::CertificateOfOther),
    ("no alternative certificate subject name", Cause::CertificateOfOther),
    ("certificate subject name", Cause::CertificateOfOther),
    ("does not match target host name", Cause::CertificateOfOther),
    ("server certificate verification failed", Cause::CertificateUntrusted),
    ("invalid peer certificate", Cause::CertificateUntrusted),
    ("received corrupt message", Cause::WrongScheme),
    ("wrong version number", Cause::WrongScheme),
    ("an unexpected tls packet was received", Cause::WrongScheme),
    ("proxy", Cause::Proxy),
    ("dns error", Cause::HostUnknown),
    ("could not resolve host", Cause::HostUnknown),
    ("name resolution", Cause::HostUnknown),
    ("connection refused", Cause::ConnectionRefused),
    ("timed out", Cause::Silent),
    ("operation too slow", Cause::Silent),
    ("no route to host", Cause::Silent),
    ("network is unreachable", Cause::Silent),
    ("failed to connect", Cause::ConnectionRefused),
    ("handshake", Cause::Tls),
    ("ssl", Cause::Tls),
    ("connection closed", Cause::Cut),
    ("connection reset", Cause::Cut),
    ("broken pipe", Cause::Cut),
    ("incomplete message", Cause::Cut),
    ("unexpected eof", Cause::Cut),
    ("decoding response body", Cause::Cut),
    ("hung up unexpectedly", Cause::Cut),
    ("early eof", Cause::Cut),
    ("status 5", Cause::ServiceFault),
];

/// In git's own words about an answer.
const GIT: &[Row] = &[
    ("returned error: 301", Cause::Moved { to: None }),
    ("returned error: 302", Cause::Moved { to: None }),
    ("returned error: 307", Cause::Moved { to: None }),
    ("returned error: 308", Cause::Moved { to: None }),
    ("this repo is archived", Cause::Archived),
    ("is archived", Cause::Archived),
    ("user permission denied for writing", Cause::NotAllowed),
    ("returned error: 401", Cause::TokenUnknown),
    ("authentication failed", Cause::TokenUnknown),
    ("returned error: 403", Cause::NotAllowed),
    ("returned error: 404", Cause::NotThere),
    ("returned error: 407", Cause::Proxy),
    ("returned error: 429", Cause::TooManyCalls),
    ("returned error: 5", Cause::ServiceFault),
    ("not found", Cause::NotThere),
];

fn find(rows: &[Row], text: &str) -> Option<Cause> {
    let text = text.to_lowercase();
    rows.iter().find(|(words, _)| text.contains(words)).map(|(_, cause)| cause.clone())
}

pub(super) fn of_refusal(text: &str) -> Option<Cause> {
    find(REFUSALS, text)
}

pub(super) fn of_transport(text: &str) -> Option<Cause> {
    find(TRANSPORT, text)
}

pub(super) fn of_git(text: &str) -> Option<Cause> {
    find(REFUSALS, text).or_else(|| find(GIT, text)).or_else(|| find(TRANSPORT, text))
}

/// `... required=[read:user], token scope=read:issue,write:repository`; older servers end after what is required.
pub(super) fn scope(text: &str) -> Option<Cause> {
    let (_, rest) = text.split_once("required scope(s)")?;
    let (required, given) = match rest.split_once("token scope=") {
        Some((required, given)) => (required, Some(given)),
        None => (rest, None),
    };
    let required = list(required.split_once('[').map_or(required, |(_, inner)| inner));
    Some(Cause::ScopeMissing { required, given: given.map(list) })
}

fn list(text: &str) -> Vec<String> {
    let text = text.split(']').next().unwrap_or(text);
    let words = text.split([',', ' ']).map(|word| word.trim_matches(['[', ']', '.', '"', '}'].as_slice()));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The text of an error answer, whichever key the service has it under.
pub(super) fn message(body: &str) -> String {
    let value: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let keys = ["message", "error", "detail", "description"];
    let text = keys.iter().find_map(|key| value.get(key)?.as_str().filter(|text| !text.is_empty()));
    text.map_or_else(|| if value.is_object() { String::new() } else { body.trim().to_owned() }, str::to_owned)
}

pub(super) fn is_page(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// What a page calls itself.
pub(super) fn of_page(body: &str) -> String {
    let lower = body.to_lowercase();
    let title = lower.split_once("<title>").and_then(|(before, _)| body.get(before.len() + "<title>".len()..));
    match title.and_then(|rest| rest.split('<').next()).map(str::trim) {
        Some(title) if !title.is_empty() => format!("a page, '{title}'"),
        _ => "a page".to_owned(),
    }
}

/// Git's last word is its reason; what went before is how it got there.
pub(super) fn last_line(text: &str) -> String {
    text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

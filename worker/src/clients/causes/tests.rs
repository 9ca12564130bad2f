use super::*;

const SERVER: Asked<'static> = Asked::forge(What::Server);
const ACCOUNT: Asked<'static> = Asked::forge(What::Account);
const REPO: Asked<'static> = Asked::forge(What::Repo("acme/shop"));
const HOOKS: Asked<'static> = Asked::forge(What::Hooks("acme/shop"));
const TEAM: Asked<'static> = Asked::forge(What::Team("core"));
const PLANE: Asked<'static> = Asked { service: Service::Plane, token: Token::Own, what: What::Account };
const CHAT: Asked<'static> = Asked { service: Service::Telegram, token: Token::Own, what: What::Account };

fn json(message: &str) -> String {
    serde_json::json!({ "message": message, "url": "http://git.example.test:3000/api/swagger" }).to_string()
}

fn refused(message: &str) -> ApiError {
    ApiError::Unauthorized(json(message))
}

fn silent(why: &str) -> ApiError {
    ApiError::Unavailable { why: format!("error sending request: client error (Connect): {why}") }
}

fn status(status: u16, message: &str) -> ApiError {
    ApiError::Refused { status, body: json(message) }
}

#[test]
fn every_answer_has_its_cause_its_cure_and_who_can_mend_it() {
    use MendedBy::{Operator, RepoAdmin, ServiceAdmin, Time};
    let scope = "token does not have at least one of required scope(s), required=[write:issue], token scope=read:issue";
    let older = "token does not have at least one of required scope(s): [write:issue]";
    let lacks = |given: Option<&[&str]>| Cause::ScopeMissing {
        required: vec!["write:issue".into()],
        given: given.map(|all| all.iter().map(|s| (*s).to_owned()).collect()),
    };
    let page = "<html><head><title>Sign in</title>";
    let to = |to: &str| Cause::Moved { to: Some(to.to_owned()) };
    let redirected = |status| ApiError::Refused { status, body: "redirected to http://x/api/v1/repositories/2".into() };
    let table: Vec<(Asked<'_>, ApiError, Cause, &str, MendedBy)> = vec![
        (ACCOUNT, refused("invalid username, password or token"), Cause::TokenUnknown, "set gitea.token", Operator),
        (SERVER, refused("user does not exist [uid: 0, name: ]"), Cause::TokenUnknown, "set gitea.token", Operator),
        (ACCOUNT, refused("token is required"), Cause::TokenUnknown, "Generate new token", Operator),
        (
            ACCOUNT.by(Token::Reviewer),
            refused("invalid username, password or token"),
            Cause::TokenUnknown,
            "as the reviewer's account (Settings > Applications > Generate new token) and set gitea.reviewer_token",
            Operator,
        ),
        (
            SERVER,
            refused("This account is prohibited from signing in"),
            Cause::Suspended,
            "administrator",
            ServiceAdmin,
        ),
        (SERVER, refused("This account is not activated."), Cause::Suspended, "administrator", ServiceAdmin),
        (
            ACCOUNT,
            refused("You must change your password. Change it at: http://x"),
            Cause::PasswordToChange,
            "sign in",
            Operator,
        ),
        (ACCOUNT, refused(scope), lacks(Some(&["read:issue"])), "write:repository", Operator),
        (ACCOUNT, refused(older), lacks(None), "write:repository", Operator),
        (
            HOOKS,
            refused("user should be an owner or a collaborator with admin write of a repository"),
            Cause::AdminOnly,
            "admin of acme/shop",
            RepoAdmin,
        ),
        (
            TEAM,
            refused("Must be an organization member"),
            Cause::NotInOrganisation,
            "team of the organisation",
            RepoAdmin,
        ),
        (TEAM, ApiError::NotFound, Cause::NotThere, "the team's name", RepoAdmin),
        (REPO, refused("Git Repository is a mirror."), Cause::Mirror, "regular repository", RepoAdmin),
        (REPO, status(423, "Repo is archived"), Cause::Archived, "unarchive", RepoAdmin),
        (REPO, status(422, "something"), Cause::Other, "see what", ServiceAdmin),
        (REPO, refused("no"), Cause::NotAllowed, "write access to acme/shop", RepoAdmin),
        (REPO, ApiError::NotFound, Cause::NotThere, "collaborator", RepoAdmin),
        (REPO, redirected(301), to("http://x/api/v1/repositories/2"), "the new name", Operator),
        (REPO, redirected(307), to("http://x/api/v1/repositories/2"), "the new name", Operator),
        (SERVER, redirected(302), to("http://x/api/v1/repositories/2"), "set gitea.url to the address", Operator),
        (SERVER, ApiError::NotFound, Cause::NotTheApi, "without /api/v1", Operator),
        (SERVER, ApiError::Malformed { why: "expected value".into() }, Cause::NotTheApi, "without /api/v1", Operator),
        (SERVER, ApiError::Unauthorized(page.into()), Cause::NotTheApi, "asks to sign in", Operator),
        (
            SERVER,
            ApiError::Refused { status: 400, body: "Client sent an HTTP request to an HTTPS server.\n".into() },
            Cause::WrongScheme,
            "the other of",
            Operator,
        ),
        (
            SERVER,
            silent("received corrupt message of type InvalidContentType"),
            Cause::WrongScheme,
            "the other of",
            Operator,
        ),
        (
            SERVER,
            silent("invalid peer certificate: UnknownIssuer"),
            Cause::CertificateUntrusted,
            "network.ca_file",
            Operator,
        ),
        (
            SERVER,
            silent("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))"),
            Cause::CertificateUntrusted,
            "network.ca_file",
            Operator,
        ),
        (
            SERVER,
            silent("invalid peer certificate: certificate expired: verification time 1 (UNIX)"),
            Cause::CertificateExpired,
            "clock",
            ServiceAdmin,
        ),
        (
            SERVER,
            silent(
                "invalid peer certificate: certificate not valid for name \"x\"; certificate is only valid for DnsName(\"y\")",
            ),
            Cause::CertificateOfOther,
            "in the certificate",
            Operator,
        ),
        (SERVER, silent("received fatal alert: HandshakeFailure"), Cause::Tls, "TLS 1.2", ServiceAdmin),
        (
            SERVER,
            silent("dns error: failed to lookup address information: Name or service not known"),
            Cause::HostUnknown,
            "DNS",
            Operator,
        ),
        (
            SERVER,
            silent("tcp connect error: Connection refused (os error 111)"),
            Cause::ConnectionRefused,
            "host and port",
            ServiceAdmin,
        ),
        (SERVER, silent("operation timed out"), Cause::Silent, "firewall", ServiceAdmin),
        (SERVER, silent("connection closed before message completed"), Cause::Cut, "log of the forge", ServiceAdmin),
        (SERVER, silent("tunnel error: proxy authorization required"), Cause::Proxy, "network.proxy", Operator),
        (SERVER, status(407, "Proxy Authentication Required"), Cause::Proxy, "network.proxy", Operator),
        (
            SERVER,
            ApiError::Unavailable { why: format!("status 502: {page}") },
            Cause::ServiceFault,
            "log of the forge",
            ServiceAdmin,
        ),
        (
            REPO,
            ApiError::Unavailable { why: "status 500: {\"message\":\"\"}".into() },
            Cause::ServiceFault,
            "log of the forge",
            ServiceAdmin,
        ),
        (SERVER, ApiError::RateLimited { retry_after_s: 7 }, Cause::TooManyCalls, "wait", Time),
        (PLANE, refused("Given API token is not valid"), Cause::TokenUnknown, "set plane.api_token", Operator),
        (PLANE, ApiError::Unauthorized(String::new()), Cause::TokenUnknown, "Personal Access Tokens", Operator),
        (CHAT, ApiError::NotFound, Cause::TokenUnknown, "@BotFather", Operator),
        (CHAT, refused("Unauthorized"), Cause::TokenUnknown, "telegram.bot_token", Operator),
    ];
    for (asked, error, cause, cure, by) in table {
        let found = diagnose(&asked, &error);
        assert_eq!((&found.cause, found.by), (&cause, by), "{error:?}: {found:?}");
        assert!(found.cure.contains(cure), "{error:?}: {}", found.cure);
        assert!(!found.found.contains('{') && !found.found.contains('<'), "{}", found.found);
    }
}

#[test]
fn the_forges_own_words_are_kept_and_a_page_is_named() {
    let words = |asked: &Asked<'_>, error: &ApiError| diagnose(asked, error).found;
    let hook = "pre-receive hook declined: no ticket in the title";
    assert!(words(&REPO, &status(422, hook)).contains(hook));
    let page = "status 502: <html><head><title>502 Bad Gateway</title></head>";
    let found = words(&SERVER, &ApiError::Unavailable { why: page.into() });
    assert_eq!(found, "the forge has a fault of its own (status 502: a page, '502 Bad Gateway')");
    let scope = "token does not have at least one of required scope(s), required=[read:user], token scope=read:issue,public-only";
    let found = words(&ACCOUNT, &refused(scope));
    assert_eq!(found, "the token of gitea.token lacks the scope read:user: it has only read:issue, public-only");
    // A body that was cut is shown as it is, not swallowed.
    assert!(words(&REPO, &ApiError::Unauthorized("{\"message\":\"half".into())).contains("half"));
}

#[test]
fn gits_words_lead_to_the_same_table() {
    let table: [(&str, Cause); 12] = [
        (
            "remote: This account is prohibited from signing in\nfatal: unable to access 'http://h/': The requested URL returned error: 403",
            Cause::Suspended,
        ),
        ("fatal: Authentication failed for 'http://h/a/b.git/'", Cause::TokenUnknown),
        ("remote: Credentials are incorrect or have expired\nfatal: Authentication failed", Cause::TokenUnknown),
        (
            "remote: User permission denied for writing.\nfatal: unable to access 'http://h/': The requested URL returned error: 403",
            Cause::NotAllowed,
        ),
        (
            "remote: This repo is archived. You can view files and clone it.\nfatal: unable to access 'http://h/': The requested URL returned error: 403",
            Cause::Archived,
        ),
        ("fatal: unable to access 'http://h/': The requested URL returned error: 301", Cause::Moved { to: None }),
        (
            "fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate",
            Cause::CertificateUntrusted,
        ),
        (
            "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none",
            Cause::CertificateUntrusted,
        ),
        (
            "fatal: unable to access 'https://h/': SSL: no alternative certificate subject name matches target host name 'h'",
            Cause::CertificateOfOther,
        ),
        ("fatal: unable to access 'http://h/': Could not resolve host: h", Cause::HostUnknown),
        (
            "fatal: unable to access 'http://h/': Failed to connect to h port 80 after 0 ms: Connection refused",
            Cause::ConnectionRefused,
        ),
        ("fatal: repository 'http://h/a/b/' not found", Cause::NotThere),
    ];
    for (tail, cause) in table {
        let error = GitError::Unavailable { tail: tail.into() };
        let found = diagnose_git(&REPO, &error).unwrap();
        assert_eq!(found.cause, cause, "{tail}");
        assert!(!found.found.contains('\n'), "{}", found.found);
    }
    assert_eq!(diagnose_git(&REPO, &GitError::NoSpace), None, "a fault of ours is none of the forge's");
    assert_eq!(diagnose_git(&REPO, &GitError::Timeout { seconds: 3 }).unwrap().cause, Cause::Silent);
}

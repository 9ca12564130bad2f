//! Where a repository lives on the forge and how we prove who we are. A credential is never part of a URL,
//! an argument or an error: it reaches git through the environment of the one call that needs it.

use super::error::GitError;
use orch_common::config::BaseUrl;
use std::fmt;
use url::Url;

/// The value of an `Authorization` header, e.g. `token 0123`, and whom it is for. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthHeader {
    value: String,
    /// It is sent to addresses below this one only.
    of: BaseUrl,
}

impl AuthHeader {
    /// `value` is the header's whole value; control characters are refused (they would smuggle headers).
    /// It is for what is below `of`.
    pub fn new(value: impl Into<String>, of: &BaseUrl) -> Result<AuthHeader, GitError> {
        let value = value.into();
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(GitError::BadName { what: "authorization header", given: "(hidden)".into() });
        }
        Ok(AuthHeader { value, of: of.clone() })
    }

    /// A forge's access token.
    pub fn token(token: &str, of: &BaseUrl) -> Result<AuthHeader, GitError> {
        AuthHeader::new(format!("token {token}"), of)
    }
}

impl fmt::Debug for AuthHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthHeader(***)")
    }
}

/// A repository on the forge.
#[derive(Debug, Clone)]
pub struct Remote {
    url: String,
    scheme: String,
    auth: Option<AuthHeader>,
}

impl Remote {
    /// `url` must be `http`, `https`, `ssh` or `file` and hold no password; `auth` is used below its
    /// own address only.
    pub fn new(url: &str, auth: Option<AuthHeader>) -> Result<Remote, GitError> {
        let bad = || GitError::BadName { what: "repository URL", given: shown(url) };
        let parsed = Url::parse(url).map_err(|_| bad())?;
        let known = matches!(parsed.scheme(), "http" | "https" | "ssh" | "file");
        let web = parsed.scheme().starts_with("http");
        let secret = parsed.password().is_some() || (web && !parsed.username().is_empty());
        let host_like_an_option = parsed.host_str().is_some_and(|h| h.starts_with('-'));
        if !known || secret || host_like_an_option || url.chars().any(char::is_control) {
            return Err(bad());
        }
        let auth = auth.filter(|auth| auth.of.covers(url));
        Ok(Remote { url: url.to_owned(), scheme: parsed.scheme().to_owned(), auth })
    }

    /// The address, free of credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The credential, for another remote below the same address.
    pub(super) fn auth(&self) -> Option<AuthHeader> {
        self.auth.clone()
    }

    /// The only transport that a call to this remote may use, whatever its answers point to.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Environment that makes git send the credential to what it is for, and to nobody else.
    pub(super) fn auth_env(&self) -> Vec<(String, String)> {
        let Some(AuthHeader { value, of }) = &self.auth else { return Vec::new() };
        let pair = |k: &str, v: String| (k.to_owned(), v);
        vec![
            pair("GIT_CONFIG_COUNT", "1".into()),
            pair("GIT_CONFIG_KEY_0", format!("http.{of}/.extraHeader")),
            pair("GIT_CONFIG_VALUE_0", format!("Authorization: {value}")),
        ]
    }
}

/// A URL for an error text: everything that may hold a password is cut away.
fn shown(url: &str) -> String {
    let after_user = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    after_user.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_and_hide_their_secrets() {
        for good in
            ["http://forge.local:3000/a/b.git", "https://forge.local/a/b", "ssh://git@forge.local/a/b", "file:///srv/x"]
        {
            assert!(Remote::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "ext::sh -c touch% x",
            "/plain/path",
            "--upload-pack=x",
            "git://h/a",
            "ftp://h/a",
            "http://u:hunter2@h/a",
            "http://hunter2@h/a",
            "ssh://-oProxyCommand=x/a",
            "http://h/a\nb",
        ] {
            let err = Remote::new(bad, None).unwrap_err().to_string();
            assert!(!err.contains("hunter2"), "{err}");
        }
    }

    #[test]
    fn the_credential_is_for_one_host_and_never_shown() {
        let token = || Some(AuthHeader::token("s3cret", &"http://forge.local:3000".parse().unwrap()).unwrap());
        let remote = Remote::new("http://forge.local:3000/a/b.git", token()).unwrap();
        assert!(!format!("{remote:?}").contains("s3cret"));
        let env = remote.auth_env();
        assert_eq!(env[1].1, "http.http://forge.local:3000/.extraHeader");
        assert_eq!(env[2].1, "Authorization: token s3cret");
        for other in ["file:///srv/x", "http://forge.local:30001/a/b.git", "http://forge.local.evil.net:3000/a/b.git"] {
            assert!(Remote::new(other, token()).unwrap().auth_env().is_empty(), "{other}");
        }
        let of = "http://h/gitea".parse().unwrap();
        let below = Remote::new("http://h/gitea/a/b.git", Some(AuthHeader::token("s3cret", &of).unwrap())).unwrap();
        assert_eq!(below.auth_env()[1].1, "http.http://h/gitea/.extraHeader");
        assert!(AuthHeader::new("a\r\nX: y", &of).is_err() && AuthHeader::new("", &of).is_err());
    }
}

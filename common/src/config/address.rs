//! Addresses of the outside systems, checked once at the start. Nothing in here connects.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An `http://` or `https://` address without credentials, query, fragment or trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

/// The text is no usable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed: {0}")]
pub struct BadAddress(pub &'static str);

impl BaseUrl {
    /// What a [`BaseUrl`] may be, for messages.
    pub const ALLOWED: &'static str = "an http:// or https:// address without user, query or fragment";

    /// An address written in the source, which a test has read by [`FromStr`].
    pub(super) fn known(text: &'static str) -> Self {
        BaseUrl(text.to_owned())
    }

    /// The address, never ending in a slash: append paths that begin with one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an address is this one or below it: the same scheme, host and port, and each part of the path.
    pub fn covers(&self, address: &str) -> bool {
        let (Ok(base), Ok(url)) = (url::Url::parse(&self.0), url::Url::parse(address)) else { return false };
        let path = base.path().trim_end_matches('/');
        let below = url.path().strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        base.origin() == url.origin() && below
    }
}

impl FromStr for BaseUrl {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let refused = BadAddress(Self::ALLOWED);
        let url = url::Url::parse(text).map_err(|_| refused.clone())?;
        let plain = url.username().is_empty() && url.password().is_none();
        let bare = url.query().is_none() && url.fragment().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && plain && bare {
            return Ok(BaseUrl(url.as_str().trim_end_matches('/').to_owned()));
        }
        Err(refused)
    }
}

/// Something git can clone from: an `http(s)`, `ssh`, `git` or `file` URL, `user@host:path`, or a local path.
/// Never an option (`-...`) and never a transport helper (`ext::...`), which would be a program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRemote(String);

impl GitRemote {
    /// What a [`GitRemote`] may be, for messages.
    pub const ALLOWED: &'static str =
        "an http(s)://, ssh://, git:// or file:// address without a password, user@host:path or a local path";

    /// The text, as git takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The remote of `repo` (`owner/name`) below this base.
    pub fn repo(&self, repo: &str) -> GitRemote {
        GitRemote(format!("{}/{repo}.git", self.0.trim_end_matches('/')))
    }
}

impl FromStr for GitRemote {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let hostile = text.starts_with('-') || text.contains("::") || text.chars().any(|c| c.is_control());
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        let known = scheme.is_none_or(|s| matches!(s, "http" | "https" | "ssh" | "git" | "file"));
        let password = scheme.is_some() && url::Url::parse(text).is_ok_and(|url| url.password().is_some());
        if text.trim().is_empty() || hostile || !known || password {
            return Err(BadAddress(Self::ALLOWED));
        }
        Ok(GitRemote(text.to_owned()))
    }
}

/// A server that submodules may be cloned from: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmoduleHost(String);

impl SubmoduleHost {
    /// What a [`SubmoduleHost`] may be, for messages.
    pub const ALLOWED: &'static str = "http://, https:// or ssh:// with a host and perhaps a port, and nothing else";

    /// The text, as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubmoduleHost {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let refused = BadAddress(Self::ALLOWED);
        let url = url::Url::parse(text).map_err(|_| refused.clone())?;
        let known = matches!(url.scheme(), "http" | "https" | "ssh");
        let plain = url.username().is_empty() && url.password().is_none();
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().is_some_and(|host| !host.is_empty() && !host.starts_with('-'));
        if known && plain && bare && host { Ok(SubmoduleHost(text.to_owned())) } else { Err(refused) }
    }
}

macro_rules! text_type {
    ($($name:ident),+) => { $(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+ };
}
text_type!(BaseUrl, GitRemote, SubmoduleHost);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_submodules_is_a_scheme_a_host_and_a_port() {
        for good in ["https://git.example", "http://git.example:3000/", "ssh://git.example"] {
            assert_eq!(good.parse::<SubmoduleHost>().unwrap().as_str(), good);
        }
        for bad in [
            "git.example",
            "file:///srv",
            "ext::sh",
            "https://",
            "https://u@git.example",
            "https://git.example/team",
            "https://git.example?x",
            "ssh://-oProxyCommand=x",
            "",
        ] {
            assert!(bad.parse::<SubmoduleHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn base_urls_are_http_and_end_without_a_slash() {
        for (given, kept) in [
            ("https://plane.example", Some("https://plane.example")),
            ("http://127.0.0.1:3000/", Some("http://127.0.0.1:3000")),
            ("https://host.example/gitea//", Some("https://host.example/gitea")),
            ("ftp://host.example", None),
            ("host.example", None),
            ("https://", None),
            ("https://user:pass@host.example", None),
            ("https://host.example?x=1", None),
            ("file:///srv/git", None),
        ] {
            assert_eq!(given.parse::<BaseUrl>().ok().as_ref().map(BaseUrl::as_str), kept, "{given}");
        }
    }

    #[test]
    fn an_address_is_below_another_by_its_host_its_port_and_whole_parts_of_its_path() {
        for (base, address, wanted) in [
            ("http://git.acme:5200", "http://git.acme:5200/a/b.git", true),
            ("http://git.acme:5200", "http://git.acme:52000/a/b.git", false),
            ("http://git.acme:5200", "https://git.acme:5200/a/b.git", false),
            ("http://git.acme", "http://git.acme:80/a/b.git", true),
            ("http://git.acme", "http://GIT.acme/a/b.git", true),
            ("http://git.acme", "http://git.acme.evil.net/a/b.git", false),
            ("http://git.acme", "http://git.acme@evil.net/a/b.git", false),
            ("http://git.acme", "http://git.acmes/a/b.git", false),
            ("http://h/gitea", "http://h/gitea/a/b.git", true),
            ("http://h/gitea", "http://h/gitea", true),
            ("http://h/gitea", "http://h/gitea-evil/a/b.git", false),
            ("http://h/gitea", "http://h/gitea/../evil/b.git", false),
            ("http://h/gitea", "http://h/other/a/b.git", false),
            ("http://h", "git@h:a/b.git", false),
            ("http://h", "/srv/git/a", false),
        ] {
            assert_eq!(base.parse::<BaseUrl>().unwrap().covers(address), wanted, "{base} {address}");
        }
    }

    #[test]
    fn remotes_cannot_be_options_or_programs() {
        for good in ["https://h.example/x", "file:///srv/git", "/srv/git", "../git", "git@h.example:team", "ssh://h/x"]
        {
            assert_eq!(good.parse::<GitRemote>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "--upload-pack=touch", "ext::sh -c x", "fd::3", "a\nb", "gopher://h/x", "https://u:p@h/x"]
        {
            assert!(bad.parse::<GitRemote>().is_err(), "{bad}");
        }
        assert_eq!("/srv/git/".parse::<GitRemote>().unwrap().repo("team/shop").as_str(), "/srv/git/team/shop.git");
    }
}

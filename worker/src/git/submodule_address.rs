//! Which addresses and paths of a `.gitmodules` file may be used. The file is whoever's commit it is in: an address
//! could name a program, a file of this machine or a stranger's server, a path could lead out of the folder or into a
//! repository's own files. Nothing in here reads or connects.

use super::remote::Remote;
use orch_common::config::SubmoduleHost;
use orch_common::domain::submodule::SubmoduleWhy;
use url::Url;

/// From where the submodules of a project may come.
#[derive(Debug, Clone, Copy)]
pub struct SubmoduleRules<'a> {
    /// The project's own, with its credentials; its origin is always allowed.
    pub remote: &'a Remote,
    /// The others.
    pub hosts: &'a [SubmoduleHost],
}

impl SubmoduleRules<'_> {
    /// The remote that `text` means in a repository which came from `parent`. Credentials go to the project's own forge
    /// only.
    pub(super) fn resolve(&self, text: &str, parent: &str) -> Result<Remote, SubmoduleWhy> {
        let bad = SubmoduleWhy::Address;
        let hostile = text.is_empty() || text.starts_with('-') || text.contains(['\\', '?', '#']);
        if hostile || text.len() > 2048 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(bad);
        }
        let relative = text.starts_with("./") || text.starts_with("../");
        let address = if relative { join(parent, text).ok_or(bad)? } else { from_scp(text).unwrap_or(text.to_owned()) };
        let url = Url::parse(&address).map_err(|_| bad)?;
        let own = Url::parse(self.remote.url()).map_err(|_| bad)?;
        match url.scheme() {
            "http" | "https" | "ssh" => {}
            "file" if relative && is_neighbour(&url, &own) => return Remote::new(&address, None).map_err(|_| bad),
            _ => return Err(bad),
        }
        if decoded_dots(&address) || url.host_str().is_none_or(|host| host.starts_with('-')) {
            return Err(bad);
        }
        let ours = site(&url) == site(&own);
        let allowed = self.hosts.iter().filter_map(|host| Url::parse(host.as_str()).ok());
        if !ours && !allowed.map(|host| site(&host)).any(|host| host.is_some() && host == site(&url)) {
            // A password in it is no reason to name the host's list.
            return Err(if url.password().is_some() { bad } else { SubmoduleWhy::Host });
        }
        Remote::new(&address, self.remote.auth()).map_err(|_| bad)
    }
}

/// Scheme, host and port; `None` for what has none.
fn site(url: &Url) -> Option<(String, String, u16)> {
    let port = url.port_or_known_default().or((url.scheme() == "ssh").then_some(22))?;
    Some((url.scheme().to_owned(), url.host_str()?.to_ascii_lowercase(), port))
}

/// As git joins them: each `../` takes one part of the parent's path away.
fn join(parent: &str, text: &str) -> Option<String> {
    let (begin, path) = parent.split_once("://")?;
    let (host, path) = path.split_once('/')?;
    let mut parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let mut rest = text;
    loop {
        if let Some(after) = rest.strip_prefix("../") {
            parts.pop()?;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else {
            break;
        }
    }
    let plain = !rest.is_empty() && rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    parts.extend(plain.then(|| rest.split('/')).into_iter().flatten());
    plain.then(|| format!("{begin}://{host}/{}", parts.join("/")))
}

/// `user@host:path` as the `ssh` address that it stands for.
fn from_scp(text: &str) -> Option<String> {
    let (who, path) = text.split_once(':').filter(|_| !text.contains("://"))?;
    let plain = !who.contains('/') && !path.starts_with(':') && who.contains('@');
    plain.then(|| format!("ssh://{who}/{}", path.trim_start_matches('/')))
}

/// A parser takes `..` away before anybody has seen it, also when it is written in percent signs.
fn decoded_dots(address: &str) -> bool {
    address.to_ascii_lowercase().replace("%2e", ".").split('/').any(|part| part == "..")
}

/// In the very folder of the project's own repository, which an operator chose to be local.
fn is_neighbour(url: &Url, own: &Url) -> bool {
    let folder = |url: &Url| url.path().trim_end_matches('/').rsplit_once('/').map(|(folder, _)| folder.to_owned());
    own.scheme() == "file" && folder(url).is_some() && folder(url) == folder(own)
}

/// Whether a checkout may write to this path.
pub(super) fn is_safe_path(path: &str) -> bool {
    let plain = !path.is_empty() && path.len() <= 1024 && !path.starts_with('-') && !path.contains('\\');
    plain && !path.chars().any(char::is_control) && path.split('/').all(is_safe_part)
}

/// No part leads upwards or is a repository's own folder, by any of the names that some file system takes for it.
fn is_safe_part(part: &str) -> bool {
    let seen: String = part.chars().filter(char::is_ascii).collect::<String>().to_ascii_lowercase();
    let name = seen.split(':').next().unwrap_or_default().trim_end_matches([' ', '.']);
    !matches!(part, "" | "." | "..")
        && !matches!(name, ".git" | "git~1")
        && !part.trim_end_matches([' ', '.']).is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::remote::AuthHeader;
    use super::*;

    fn resolve(own: &str, hosts: &[&str], text: &str) -> Result<Remote, SubmoduleWhy> {
        let forge = "https://forge.example:3000".parse().unwrap();
        let remote = Remote::new(own, Some(AuthHeader::token("s3cret", &forge).unwrap())).unwrap();
        let hosts: Vec<SubmoduleHost> = hosts.iter().map(|h| h.parse().unwrap()).collect();
        SubmoduleRules { remote: &remote, hosts: &hosts }.resolve(text, own)
    }

    const OWN: &str = "https://forge.example:3000/team/app.git";

    #[test]
    fn the_projects_own_forge_is_allowed_and_gets_the_credentials() {
        for (text, url) in [
            ("../lib.git", "https://forge.example:3000/team/lib.git"),
            ("../../other/lib.git", "https://forge.example:3000/other/lib.git"),
            ("./../lib", "https://forge.example:3000/team/lib"),
            ("./sub.git", "https://forge.example:3000/team/app.git/sub.git"),
            ("https://forge.example:3000/x/y.git", "https://forge.example:3000/x/y.git"),
            ("https://FORGE.example:3000/x/y.git", "https://FORGE.example:3000/x/y.git"),
        ] {
            let remote = resolve(OWN, &[], text).unwrap();
            assert_eq!(remote.url(), url);
            assert!(remote.auth().is_some(), "{text}");
        }
    }

    #[test]
    fn another_scheme_host_or_port_is_another_server() {
        for text in [
            "https://forge.example/x/y.git",
            "http://forge.example:3000/x/y.git",
            "https://forge.example.evil:3000/x/y.git",
            "ssh://git@forge.example:3000/x/y.git",
            "git@forge.example:x/y.git",
            "https://elsewhere.example/x.git",
        ] {
            assert_eq!(resolve(OWN, &[], text).unwrap_err(), SubmoduleWhy::Host, "{text}");
        }
        let hosts = ["https://elsewhere.example", "ssh://forge.example"];
        let elsewhere = resolve(OWN, &hosts, "https://elsewhere.example:443/x.git").unwrap();
        assert!(elsewhere.auth().is_none(), "the credentials are the own forge's");
        let ssh = resolve(OWN, &hosts, "git@forge.example:x/y.git").unwrap();
        assert_eq!((ssh.url(), ssh.auth().is_none()), ("ssh://git@forge.example/x/y.git", true));
        assert_eq!(resolve(OWN, &hosts, "ssh://git@forge.example:2222/x").unwrap_err(), SubmoduleWhy::Host);
    }

    #[test]
    fn an_address_that_is_a_program_a_file_or_an_option_is_refused() {
        for text in [
            "",
            "-u./payload",
            "--upload-pack=touch x",
            "ext::sh -c id",
            "ext::sh",
            "fd::17",
            "file:///etc",
            "file://forge.example:3000/x",
            "/srv/git/x.git",
            "lib.git",
            "git://forge.example/x",
            "https://user:pass@forge.example:3000/x.git",
            "https://token@forge.example:3000/x.git",
            "ssh://-oProxyCommand=id/x",
            "-oProxyCommand=id:x",
            "https://forge.example:3000/a\nhost=evil",
            "https://forge.example:3000/x.git?a",
            "https://forge.example:3000/../../x",
            "https://forge.example:3000/%2e%2E/x",
            "../../../../x",
            "../x/../../y",
            "..\\x",
            "../",
        ] {
            assert_eq!(resolve(OWN, &[], text).unwrap_err(), SubmoduleWhy::Address, "{text}");
        }
    }

    #[test]
    fn a_local_project_may_have_neighbours_only() {
        let own = "file:///srv/git/app.git";
        assert_eq!(resolve(own, &[], "../lib.git").unwrap().url(), "file:///srv/git/lib.git");
        for text in ["../../x.git", "../a/b.git", "./b.git", "file:///srv/git/lib.git", "/srv/git/lib.git"] {
            assert_eq!(resolve(own, &[], text).unwrap_err(), SubmoduleWhy::Address, "{text}");
        }
    }

    #[test]
    fn paths_stay_inside_and_out_of_git() {
        for good in ["lib", "third party/lib", "a/b.git/c", ".gitea/x", "фича", "..a"] {
            assert!(is_safe_path(good), "{good}");
        }
        for bad in [
            "",
            "/x",
            "x/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../b",
            ".git",
            "a/.GIT/hooks",
            ".git./x",
            ".git /x",
            "git~1",
            "GIT~1/x",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it",
            "-x",
            "a\\b",
            "a\nb",
        ] {
            assert!(!is_safe_path(bad), "{bad}");
        }
    }
}

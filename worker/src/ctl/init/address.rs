//! Addresses as people have them at hand: of a page that is open before them. Pure.

use url::Url;
use uuid::Uuid;

/// A forge, and the repository of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeAddress {
    pub url: String,
    /// `owner/name`.
    pub repo: Option<String>,
}

/// A Plane, and what the page is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaneAddress {
    pub url: String,
    pub workspace: Option<String>,
    pub project: Option<String>,
}

/// Scheme, host and port, and the parts of the path.
fn taken_apart(text: &str) -> Option<(String, Vec<String>)> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())?;
    let parts = url.path_segments()?.filter(|part| !part.is_empty()).map(str::to_owned).collect();
    Some((url.origin().ascii_serialization(), parts))
}

/// The forges that a page may belong to, the likeliest first: one may live below a path of its host.
pub fn forge_addresses(page: &str) -> Vec<ForgeAddress> {
    let Some((origin, mut parts)) = taken_apart(page) else { return Vec::new() };
    if let Some(api) = parts.windows(2).position(|pair| pair == ["api", "v1"]) {
        parts.truncate(api);
    }
    let below = |many: usize| {
        let (path, rest) = parts.split_at(many);
        let url = path.iter().fold(origin.clone(), |url, part| format!("{url}/{part}"));
        let repo = match rest {
            [owner, name, ..] => Some(format!("{owner}/{}", name.trim_end_matches(".git"))),
            _ => None,
        };
        ForgeAddress { url, repo }
    };
    (0..=parts.len()).map(below).collect()
}

/// The forge, where nobody can be asked: the page is taken for its own.
pub fn forge_alone(text: &str) -> String {
    forge_addresses(text).pop().map_or_else(|| text.trim().to_owned(), |address| address.url)
}

/// `owner/name` as it is, or from the address of a page of the repository at `forge`.
pub fn repo_of(text: &str, forge: Option<&str>) -> String {
    let page = forge_addresses(text);
    let at = forge.map(|url| url.trim_end_matches('/'));
    let found = page.iter().find(|a| at == Some(a.url.as_str())).or_else(|| page.first());
    found.and_then(|address| address.repo.clone()).unwrap_or_else(|| text.trim().to_owned())
}

/// `https://plane/WORKSPACE/projects/ID/issues` and the address of Plane alone.
pub fn plane_address(page: &str) -> Option<PlaneAddress> {
    let (origin, parts) = taken_apart(page)?;
    let at = parts.iter().position(|part| part == "projects").filter(|at| *at > 0);
    let below = |path: &[String]| path.iter().fold(origin, |url, part| format!("{url}/{part}"));
    let Some(at) = at else { return Some(PlaneAddress { url: below(&parts), ..PlaneAddress::default() }) };
    let project = parts.get(at + 1).filter(|id| Uuid::parse_str(id).is_ok()).cloned();
    let url = below(parts.get(..at.saturating_sub(1)).unwrap_or_default());
    Some(PlaneAddress { url, workspace: parts.get(at - 1).cloned(), project })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forge(url: &str, repo: Option<&str>) -> ForgeAddress {
        ForgeAddress { url: url.into(), repo: repo.map(str::to_owned) }
    }

    #[test]
    fn a_page_of_the_forge_is_a_forge_and_a_repository() {
        let all = forge_addresses("https://git.example:3000/acme/shop/pulls/7?tab=files#L3");
        assert_eq!(all[0], forge("https://git.example:3000", Some("acme/shop")));
        assert_eq!(all[1], forge("https://git.example:3000/acme", Some("shop/pulls")), "a forge below a path");
        assert_eq!(forge_addresses("http://h/git/acme/shop.git")[1], forge("http://h/git", Some("acme/shop")));
        assert_eq!(forge_addresses("http://h/api/v1/version"), [forge("http://h", None)]);
        assert_eq!(forge_addresses("http://h/git/api/v1").last(), Some(&forge("http://h/git", None)));
        assert_eq!(forge_addresses("http://h"), [forge("http://h", None)]);
        assert_eq!(forge_addresses("git.example"), []);
        assert_eq!(forge_alone("http://h/git/api/v1/version?x"), "http://h/git");
    }

    #[test]
    fn a_repository_may_be_named_by_its_page() {
        for (text, at, repo) in [
            ("acme/shop", None, "acme/shop"),
            ("http://h/acme/shop/issues", None, "acme/shop"),
            ("http://h/git/acme/shop.git", Some("http://h/git"), "acme/shop"),
            ("shop", None, "shop"),
        ] {
            assert_eq!(repo_of(text, at), repo, "{text}");
        }
    }

    #[test]
    fn a_page_of_plane_is_a_workspace_and_a_project() {
        let id = "0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11";
        let page = plane_address(&format!("https://plane.example/acme/projects/{id}/issues/")).unwrap();
        assert_eq!((page.url.as_str(), page.workspace.as_deref()), ("https://plane.example", Some("acme")));
        assert_eq!(page.project.as_deref(), Some(id));
        assert_eq!(plane_address("https://plane.example").unwrap().url, "https://plane.example");
        assert_eq!(plane_address("plane"), None);
    }
}

//! Which submodules a commit registers: the paths and addresses of its `.gitmodules`, and the commits of its tree.

use super::call::Call;
use super::error::{GitError, SubmoduleFault, clean_tail};
use super::repos::{Repos, commit_id};
use orch_common::domain::stage::CommitId;
use orch_common::domain::submodule::SubmoduleWhy;
use std::collections::BTreeMap;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// A `.gitmodules` file is not read further.
const LARGEST_FILE: usize = 1 << 20;

/// A line of `.gitmodules` with the commit that is recorded for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) path: String,
    pub(super) url: String,
    pub(super) commit: CommitId,
}

impl Registered {
    pub(super) fn fault(&self, above: &str, why: SubmoduleWhy) -> GitError {
        let path = clean_tail(format!("{above}{}", self.path).as_bytes());
        // A password in it is for nobody to read.
        let url = match self.url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
            Some((scheme, rest)) => format!("{scheme}://{rest}"),
            None => self.url.clone(),
        };
        GitError::Submodule(Box::new(SubmoduleFault { path, url: clean_tail(url.as_bytes()), why }))
    }
}

impl Repos {
    /// What the commit's `.gitmodules` names and its tree has a commit for. A link of that name is not read.
    pub(super) async fn registered(
        &self,
        mirror: &Path,
        commit: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<Vec<Registered>, GitError> {
        let file = Call::bare(mirror).args(["ls-tree", "-z", "--full-tree", commit.as_str(), "--", ".gitmodules"]);
        let file = self.git(mirror, file, cancel).await?;
        if !file.stdout.starts_with(b"100") {
            return Ok(Vec::new());
        }
        let list = Call::bare(mirror).args(["config", &format!("--blob={commit}:.gitmodules"), "-z", "--get-regexp"]);
        let mut list = list.args([r"^submodule\..*\.(path|url)$"]);
        list.cap = LARGEST_FILE;
        let output = self.try_git(mirror, list, cancel).await?;
        match output.code {
            0 => {}
            1 => return Ok(Vec::new()),
            _ => return Err(output.error()),
        }
        let urls = by_path(&String::from_utf8_lossy(&output.stdout));
        if urls.is_empty() {
            return Ok(Vec::new());
        }
        let links = Call::bare(mirror).env("GIT_LITERAL_PATHSPECS", "1");
        let links = links.args(["ls-tree", "-z", "--full-tree", commit.as_str(), "--"]).args(urls.keys());
        let links = self.git(mirror, links, cancel).await?;
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        let link = |line: &str| {
            let (id, path) = line.strip_prefix("160000 commit ")?.split_once('\t')?;
            Some((id.to_owned(), path.to_owned(), urls.get(path)?.clone()))
        };
        let found = links.split('\0').filter_map(link);
        found.map(|(id, path, url)| Ok(Registered { path, url, commit: commit_id(&id)? })).collect()
    }
}

/// Addresses by path. `text` is a list of `submodule.<name>.<key> LF <value> NUL`; of two entries the later one counts.
fn by_path(text: &str) -> BTreeMap<String, String> {
    let mut by_name: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for (key, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
        let Some(key) = key.strip_prefix("submodule.") else { continue };
        if let Some(name) = key.strip_suffix(".path") {
            by_name.entry(name).or_default().0 = Some(value);
        } else if let Some(name) = key.strip_suffix(".url") {
            by_name.entry(name).or_default().1 = Some(value);
        }
    }
    let entry =
        |(path, url): (Option<&str>, Option<&str>)| Some((path?.to_owned(), url.unwrap_or_default().to_owned()));
    by_name.into_values().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_entry_counts_and_one_without_a_path_is_none() {
        let text = "submodule.a.b.path\nlib\0submodule.a.b.url\n../x\0submodule.a.b.url\n../y\0submodule.c.url\n../z\0";
        assert_eq!(by_path(text), BTreeMap::from([("lib".to_owned(), "../y".to_owned())]));
        let no_address = by_path("submodule.a.path\nlib\0");
        assert_eq!(no_address, BTreeMap::from([("lib".to_owned(), String::new())]), "refused later, and not forgotten");
        assert!(by_path("").is_empty());
    }
}

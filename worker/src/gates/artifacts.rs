//! The artifacts of a work item, read from the commit that is judged and not from the folder an agent can
//! still write to. Symlinks are not followed: what they point to is not in the commit.

use crate::git::{GitError, Repos};
use orch_common::domain::gate::ArtifactNames;
use orch_common::domain::stage::CommitId;
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// The most of one artifact that is read, in bytes.
const CAP: usize = 64 << 10;

/// The content of every artifact of work item `key` that is a regular file in commit `head`, by file name;
/// UTF-8 (lossy), cut to 64 KiB. What is missing has no entry, what is empty an empty one.
pub async fn read_artifacts(
    repos: &Repos,
    repo: &str,
    key: &str,
    head: &CommitId,
    names: &ArtifactNames,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, String>, GitError> {
    let folder = format!("docs/work-items/{key}/");
    let paths: Vec<String> = names.all().map(|name| format!("{folder}{name}")).collect();
    let mut found = BTreeMap::new();
    for file in repos.files_at(repo, head, &paths, cancel).await? {
        let Some(name) = file.path.strip_prefix(&folder).map(str::to_owned) else { continue };
        let bytes = repos.content(repo, &file, CAP, cancel).await?;
        found.insert(name, text_of(&bytes));
    }
    Ok(found)
}

/// At most [`CAP`] bytes of text; a character that the cut divided is dropped.
fn text_of(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(CAP));
    if bytes.len() >= CAP {
        text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cut_leaves_whole_characters() {
        let long = "я".repeat(CAP);
        assert_eq!(text_of(&long.as_bytes()[..CAP]).len(), CAP);
        let odd = format!("x{long}");
        let text = text_of(&odd.as_bytes()[..CAP]);
        assert_eq!((text.len(), text.ends_with('я')), (CAP - 1, true));
        assert!(text_of(&vec![0xff; CAP]).len() <= CAP);
        assert_eq!(text_of(b"a\xffb"), "a\u{fffd}b");
    }
}

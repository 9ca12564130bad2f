//! What git itself makes of a file is not an agent's work. A file whose bytes are what a fresh checkout of the commit
//! gives (line endings, `$Id$`, an encoding) keeps the commit's blob, although `git add` would make another one. A path
//! that is kept in LFS keeps its pointer while its content is what the pointer stands for, and gets a new pointer for
//! new content; the content itself goes to the mirror's LFS store, from where a push uploads it (see `lfs_upload`).
//!
//! Attributes are read, the programs that they name are never run. Only paths that differ are looked at.

use super::call::Call;
use super::command::Output;
use super::commit::path_of;
use super::error::GitError;
use super::lfs::{self, Content, LARGEST_POINTER, Pointer, Store};
use super::repos::Repos;
use super::staging::{Own, Room};
use super::worktree::Site;
use orch_common::domain::stage::CommitId;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// A larger blob is not converted for a comparison; a change of it is a change.
const LARGEST_TEXT: u64 = 16 << 20;
/// About as much is compared at a time.
const AT_A_TIME: u64 = 2 << 20;
/// The most that a conversion makes of a byte (UTF-32), and room for what is written between blobs.
const GROWTH: usize = 5;
/// Attributes that make a checkout differ from the blob.
const CONVERSIONS: [&str; 6] = ["text", "crlf", "eol", "ident", "working-tree-encoding", "filter"];

/// An index of ours, filled from its folder, and the commit that the next one follows.
struct Look<'a> {
    own: &'a Own<'a>,
    head: &'a str,
}

/// One line of `diff-index --raw`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Change {
    mode: String,
    was: Option<String>,
    now: String,
    path: Vec<u8>,
}

/// What the attributes say of some paths.
#[derive(Default)]
struct Attributes {
    converted: HashSet<Vec<u8>>,
    lfs: HashSet<Vec<u8>>,
}

impl Repos {
    /// Puts the entries of the index right that `git add` has made out of git's own conversions. To be called between
    /// the staging and the tree.
    pub(super) async fn leave_dirt_out(
        &self,
        own: &Own<'_>,
        tip: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        let look = &Look { own, head: tip.as_str() };
        let changes = self.changes_since(look, look.head, cancel).await?;
        let since = match self.published(look, cancel).await? {
            Some(published) => self.changes_since(look, &published, cancel).await?,
            None => changes.clone(),
        };
        let paths: HashSet<&[u8]> = changes.iter().chain(&since).map(|c| c.path.as_slice()).collect();
        if paths.is_empty() {
            return Ok(());
        }
        let then = self.attributes(look, &paths, Some(look.head), cancel).await?;
        let now = self.attributes(look, &paths, None, cancel).await?;
        let candidates: Vec<Change> = changes.into_iter().filter(|c| then.converted.contains(&c.path)).collect();
        let mut entries = self.as_checked_out(look, &candidates, cancel).await?;
        let kept: HashSet<Vec<u8>> = entries.iter().map(|(path, _)| path.clone()).collect();
        let large = since.into_iter().filter(|c| now.lfs.contains(&c.path) || then.lfs.contains(&c.path));
        let large: Vec<Change> = large.filter(|c| !kept.contains(&c.path)).collect();
        entries.extend(self.pointers(look, &large, &now, cancel).await?);
        if entries.is_empty() {
            return Ok(());
        }
        tracing::info!(paths = entries.len(), "conversions of git and LFS content were left out of the commit");
        let lines = entries.into_iter().flat_map(|(_, line)| line).collect();
        let update = look.own.call().args(["update-index", "-z", "--index-info"]).input(lines);
        self.do_in(look.own.room, update, cancel).await.map(drop)
    }

    /// A file that is not in the encoding that its attributes name stops `git add`. Then everything is taken as it is,
    /// without conversions: bytes are kept rather than refused. `output` is what the first attempt said.
    pub(super) async fn add_unconverted<'a>(
        &self,
        own: &Own<'_>,
        output: Output,
        add: &impl Fn() -> Call<'a>,
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        let words = ["failed to encode '", "BOM is prohibited in '", "BOM is required in '"];
        let said = String::from_utf8_lossy(&output.stderr);
        if output.code == 0 || !words.iter().any(|words| said.contains(words)) {
            return Ok(output);
        }
        tracing::warn!(%said, "a file is not in the encoding of its attributes; files are committed without conversions");
        let empty = own.call().args(["hash-object", "-t", "tree", "--stdin"]).input(Vec::new());
        let empty = self.do_in(own.room, empty, cancel).await?.line();
        self.try_in(own.room, add().env("GIT_ATTR_SOURCE", empty), cancel).await
    }

    /// Removes files that differ from the commit only by git's own conversions, or hold LFS content in place of its
    /// pointer: a merge would refuse to write over them. To be given to [`Repos::write_back`] after the merge, and before
    /// anything looks at the folder.
    pub(super) async fn lift_dirt(&self, w: &Site, cancel: &CancellationToken) -> Result<Vec<u8>, GitError> {
        let (room, tip) = (Room::of(w), self.head(w, cancel).await?);
        let staged = self.stage(&room, Some(&tip), &w.key, cancel).await?;
        let names = ["--name-only", "-r", "-z", "--no-renames", "--ignore-submodules=all"];
        let changed = Call::bare(&w.mirror).args(["diff-tree"]).args(names).args([tip.as_str(), &staged.tree, "--"]);
        staged.discard()?;
        let changed = self.git(&w.mirror, changed, cancel).await?.stdout;
        let changed: HashSet<&[u8]> = changed.split(|b| *b == 0).collect();
        let different = self.git(&w.mirror, w.call().args(["diff-files"]).args(names), cancel).await?.stdout;
        let dirt: Vec<&[u8]> = different.split(|b| *b == 0).filter(|path| !changed.contains(path)).collect();
        for path in &dirt {
            // It could be opened without a link on the way, or it would have been a change.
            std::fs::remove_file(w.path.join(path_of(path))).ok();
        }
        if !dirt.is_empty() {
            tracing::info!(
                key = w.key,
                paths = dirt.len(),
                "files that differ by git's own conversions make way for a merge"
            );
        }
        Ok(dirt.join(&0))
    }

    /// Writes those of the files that are missing, as the index has them now. Not cancellable.
    pub(super) async fn write_back(&self, w: &Site, names: Vec<u8>) -> Result<(), GitError> {
        let write = w.call().args(["checkout-index", "--quiet", "--index", "-z", "--stdin"]).input(names);
        // Files that the merge has written or removed are no failure.
        self.try_git(&w.mirror, write, &CancellationToken::new()).await.map(drop)
    }

    /// Files that the index has otherwise than the commit.
    async fn changes_since(
        &self,
        look: &Look<'_>,
        commit: &str,
        cancel: &CancellationToken,
    ) -> Result<Vec<Change>, GitError> {
        let diff = look.own.call().args(["diff-index", "--cached", "--raw", "-z", "--no-renames", "--no-abbrev"]);
        let diff = diff.args(["--ignore-submodules=all", "--no-ext-diff", commit, "--"]);
        let output = self.do_in(look.own.room, diff, cancel).await?;
        let mut parts = output.stdout.split(|b| *b == 0);
        Ok(std::iter::from_fn(|| Some((parts.next()?, parts.next()?))).filter_map(change).collect())
    }

    /// The commit from which the agents' own commits began, where there are any.
    async fn published(&self, look: &Look<'_>, cancel: &CancellationToken) -> Result<Option<String>, GitError> {
        let list = look.own.call().args(["rev-list", "--boundary", look.head, "--not", "--remotes=origin", "--"]);
        let output = self.do_in(look.own.room, list, cancel).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().find_map(|line| line.strip_prefix('-')).map(str::to_owned))
    }

    /// By the files of the commit `of`, or by those of the folder. Before git 2.41 both are the folder's.
    async fn attributes(
        &self,
        look: &Look<'_>,
        paths: &HashSet<&[u8]>,
        of: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Attributes, GitError> {
        let input = paths.iter().flat_map(|path| [*path, b"\0"].concat()).collect();
        let mut check = look.own.call().args(["check-attr", "-z", "--stdin"]).args(CONVERSIONS).input(input);
        check.cap = check.cap.saturating_mul(8);
        if let Some(commit) = of {
            check = check.env("GIT_ATTR_SOURCE", commit);
        }
        let output = self.do_in(look.own.room, check, cancel).await?;
        let mut parts = output.stdout.split(|b| *b == 0);
        let mut found = Attributes::default();
        while let (Some(path), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) {
            if value == b"unspecified" {
                continue;
            }
            found.converted.insert(path.to_vec());
            if name == b"filter" && value == b"lfs" {
                found.lfs.insert(path.to_vec());
            }
        }
        Ok(found)
    }

    /// Index lines for those files whose bytes are what a checkout of the commit gives.
    async fn as_checked_out(
        &self,
        look: &Look<'_>,
        candidates: &[Change],
        cancel: &CancellationToken,
    ) -> Result<Vec<Entry>, GitError> {
        let mut entries = Vec::new();
        for (change, bytes) in self.blobs(look, candidates, Side::CheckedOut, LARGEST_TEXT, cancel).await? {
            let (folder, path) = (look.own.room.work.clone(), path_of(&change.path));
            let same = tokio::task::spawn_blocking(move || holds(&folder, &path, &bytes)).await.unwrap_or(false);
            if let (true, Some(was)) = (same, &change.was) {
                entries.push(change.entry(was));
            }
        }
        Ok(entries)
    }

    /// Index lines with the pointers of those files that are kept in LFS.
    async fn pointers(
        &self,
        look: &Look<'_>,
        changes: &[Change],
        now: &Attributes,
        cancel: &CancellationToken,
    ) -> Result<Vec<Entry>, GitError> {
        let pointers = |blobs: Vec<(Change, Vec<u8>)>| -> HashMap<Change, Pointer> {
            blobs.into_iter().filter_map(|(change, bytes)| Some((change, Pointer::parse(&bytes)?))).collect()
        };
        let was = pointers(self.blobs(look, changes, Side::Was, LARGEST_POINTER, cancel).await?);
        let already = pointers(self.blobs(look, changes, Side::Now, LARGEST_POINTER, cancel).await?);
        let store = Store::of(&look.own.room.mirror);
        let mut entries = Vec::new();
        for change in changes.iter().filter(|c| !already.contains_key(*c)) {
            let folder = look.own.room.work.clone();
            let (before, may_store) = (was.get(change).cloned(), now.lfs.contains(&change.path));
            match lfs::look(&store, &folder, path_of(&change.path), before, may_store).await? {
                Content::Unchanged => entries.extend(change.was.as_ref().map(|was| change.entry(was))),
                Content::Stored(pointer) => {
                    let write = look.own.call().args(["hash-object", "-w", "--stdin"]);
                    let write = write.input(pointer.text().into_bytes());
                    entries.push(change.entry(&self.do_in(look.own.room, write, cancel).await?.line()));
                }
                Content::AsItIs => {}
            }
        }
        Ok(entries)
    }

    /// The content of one blob of each change, where it is not larger than `cap`.
    async fn blobs(
        &self,
        look: &Look<'_>,
        changes: &[Change],
        side: Side,
        cap: u64,
        cancel: &CancellationToken,
    ) -> Result<Vec<(Change, Vec<u8>)>, GitError> {
        let wanted: Vec<(&Change, &str)> = changes.iter().filter_map(|c| Some((c, c.blob(side)?))).collect();
        let input = wanted.iter().flat_map(|(_, id)| format!("{id}\n").into_bytes()).collect();
        let sizes = look.own.call().args(["cat-file", "--batch-check=%(objectsize)"]).input(input);
        let sizes = self.do_in(look.own.room, sizes, cancel).await?;
        let sizes = String::from_utf8_lossy(&sizes.stdout).into_owned();
        let mut found = Vec::new();
        let (mut chunk, mut weight) = (Vec::new(), 0u64);
        for ((change, id), size) in wanted.into_iter().zip(sizes.lines().map(|l| l.parse::<u64>().unwrap_or(u64::MAX)))
        {
            if size > cap {
                continue;
            }
            if weight.saturating_add(size) > AT_A_TIME && !chunk.is_empty() {
                found.extend(self.contents(look, &chunk, side, weight, cancel).await?);
                (chunk, weight) = (Vec::new(), 0);
            }
            chunk.push((change, id));
            weight = weight.saturating_add(size);
        }
        found.extend(self.contents(look, &chunk, side, weight, cancel).await?);
        Ok(found)
    }

    async fn contents(
        &self,
        look: &Look<'_>,
        chunk: &[(&Change, &str)],
        side: Side,
        weight: u64,
        cancel: &CancellationToken,
    ) -> Result<Vec<(Change, Vec<u8>)>, GitError> {
        if chunk.is_empty() {
            return Ok(Vec::new());
        }
        // With conversions git says the size of before; so each blob begins with a line that none can contain by accident.
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let path = |change: &Change| {
            if side == Side::CheckedOut { [b" ", change.path.as_slice()].concat() } else { Vec::new() }
        };
        let input = chunk.iter().flat_map(|(c, id)| [id.as_bytes(), &path(c), b"\0"].concat()).collect();
        let read = look.own.call().args(["cat-file", "-z", &format!("--batch={mark}")]).input(input);
        let mut read = match side {
            Side::CheckedOut => read.args(["--filters"]).env("GIT_ATTR_SOURCE", look.head),
            Side::Was | Side::Now => read,
        };
        let room = usize::try_from(weight).unwrap_or(usize::MAX).saturating_mul(GROWTH);
        read.cap = room.saturating_add(chunk.len().saturating_mul(4096));
        let output = self.do_in(look.own.room, read, cancel).await?;
        let begin = format!("{mark}\n").into_bytes();
        let mut rest = output.stdout.as_slice().strip_prefix(begin.as_slice()).unwrap_or_default();
        let mut found = Vec::new();
        for (change, _) in chunk {
            let next = [b"\n", begin.as_slice()].concat();
            let end = rest.windows(next.len()).position(|w| w == next);
            let (this, after) = match end {
                Some(at) => (rest.get(..at), rest.get(at + next.len()..)),
                None => (rest.strip_suffix(b"\n"), None),
            };
            found.extend(this.map(|bytes| ((*change).clone(), bytes.to_vec())));
            rest = after.unwrap_or_default();
        }
        Ok(found)
    }
}

/// A path and the line for `update-index --index-info`.
type Entry = (Vec<u8>, Vec<u8>);

/// Which blob of a change, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    /// The commit's, as a checkout writes it.
    CheckedOut,
    Was,
    Now,
}

impl Change {
    fn blob(&self, side: Side) -> Option<&str> {
        match side {
            Side::CheckedOut | Side::Was => self.was.as_deref(),
            Side::Now => Some(&self.now),
        }
    }

    /// With the mode of the folder: a script that was made executable stays one.
    fn entry(&self, blob: &str) -> Entry {
        let line = [format!("{} {blob}\t", self.mode).as_bytes(), &self.path, b"\0"].concat();
        (self.path.clone(), line)
    }
}

/// `:<mode> <mode> <id> <id> <status>` and a path; only files that are regular now.
fn change((about, path): (&[u8], &[u8])) -> Option<Change> {
    let about = std::str::from_utf8(about).ok()?.strip_prefix(':')?;
    let mut words = about.split(' ');
    let (mode_was, mode, was, now) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let regular = |mode: &str| mode.starts_with("100");
    let was = regular(mode_was).then(|| was.to_owned());
    regular(mode).then(|| Change { mode: mode.to_owned(), was, now: now.to_owned(), path: path.to_vec() })
}

/// Whether the file holds exactly these bytes. A file that cannot be read is another one.
fn holds(folder: &Path, path: &Path, bytes: &[u8]) -> bool {
    let Ok(file) = lfs::open_inside(folder, path) else { return false };
    if file.metadata().map(|m| m.len()).ok() != Some(bytes.len() as u64) {
        return false;
    }
    let mut found = Vec::with_capacity(bytes.len());
    file.take(bytes.len() as u64 + 1).read_to_end(&mut found).is_ok() && found == bytes
}

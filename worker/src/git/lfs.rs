//! Git LFS pointers: the small text that a commit holds in place of a large file, and the store of the files. No
//! program is run here. An object in the store has been hashed by us; who added it otherwise vouches for nothing.

use super::error::GitError;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A blob above this size is no pointer, by the specification of Git LFS.
pub(super) const LARGEST_POINTER: u64 = 1024;

/// What a pointer says: the SHA-256 of the content in hexadecimal, and its size in bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer {
    pub(super) oid: String,
    pub(super) size: u64,
}

impl Pointer {
    /// Reads a pointer file; `None` when the bytes are something else.
    pub(super) fn parse(bytes: &[u8]) -> Option<Pointer> {
        if bytes.len() as u64 > LARGEST_POINTER {
            return None;
        }
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines();
        let version = lines.next()?.strip_prefix("version ")?;
        if !matches!(version, "https://git-lfs.github.com/spec/v1" | "https://hawser.github.com/spec/v1") {
            return None;
        }
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let oid = value("oid")?.strip_prefix("sha256:")?.trim_end();
        let size = value("size")?.trim_end().parse().ok()?;
        let hexadecimal = oid.len() == 64 && oid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        hexadecimal.then(|| Pointer { oid: oid.to_owned(), size })
    }

    /// The pointer file, byte for byte as git-lfs writes it.
    pub(super) fn text(&self) -> String {
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", self.oid, self.size)
    }
}

/// The objects of a repository, laid out as git-lfs expects them in a git directory.
#[derive(Debug, Clone)]
pub(super) struct Store(PathBuf);

impl Store {
    pub(super) fn of(git_dir: &Path) -> Store {
        Store(git_dir.join("lfs"))
    }

    /// Where an object is, or belongs. The id of a [`Pointer`] is safe in a path.
    fn path(&self, oid: &str) -> PathBuf {
        let (first, rest) = oid.split_at(2.min(oid.len()));
        let second: String = rest.chars().take(2).collect();
        self.0.join("objects").join(first).join(second).join(oid)
    }

    pub(super) fn has(&self, pointer: &Pointer) -> bool {
        self.path(&pointer.oid).symlink_metadata().is_ok_and(|m| m.is_file() && m.len() == pointer.size)
    }

    /// Copies everything that `from` gives, and names it by its content. Nothing of it is kept on an error.
    fn take(&self, from: &mut impl Read) -> io::Result<Pointer> {
        fs::create_dir_all(&self.0)?;
        let mut file = tempfile::Builder::new().prefix("incoming-").tempfile_in(&self.0)?;
        let pointer = hash(from, |bytes| file.write_all(bytes))?;
        let place = self.path(&pointer.oid);
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        file.as_file().sync_all()?;
        file.persist(place).map_err(|e| e.error)?;
        Ok(pointer)
    }
}

/// Reads to the end: what a pointer to it says.
fn hash(from: &mut impl Read, mut also: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Pointer> {
    let (mut digest, mut size) = (Sha256::new(), 0u64);
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let n = from.read(&mut buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Pointer { oid: hex::encode(digest.finalize()), size });
        }
        digest.update(bytes);
        size = size.saturating_add(n as u64);
        also(bytes)?;
    }
}

/// Opens a regular file below `folder`. No link is followed on the way, and nothing else than a file is waited for.
pub(super) fn open_inside(folder: &Path, path: &Path) -> io::Result<File> {
    let top = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // A FIFO is opened without waiting and refused; a device is not in a folder of files either.
    let file = File::from(openat2(top, path, flags, Mode::empty(), resolve)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// What becomes of the content of a path that is kept in LFS.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It is what the pointer of the commit stands for.
    Unchanged,
    /// It is in the store now; this is its pointer.
    Stored(Pointer),
    /// Nothing to do: an empty file and a file that is a pointer are committed as they are.
    AsItIs,
}

/// Looks at a file of the folder, and stores its content where the commit's pointer stands for another.
pub(super) async fn look(
    store: &Store,
    folder: &Path,
    path: PathBuf,
    was: Option<Pointer>,
    may_store: bool,
) -> Result<Content, GitError> {
    let (store, folder) = (store.clone(), folder.to_owned());
    let what = format!("reading {}", path.display());
    let done = tokio::task::spawn_blocking(move || look_now(&store, &folder, &path, was, may_store)).await;
    done.map_err(io::Error::other).and_then(|inner| inner).map_err(|e| GitError::io(what, e))
}

fn look_now(store: &Store, folder: &Path, path: &Path, was: Option<Pointer>, may_store: bool) -> io::Result<Content> {
    let size = open_inside(folder, path)?.metadata()?.len();
    if let Some(was) = was
        && was.size == size
        && hash(&mut open_inside(folder, path)?, |_| Ok(()))? == was
    {
        return Ok(Content::Unchanged);
    }
    if !may_store || size == 0 {
        return Ok(Content::AsItIs);
    }
    if size <= LARGEST_POINTER {
        let mut bytes = Vec::new();
        open_inside(folder, path)?.take(LARGEST_POINTER).read_to_end(&mut bytes)?;
        if Pointer::parse(&bytes).is_some() {
            return Ok(Content::AsItIs);
        }
    }
    store.take(&mut open_inside(folder, path)?).map(Content::Stored)
}

/// Takes an object that an agent's own git-lfs has put into `git_dir` over into the store, if it is what it is named.
pub(super) async fn adopt(store: &Store, git_dir: &Path, pointer: &Pointer) -> Result<bool, GitError> {
    if store.has(pointer) {
        return Ok(true);
    }
    let (store, git_dir, pointer) = (store.clone(), git_dir.to_owned(), pointer.clone());
    let done = tokio::task::spawn_blocking(move || {
        let inside = Store(PathBuf::from("lfs")).path(&pointer.oid);
        let Ok(mut file) = open_inside(&git_dir, &inside) else { return Ok(false) };
        if file.metadata()?.len() != pointer.size {
            return Ok(false);
        }
        // Whatever it is, it is stored under the name of what it is.
        Ok(store.take(&mut file)? == pointer)
    });
    let done = done.await.map_err(io::Error::other).and_then(|inner| inner);
    done.map_err(|e| GitError::io("taking over an LFS object", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_pointer_is_read_as_git_lfs_writes_it_and_nothing_else_is_one() {
        let pointer = Pointer { oid: ABC.into(), size: 3 };
        let text = pointer.text();
        assert_eq!(Pointer::parse(text.as_bytes()), Some(pointer.clone()));
        let extended = text.replace("oid ", "ext-0-x sha256:00\noid ");
        assert_eq!(Pointer::parse(extended.as_bytes()), Some(pointer));
        for other in [
            String::new(),
            "abc".to_owned(),
            text.replace("spec/v1", "spec/v2"),
            text.replace("sha256:ba", "sha256:BA"),
            text.replace("sha256:ba", "sha256:../"),
            text.replace("size 3", "size -3"),
            text.replace("size 3\n", ""),
            format!("{text}{}", " ".repeat(1024)),
        ] {
            assert_eq!(Pointer::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_object_is_stored_under_the_name_of_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::of(dir.path());
        let pointer = store.take(&mut &b"abc"[..]).unwrap();
        assert_eq!((pointer.oid.as_str(), pointer.size), (ABC, 3));
        assert!(store.has(&pointer));
        let path = dir.path().join("lfs/objects/ba/78").join(ABC);
        assert_eq!(fs::read(path).unwrap(), b"abc");
        assert!(!store.has(&Pointer { size: 4, ..pointer }));
    }

    #[test]
    fn neither_links_nor_pipes_are_opened_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        fs::write(dir.path().join("real/file"), "x").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        std::os::unix::fs::symlink("real/file", dir.path().join("direct")).unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(open_inside(dir.path(), Path::new("real/file")).is_ok());
        for refused in ["link/file", "direct", "fifo", "real", "../x", "/etc/passwd", "missing"] {
            assert!(open_inside(dir.path(), Path::new(refused)).is_err(), "{refused}");
        }
    }

    #[tokio::test]
    async fn an_object_with_a_wrong_name_is_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let (theirs, ours) = (dir.path().join("theirs"), Store::of(&dir.path().join("ours")));
        let pointer = Pointer { oid: ABC.into(), size: 3 };
        let place = theirs.join("lfs/objects/ba/78");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(ABC), "abd").unwrap();
        assert!(!adopt(&ours, &theirs, &pointer).await.unwrap() && !ours.has(&pointer));
        fs::write(place.join(ABC), "abc").unwrap();
        assert!(adopt(&ours, &theirs, &pointer).await.unwrap() && ours.has(&pointer));
    }
}

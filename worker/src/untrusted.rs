//! Reading and writing files that an agent may have replaced by anything: a pipe that nobody writes to, a device, a link
//! to somewhere else, a folder, a file of a terabyte. Nothing here waits for the other side or follows a last link, and
//! no more is read than the caller can use. What is beyond that is an error that says so.

use rustix::fs::{Mode, OFlags, open as open_at};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("a folder is in its place")]
    Folder,
    #[error("not a regular file")]
    Special,
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    #[error(transparent)]
    Io(io::Error),
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> io::Error {
        match unfit {
            Unfit::Io(e) => e,
            Unfit::Folder | Unfit::Special | Unfit::TooLarge(_) => {
                io::Error::new(ErrorKind::InvalidData, unfit.to_string())
            }
        }
    }
}

/// The whole file, if it is a regular one of at most `most` bytes; `None`: there is nothing.
pub(crate) fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Unfit> {
    let Some(file) = open(path)? else { return Ok(None) };
    let size = file.metadata().map_err(Unfit::Io)?.len();
    if size > most {
        return Err(Unfit::TooLarge(most));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let n = file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Unfit::Io)?;
    if n as u64 > most { Err(Unfit::TooLarge(most)) } else { Ok(Some(bytes)) }
}

/// Whether the file holds just this, a line's end or blanks after it aside.
pub(crate) fn holds(path: &Path, text: &str) -> bool {
    let most = text.len() as u64 + 64;
    matches!(read(path, most), Ok(Some(bytes)) if bytes.trim_ascii_end() == text.as_bytes())
}

/// A regular file, to read as much of as the caller likes; `None`: there is nothing.
pub(crate) fn open(path: &Path) -> Result<Option<File>, Unfit> {
    opened(path, OFlags::RDONLY)
}

/// Makes the file hold this. What is in its place must be a regular file, or nothing.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Unfit> {
    let file = opened(path, OFlags::WRONLY | OFlags::CREATE)?;
    let mut file = file.ok_or_else(|| Unfit::Io(ErrorKind::NotFound.into()))?;
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(Unfit::Io)
}

/// A regular file to write to, made if it is missing, readable by its owner only. `how`: access, and whether to append.
pub(crate) fn open_private(path: &Path, how: OFlags) -> io::Result<File> {
    opened(path, OFlags::CREATE | how)?.ok_or_else(|| ErrorKind::NotFound.into())
}

fn opened(path: &Path, how: OFlags) -> Result<Option<File>, Unfit> {
    let flags = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match open_at(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => File::from(file),
        // A part of the way may be a file itself.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(Errno::ISDIR) => return Err(Unfit::Folder),
        // A link; a pipe that nobody reads, a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Err(Unfit::Special),
        Err(e) => return Err(Unfit::Io(e.into())),
    };
    let kind = file.metadata().map_err(Unfit::Io)?.file_type();
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => Ok(Some(file)),
        (false, true) => Err(Unfit::Folder),
        (false, false) => Err(Unfit::Special),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// Puts what is not to be read in a file's place.
    pub(crate) fn plant(path: &Path, kind: &str) {
        match path.symlink_metadata().map(|m| m.is_dir()) {
            Ok(true) => std::fs::remove_dir_all(path).unwrap(),
            Ok(false) => std::fs::remove_file(path).unwrap(),
            Err(_) => std::fs::create_dir_all(path.parent().unwrap()).unwrap(),
        }
        match kind {
            "pipe" => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "folder" => {
                std::fs::create_dir(path).unwrap();
                std::fs::write(path.join("inner"), "x").unwrap();
            }
            "endless link" => symlink("/dev/zero", path).unwrap(),
            "lost link" => symlink("/no/such/file", path).unwrap(),
            "socket" => drop(UnixListener::bind(path).unwrap()),
            "terabyte" => File::create(path).unwrap().set_len(1 << 40).unwrap(),
            other => panic!("{other}"),
        }
    }

    pub(crate) const KINDS: [&str; 6] = ["pipe", "folder", "endless link", "lost link", "socket", "terabyte"];

    #[test]
    fn only_a_regular_file_of_a_fit_size_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(matches!(read(&path, 9), Ok(None)));
        assert!(matches!(read(&path.join("below"), 9), Ok(None)));
        for kind in KINDS {
            plant(&path, kind);
            assert!(read(&path, 9).is_err(), "{kind}");
            assert!(!holds(&path, ""), "{kind}");
            assert_eq!(open(&path).is_ok(), kind == "terabyte", "{kind}");
        }
        plant(&path, "pipe");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "123456789").unwrap();
        assert_eq!(read(&path, 9).unwrap().unwrap(), b"123456789");
        assert!(matches!(read(&path, 8), Err(Unfit::TooLarge(8))));
        assert!(matches!(read(&path.join("below"), 9), Ok(None)), "a part of the way is a file");
    }

    #[test]
    fn nothing_but_a_regular_file_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for kind in KINDS {
            plant(&path, kind);
            assert_eq!(write(&path, b"text").is_ok(), kind == "terabyte", "{kind}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"text");
        assert!(holds(&path, "text") && !holds(&path, "tex") && !holds(&path, "text2"));
        std::fs::write(&path, "text\n").unwrap();
        assert!(holds(&path, "text"));
    }
}

//! The folder of one run: the only thing a worker, its successor and the supervisor share. Knows the names of
//! the files and how each is written so that a reader never sees half of one; decides nothing.

use super::identity::Identity;
use super::record::{BadSpec, ExitRecord, RunSpec, StopRequest};
use crate::untrusted::{self, Unfit};
use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes set aside for the exit record, so that a disk filled by the agent can not suppress it.
const EXIT_RESERVE: u64 = 4096;

/// The most that is read of a file: an environment and arguments fit many times.
const LARGEST: u64 = 16 << 20;

/// What went wrong with a run's folder.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The file system refused; trying again may help.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is there, but is not what it should be; trying again will not help.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// A run's folder, existing or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// The run's lock, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "held, not read")] File);

impl RunDir {
    /// Names a folder; touches nothing.
    pub fn at(path: impl Into<PathBuf>) -> RunDir {
        RunDir { path: path.into() }
    }

    /// Creates the folder, readable by its owner only. One that exists is fine.
    pub fn create(path: impl Into<PathBuf>) -> Result<RunDir, RunDirError> {
        let dir = RunDir::at(path);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir.path).map_err(|e| io_error(&dir.path, e))?;
        Ok(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the agent is asked, its standard input.
    pub fn prompt(&self) -> PathBuf {
        self.path.join("prompt.md")
    }

    /// What the agent wrote to standard output, one JSON object a line.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }

    /// What the agent wrote to standard error.
    pub fn stderr(&self) -> PathBuf {
        self.path.join("stderr.log")
    }

    /// The ends of the logs of checks that failed, where the agent works because of them.
    pub fn checks_log(&self) -> PathBuf {
        self.path.join("checks.log")
    }

    /// Writes them.
    pub fn write_checks_log(&self, text: &str) -> Result<(), RunDirError> {
        self.write("checks.log", text.as_bytes())
    }

    /// Writes the prompt.
    pub fn write_prompt(&self, text: &[u8]) -> Result<(), RunDirError> {
        self.write("prompt.md", text)
    }

    /// Writes the specification; it holds the agent's credentials.
    pub fn write_spec(&self, spec: &RunSpec) -> Result<(), RunDirError> {
        self.write_json("spec.json", spec)
    }

    /// Reads and checks the specification.
    pub fn read_spec(&self) -> Result<RunSpec, RunDirError> {
        let malformed = |reason: String| RunDirError::Malformed { path: self.path.join("spec.json"), reason };
        let spec: RunSpec = self.read_json("spec.json")?.ok_or_else(|| malformed("missing".into()))?;
        spec.check().map_err(|e: BadSpec| malformed(e.to_string()))?;
        Ok(spec)
    }

    /// Says who supervises. Not made durable: after a power loss the process is gone too.
    pub fn write_supervisor(&self, identity: &Identity) -> Result<(), RunDirError> {
        self.write_json("supervisor.json", identity)
    }

    /// Who supervises, or did.
    pub fn read_supervisor(&self) -> Result<Option<Identity>, RunDirError> {
        self.read_json("supervisor.json")
    }

    /// Says which process is the agent.
    pub fn write_agent(&self, identity: &Identity) -> Result<(), RunDirError> {
        self.write_json("agent.json", identity)
    }

    /// Which process is, or was, the agent.
    pub fn read_agent(&self) -> Result<Option<Identity>, RunDirError> {
        self.read_json("agent.json")
    }

    /// Leaves the wish to stop.
    pub fn write_stop(&self, request: &StopRequest) -> Result<(), RunDirError> {
        self.write_json("stop.json", request)
    }

    /// The wish to stop, if there is one.
    pub fn read_stop(&self) -> Result<Option<StopRequest>, RunDirError> {
        self.read_json("stop.json")
    }

    /// Sets disk space aside for [`RunDir::write_exit`]. Where the file system can not, the space is taken later.
    pub fn reserve_exit(&self) -> Result<(), RunDirError> {
        let path = self.path.join(".exit.json");
        let file = self.open_private(&path).map_err(|e| io_error(&path, e))?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, EXIT_RESERVE) {
            Err(rustix::io::Errno::NOSPC) => Err(io_error(&path, rustix::io::Errno::NOSPC.into())),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes the exit record: it is there whole and survives a power loss, or not at all.
    pub fn write_exit(&self, record: &ExitRecord) -> Result<(), RunDirError> {
        let path = self.path.join("exit.json");
        let text = serde_json::to_vec(record).map_err(|e| malformed(&path, e))?;
        self.replace_durably(&path, &text).map_err(|e| io_error(&path, e))
    }

    /// Into the reserved space first, shortened after: the write itself needs no new block.
    fn replace_durably(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let reserved = self.path.join(".exit.json");
        let mut file = self.open_private(&reserved)?;
        file.write_all(text)?;
        let end = file.stream_position()?;
        file.set_len(end)?;
        file.sync_all()?;
        fs::rename(&reserved, path)?;
        File::open(&self.path)?.sync_all()
    }

    /// How the run ended, if it has.
    pub fn read_exit(&self) -> Result<Option<ExitRecord>, RunDirError> {
        self.read_json("exit.json")
    }

    /// The exit record exists, readable or not.
    pub fn has_exit(&self) -> bool {
        self.path.join("exit.json").exists()
    }

    /// Marks the run as given up: a supervisor that comes late must not start it.
    pub fn fence(&self) -> Result<(), RunDirError> {
        self.write("fenced", b"")
    }

    /// The run was given up.
    pub fn is_fenced(&self) -> bool {
        self.path.join("fenced").exists()
    }

    /// Waits for the run's lock.
    pub fn lock(&self) -> Result<RunLock, RunDirError> {
        let path = self.path.join("lock");
        let file = self.open_private(&path).map_err(|e| io_error(&path, e))?;
        file.lock().map_err(|e| io_error(&path, e))?;
        Ok(RunLock(file))
    }

    /// The run's lock, or `None` while another process has it.
    pub fn try_lock(&self) -> Result<Option<RunLock>, RunDirError> {
        let path = self.path.join("lock");
        let file = self.open_private(&path).map_err(|e| io_error(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(RunLock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(io_error(&path, e)),
        }
    }

    /// Makes what was written to the folder so far survive a power loss.
    pub fn sync(&self) -> Result<(), RunDirError> {
        for name in ["spec.json", "prompt.md", "."] {
            let path = self.path.join(name);
            open_any(&path).and_then(|f| f.sync_all()).map_err(|e| io_error(&path, e))?;
        }
        Ok(())
    }

    fn open_private(&self, path: &Path) -> io::Result<File> {
        untrusted::open_private(path, OFlags::WRONLY)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunDirError> {
        let text = serde_json::to_vec(value).map_err(|e| malformed(&self.path.join(name), e))?;
        self.write(name, &text)
    }

    /// The process number in the temporary name keeps two writers of one file apart.
    fn write(&self, name: &str, text: &[u8]) -> Result<(), RunDirError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!(".{name}.{}", std::process::id()));
        let written = fs::remove_file(&temporary)
            .or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
            .and_then(|()| self.open_private(&temporary))
            .and_then(|mut file| file.write_all(text))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|e| io_error(&path, e))
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RunDirError> {
        let path = self.path.join(name);
        match untrusted::read(&path, LARGEST) {
            Ok(Some(text)) => serde_json::from_slice(&text).map(Some).map_err(|e| malformed(&path, e)),
            Ok(None) => Ok(None),
            Err(Unfit::Io(e)) => Err(io_error(&path, e)),
            Err(unfit) => Err(RunDirError::Malformed { path, reason: unfit.to_string() }),
        }
    }
}

/// A file or folder, without waiting for the other end of what may be there instead.
fn open_any(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

pub(super) fn io_error(path: &Path, source: io::Error) -> RunDirError {
    RunDirError::Io { path: path.to_owned(), source }
}

fn malformed(path: &Path, e: serde_json::Error) -> RunDirError {
    RunDirError::Malformed { path: path.to_owned(), reason: e.to_string() }
}

#[cfg(test)]
mod tests;

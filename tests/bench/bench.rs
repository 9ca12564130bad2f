//! What every figure is given: how much to measure, and folders and tools to do it with.

use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One call of the program.
pub struct Bench {
    pub runs: u32,
    /// Of load, per measurement.
    pub span: Duration,
    pub soak: Duration,
    /// Where the programs under measurement lie.
    programs: PathBuf,
    /// `target/bench`: on the disk that is measured, never in memory.
    folder: PathBuf,
}

impl Bench {
    /// The programs are those built beside this one, in the same profile.
    pub fn new(runs: u32, seconds: u64, soak_minutes: f64) -> anyhow::Result<Bench> {
        let own = std::env::current_exe()?;
        let programs = own.parent().context("this program's folder")?.to_owned();
        let folder = programs.parent().context("the target folder")?.join("bench");
        std::fs::create_dir_all(&folder)?;
        ensure!((0.1..=24.0 * 60.0).contains(&soak_minutes), "a soak takes between 0.1 and 1440 minutes");
        let soak = Duration::from_secs_f64(soak_minutes * 60.0);
        Ok(Bench { runs, span: Duration::from_secs(seconds), soak, programs, folder })
    }

    /// A program under measurement.
    pub fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.programs.join(name);
        ensure!(path.is_file(), "{} is missing: cargo build --release -p orch-api -p orch-worker", path.display());
        Ok(path)
    }

    /// A new folder, removed when dropped.
    pub fn scratch(&self) -> anyhow::Result<tempfile::TempDir> {
        Ok(tempfile::Builder::new().prefix("run-").tempdir_in(&self.folder)?)
    }

    /// Kept between calls.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A library that adds 2 ms to every fsync of a program it is preloaded into.
    pub fn slow_disk(&self) -> anyhow::Result<PathBuf> {
        let source = self.folder.join("slow_fsync.c");
        let library = self.folder.join("slow_fsync.so");
        std::fs::write(&source, include_str!("slow_fsync.c"))?;
        let status = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        ensure!(status.context("cc is needed for the slow disk")?.success(), "slow_fsync.c does not compile");
        Ok(library)
    }
}

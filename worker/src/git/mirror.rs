//! The local mirror of a repository: made beside its place and moved there whole, looked at before it is
//! trusted, rebuilt when it is damaged. Commits that only a damaged mirror had are carried over where they
//! can still be read.

use super::call::Call;
use super::config_pin::{self, ObjectFormat};
use super::delete::delete_tree;
use super::error::GitError;
use super::lock::RepoLock;
use super::remote::Remote;
use super::repos::{Place, Repos};
use super::shared::HEAD;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// The start of the name of a mirror that is being made.
const UNFINISHED: &str = "mirror.git.new-";

impl Repos {
    /// Makes sure that a sound mirror exists. A new one is up to date, an old one is not fetched.
    pub async fn ensure_mirror(&self, repo: &str, remote: &Remote, cancel: &CancellationToken) -> Result<(), GitError> {
        let place = self.place(repo)?;
        let lock = self.lock(&place, cancel).await?;
        if !self.is_sound(&place.mirror, cancel).await? {
            self.build(&place, remote, &lock, cancel).await?;
        }
        Ok(())
    }

    /// Whether git knows the folder as a repository and every ref's object can be read.
    pub(super) async fn is_sound(&self, mirror: &Path, cancel: &CancellationToken) -> Result<bool, GitError> {
        if mirror.is_dir() {
            self.pin(mirror, None).await?;
        }
        if !mirror.join("HEAD").is_file() || !mirror.join("objects").is_dir() || !mirror.join("refs").is_dir() {
            return Ok(false);
        }
        let refs = Call::bare(mirror).args(["for-each-ref", "--format=%(objectname)"]);
        let refs = self.try_git(mirror, refs, cancel).await?;
        // A ref that a power cut left empty is only warned about, and would fail every later fetch.
        if refs.code != 0 || String::from_utf8_lossy(&refs.stderr).contains("broken ref") {
            return Ok(false);
        }
        let objects = Call::bare(mirror).args(["cat-file", "--batch-check=%(objecttype)"]).input(refs.stdout);
        let objects = self.try_git(mirror, objects, cancel).await?;
        let missing = objects.stdout.split(|b| *b == b'\n').any(|line| line.ends_with(b" missing"));
        Ok(objects.code == 0 && !missing)
    }

    /// Makes the mirror anew. Whatever is killed in here leaves a folder that the next build removes.
    pub(super) async fn build(
        &self,
        place: &Place,
        remote: &Remote,
        lock: &RepoLock,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        remove_unfinished(place).await?;
        let fresh = place.home.join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
        let made = self.clone_into(&fresh, remote, lock, cancel).await;
        if let Err(e) = made {
            delete_tree(&fresh).await.ok();
            return Err(e);
        }
        let damaged = place.home.join("mirror.git.damaged");
        if place.mirror.symlink_metadata().is_ok() {
            tracing::warn!(mirror = %place.mirror.display(), "the mirror is damaged; rebuilt");
            delete_tree(&damaged).await?;
            rename(&place.mirror, &damaged)?;
        }
        rename(&fresh, &place.mirror)?;
        if damaged.is_dir() && self.carry_over(&damaged, &place.mirror, cancel).await? {
            delete_tree(&damaged).await?;
        }
        Ok(())
    }

    /// A forge's object format shows only when it is fetched from, so a mismatch starts over with the other.
    async fn clone_into(
        &self,
        fresh: &Path,
        remote: &Remote,
        lock: &RepoLock,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        match self.clone_as(ObjectFormat::Sha1, fresh, remote, lock, cancel).await {
            Err(GitError::Other { tail }) if tail.contains("mismatched algorithms") => {
                delete_tree(fresh).await?;
                self.clone_as(ObjectFormat::Sha256, fresh, remote, lock, cancel).await
            }
            other => other,
        }
    }

    async fn clone_as(
        &self,
        format: ObjectFormat,
        fresh: &Path,
        remote: &Remote,
        lock: &RepoLock,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        make_skeleton(fresh).map_err(|e| GitError::io("making the mirror", e))?;
        config_pin::write(fresh, format, remote)?;
        self.fetch_into(fresh, remote, lock, (false, cancel)).await
    }

    /// Saves the tasks' own branches and refs out of a damaged mirror; true when all could be read.
    async fn carry_over(&self, from: &Path, to: &Path, cancel: &CancellationToken) -> Result<bool, GitError> {
        self.pin(from, None).await?;
        let source = match url::Url::from_directory_path(from) {
            Ok(url) => Remote::new(url.as_str(), None)?,
            Err(()) => return Ok(false),
        };
        let refs = Call::bare(from).args(["for-each-ref", "--format=%(refname)", "refs/heads/", "refs/orch/"]);
        let refs = match self.try_git(from, refs, cancel).await {
            Ok(output) if output.code == 0 => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(_) => return Ok(false),
            Err(e) => return Err(e),
        };
        let mut all = true;
        for name in refs.lines() {
            let spec = format!("{name}:{name}");
            let call = Call::bare(to)
                .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", source.url(), &spec])
                .network(&source, self.settings().local_timeout);
            if self.try_git(to, call, cancel).await?.code != 0 {
                tracing::warn!(name, "could not be saved from the damaged mirror");
                all = false;
            }
        }
        Ok(all)
    }
}

/// The least that git takes for a repository; no template, so nothing of the machine's gets in.
fn make_skeleton(fresh: &Path) -> std::io::Result<()> {
    for folder in ["objects/info", "objects/pack", "refs/heads", "refs/tags"] {
        std::fs::create_dir_all(fresh.join(folder))?;
    }
    std::fs::write(fresh.join("HEAD"), HEAD)
}

async fn remove_unfinished(place: &Place) -> Result<(), GitError> {
    let entries = std::fs::read_dir(&place.home).map_err(|e| GitError::io("reading the repository's folder", e))?;
    let unfinished = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(UNFINISHED);
    let stale: Vec<PathBuf> =
        entries.filter_map(Result::ok).filter(|e| unfinished(&e.file_name())).map(|e| e.path()).collect();
    for path in stale {
        delete_tree(&path).await?;
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<(), GitError> {
    std::fs::rename(from, to).map_err(|e| GitError::io(format!("moving {}", from.display()), e))
}

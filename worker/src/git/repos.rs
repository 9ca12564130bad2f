//! The folder of all repositories: where each part of one lives, and the fenced calls that the verbs are
//! made of. It holds no state about tasks; what it remembers of a mirror (see `memory`) only saves calls.

use super::call::Call;
use super::check;
use super::command::{GitSettings, Output, run};
use super::error::GitError;
use super::lock::{Locks, RepoLock};
use super::memory::Memory;
use super::refs::{self, Found};
use super::shared;
use super::worktree::Site;
use orch_common::domain::stage::CommitId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// After this time, and then again, what a call may wait for is looked at.
const LONG_CALL: Duration = Duration::from_secs(3);

/// All repositories of one installation. Cheap to clone; every clone shares the locks and the memory.
#[derive(Debug, Clone)]
pub struct Repos {
    root: Arc<PathBuf>,
    settings: Arc<GitSettings>,
    locks: Arc<Locks>,
    memory: Arc<Memory>,
}

/// Where one repository lives.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// `<root>/<owner>/<name>`
    pub(super) home: PathBuf,
    /// `<home>/mirror.git`
    pub(super) mirror: PathBuf,
}

impl Place {
    /// The folder of a work item.
    pub(super) fn work(&self, key: &str) -> PathBuf {
        self.home.join("work").join(key)
    }

    /// What git keeps about that folder.
    pub(super) fn admin(&self, key: &str) -> PathBuf {
        self.mirror.join("worktrees").join(key)
    }
}

impl Repos {
    /// Opens (and makes, if missing) the folder. The path is made absolute once: git writes it into files.
    pub fn open(root: &Path, settings: GitSettings) -> Result<Repos, GitError> {
        let at = |e| GitError::io(format!("opening {}", root.display()), e);
        std::fs::create_dir_all(root).map_err(at)?;
        let root = root.canonicalize().map_err(at)?;
        let settings = Arc::new(settings.with_program_found());
        Ok(Repos { root: Arc::new(root), settings, locks: Arc::default(), memory: Arc::default() })
    }

    /// Absolute.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn settings(&self) -> &GitSettings {
        &self.settings
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// `repo` is `owner/name`.
    pub(super) fn place(&self, repo: &str) -> Result<Place, GitError> {
        let (owner, name) = check::repo(repo)?;
        let home = self.root.join(owner).join(name);
        Ok(Place { mirror: home.join("mirror.git"), home })
    }

    /// The folder of a repository's mirror, for people.
    pub fn shown_path(&self, repo: &str) -> String {
        self.place(repo).map_or_else(|_| repo.to_owned(), |place| place.mirror.display().to_string())
    }

    /// Waits for the repository's lock.
    pub(super) async fn lock(&self, place: &Place, cancel: &CancellationToken) -> Result<RepoLock, GitError> {
        let work = place.home.join("work");
        std::fs::create_dir_all(&work).map_err(|e| GitError::io(format!("making {}", work.display()), e))?;
        self.locks.take(&place.home.join("lock"), self.settings.network_timeout, cancel).await
    }

    /// Nothing that an agent wrote into git's own files has a say in the call that follows. Not on a thread of the
    /// runtime: what was put there may take long to remove.
    pub(super) async fn pin(&self, mirror: &Path, admin: Option<&Path>) -> Result<(), GitError> {
        let (mirror, admin) = (mirror.to_owned(), admin.map(Path::to_owned));
        off_the_runtime(move || {
            shared::put_back(&mirror)?;
            admin.map_or(Ok(()), |admin| shared::put_back_linked(&admin))
        })
        .await
    }

    /// The same for all that a task's git looks at: refs, logs, the worktree. Before an agent begins, for it runs git
    /// there, too, and after it has ended.
    pub(super) async fn pin_all(&self, w: &Site) -> Result<(), GitError> {
        self.pin(&w.mirror, Some(&w.admin)).await?;
        let site = w.clone();
        off_the_runtime(move || {
            shared::put_site_back(&site)?;
            shared::put_refs_back(&site.mirror)?;
            shared::clear_work(&site.path);
            Ok(())
        })
        .await
    }

    /// For a call that takes long: it may wait for a pipe that was planted after the look. Removing it lets the call go.
    async fn release(&self, mirror: &Path, admin: Option<&Path>) -> Result<(), GitError> {
        self.pin(mirror, admin).await?;
        let mirror = mirror.to_owned();
        off_the_runtime(move || shared::put_refs_back(&mirror)).await
    }

    /// A call whose exit code the caller reads.
    pub(super) async fn try_git(
        &self,
        mirror: &Path,
        call: Call<'_>,
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        let admin = call.linked_dir().map(Path::to_owned);
        self.pin(mirror, admin.as_deref()).await?;
        let mut running = std::pin::pin!(run(&self.settings, call, cancel));
        let output = loop {
            tokio::select! {
                output = &mut running => break output?,
                () = tokio::time::sleep(LONG_CALL) => self.release(mirror, admin.as_deref()).await?,
            }
        };
        // Many an exit code is an answer; then nothing is said.
        if output.code != 0 && !output.stderr.is_empty() {
            self.note_failure(mirror, &output.error());
        }
        Ok(output)
    }

    /// A call that must succeed.
    pub(super) async fn git(
        &self,
        mirror: &Path,
        call: Call<'_>,
        cancel: &CancellationToken,
    ) -> Result<Output, GitError> {
        let output = self.try_git(mirror, call, cancel).await?;
        if output.code == 0 { Ok(output) } else { Err(output.error()) }
    }

    /// What git calls damage, or cannot explain, ends what is believed of the mirror.
    fn note_failure(&self, mirror: &Path, error: &GitError) {
        if matches!(error, GitError::Corrupt { .. } | GitError::Other { .. }) {
            self.memory.doubt(mirror);
        }
        if matches!(error, GitError::Corrupt { .. }) {
            self.memory.note_damage(mirror);
        }
    }

    /// The commit that a full ref (`refs/...`) points to. Git is asked once for each commit, the files every time.
    pub(super) async fn resolve(
        &self,
        mirror: &Path,
        full_ref: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        match refs::read(mirror, full_ref) {
            Found::Id(id) if self.memory.knows(mirror, &id) => return Ok(Some(id)),
            Found::Nothing => return Ok(None),
            Found::Unclear => self.memory.doubt(mirror),
            Found::Id(_) => {}
        }
        let found = self.ask(mirror, full_ref, cancel).await?;
        if let Some(commit) = &found {
            self.memory.learn(mirror, commit);
        }
        Ok(found)
    }

    async fn ask(
        &self,
        mirror: &Path,
        full_ref: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<CommitId>, GitError> {
        let name = format!("{full_ref}^{{commit}}");
        let call = Call::bare(mirror).args(["rev-parse", "--verify", "--quiet", "--end-of-options", &name]);
        let output = self.try_git(mirror, call, cancel).await?;
        if output.code == 1 {
            return Ok(None);
        }
        if output.code != 0 {
            return Err(output.error());
        }
        commit_id(&output.line()).map(Some)
    }

    /// Whether `older` is `newer` or one of its ancestors.
    pub(super) async fn is_ancestor(
        &self,
        mirror: &Path,
        older: &CommitId,
        newer: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<bool, GitError> {
        if older == newer {
            return Ok(true);
        }
        let call = Call::bare(mirror).args(["merge-base", "--is-ancestor", older.as_str(), newer.as_str()]);
        let output = self.try_git(mirror, call, cancel).await?;
        match output.code {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(output.error()),
        }
    }

    /// Points a ref of ours somewhere, whatever it pointed to before.
    pub(super) async fn set_ref(
        &self,
        mirror: &Path,
        full_ref: &str,
        to: &CommitId,
        cancel: &CancellationToken,
    ) -> Result<(), GitError> {
        if refs::read(mirror, full_ref) == Found::Id(to.clone()) {
            return Ok(());
        }
        let call = Call::bare(mirror).args(["update-ref", "--no-deref", full_ref, to.as_str()]);
        self.git(mirror, call, cancel).await.map(drop)
    }
}

/// Runs what reads or changes files where it holds nobody up.
pub(super) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.unwrap_or_else(|e| Err(GitError::io("looking at a repository's files", std::io::Error::other(e))))
}

/// A commit id out of git's answer.
pub(super) fn commit_id(text: &str) -> Result<CommitId, GitError> {
    text.trim().parse().map_err(|_| GitError::Other { tail: format!("git answered no commit id: {text:.80}") })
}

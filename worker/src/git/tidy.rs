//! Keeping a mirror small. Git's own housekeeping is switched off everywhere else, so that it never starts
//! in the middle of an agent's work.

use super::call::Call;
use super::error::GitError;
use super::repos::Repos;
use tokio_util::sync::CancellationToken;

impl Repos {
    /// Packs the mirror's objects and drops what has been unreachable for two weeks. Safe while agents work:
    /// what they have just written is younger. Meant to be called now and then, e.g. daily.
    pub async fn tidy(&self, repo: &str, cancel: &CancellationToken) -> Result<(), GitError> {
        let place = self.place(repo)?;
        let lock = self.lock(&place, cancel).await?;
        if !place.mirror.is_dir() {
            return Ok(());
        }
        let call = Call::bare(&place.mirror)
            .args(["gc", "--quiet", "--no-detach", "--prune=2.weeks.ago"])
            .within(self.settings().network_timeout)
            .holding(lock.handle()?);
        self.git(&place.mirror, call, cancel).await.map(drop)
    }
}

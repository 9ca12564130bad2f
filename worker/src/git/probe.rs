//! Looking at git and at a repository from afar, for a diagnosis: nothing is made, nothing is fetched.

use super::call::Call;
use super::command::{GitSettings, run_ok};
use super::error::GitError;
use super::remote::Remote;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A diagnosis does not wait as long as work does.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `git --version` says, e.g. `git version 2.47.1`.
pub async fn version(settings: &GitSettings) -> Result<String, GitError> {
    let call = Call::bare(Path::new("/")).args(["--version"]).within(PATIENCE);
    Ok(run_ok(settings, call, &CancellationToken::new()).await?.line())
}

/// Whether the remote can be read with its credentials, and has the branch.
pub async fn has_branch(settings: &GitSettings, remote: &Remote, branch: &str) -> Result<bool, GitError> {
    let full = format!("refs/heads/{branch}");
    let call = Call::bare(Path::new("/")).args(["ls-remote", "--", remote.url(), &full]).network(remote, PATIENCE);
    Ok(run_ok(settings, call, &CancellationToken::new()).await?.line().ends_with(&full))
}

/// Bytes of the list of branches that are read.
const ENOUGH: usize = 256;

/// Whether the remote, read with its credentials, shows any branch: an empty repository has none, and neither has a page in place of
/// an answer.
pub async fn shows_a_branch(
    settings: &GitSettings,
    remote: &Remote,
    cancel: &CancellationToken,
) -> Result<bool, GitError> {
    let call = Call::bare(Path::new("/")).args(["ls-remote", "--heads", "--", remote.url()]);
    let call = call.network(remote, PATIENCE).cut_at(ENOUGH);
    Ok(!run_ok(settings, call, cancel).await?.line().is_empty())
}

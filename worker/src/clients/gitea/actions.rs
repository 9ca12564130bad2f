//! The forge's own CI. Lists of runs are the owner's alone; a single job and its log are everybody's who may write, by the id that
//! only a delivery tells (the numbers in links are others, and would answer another run). Gitea 1.24 and later.

use super::GiteaClient;
use crate::clients::error::ApiError;
use crate::clients::http::Call;

/// The end of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    pub text: String,
    /// Its first line may have lost its beginning.
    pub cut: bool,
}

impl GiteaClient {
    /// The last `bytes` bytes of a job's log; `None` = it has none (yet).
    pub async fn job_log_end(&self, repo: &str, job: i64, bytes: usize) -> Result<Option<LogEnd>, ApiError> {
        let call = Call::get(self.path(repo, &["actions", "jobs", &job.to_string(), "logs"])).end(bytes);
        let answer = match self.http.send(&call).await {
            Ok(answer) => answer,
            Err(ApiError::NotFound) => return Ok(None),
            Err(other) => return Err(other),
        };
        // Who does not know ranges sends the whole.
        let from = answer.body.len().saturating_sub(bytes);
        let cut = from > 0 || (answer.status == 206 && answer.body.len() >= bytes);
        let end = answer.body.get(from..).unwrap_or_default();
        Ok(Some(LogEnd { text: self.http.scrub(&String::from_utf8_lossy(end)), cut }))
    }
}

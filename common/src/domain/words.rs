//! (being written)
/// placeholder
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Approve,
    Reject { reason: String },
    Retry,
    Pause,
    Resume,
    Cancel,
}

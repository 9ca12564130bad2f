//! (being written)
/// placeholder until the leaf modules land
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    AnalystStarted { key: String, files: Vec<String>, minutes: u64 },
    ApprovalWanted { key: String },
    Questions { text: String },
    NoArtifacts { log: String },
    ReviewChanges { attempt: u32, cap: u32, reason: String },
    TestsFailed { reason: String },
    TestsRed { attempt: u32, cap: u32, tail: String },
    Conflict { excerpt: String },
    RoleCapReached { role: super::stage::Role, cap: u32, reason: String },
    StageAdvanced { key: String, from: super::stage::Stage, to: super::stage::Stage, role: Option<super::stage::Role> },
    Approved { to: super::stage::Stage },
    RejectedBack { to: super::stage::Stage, reason: String },
    AnswerTaken,
    Retrying { role: super::stage::Role, stage: super::stage::Stage },
    Paused,
    Resumed,
    Cancelled,
    Refused { command: String, why: String },
    GateFailed { gate: super::gate::Gate, reason: String },
    Waiting { gate: super::gate::Gate, on: String },
    Blocked { reason: String },
    TaskDone { key: String, title: String, branch: String },
}

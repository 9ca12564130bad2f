//! What agent and advance jobs carry.

use orch_common::domain::decide::Trigger;
use orch_common::domain::stage::{Role, Stage};
use orch_common::domain::task::Brief;
use serde::{Deserialize, Serialize};

/// An `agent` job: one role is to work at one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentPayload {
    pub role: Role,
    /// Where the task stood when the job was made; a task that moved on does not want it any more.
    pub stage: Stage,
    pub brief: Brief,
}

/// An `advance` job: publish, look at the gate, decide, move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvancePayload {
    pub trigger: Trigger,
    /// Where the task stood when the job was made: a person's approval is of that stage. `None` = not known.
    #[serde(default)]
    pub stage: Option<Stage>,
}

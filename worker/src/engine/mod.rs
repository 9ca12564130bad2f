//! The stage engine's hands: it gathers what [`orch_common::domain::decide`] needs, and applies what that
//! answers in one transaction. The policy itself is not here.

pub mod advance;
pub mod apply;
pub mod budget;
mod evidence;
pub mod facts;
mod gained;
pub mod hold;
mod kept_back;
mod look;
mod merge;
pub mod merge_lease;
mod merge_wait;
mod objection;
mod payload;
mod publish;
pub(crate) mod pull_state;
mod record;
mod seen;
mod show;
pub mod submit;
mod unlooked;

pub use payload::{AdvancePayload, AgentPayload};

pub(crate) use evidence::{covers, note_joined};
pub(crate) use facts::{trigger_of, was_asked};
pub(crate) use merge::landed;
pub(crate) use objection::was_heard;
pub use publish::{branch_gone, gone_with, held_by, needs_a_person, person_needed};
pub use seen::Seen;

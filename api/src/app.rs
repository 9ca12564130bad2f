//! What every request handler sees of the process.

use crate::intake::Intake;
use crate::limits::{Flood, Memory};
use crate::reads::Reads;
use crate::settings::Settings;

/// The state shared by all HTTP threads.
pub struct App {
    pub settings: Settings,
    pub intake: Intake,
    pub reads: Reads,
    pub flood: Flood,
    pub memory: Memory,
    /// The listener is bound to a loopback address.
    pub on_loopback: bool,
}

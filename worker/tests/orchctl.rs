//! The real `orchctl` on a real database file, filled through the store.

#[cfg(test)]
#[path = "orchctl/support.rs"]
mod support;

#[cfg(test)]
#[path = "orchctl/agents.rs"]
mod agents;
#[cfg(test)]
#[path = "orchctl/database.rs"]
mod database;
#[cfg(test)]
#[path = "orchctl/drain.rs"]
mod drain;
#[cfg(test)]
#[path = "orchctl/events.rs"]
mod events;
#[cfg(test)]
#[path = "orchctl/generate.rs"]
mod generate;
#[cfg(test)]
#[path = "orchctl/jobs.rs"]
mod jobs;
#[cfg(test)]
#[path = "orchctl/logs.rs"]
mod logs;
#[cfg(test)]
#[path = "orchctl/settings.rs"]
mod settings;
#[cfg(test)]
#[path = "orchctl/tasks.rs"]
mod tasks;
#[cfg(test)]
#[path = "orchctl/up.rs"]
mod up;

//! The real `orchctl` on a real database file, filled through the store.

#[cfg(test)]
mod support;

#[cfg(test)]
mod agents;
#[cfg(test)]
mod database;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod events;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod tasks;
#[cfg(test)]
mod up;

//! What a task and a round cost at the forge: the calls of its API and the requests of git, counted by the forge.

mod rounds;
mod walk;

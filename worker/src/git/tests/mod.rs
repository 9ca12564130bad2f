//! The whole module against real repositories: a bare one stands for the forge, a clone for a person.

mod account;
mod base;
mod checkout;
mod clash;
mod dirt;
mod drift;
mod folder;
mod fresh;
mod hostile;
mod leftovers;
mod lfs;
mod lfs_server;
mod mirror;
mod publish;
mod reading;
mod shared;
mod submodules;
mod tree;
mod workshop;
mod worktree;
pub mod world;

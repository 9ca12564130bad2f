//! The shapes of `[[projects]]`: which Plane project belongs to which repository, and how work is done there.
//! [`super::registry`] checks what types cannot say.

use super::address::{GitRemote, SubmoduleHost};
use super::secret::Secret;
use crate::domain::decide::MergePolicy;
use crate::domain::gate::{ArtifactNames, Gate};
use crate::domain::pipeline::Step;
use crate::domain::stage::Role;
use crate::domain::task::Situation;
use crate::named_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One entry of the registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The Plane project's id, UUID text; lower case once it is in the registry.
    pub plane_project: String,
    /// `owner/name` at the forge; the file may leave the owner to `gitea.owner`.
    pub repo: String,
    /// What the ids of work items begin with: `ET` makes `ET-001`. Letters, digits, `-` and `_`.
    pub id_prefix: String,
    /// What branches start from and pull requests go to.
    #[serde(default = "main_branch")]
    pub default_branch: String,
    /// What `tests_local` runs in a checkout of the judged commit. Without it, that gate cannot be judged.
    #[serde(default)]
    pub test_command: Option<CommandLine>,
    /// Seconds for one run of the test command.
    #[serde(default = "quarter_of_an_hour")]
    pub test_timeout_s: u64,
    /// Folders of that checkout, relative to its top, that stay from one run of a task's tests to the next.
    #[serde(default)]
    pub test_caches: Vec<String>,
    /// Plane user ids whose commands count; empty = everybody's.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// Whose answers to an agent's questions count.
    #[serde(default)]
    pub answers: AnswersFrom,
    /// Whose reviews at the forge count: logins, and `team:NAME` for a team of the repository's owner; empty = those that the
    /// forge calls official. They are asked there for a review.
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// The checks of CI that count: names of contexts (`ci / test (push)`) or patterns with `*`, each of which must be there and
    /// green; empty = those that the default branch's rule names, else all that a commit has.
    #[serde(default)]
    pub required_checks: Vec<String>,
    /// What becomes of a commit of which CI says nothing for `worker.ci_silence_s`: `wait` for a person's word, or `pass`.
    #[serde(default)]
    pub without_checks: WithoutChecks,
    /// Which new work items become tasks.
    #[serde(default)]
    pub start: StartRule,
    /// The whole pipeline, in order, in place of the default one.
    #[serde(default)]
    pub pipeline: Option<Vec<Step>>,
    /// The default pipeline with another gate to leave development: `tests_local` or `ci_green`.
    #[serde(default)]
    pub development_gate: Option<Gate>,
    /// The default pipeline with another gate to leave review: `reviewer_verdict` or `review_approved`.
    #[serde(default)]
    pub review_gate: Option<Gate>,
    /// The default pipeline with a gate to leave deploy: `pr_merged`.
    #[serde(default)]
    pub deploy_gate: Option<Gate>,
    /// Whether the orchestrator merges the pull request.
    #[serde(default)]
    pub merge: MergePolicy,
    /// The pull request of a task that is cancelled or deleted in Plane is closed.
    #[serde(default = "yes")]
    pub close_cancelled_pulls: bool,
    /// The model per role, in place of `agent.model`.
    #[serde(default)]
    pub models: BTreeMap<Role, String>,
    /// Limits of this project's runs.
    #[serde(default)]
    pub limits: Limits,
    /// What this project may spend.
    #[serde(default)]
    pub budget: ProjectBudget,
    /// Extra environment of this project's agents and tests. Values are treated as secrets.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// The names of the artifacts.
    #[serde(default)]
    pub artifacts: ArtifactNames,
    /// The names of Plane's states, where they are not the default ones.
    #[serde(default)]
    pub states: BTreeMap<Situation, String>,
    /// Moves of a work item that count as a command.
    #[serde(default)]
    pub commands_by_state: BTreeMap<StateCommand, StateNames>,
    /// Where git clones from, in place of the forge's address.
    #[serde(default)]
    pub remote: Option<GitRemote>,
    /// Paths (prefixes, relative to the repository) that agents' commits may not touch.
    #[serde(default)]
    pub protected_paths: Vec<String>,
    /// Where submodules may come from besides the project's own forge: `https://host`, `http://host:port`, `ssh://host`.
    #[serde(default)]
    pub submodule_hosts: Vec<SubmoduleHost>,
}

const fn yes() -> bool {
    true
}

fn main_branch() -> String {
    "main".to_owned()
}

fn quarter_of_an_hour() -> u64 {
    900
}

impl Project {
    /// The owner at the forge.
    pub fn owner(&self) -> &str {
        self.repo.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The repository's name, without its owner.
    pub fn repo_name(&self) -> &str {
        self.repo.split_once('/').map_or(&self.repo, |(_, name)| name)
    }

    /// The name of Plane's state in a situation.
    pub fn state_name(&self, situation: Situation) -> &str {
        self.states.get(&situation).map_or(situation.default_name(), String::as_str)
    }

    /// The command that a move to this state stands for. Names are compared without case.
    pub fn command_of_state(&self, name: &str) -> Option<StateCommand> {
        let wanted = name.to_lowercase();
        StateCommand::ALL.iter().copied().find(|command| match self.commands_by_state.get(command) {
            Some(names) => names.as_slice().iter().any(|n| n.to_lowercase() == wanted),
            None => command.default_name().is_some_and(|n| n.to_lowercase() == wanted),
        })
    }
}

/// A command line: text is given to `sh -c`, a list is run as it is. It is the operator's own; nothing from
/// outside is ever put into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "allowed: a command line as text, or a list of a program and its arguments")]
pub enum CommandLine {
    Shell(String),
    Program(Vec<String>),
}

impl CommandLine {
    /// The program and its arguments.
    pub fn argv(&self) -> Vec<String> {
        match self {
            CommandLine::Shell(text) => vec!["sh".to_owned(), "-c".to_owned(), text.clone()],
            CommandLine::Program(argv) => argv.clone(),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandLine::Shell(text) => f.write_str(text),
            CommandLine::Program(argv) => f.write_str(&argv.join(" ")),
        }
    }
}

/// Which work items become tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartRule {
    /// Every new one.
    #[default]
    Created,
    /// Those with this label, once they get it.
    Label(String),
    /// Those in this state, once they are moved there.
    State(String),
}

named_enum! {
    /// Whose answers to an agent's questions count.
    #[derive(Default)]
    pub enum AnswersFrom ("rule for answers") {
        /// The approvers'; where none are listed, everybody's.
        #[default]
        Approvers = "approvers",
        Everybody = "everybody",
    }
}

named_enum! {
    /// What becomes of a commit of which CI says nothing.
    #[derive(Default)]
    pub enum WithoutChecks ("rule for commits without checks") {
        /// A person is asked.
        #[default]
        Wait = "wait",
        /// It counts as green.
        Pass = "pass",
    }
}

/// Limits of one project's runs; what is not set comes from `[agent]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub agent_timeout_s: Option<u64>,
    /// Per role; stronger than everything else.
    pub timeout_overrides: BTreeMap<Role, u64>,
    pub stall_s: Option<u64>,
    pub role_run_cap: Option<u32>,
}

/// What one project may spend; what is not set comes from `[budget]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectBudget {
    pub run_usd: Option<f64>,
    pub run_turns: Option<u32>,
    pub task_usd: Option<f64>,
    pub task_runs: Option<u32>,
    /// US dollars in a day (UTC).
    pub usd_per_day: Option<f64>,
    pub run_tokens: Option<u64>,
    pub task_tokens: Option<u64>,
    /// Tokens in a day (UTC).
    pub tokens_per_day: Option<u64>,
}

named_enum! {
    /// What a person can say by moving a work item.
    pub enum StateCommand ("command by state") {
        Approve = "approve",
        Cancel = "cancel",
        Retry = "retry",
    }
}

impl StateCommand {
    /// The state that means it unless the project says otherwise.
    pub const fn default_name(self) -> Option<&'static str> {
        match self {
            StateCommand::Approve => Some("Approved"),
            StateCommand::Cancel => Some("Cancelled"),
            StateCommand::Retry => None,
        }
    }
}

/// One state or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "allowed: a state's name, or a list of them (empty: none)")]
pub enum StateNames {
    One(String),
    Many(Vec<String>),
}

impl StateNames {
    /// The names.
    pub fn as_slice(&self) -> &[String] {
        match self {
            StateNames::One(name) => std::slice::from_ref(name),
            StateNames::Many(names) => names,
        }
    }
}

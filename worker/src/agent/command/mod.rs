//! How the `claude` program is called: arguments and the complete environment of one run. Pure; the prompt is not
//! here, it goes in on standard input; the environment is [`super::environment`]'s.

use super::environment;
use orch_common::domain::stage::Role;
use orch_common::named_enum;
use std::path::{Path, PathBuf};
use uuid::Uuid;

named_enum! {
    /// What the program does with a tool that no list names. The names are the program's own.
    pub enum PermissionMode ("permission mode") {
        /// Asks, which without a person means: denies.
        Default = "default",
        /// Edits files below the working folder.
        AcceptEdits = "acceptEdits",
        /// Denies all that is not allowed. What an unattended run should have.
        DontAsk = "dontAsk",
        /// Denies nothing; refused to root by the program.
        BypassPermissions = "bypassPermissions",
        /// Writes nothing.
        Plan = "plan",
        /// Lets the program judge.
        Auto = "auto",
    }
}

/// Which conversation a run belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// A new one under this id; the program refuses an id that was used before.
    Fresh(Uuid),
    /// Goes on with an earlier one.
    Resume(Uuid),
}

/// Who the commits of a run are by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitIdentity {
    /// Shown name.
    pub name: String,
    /// Address.
    pub email: String,
}

impl GitIdentity {
    /// An identity that says which role it was, at an address that no mail reaches.
    pub fn of_role(role: Role) -> GitIdentity {
        GitIdentity { name: format!("orch {role}"), email: format!("{role}@orch.invalid") }
    }
}

/// All that a call depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchPlan {
    /// Who works.
    pub role: Role,
    /// Alias or full name; none: the program's default.
    pub model: Option<String>,
    /// Used when the first is overloaded or unknown.
    pub fallback_model: Option<String>,
    /// The conversation.
    pub session: Session,
    /// For tools that no list names.
    pub permission_mode: PermissionMode,
    /// `Bash`, `Bash(git *)`, `Edit` ...
    pub allowed_tools: Vec<String>,
    /// The same; wins.
    pub disallowed_tools: Vec<String>,
    /// None: no limit.
    pub max_turns: Option<u32>,
    /// None: no limit. Checked by the program after each answer.
    pub max_budget_usd: Option<f64>,
    /// The role's instructions.
    pub append_system_prompt_file: Option<PathBuf>,
    /// Appended as they are: the operator's own.
    pub extra_args: Vec<String>,
    /// The project's own; wins over everything but the orchestrator's prefix.
    pub extra_env: Vec<(String, String)>,
    /// Where the program keeps its sessions; none: the inherited HOME.
    pub home: Option<PathBuf>,
    /// The author of commits.
    pub git: GitIdentity,
    /// The worker's environment, of which the allowed part is inherited.
    pub base_env: Vec<(String, String)>,
}

impl LaunchPlan {
    /// A plan with the safe defaults: a new session, nothing denied is asked for, pushing and the web denied.
    pub fn new(role: Role, session: Session) -> LaunchPlan {
        LaunchPlan {
            role,
            model: None,
            fallback_model: None,
            session,
            permission_mode: PermissionMode::DontAsk,
            allowed_tools: ["Bash", "Read", "Write", "Edit", "Grep", "Glob"].map(String::from).to_vec(),
            disallowed_tools: ["Bash(git push *)", "WebFetch", "WebSearch"].map(String::from).to_vec(),
            max_turns: None,
            max_budget_usd: None,
            append_system_prompt_file: None,
            extra_args: Vec::new(),
            extra_env: Vec::new(),
            home: None,
            git: GitIdentity::of_role(role),
            base_env: Vec::new(),
        }
    }
}

/// What is to be executed, the program's own path aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// In order.
    pub args: Vec<String>,
    /// Complete, sorted by name.
    pub env: Vec<(String, String)>,
}

/// A plan that would not mean what it says. A fault of the configuration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    /// It would be read as an option.
    #[error("{what} '{value}' is empty or begins with a dash")]
    LooksLikeOption {
        /// Which value.
        what: &'static str,
        /// The value.
        value: String,
    },
    /// The system ends a text there.
    #[error("{0} holds a NUL byte")]
    Nul(&'static str),
    /// Not letters, digits and underscores.
    #[error("'{0}' is not a name for an environment variable")]
    VariableName(String),
    /// Not text.
    #[error("path '{}' is not UTF-8", .0.display())]
    Path(PathBuf),
}

/// Arguments and environment of a run.
pub fn build(plan: &LaunchPlan) -> Result<CommandLine, PlanError> {
    Ok(CommandLine { args: args(plan)?, env: environment::of(plan)? })
}

/// The lists take as many values as follow; each is closed by an option after it.
fn args(plan: &LaunchPlan) -> Result<Vec<String>, PlanError> {
    // Without the partial messages a run that is killed has told no tokens of what it said: an answer's own record has
    // only the first guess.
    let base = ["-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"];
    let mut args: Vec<String> = base.map(String::from).into();
    let (session, id) = match plan.session {
        Session::Fresh(id) => ("--session-id", id),
        Session::Resume(id) => ("--resume", id),
    };
    args.extend([session.into(), id.to_string()]);
    args.extend(["--permission-mode".into(), plan.permission_mode.to_string()]);
    extend_list(&mut args, "--allowedTools", &plan.allowed_tools)?;
    extend_list(&mut args, "--disallowedTools", &plan.disallowed_tools)?;
    // Else hooks and instructions found in the repository would run without a question.
    args.extend(["--setting-sources", "user", "--strict-mcp-config"].map(String::from));
    if let Some(file) = &plan.append_system_prompt_file {
        args.extend(["--append-system-prompt-file".into(), text_of(file)?]);
    }
    for (option, value) in [("--model", &plan.model), ("--fallback-model", &plan.fallback_model)] {
        if let Some(value) = value {
            args.extend([option.into(), checked("model", value)?]);
        }
    }
    if let Some(turns) = plan.max_turns {
        args.extend(["--max-turns".into(), turns.to_string()]);
    }
    if let Some(usd) = plan.max_budget_usd {
        args.extend(["--max-budget-usd".into(), usd.to_string()]);
    }
    args.extend(plan.extra_args.iter().map(|a| no_nul("extra argument", a)).collect::<Result<Vec<_>, _>>()?);
    Ok(args)
}

fn extend_list(args: &mut Vec<String>, option: &str, values: &[String]) -> Result<(), PlanError> {
    if values.is_empty() {
        return Ok(());
    }
    args.push(option.into());
    for value in values {
        args.push(checked("tool", value)?);
    }
    Ok(())
}

fn checked(what: &'static str, value: &str) -> Result<String, PlanError> {
    if value.is_empty() || value.starts_with('-') {
        return Err(PlanError::LooksLikeOption { what, value: value.chars().take(80).collect() });
    }
    no_nul(what, value)
}

pub(super) fn no_nul(what: &'static str, value: &str) -> Result<String, PlanError> {
    if value.contains('\0') { Err(PlanError::Nul(what)) } else { Ok(value.to_owned()) }
}

pub(super) fn text_of(path: &Path) -> Result<String, PlanError> {
    path.to_str().map(String::from).ok_or_else(|| PlanError::Path(path.into()))
}

#[cfg(test)]
mod tests;

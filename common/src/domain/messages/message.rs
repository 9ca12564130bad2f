//! The messages and their parameters.

use super::Locale;
use super::shown::{Moment, Shown};
use crate::domain::budget::{BudgetStop, Limit};
use crate::domain::failure::Denial;
use crate::domain::fault::Fault;
use crate::domain::gate::{FailReason, Gate, Waiting};
use crate::domain::job::JobKind;
use crate::domain::leftover::Leftover;
use crate::domain::merge::Hold;
use crate::domain::names::{BranchName, WorkItemKey};
use crate::domain::refusal::Refusal;
use crate::domain::stage::{Role, Stage, TaskState};
use crate::domain::submodule::SubmoduleWhy;
use crate::domain::words::Command;
use minijinja::Value;
use std::collections::BTreeMap;

/// Declares the messages: their stable names and the variables that their templates may use.
macro_rules! messages {
    ($($(#[$meta:meta])* $variant:ident = $name:literal $({ $($field:ident: $ty:ty),+ $(,)? })?),+ $(,)?) => {
        /// One thing to tell a person.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Message { $($(#[$meta])* $variant $({ $($field: $ty),+ })?),+ }

        impl Message {
            /// The stable name of every message; overrides are given by these.
            pub const ALL_NAMES: &'static [&'static str] = &[$($name),+];

            /// The stable name.
            pub const fn name(&self) -> &'static str {
                match self { $(Message::$variant { .. } => $name),+ }
            }

            /// The variables that a template of this name may use.
            pub fn variables_of(name: &str) -> Option<&'static [&'static str]> {
                match name { $($name => Some(&[$($(stringify!($field)),+)?]),)+ _ => None }
            }

            /// The parameters as template values.
            pub(super) fn values(&self, locale: Locale) -> BTreeMap<&'static str, Value> {
                match self {
                    $(Message::$variant $({ $($field),+ })? => {
                        BTreeMap::from([$($((stringify!($field), Shown::shown($field, locale))),+)?])
                    })+
                }
            }

            /// Values of the right types, to try a template with.
            pub(super) fn sample_values(name: &str) -> BTreeMap<&'static str, Value> {
                match name {
                    $($name => BTreeMap::from([$($((stringify!($field), <$ty as Shown>::sample())),+)?]),)+
                    _ => BTreeMap::new(),
                }
            }
        }
    };
}

messages! {
    /// A work item was taken up; `minutes` is how long the analyst may take.
    AnalystStarted = "analyst_started" { key: WorkItemKey, files: Vec<String>, minutes: u64 },
    /// The analysis is complete and a person must approve it.
    ApprovalWanted = "approval_wanted" { key: WorkItemKey },
    /// The analyst's questions.
    Questions = "questions" { text: String },
    /// The analyst left neither documents nor questions; `log` is the name of the run's log.
    NoArtifacts = "no_artifacts" { log: String },
    /// The reviewer wants changes; the developer's `attempt` of `cap` begins.
    ReviewChanges = "review_changes" { attempt: u32, cap: u32, reason: String },
    /// The reviewer's verdict (the word of the report), for the pull request.
    ReviewVerdict = "review_verdict" { verdict: String, reason: String },
    /// The tester's report is no pass; the developer goes on.
    TestsFailed = "tests_failed" { reason: String },
    /// The project's tests are red; the developer's `attempt` of `cap` begins.
    TestsRed = "tests_red" { attempt: u32, cap: u32, tail: String },
    /// A role changed nothing that its stage asks for; its `attempt` of `cap` begins. `found` is what the gate said.
    NothingChanged = "nothing_changed" { role: Role, attempt: u32, cap: u32, found: String },
    /// Others changed what was judged, so the task goes back to `to`, where `role` begins its `attempt` of `cap`. `by` names
    /// their commits, `gate` what had been passed.
    JudgedAnew = "judged_anew" { gate: Gate, by: Vec<String>, to: Stage, role: Role, attempt: u32, cap: u32 },
    /// People's commits and the role's conflict; its `attempt` of `cap` begins. `ours` and `theirs` are the heads.
    BranchConflict = "branch_conflict" {
        role: Role, ours: String, theirs: String, files: Vec<String>, attempt: u32, cap: u32,
    },
    /// The branch was rewritten under the role's commits; its `attempt` of `cap` begins.
    BranchRewritten = "branch_rewritten" { role: Role, ours: String, theirs: String, attempt: u32, cap: u32 },
    /// The forge takes nothing of ours; the task waits for the mend. `words` are the forge's.
    PushRefused = "push_refused" { branch: BranchName, why: Refusal, words: String },
    /// Somebody deleted or renamed the branch; the task waits for it.
    BranchGone = "branch_gone" { branch: BranchName, renamed: Option<String> },
    /// The task's pull request was closed without a merge.
    PullClosed = "pull_closed" { number: u64 },
    /// It was merged before the task had come to that.
    PullMergedEarly = "pull_merged_early" { number: u64, by: String, stage: Stage },
    /// It goes to another branch than the task's base.
    PullRetargeted = "pull_retargeted" { number: u64, base: String, wanted: String },
    /// Nothing of ours gets to `what` at the forge until a person has mended it.
    ForgeShut = "forge_shut" { what: String, why: Refusal, words: String },
    /// Somebody who is to review cannot be asked to; `words` are the forge's.
    ReviewerUnasked = "reviewer_unasked" { who: String, number: u64, words: String },
    /// A repository was renamed at the forge and is followed.
    RepositoryRenamed = "repository_renamed" { repo: String, name: String },
    /// For the pull request of a task that was given up in Plane.
    PullGivenUp = "pull_given_up" { key: WorkItemKey },
    /// The architect reports a conflict; the analyst goes on.
    Conflict = "conflict" { excerpt: String },
    /// A role ran as often as it may; the task is blocked.
    RoleCapReached = "role_cap_reached" { role: Role, cap: u32, reason: String },
    /// The task moved on; `role` is who has started, if anyone.
    StageAdvanced = "stage_advanced" { key: WorkItemKey, from: Stage, to: Stage, role: Option<Role> },
    /// A person's approval was taken; `role` is who has started, if anyone.
    Approved = "approved" { to: Stage, role: Option<Role> },
    /// A person's rejection was taken.
    RejectedBack = "rejected_back" { to: Stage, reason: String },
    /// A person's answer to the questions was taken.
    AnswerTaken = "answer_taken",
    /// A person's retry was taken.
    Retrying = "retrying" { role: Role, stage: Stage },
    /// A person opened a cancelled task again.
    Reopened = "reopened" { role: Role, stage: Stage },
    Paused = "paused",
    /// The same while an agent runs, which is let come to its end.
    PausedAtWork = "paused_at_work",
    Resumed = "resumed",
    Cancelled = "cancelled",
    /// A command that makes no sense now, or not from this person.
    Refused = "refused" { command: Command, why: String },
    /// The answer to a command that came after the task's end.
    Ended = "ended" { command: Command, state: TaskState },
    /// The answer to an answer of somebody whose answers do not count.
    AnswerRefused = "answer_refused",
    /// The answer to a command in a comment whose words somebody else has changed.
    WordsChanged = "words_changed" { command: Command },
    /// The answer to a move to a state in which work is completed (`to`), of a task that is not.
    NotDone = "not_done" { to: String, stage: Stage, state: TaskState },
    /// A gate failed and no rule says what follows.
    GateFailed = "gate_failed" { gate: Gate, reason: FailReason },
    /// A gate waits for someone.
    Waiting = "waiting" { gate: Gate },
    /// Checks of CI failed; the developer's `attempt` of `cap` begins.
    ChecksFailed = "checks_failed" { attempt: u32, cap: u32, list: Vec<String> },
    /// CI says nothing of a commit, or no more; `names` are the checks that are waited for.
    ChecksWait = "checks_wait" { wait: Waiting, names: Vec<String> },
    /// A gate waits for a pull request that is not open; `pull` says why.
    PullNotOpen = "pull_not_open" { gate: Gate, pull: Waiting },
    /// The answer to a command that was written on the pull request.
    CommandsElsewhere = "commands_elsewhere" { command: Command, key: WorkItemKey, url: Option<String> },
    Blocked = "blocked" { reason: String },
    /// Why a task is blocked by something that only a person can mend; `words` are of whoever refused.
    NeedsAPerson = "needs_a_person" { fault: Fault, words: String },
    /// An agent job used up its attempts; the task is blocked.
    AgentFailed = "agent_failed" { role: Role, error: String },
    /// Why a task is blocked whose branch changes files that agents may not touch.
    ProtectedPaths = "protected_paths" { files: Vec<String> },
    /// The model refused the task; the same words would be refused again.
    AgentRefused = "agent_refused" { role: Role, why: String },
    /// Why a task is blocked whose LFS objects wait for a program.
    LfsNoProgram = "lfs_no_program" { objects: u64 },
    /// Why a task is blocked that has LFS pointers without content; `oids` are their names.
    LfsNoContent = "lfs_no_content" { oids: Vec<String> },
    /// Why a task is blocked before its agent starts: a submodule of the project cannot be had.
    SubmoduleMissing = "submodule_missing" { path: String, url: String, why: SubmoduleWhy },
    /// Why a task is blocked whose branch points to a commit that a submodule's remote has not.
    SubmoduleUnpublished = "submodule_unpublished" { path: String, url: String, commit: String },
    /// A job used up its attempts.
    JobFailed = "job_failed" { kind: JobKind, id: i64, error: String },
    /// A budget is used up; the amounts are text with their unit ([`BudgetStop`] converts).
    BudgetStop = "budget_stop" { which: Limit, limit: String, spent: String, setting: String },
    /// A person's word that would start an agent while a budget is used up; without a `command` it was an answer.
    BudgetUsedUp = "budget_used_up" {
        command: Option<Command>, which: Limit, limit: String, spent: String, setting: String,
    },
    /// Too many runs without progress; the task is blocked.
    LoopStop = "loop_stop" { runs: u32, minutes: u32 },
    BreakerOpened = "breaker_opened" { pause_s: u64, why: String },
    BreakerClosed = "breaker_closed",
    /// The account's allowance is used up.
    UsageLimit = "usage_limit" { until: Moment },
    /// No agent can run here.
    InstallationFault = "installation_fault" { why: String },
    /// Deliveries of `source` stopped coming while things happened there.
    WebhooksSilent = "webhooks_silent" { source: String, since: Moment },
    /// Something outside gives no answers; `what` names it, `jobs` wait for it.
    OutsideAway = "outside_away" { what: String, since: Moment, why: String, jobs: u64 },
    /// An agent has started without the words of the work item's thread, which could not be read for `minutes`.
    StoryUnread = "story_unread" { key: WorkItemKey, role: Role, minutes: u64, why: String },
    /// What a task has waited for for long; `why` is what went wrong last.
    StillWaits = "still_waits" { key: WorkItemKey, since: Moment, why: String },
    /// It answers again.
    OutsideBack = "outside_back" { what: String, since: Moment },
    TaskDone = "task_done" { key: WorkItemKey, title: String, branch: BranchName },
    /// The same where nobody has waited for the merge.
    TaskDoneUnmerged = "task_done_unmerged" { key: WorkItemKey, title: String, branch: BranchName },
    /// A merge waits; `why` is the reason.
    MergeWaits = "merge_waits" { why: Hold },
    /// The base has moved: the branch conflicts with it in `files`, or (none) it was merged into the branch; the developer's
    /// `attempt` of `cap` begins.
    BaseMoved = "base_moved" { base: String, files: Vec<String>, attempt: u32, cap: u32 },
    /// The body of a task's pull request; `url` leads to the work item.
    PullBody = "pull_body" { key: WorkItemKey, title: String, url: Option<String>, branch: BranchName },
    /// What an agent left that is not simply on the branch; `repo` is the repository's folder on the worker's host.
    Leftovers = "leftovers" { key: WorkItemKey, list: Vec<Leftover>, repo: String },
    /// The database's log was taken away under the programs that have it open.
    DatabaseFilesLost = "database_files_lost",
    /// Tools that an agent was refused.
    DeniedTools = "denied_tools" { list: Vec<Denial> },
}

impl From<&BudgetStop> for Message {
    fn from(stop: &BudgetStop) -> Message {
        Message::BudgetStop {
            which: stop.which,
            limit: stop.which.amount(stop.limit),
            spent: stop.which.amount(stop.spent),
            setting: stop.which.as_str().to_owned(),
        }
    }
}

impl Message {
    /// The answer to a word (`None`: to an answer) that would start an agent although a budget is used up.
    pub fn used_up(command: Option<Command>, stop: &BudgetStop) -> Message {
        Message::BudgetUsedUp {
            command,
            which: stop.which,
            limit: stop.which.amount(stop.limit),
            spent: stop.which.amount(stop.spent),
            setting: stop.which.as_str().to_owned(),
        }
    }
}

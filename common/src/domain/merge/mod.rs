//! The merge of a task's own pull request: what it waits for, and what one answer of the forge means. Pure. The forge's words
//! never decide alone: whether something was merged, whether it conflicts and where the ends are is asked for as facts.

use super::gate::Gate;
use super::stage::Stage;
use crate::named_enum;
use std::fmt;

/// Longest piece of the forge's own words that is passed on, in characters.
const WORDS_MAX: usize = 300;

named_enum! {
    /// How the commits get into the base branch.
    pub enum MergeStyle ("merge style") {
        Merge = "merge",
        Squash = "squash",
        RebaseMerge = "rebase-merge",
        Rebase = "rebase",
        FastForwardOnly = "fast-forward-only",
    }
}

/// The styles that may be tried, the preferred one first. What a repository prefers need not be allowed there.
pub fn styles(preferred: &str, allowed: &[MergeStyle]) -> Vec<MergeStyle> {
    let first = allowed.iter().filter(|style| style.as_str() == preferred);
    let others = MergeStyle::ALL.iter().filter(|style| allowed.contains(style) && style.as_str() != preferred);
    first.chain(others).copied().collect()
}

/// What a merge waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// The forge still works out whether it can be merged, or does not say what became of a merge.
    Forge { why: String },
    /// These checks of the head are not green; empty: some that the rule asks for.
    Checks { names: Vec<String> },
    /// The base's rule asks for so many approvals.
    Approvals { wanted: i64 },
    /// These people ask for changes.
    Rejected { by: Vec<String> },
    /// The pull request is marked as work in progress.
    Draft,
    /// It goes to another base now.
    Retargeted { base: String, wanted: String },
    /// The forge has no such pull request, or none at all.
    Gone,
    /// Nothing can be written to the repository.
    Archived,
    /// No style is allowed that the forge can merge it by.
    Style,
    /// Our account may not merge.
    NotAllowed { words: String },
    /// The server's own hook refused it.
    Hook { words: String },
    /// A rule that is none of these.
    Rule { words: String },
    /// It was merged, and not as it was judged: something is missing in the base, or more than was judged is there.
    Otherwise { by: String, missing: Vec<String>, unjudged: Vec<String> },
}

impl Hold {
    /// One reason from another, without what changes while the reason stays the same.
    pub fn key(&self) -> String {
        match self {
            Hold::Forge { .. } => "forge".to_owned(),
            Hold::Checks { .. } => "checks".to_owned(),
            Hold::Approvals { wanted } => format!("approvals:{wanted}"),
            Hold::Rejected { by } => format!("rejected:{}", by.join(",")),
            Hold::Draft => "draft".to_owned(),
            Hold::Retargeted { base, .. } => format!("base:{base}"),
            Hold::Gone => "gone".to_owned(),
            Hold::Archived => "archived".to_owned(),
            Hold::Style => "style".to_owned(),
            Hold::NotAllowed { .. } => "not_allowed".to_owned(),
            Hold::Hook { words } => format!("hook:{words}"),
            Hold::Rule { words } => format!("rule:{words}"),
            Hold::Otherwise { .. } => "otherwise".to_owned(),
        }
    }

    /// Nobody may tell when it is over: it is looked at again soon.
    pub const fn passes_by_itself(&self) -> bool {
        match self {
            Hold::Forge { .. } | Hold::Checks { .. } | Hold::Gone => true,
            Hold::Approvals { .. }
            | Hold::Rejected { .. }
            | Hold::Draft
            | Hold::Retargeted { .. }
            | Hold::Archived
            | Hold::Style
            | Hold::NotAllowed { .. }
            | Hold::Hook { .. }
            | Hold::Rule { .. }
            | Hold::Otherwise { .. } => false,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hold::Forge { why } => write!(f, "the forge is not ready: {why}"),
            Hold::Checks { names } if names.is_empty() => f.write_str("required checks are not green"),
            Hold::Checks { names } => write!(f, "checks are not green: {}", names.join(", ")),
            Hold::Approvals { wanted } => write!(f, "approvals are missing ({wanted} required)"),
            Hold::Rejected { by } if by.is_empty() => f.write_str("changes are requested"),
            Hold::Rejected { by } => write!(f, "changes are requested by {}", by.join(", ")),
            Hold::Draft => f.write_str("the pull request is marked as work in progress"),
            Hold::Retargeted { base, wanted } => write!(f, "the pull request goes to {base}, not to {wanted}"),
            Hold::Gone => f.write_str("the forge has no such pull request"),
            Hold::Archived => f.write_str("the repository is archived"),
            Hold::Style => f.write_str("the repository allows no merge style that works here"),
            Hold::NotAllowed { words } => write!(f, "the account may not merge: {words}"),
            Hold::Hook { words } => write!(f, "the server's hook refused it: {words}"),
            Hold::Rule { words } => write!(f, "the forge refuses it: {words}"),
            Hold::Otherwise { by, missing, unjudged } => {
                write!(f, "it was merged by {by} otherwise than it was judged")?;
                if !missing.is_empty() {
                    write!(f, "; not in the base: {}", missing.join(", "))?;
                }
                if !unjudged.is_empty() {
                    write!(f, "; merged and never judged: {}", unjudged.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

/// An open pull request and its ends, before it is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    pub base: String,
    /// The head as the forge's pull request has it.
    pub head: String,
    pub draft: bool,
    /// What the forge says; also `false` while it works it out.
    pub mergeable: bool,
}

/// What to do about a merge next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The forge may be asked to merge.
    Merge,
    Hold(Hold),
    /// Soon again; nobody has to act.
    Later {
        why: String,
    },
    /// The next style that is allowed.
    OtherStyle,
    /// The base has to be merged into the branch first.
    BringUpToDate,
}

impl Next {
    fn later(why: &str) -> Next {
        Next::Later { why: why.to_owned() }
    }
}

/// Whether the forge may be asked to merge an open pull request of `judged` into `base`.
pub fn before(ends: &Ends, base: &str, judged: &str) -> Next {
    match () {
        () if ends.base != base => Next::Hold(Hold::Retargeted { base: ends.base.clone(), wanted: base.to_owned() }),
        () if ends.draft => Next::Hold(Hold::Draft),
        () if ends.head != judged => Next::later("the pull request does not show the judged commit yet"),
        () if !ends.mergeable => Next::later("it is still working out whether this can be merged"),
        () => Next::Merge,
    }
}

/// What is known when the forge has refused a merge, and the pull request is still open and unmerged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<'a> {
    /// 0 = there was no answer.
    pub status: u16,
    pub words: &'a str,
    pub style: MergeStyle,
    /// The head has everything of the base.
    pub up_to_date: bool,
    /// What the base's rule asks for.
    pub approvals: i64,
    /// Who asks for changes.
    pub rejected_by: Vec<String>,
    /// Checks of the head that are not green.
    pub checks: Vec<String>,
}

/// What a refusal means. Git has said that it does not conflict.
pub fn after(refused: &Refused<'_>) -> Next {
    let words = refused.words.to_ascii_lowercase();
    let says = |text: &str| words.contains(text);
    let own: String = refused.words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS_MAX).collect();
    let outdated = !refused.up_to_date;
    match refused.status {
        200..=299 => Next::later("it answered, and has not merged"),
        405 if says("try again later") => Next::later("it is still working out whether this can be merged"),
        405 if says("approvals") => Next::Hold(Hold::Approvals { wanted: refused.approvals }),
        405 if says("requested changes") => Next::Hold(Hold::Rejected { by: refused.rejected_by.clone() }),
        405 if says("status checks") => Next::Hold(Hold::Checks { names: refused.checks.clone() }),
        405 if says("work in progress") => Next::Hold(Hold::Draft),
        405 if says("merge style") => Next::OtherStyle,
        405 if says("behind the base") && outdated => Next::BringUpToDate,
        405 if says("not allowed to merge") => Next::Hold(Hold::NotAllowed { words: own }),
        405 if own.is_empty() => Next::later("it refused the merge without a word"),
        405 => Next::Hold(Hold::Rule { words: own }),
        409 if says("pushrejected") => {
            let told = own.split_once("remote message:").map_or(own.as_str(), |(_, told)| told.trim());
            Next::Hold(Hold::Hook { words: told.to_owned() })
        }
        409 if says("out of date") => Next::later("one of the branches moved meanwhile"),
        // Commit by commit it may conflict where both ends together do not.
        409 if matches!(refused.style, MergeStyle::Rebase | MergeStyle::RebaseMerge) => Next::OtherStyle,
        409 => Next::later("the base moved meanwhile"),
        422 => Next::OtherStyle,
        423 => Next::Hold(Hold::Archived),
        500 if refused.style == MergeStyle::FastForwardOnly && outdated => Next::BringUpToDate,
        401 | 403 => Next::Hold(Hold::NotAllowed { words: own }),
        400..=499 if !matches!(refused.status, 404 | 408 | 429) => Next::Hold(Hold::Rule { words: own }),
        _ => Next::later("it did not say what became of the merge"),
    }
}

/// A task whose deployer has worked and whose merge is waited for; `said` is what people were told last.
pub fn waits(stage: Stage, worked: bool, said: Option<&str>) -> bool {
    stage == Stage::Deploy && worked && said.is_some_and(|said| said.contains(":waiting:merge:"))
}

/// The gate at which a merge is waited for.
pub const GATE: Gate = Gate::PrMerged;

#[cfg(test)]
mod tests;

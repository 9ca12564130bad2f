//! Which commits a piece of evidence covers: the one it was taken on, and later ones that differ from it in nothing but the
//! work item's own documents, written by our roles. What was joined, pushed or committed otherwise voids it.

use super::gate::{FailReason, Gate};
use super::pipeline::Pipeline;
use super::stage::{CommitId, Role, Stage};
use std::collections::BTreeSet;

/// Commits and files that are named to people.
const NAMED_COMMITS: usize = 5;
const NAMED_FILES: usize = 5;
/// Characters of a name or a path that are passed on.
const NAME_CHARS: usize = 100;

/// What lies between two commits of a task's branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Files outside of the work item's documents whose content differs (of very many, the first).
    pub work: Vec<String>,
    /// The work item's documents whose content differs.
    pub documents: Vec<String>,
    /// The commits that the later one has and the earlier one and the base have not, newest first.
    pub commits: Vec<Step>,
    /// The earlier commit is no longer known, or too much was changed to be listed: nothing is covered.
    pub unknown: bool,
}

/// One of those commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub id: CommitId,
    pub author: String,
    /// It came to the forge by us: one of our roles made it.
    pub ours: bool,
    pub is_merge: bool,
    /// What it changes; of a merge, what it has from none of its parents.
    pub files: Vec<String>,
}

/// Evidence that no longer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The stage that has to be gone through again.
    pub stage: Stage,
    pub gate: Gate,
    /// Whose commits did it, one text each: author, commit, files. Empty where the branch was rewritten.
    pub by: Vec<String>,
}

impl From<Gone> for FailReason {
    fn from(gone: Gone) -> FailReason {
        let Gone { stage, gate, by } = gone;
        FailReason::EvidenceGone { stage, gate, by }
    }
}

impl Drift {
    /// Whose commits keep evidence of the earlier commit from holding for the later one; `None` = it holds.
    pub fn voided_by(&self) -> Option<Vec<String>> {
        let (work, documents) = (as_set(&self.work), as_set(&self.documents));
        let touches = |step: &Step, paths: &BTreeSet<&str>| step.files.iter().any(|file| paths.contains(file.as_str()));
        let by_others = self.commits.iter().filter(|step| !step.ours && touches(step, &documents));
        let by_others: Vec<&Step> = by_others.filter(|step| !touches(step, &work)).collect();
        let of_us = self.commits.iter().filter(|step| step.ours).flat_map(|step| &step.files);
        let of_us: BTreeSet<&str> = of_us.map(String::as_str).collect();
        let holds = !self.unknown
            && self.work.is_empty()
            && by_others.is_empty()
            // What no commit of ours wrote was taken back or replaced by somebody who rewrote the branch.
            && documents.is_subset(&of_us);
        if holds {
            return None;
        }
        let mut by: Vec<&Step> = self.commits.iter().filter(|step| touches(step, &work)).collect();
        by.extend(by_others);
        if by.is_empty() {
            // A merged base: its own commits are nobody's, the merge is somebody's.
            by.extend(self.commits.iter().filter(|step| step.is_merge));
        }
        let matters: BTreeSet<&str> = work.union(&documents).copied().collect();
        let mut named: Vec<String> = by.iter().take(NAMED_COMMITS).map(|step| shown(step, &matters)).collect();
        named.extend((by.len() > NAMED_COMMITS).then(|| format!("+{}", by.len() - NAMED_COMMITS)));
        Some(named)
    }
}

fn as_set(names: &[String]) -> BTreeSet<&str> {
    names.iter().map(String::as_str).collect()
}

fn shown(step: &Step, matters: &BTreeSet<&str>) -> String {
    let all: Vec<&String> = step.files.iter().filter(|file| matters.contains(file.as_str())).collect();
    let mut files: Vec<String> = all.iter().take(NAMED_FILES).map(|path| on_one_line(path)).collect();
    files.extend((all.len() > NAMED_FILES).then(|| format!("+{}", all.len() - NAMED_FILES)));
    let what = if files.is_empty() { "merge".to_owned() } else { files.join(", ") };
    format!("{} {}: {what}", on_one_line(&step.author), step.id.short())
}

/// Outside text for a line of ours.
fn on_one_line(text: &str) -> String {
    text.chars().take(NAME_CHARS).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Whether what a gate looks at is bound to a commit. Documents of the analysis and the architecture precede the work: they
/// are what it is held against.
pub const fn is_bound(gate: Gate) -> bool {
    match gate {
        Gate::TestsLocal | Gate::CiGreen | Gate::ReviewerVerdict | Gate::ReviewApproved | Gate::TestsPassed => true,
        Gate::AnalysisComplete | Gate::AnalysisApproved | Gate::ArchitectureDone | Gate::PrMerged => false,
    }
}

/// The stages before `here` whose evidence has to cover what is judged at `here`, in their order: from the first on at which
/// a developer works, since before it there is no work to be judged.
pub fn bound_stages(pipeline: &Pipeline, here: Stage) -> Vec<(Stage, Gate)> {
    let steps = pipeline.steps();
    let order = |stage: Stage| steps.iter().position(|step| step.stage == stage);
    let first = pipeline.place_of(Role::Developer).and_then(order).unwrap_or(0);
    let upto = order(here).unwrap_or(0);
    let passed = steps.iter().take(upto).skip(first);
    passed.filter_map(|step| Some((step.stage, step.gate.filter(|gate| is_bound(*gate))?))).collect()
}

/// The first of the passed stages, in their order, whose evidence is gone.
pub fn first_gone(passed: &[(Stage, Gate, Drift)]) -> Option<Gone> {
    passed.iter().find_map(|(stage, gate, drift)| drift.voided_by().map(|by| Gone { stage: *stage, gate: *gate, by }))
}

#[cfg(test)]
mod tests;

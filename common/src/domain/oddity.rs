//! Whether a task's own pull request is as it should be, as far as no gate asks for it yet.

use super::decide::MergePolicy;
use super::gate::Gate;
use super::stage::Stage;

/// A pull request at the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullNow {
    pub open: bool,
    /// Who merged it, if it is merged.
    pub merged_by: Option<String>,
    pub base: String,
    /// Its branch was deleted, which closes it.
    pub lost_its_branch: bool,
}

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Odd {
    Closed,
    Merged { by: String },
    Retargeted { base: String },
}

impl Odd {
    /// What tells it from others.
    pub fn key(&self) -> String {
        match self {
            Odd::Closed => "closed".to_owned(),
            Odd::Merged { .. } => "merged".to_owned(),
            Odd::Retargeted { base } => format!("to {base}"),
        }
    }
}

/// What is to be said of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// It is as it should be; what was odd before is mended.
    None,
    /// It is not, and who looks at it anyway says so: the gate, the merge, or what is said of the branch.
    SaidElsewhere,
    Is(Odd),
}

/// What is odd about the pull request of a task that has not ended.
pub fn oddity(pull: &PullNow, wanted_base: &str, stage: Stage, gate: Option<Gate>, merge: MergePolicy) -> Oddity {
    let waited_for = matches!(gate, Some(Gate::ReviewApproved | Gate::PrMerged));
    let merges = gate == Some(Gate::PrMerged) && merge == MergePolicy::OnDeploy;
    let (odd, elsewhere) = match &pull.merged_by {
        // At the end of the road a merge is what everybody waits for.
        Some(by) => (Odd::Merged { by: by.clone() }, waited_for || stage == Stage::Deploy),
        None if !pull.open => (Odd::Closed, waited_for || pull.lost_its_branch),
        None if pull.base != wanted_base => (Odd::Retargeted { base: pull.base.clone() }, merges),
        None => return Oddity::None,
    };
    if elsewhere { Oddity::SaidElsewhere } else { Oddity::Is(odd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_is_said_where_nobody_else_says_it_and_over_only_when_it_is_mended() {
        let fine = PullNow { open: true, merged_by: None, base: "main".into(), lost_its_branch: false };
        let closed = PullNow { open: false, ..fine.clone() };
        let merged = PullNow { open: false, merged_by: Some("anna".into()), ..fine.clone() };
        let retargeted = PullNow { base: "dev".into(), ..fine.clone() };
        let lost = PullNow { lost_its_branch: true, ..closed.clone() };
        let is = |odd: Odd| Oddity::Is(odd);
        let (at_closed, at_merged) = (is(Odd::Closed), is(Odd::Merged { by: "anna".into() }));
        let at_retargeted = is(Odd::Retargeted { base: "dev".into() });
        let elsewhere = Oddity::SaidElsewhere;
        let (never, on_deploy) = (MergePolicy::Never, MergePolicy::OnDeploy);
        for (pull, stage, gate, merge, wanted) in [
            (&fine, Stage::Development, None, never, &Oddity::None),
            (&fine, Stage::Review, Some(Gate::ReviewApproved), never, &Oddity::None),
            (&closed, Stage::Development, Some(Gate::CiGreen), never, &at_closed),
            (&closed, Stage::Review, Some(Gate::ReviewApproved), never, &elsewhere),
            (&closed, Stage::Deploy, Some(Gate::PrMerged), never, &elsewhere),
            (&closed, Stage::Deploy, None, never, &at_closed),
            (&lost, Stage::Development, None, never, &elsewhere),
            (&merged, Stage::Development, None, never, &at_merged),
            (&merged, Stage::Review, Some(Gate::ReviewApproved), never, &elsewhere),
            (&merged, Stage::Deploy, None, on_deploy, &elsewhere),
            (&retargeted, Stage::Development, None, on_deploy, &at_retargeted),
            (&retargeted, Stage::Review, Some(Gate::ReviewApproved), on_deploy, &at_retargeted),
            (&retargeted, Stage::Deploy, Some(Gate::PrMerged), never, &at_retargeted),
            (&retargeted, Stage::Deploy, Some(Gate::PrMerged), on_deploy, &elsewhere),
        ] {
            assert_eq!(&oddity(pull, "main", stage, gate, merge), wanted, "{pull:?} at {stage} with {gate:?}");
        }
    }
}

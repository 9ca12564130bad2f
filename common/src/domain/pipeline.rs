//! The pipeline as data: which stages, which gate lets a task leave each, whom leaving starts.

use super::gate::Gate;
use super::stage::{Role, Stage};
use serde::{Deserialize, Serialize};

/// One stage of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub stage: Stage,
    /// What must pass before the stage is left; `None` = the agent's end is enough.
    #[serde(default)]
    pub gate: Option<Gate>,
    /// The role started when the stage is left; it works in the *next* stage.
    #[serde(default)]
    pub role: Option<Role>,
}

/// A validated pipeline: begins with `created`, ends with `done` (which may be left unsaid), no stage twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    steps: Vec<Step>,
}

/// Why a configured pipeline cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPipeline {
    #[error("a pipeline begins with 'created' and ends with 'done'")]
    Ends,
    #[error("stage '{0}' stands more than once")]
    Twice(Stage),
    #[error("stage '{0}' must name the role that leaving it starts: somebody has to work in the next stage")]
    NoRole(Stage),
    #[error("leaving '{stage}' starts '{role}' in the terminal stage 'done', where nobody works")]
    RoleIntoDone { stage: Stage, role: Role },
    #[error("stage '{0}' cannot have a gate: created is left at once, done never")]
    GateOutOfPlace(Stage),
}

impl Default for Pipeline {
    fn default() -> Self {
        use {Gate as G, Role as R, Stage as S};
        let step = |stage, gate, role| Step { stage, gate, role };
        Pipeline {
            steps: vec![
                step(S::Created, None, Some(R::Analyst)),
                step(S::Analysis, Some(G::AnalysisApproved), Some(R::Architect)),
                step(S::Architecture, Some(G::ArchitectureDone), Some(R::Developer)),
                step(S::Development, Some(G::TestsLocal), Some(R::Reviewer)),
                step(S::Review, Some(G::ReviewerVerdict), Some(R::Tester)),
                step(S::Testing, Some(G::TestsPassed), Some(R::Deployer)),
                step(S::Deploy, None, None),
                step(S::Done, None, None),
            ],
        }
    }
}

impl Pipeline {
    /// Checks and keeps the steps.
    ///
    /// # Errors
    /// [`BadPipeline`] says which rule is broken.
    pub fn new(mut steps: Vec<Step>) -> Result<Pipeline, BadPipeline> {
        if steps.last().is_some_and(|s| s.stage != Stage::Done) {
            steps.push(Step { stage: Stage::Done, gate: None, role: None });
        }
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Err(BadPipeline::Ends) };
        if first.stage != Stage::Created || last.stage != Stage::Done || steps.len() < 3 {
            return Err(BadPipeline::Ends);
        }
        if first.gate.is_some() || last.gate.is_some() {
            return Err(BadPipeline::GateOutOfPlace(if first.gate.is_some() { first.stage } else { last.stage }));
        }
        for (i, step) in steps.iter().enumerate() {
            if steps.iter().take(i).any(|s| s.stage == step.stage) {
                return Err(BadPipeline::Twice(step.stage));
            }
            match (steps.get(i + 1).map(|n| n.stage), step.role) {
                (Some(Stage::Done) | None, Some(role)) => {
                    return Err(BadPipeline::RoleIntoDone { stage: step.stage, role });
                }
                (Some(Stage::Done) | None, None) | (Some(_), Some(_)) => {}
                (Some(_), None) => return Err(BadPipeline::NoRole(step.stage)),
            }
        }
        Ok(Pipeline { steps })
    }

    /// The same pipeline with another gate at a stage.
    #[must_use]
    pub fn with_gate(mut self, stage: Stage, gate: Option<Gate>) -> Pipeline {
        for step in self.steps.iter_mut().filter(|s| s.stage == stage) {
            step.gate = gate;
        }
        self
    }

    /// The steps in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether tasks pass through a stage.
    pub fn has(&self, stage: Stage) -> bool {
        self.steps.iter().any(|s| s.stage == stage)
    }

    /// The gate that lets a task leave a stage.
    pub fn gate(&self, stage: Stage) -> Option<Gate> {
        self.step(stage).and_then(|s| s.gate)
    }

    /// The role started when a stage is left.
    pub fn started_by_leaving(&self, stage: Stage) -> Option<Role> {
        self.step(stage).and_then(|s| s.role)
    }

    /// The stage after this one.
    pub fn next(&self, stage: Stage) -> Option<Stage> {
        let at = self.index(stage)?;
        self.steps.get(at + 1).map(|s| s.stage)
    }

    /// The stage before this one.
    pub fn previous(&self, stage: Stage) -> Option<Stage> {
        let at = self.index(stage)?.checked_sub(1)?;
        self.steps.get(at).map(|s| s.stage)
    }

    /// The role that works *in* a stage: the one named on the row above it.
    pub fn works_in(&self, stage: Stage) -> Option<Role> {
        self.previous(stage).and_then(|s| self.started_by_leaving(s))
    }

    /// Where a role works.
    pub fn place_of(&self, role: Role) -> Option<Stage> {
        self.steps.iter().map(|s| s.stage).find(|s| self.works_in(*s) == Some(role))
    }

    /// Where a role works at `stage` or, failing that, nearest before it: work is sent back, never ahead.
    pub fn place_up_to(&self, role: Role, stage: Stage) -> Option<Stage> {
        let here = self.index(stage)?;
        self.steps.iter().take(here + 1).map(|s| s.stage).rfind(|s| self.works_in(*s) == Some(role))
    }

    fn index(&self, stage: Stage) -> Option<usize> {
        self.steps.iter().position(|s| s.stage == stage)
    }

    fn step(&self, stage: Stage) -> Option<&Step> {
        self.steps.iter().find(|s| s.stage == stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_is_the_table_of_the_specification() {
        let p = Pipeline::default();
        assert_eq!(Pipeline::new(p.steps().to_vec()).unwrap(), p);
        let rows = [
            (Stage::Created, None, Some(Role::Analyst), Some(Stage::Analysis)),
            (Stage::Analysis, Some(Gate::AnalysisApproved), Some(Role::Architect), Some(Stage::Architecture)),
            (Stage::Architecture, Some(Gate::ArchitectureDone), Some(Role::Developer), Some(Stage::Development)),
            (Stage::Development, Some(Gate::TestsLocal), Some(Role::Reviewer), Some(Stage::Review)),
            (Stage::Review, Some(Gate::ReviewerVerdict), Some(Role::Tester), Some(Stage::Testing)),
            (Stage::Testing, Some(Gate::TestsPassed), Some(Role::Deployer), Some(Stage::Deploy)),
            (Stage::Deploy, None, None, Some(Stage::Done)),
            (Stage::Done, None, None, None),
        ];
        for (stage, gate, role, next) in rows {
            assert_eq!((p.gate(stage), p.started_by_leaving(stage), p.next(stage)), (gate, role, next), "{stage}");
        }
        assert_eq!(p.works_in(Stage::Development), Some(Role::Developer));
        assert_eq!(p.place_of(Role::Deployer), Some(Stage::Deploy));
        assert_eq!(p.works_in(Stage::Created), None);
    }

    #[test]
    fn bad_pipelines_are_refused_by_name() {
        let step = |stage, role| Step { stage, gate: None, role };
        use {Role as R, Stage as S};
        let cases = [
            (vec![], BadPipeline::Ends),
            (vec![step(S::Created, None), step(S::Done, None)], BadPipeline::Ends),
            (vec![step(S::Analysis, None), step(S::Deploy, None), step(S::Done, None)], BadPipeline::Ends),
            (
                vec![step(S::Created, Some(R::Analyst)), step(S::Created, Some(R::Analyst)), step(S::Done, None)],
                BadPipeline::Twice(S::Created),
            ),
            (vec![step(S::Created, None), step(S::Deploy, None), step(S::Done, None)], BadPipeline::NoRole(S::Created)),
            (
                vec![step(S::Created, Some(R::Analyst)), step(S::Deploy, Some(R::Tester)), step(S::Done, None)],
                BadPipeline::RoleIntoDone { stage: S::Deploy, role: R::Tester },
            ),
        ];
        for (steps, expected) in cases {
            assert_eq!(Pipeline::new(steps).unwrap_err(), expected);
        }
    }

    #[test]
    fn work_is_sent_back_to_the_nearest_place_and_never_ahead() {
        use {Role as R, Stage as S};
        let p = Pipeline::default();
        assert_eq!(p.place_up_to(R::Developer, S::Testing), Some(S::Development));
        assert_eq!(p.place_up_to(R::Developer, S::Development), Some(S::Development));
        assert_eq!(p.place_up_to(R::Developer, S::Architecture), None, "ahead");
        assert_eq!(p.place_up_to(R::Analyst, S::Created), None);
        let step = |stage, role| Step { stage, gate: None, role };
        let twice = Pipeline::new(vec![
            step(S::Created, Some(R::Developer)),
            step(S::Architecture, Some(R::Developer)),
            step(S::Development, Some(R::Tester)),
            step(S::Testing, None),
        ])
        .unwrap();
        assert_eq!(twice.place_of(R::Developer), Some(S::Architecture));
        assert_eq!(twice.place_up_to(R::Developer, S::Testing), Some(S::Development));
        assert_eq!(twice.place_up_to(R::Developer, S::Architecture), Some(S::Architecture));
        assert_eq!(twice.place_up_to(R::Developer, S::Review), None, "no such stage here");
    }

    #[test]
    fn gates_stand_only_between_the_ends_and_may_be_replaced() {
        use {Role as R, Stage as S};
        let step = |stage, gate, role| Step { stage, gate, role };
        let middle = step(S::Development, None, None);
        let early = vec![step(S::Created, Some(Gate::CiGreen), Some(R::Developer)), middle];
        assert_eq!(Pipeline::new(early), Err(BadPipeline::GateOutOfPlace(S::Created)));
        let late = vec![step(S::Created, None, Some(R::Developer)), middle, step(S::Done, Some(Gate::PrMerged), None)];
        assert_eq!(Pipeline::new(late), Err(BadPipeline::GateOutOfPlace(S::Done)));
        let p = Pipeline::default().with_gate(S::Deploy, Some(Gate::PrMerged)).with_gate(S::Review, None);
        assert_eq!((p.gate(S::Deploy), p.gate(S::Review)), (Some(Gate::PrMerged), None));
        assert_eq!(p.gate(S::Testing), Some(Gate::TestsPassed));
    }

    #[test]
    fn done_may_be_left_unsaid_and_steps_round_trip() {
        use {Role as R, Stage as S};
        let short = vec![
            Step { stage: S::Created, gate: None, role: Some(R::Developer) },
            Step { stage: S::Development, gate: Some(Gate::TestsLocal), role: None },
        ];
        let p = Pipeline::new(short).unwrap();
        assert_eq!(p.next(S::Development), Some(S::Done));
        assert!(p.has(S::Done) && !p.has(S::Review));
        assert_eq!((p.next(S::Review), p.previous(S::Created), p.works_in(S::Done)), (None, None, None));
        let text = serde_json::to_string(p.steps()).unwrap();
        assert_eq!(Pipeline::new(serde_json::from_str(&text).unwrap()).unwrap(), p);
        assert!(serde_json::from_str::<Step>(r#"{"stage":"review","gates":"ci_green"}"#).is_err());
    }
}

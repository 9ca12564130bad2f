//! From what a decision wants shown to the effects that show it: names of states, texts of the catalogue, the
//! project's addresses.

use crate::events::people_and_teams;
use crate::rules::Rules;
use orch_common::config::Project;
use orch_common::domain::decide::{Change, Outward, Trigger, Via};
use orch_common::domain::effect::{Effect, PlaneTarget};
use orch_common::domain::gate::{Gate, WrittenVerdict};
use orch_common::domain::messages::Message;
use orch_common::domain::stage::{CommitId, Stage};
use orch_common::domain::task::Situation;
use orch_common::domain::words::Command;
use orch_common::store::tasks::Task;

/// A change and everything needed to show it.
pub(super) struct Shown<'a> {
    pub rules: &'a Rules,
    pub project: &'a Project,
    pub task: &'a Task,
    pub change: &'a Change,
    pub stem: &'a str,
    pub trigger: &'a Trigger,
}

/// The effects of a change in the order they are to be seen, each with the key that makes it unique where
/// that is not its place in the list.
pub(super) fn effects_of(shown: &Shown<'_>) -> Vec<(Effect, Option<String>)> {
    let mut effects = Vec::new();
    let before = Situation::of(shown.task.stage, shown.task.state);
    let after = Situation::of(shown.change.stage, shown.change.state);
    // After a person's word the state is set even where it did not change here: they may have moved it.
    if let Some(situation) = after
        && !shown.stays_as_it_was_put()
        && (before != after || shown.change.reset_cap || shown.change.start.is_some())
    {
        effects.push((shown.state(situation), None));
    }
    for (n, outward) in shown.change.outward.iter().enumerate() {
        effects.extend(shown.effect(outward, n));
        effects.extend(shown.beside_the_code(outward, n));
    }
    effects
}

impl Shown<'_> {
    /// A person who cancels by moving the work item has put it where it belongs; one that is deleted is nowhere.
    fn stays_as_it_was_put(&self) -> bool {
        match self.trigger {
            Trigger::Deleted { .. } => true,
            Trigger::Command { command: Command::Cancel, via: Via::State, .. } => true,
            Trigger::Appeared { .. }
            | Trigger::AgentEnded { .. }
            | Trigger::Command { .. }
            | Trigger::Answer { .. }
            | Trigger::Forge { .. }
            | Trigger::Look => false,
        }
    }

    fn state(&self, situation: Situation) -> Effect {
        Effect::PlaneState {
            project: self.task.project.clone(),
            work_item: self.task.work_item.clone(),
            name: self.project.state_name(situation).to_owned(),
            group: situation.group(),
        }
    }

    fn effect(&self, outward: &Outward, n: usize) -> Option<(Effect, Option<String>)> {
        let task = self.task;
        Some(match outward {
            Outward::Comment(message) => {
                let key = self.key_of(message, "say", n);
                let effect = Effect::PlaneComment {
                    project: task.project.clone(),
                    work_item: task.work_item.clone(),
                    key: key.clone(),
                    text: self.rules.catalogue.render(message),
                };
                (effect, Some(key))
            }
            Outward::Chat(message) => {
                let text = self.rules.chat_text(task, message);
                (Effect::Telegram { text }, None)
            }
            Outward::Branch => (
                Effect::GiteaBranch { repo: task.repo.clone(), branch: task.branch.clone(), base: task.base.clone() },
                None,
            ),
            Outward::Pull => (self.pull()?, Some(format!("t{}:pull", task.id))),
            Outward::Status { stage, state, text } => {
                let head: CommitId = task.head.as_deref()?.parse().ok()?;
                let effect = Effect::GiteaStatus {
                    repo: task.repo.clone(),
                    head,
                    context: format!("orch/{stage}"),
                    state: *state,
                    description: text.clone(),
                    target: self.rules.work_item_url(self.task),
                };
                (effect, None)
            }
            Outward::Review(verdict) => self.review(verdict)?,
            Outward::GiveUpPull => (self.give_up_pull()?, None),
            Outward::ReopenPull => {
                task.pull?;
                (Effect::GiteaReopen { repo: task.repo.clone(), branch: task.branch.clone() }, None)
            }
            Outward::AskReview => (self.ask_for_review()?, None),
        })
    }

    /// What makes a text one. Why a merge waits is said once for a reason and a head, however often the reasons change; a
    /// person who asks is answered.
    fn key_of(&self, message: &Message, place: &str, n: usize) -> String {
        match (message, &self.task.head, self.trigger) {
            (Message::MergeWaits { .. }, _, Trigger::Command { .. }) => format!("{}:{place}{n}", self.stem),
            (Message::MergeWaits { why }, Some(head), _) => {
                let (head, reason) = (head.get(..12).unwrap_or(head), slug_of(&why.key()));
                format!("t{}:{head}:{place}:{reason}", self.task.id)
            }
            _ => format!("{}:{place}{n}", self.stem),
        }
    }

    /// A command's own answer is on the pull request already.
    fn give_up_pull(&self) -> Option<Effect> {
        let code = [Stage::Development, Stage::Review, Stage::Testing, Stage::Deploy];
        if self.task.pull.is_none() && !code.contains(&self.task.stage) {
            return None;
        }
        let key = self.task.key.parse().ok()?;
        let text = self.stays_as_it_was_put().then(|| self.rules.catalogue.render(&Message::PullGivenUp { key }));
        Some(Effect::GiteaGiveUp {
            repo: self.task.repo.clone(),
            branch: self.task.branch.clone(),
            key: format!("{}:given-up", self.stem),
            text,
            close: self.project.close_cancelled_pulls,
        })
    }

    /// The project's reviewers; nobody where it lists none.
    fn ask_for_review(&self) -> Option<Effect> {
        let (people, teams) = people_and_teams(self.project);
        let head = self.task.head.as_deref()?.parse().ok()?;
        let (repo, branch) = (self.task.repo.clone(), self.task.branch.clone());
        (!self.project.reviewers.is_empty()).then_some(Effect::GiteaAsk { repo, branch, head, people, teams })
    }

    /// A review where an account of its own may give one, else a comment.
    fn review(&self, verdict: &WrittenVerdict) -> Option<(Effect, Option<String>)> {
        let task = self.task;
        let (repo, branch, key) = (task.repo.clone(), task.branch.clone(), format!("{}:review", self.stem));
        let word = if verdict.approved { "APPROVED" } else { "REQUEST_CHANGES" };
        let message = Message::ReviewVerdict { verdict: word.to_owned(), reason: verdict.reason.clone() };
        let text = self.rules.catalogue.render(&message);
        let effect = if self.rules.policy(self.project).reviewer_account {
            let head = task.head.as_deref()?.parse().ok()?;
            Effect::GiteaReview { repo, branch, head, approved: verdict.approved, key: key.clone(), text }
        } else {
            Effect::GiteaComment { repo, branch, key: key.clone(), text }
        };
        Some((effect, Some(key)))
    }

    /// What those who look at the pull request, and not at the work item, must know: why its work goes back or stops,
    /// and that it waits for them. Once there is code; a branch without a pull request shows nothing.
    fn beside_the_code(&self, outward: &Outward, n: usize) -> Option<(Effect, Option<String>)> {
        let Outward::Comment(message) = outward else { return None };
        let has_code = |stage| matches!(stage, Stage::Development | Stage::Review | Stage::Testing | Stage::Deploy);
        if !has_code(self.task.stage) || !concerns_the_pull(message) {
            return None;
        }
        let key = self.key_of(message, "beside", n);
        let effect = Effect::GiteaComment {
            repo: self.task.repo.clone(),
            branch: self.task.branch.clone(),
            key: key.clone(),
            text: self.rules.catalogue.render(message),
        };
        Some((effect, Some(key)))
    }

    fn pull(&self) -> Option<Effect> {
        let task = self.task;
        let body = self.rules.catalogue.render(&Message::PullBody {
            key: task.key.parse().ok()?,
            title: task.title.clone(),
            url: self.rules.work_item_url(self.task),
            branch: task.branch.parse().ok()?,
        });
        Some(Effect::GiteaPull {
            repo: task.repo.clone(),
            branch: task.branch.clone(),
            base: task.base.clone(),
            title: format!("{}: {}", task.key, task.title),
            body,
            link: Some(PlaneTarget { project: task.project.clone(), work_item: task.work_item.clone() }),
        })
    }
}

/// Fit for a key, and short: the beginning, and a sum of the rest.
fn slug_of(text: &str) -> String {
    let begin: String = text.chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let sum =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{begin}-{sum:016x}")
}

/// Of what a work item's thread is told; the reviewer's words reach the pull request by themselves.
const fn concerns_the_pull(message: &Message) -> bool {
    match message {
        Message::TestsFailed { .. }
        | Message::JudgedAnew { .. }
        | Message::RejectedBack { .. }
        | Message::RoleCapReached { .. }
        | Message::Blocked { .. }
        | Message::NeedsAPerson { .. }
        | Message::AgentFailed { .. }
        | Message::AgentRefused { .. }
        | Message::ProtectedPaths { .. }
        | Message::LfsNoProgram { .. }
        | Message::LfsNoContent { .. }
        | Message::SubmoduleUnpublished { .. }
        | Message::BudgetStop { .. }
        | Message::LoopStop { .. }
        | Message::Cancelled
        | Message::PullNotOpen { .. }
        | Message::MergeWaits { .. }
        | Message::BaseMoved { .. }
        | Message::TaskDoneUnmerged { .. }
        | Message::Waiting { gate: Gate::ReviewApproved | Gate::PrMerged } => true,
        Message::Waiting { .. }
        | Message::AnalystStarted { .. }
        | Message::ApprovalWanted { .. }
        | Message::Questions { .. }
        | Message::NoArtifacts { .. }
        | Message::ReviewChanges { .. }
        | Message::ReviewVerdict { .. }
        | Message::TestsRed { .. }
        | Message::ChecksFailed { .. }
        | Message::ChecksWait { .. }
        | Message::NothingChanged { .. }
        | Message::PushRefused { .. }
        | Message::PullClosed { .. }
        | Message::PullMergedEarly { .. }
        | Message::PullRetargeted { .. }
        | Message::ForgeShut { .. }
        | Message::ReviewerUnasked { .. }
        | Message::RepositoryRenamed { .. }
        | Message::BranchGone { .. }
        | Message::PullGivenUp { .. }
        | Message::BranchConflict { .. }
        | Message::BranchRewritten { .. }
        | Message::Conflict { .. }
        | Message::StageAdvanced { .. }
        | Message::Approved { .. }
        | Message::AnswerTaken
        | Message::Retrying { .. }
        | Message::Reopened { .. }
        | Message::Paused
        | Message::PausedAtWork
        | Message::DatabaseFilesLost
        | Message::Ended { .. }
        | Message::AnswerRefused
        | Message::WordsChanged { .. }
        | Message::NotDone { .. }
        | Message::Resumed
        | Message::Refused { .. }
        | Message::BudgetUsedUp { .. }
        | Message::SubmoduleMissing { .. }
        | Message::GateFailed { .. }
        | Message::JobFailed { .. }
        | Message::BreakerOpened { .. }
        | Message::BreakerClosed
        | Message::UsageLimit { .. }
        | Message::InstallationFault { .. }
        | Message::WebhooksSilent { .. }
        | Message::OutsideAway { .. }
        | Message::StoryUnread { .. }
        | Message::StillWaits { .. }
        | Message::OutsideBack { .. }
        | Message::TaskDone { .. }
        | Message::PullBody { .. }
        | Message::CommandsElsewhere { .. }
        | Message::Leftovers { .. }
        | Message::DeniedTools { .. } => false,
    }
}

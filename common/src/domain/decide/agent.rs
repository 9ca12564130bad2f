//! An agent ended well: the gate of its stage says what that is worth.

use super::rework::Rework;
use super::{By, Case, Decision, Finding, Outward, Start};
use crate::domain::effect::StatusState;
use crate::domain::gate::{FailReason, FailedCheck, GateOutcome, Waiting};
use crate::domain::merge::Hold;
use crate::domain::messages::Message;
use crate::domain::stage::{Role, TaskState};
use crate::domain::task::Brief;

/// Characters of a conflict report, a question or an answer that are passed on.
pub(super) const EXCERPT_CHARS: usize = 500;
/// Characters of what reviewers said that people are told in the work item's thread.
const WORDS_CHARS: usize = 1_000;

impl Case<'_> {
    pub(super) fn agent_ended(&self, role: Role, log: &str) -> Decision {
        if self.task.state.is_terminal() {
            return Decision::nothing("the task has ended");
        }
        if self.history.agent_ahead {
            // A person asked for another agent meanwhile; two must not follow from one end. A word that waits for its
            // turn is no such job: it may be refused, and nobody else would look at this end.
            return Decision::nothing("a newer agent of the task is under way; its end looks");
        }
        if self.policy.pipeline.works_in(self.task.stage) != Some(role) {
            return Decision::nothing(format!("the task stands at '{}', where no {role} works", self.task.stage));
        }
        if matches!(self.task.state, TaskState::Paused | TaskState::Blocked) {
            return Decision::nothing(format!("the task is {}; a person must speak first", self.task.state));
        }
        let Some(finding) = self.finding else { return Decision::nothing("the gate was not looked at") };
        // A request for changes is acted on with this end, or it is not heard.
        let objected = matches!(finding.outcome, GateOutcome::Fail(FailReason::PullRejected { .. }));
        if let Some(decision) = self.empty_round(role).filter(|_| !objected) {
            return decision;
        }
        let decision = match &finding.outcome {
            GateOutcome::Pass => self.advance(&format!("{role} ended, gate passed"), By::Itself),
            GateOutcome::Infra(why) => Decision::TryAgain { why: why.clone() },
            GateOutcome::Waiting(Waiting::Review | Waiting::PullMissing) if self.owes_a_review(role) => {
                let file = self.policy.names.review.first().cloned().unwrap_or_default();
                self.ask_for_verdict(role, &file, "there is no verdict that can be read")
            }
            GateOutcome::Waiting(Waiting::Review | Waiting::PullMissing) if self.reviews_itself(role) => {
                let mut change = self.stay("the reviewer's verdict goes to the pull request");
                change.state_reason = Some("the reviewer's verdict goes to the pull request as a review".to_owned());
                Decision::Apply(Box::new(change))
            }
            GateOutcome::Waiting(on) => self.wait(*on, &format!("{role} ended")),
            GateOutcome::Fail(reason) => match self.unread_verdict(role, reason) {
                Some((file, detail)) => self.ask_for_verdict(role, file, &detail),
                None => self.with_denials(self.failed(role, reason, log)),
            },
        };
        self.with_pull(self.with_review(role, decision))
    }

    /// What could not be read of a role that judges; asked of it once before anybody else is troubled.
    fn unread_verdict<'r>(&self, role: Role, reason: &'r FailReason) -> Option<(&'r str, String)> {
        if self.history.ended.asked || !matches!(role, Role::Reviewer | Role::Tester) {
            return None;
        }
        match reason {
            FailReason::NotFound { file } => Some((file, "the file is not there".to_owned())),
            FailReason::NoVerdict { file, detail } => Some((file, detail.clone())),
            FailReason::MissingFiles { .. }
            | FailReason::Conflict { .. }
            | FailReason::TestsRed { .. }
            | FailReason::CiFailed { .. }
            | FailReason::ChangesRequested { .. }
            | FailReason::NoPullAndNoReview
            | FailReason::PullRejected { .. }
            | FailReason::TestsNotPassed { .. }
            | FailReason::EvidenceGone { .. }
            | FailReason::BaseMoved { .. }
            | FailReason::BranchClash { .. } => None,
        }
    }

    /// The reviewer role was to give its verdict by an account of its own, and left none.
    fn owes_a_review(&self, role: Role) -> bool {
        let has_verdict = self.finding.is_some_and(|f| f.verdict.is_some());
        role == Role::Reviewer && self.policy.reviewer_account && !has_verdict && !self.history.ended.asked
    }

    /// Starts the role again for its verdict alone, also where it has had its runs: it has done its work.
    fn ask_for_verdict(&self, role: Role, file: &str, detail: &str) -> Decision {
        let mut change = self.stay(format!("the {role} is asked for its verdict: {detail}"));
        change.state = TaskState::Active;
        let brief = Brief::VerdictAsked { file: file.to_owned(), detail: detail.to_owned() };
        change.start = Some(Start { role, brief });
        Decision::Apply(Box::new(change))
    }

    /// What an agent was refused may be why its work is not good enough.
    fn with_denials(&self, mut decision: Decision) -> Decision {
        let list = self.history.ended.denied.clone();
        if let Decision::Apply(change) = &mut decision
            && !list.is_empty()
        {
            change.outward.push(Outward::Comment(Message::DeniedTools { list }));
        }
        decision
    }

    /// What the gate waits for is about to be said by the reviewer role itself, by an account of its own.
    fn reviews_itself(&self, role: Role) -> bool {
        let has_verdict = self.finding.is_some_and(|f| f.verdict.is_some());
        role == Role::Reviewer && has_verdict && self.policy.reviewer_account
    }

    /// A reviewer's verdict is shown where the code is, whatever follows from it.
    fn with_review(&self, role: Role, mut decision: Decision) -> Decision {
        let verdict = self.finding.and_then(|f| f.verdict.clone()).filter(|_| role == Role::Reviewer);
        if let (Decision::Apply(change), Some(verdict)) = (&mut decision, verdict) {
            let after_pull = change.outward.iter().position(|o| *o == Outward::Pull).map(|n| n + 1);
            let statuses = change.outward.iter().take_while(|o| matches!(o, Outward::Status { .. })).count();
            change.outward.insert(after_pull.unwrap_or(statuses), Outward::Review(verdict));
        }
        decision
    }

    /// From development on, an agent that ended well leaves a pull request, whatever its gate says: a forge's CI
    /// and its reviewers may wait for one.
    fn with_pull(&self, mut decision: Decision) -> Decision {
        if let Decision::Apply(change) = &mut decision
            && self.at_or_after_development(self.task.stage)
            && !change.outward.contains(&Outward::Pull)
        {
            let statuses = change.outward.iter().take_while(|o| matches!(o, Outward::Status { .. })).count();
            change.outward.insert(statuses, Outward::Pull);
        }
        decision
    }

    /// The gate waits for somebody.
    pub(super) fn wait(&self, on: Waiting, because: &str) -> Decision {
        let Some(finding) = self.finding else { return Decision::nothing("the gate was not looked at") };
        match on {
            Waiting::Approval if self.task.state == TaskState::WaitingApproval => {
                Decision::nothing("approval was asked for already")
            }
            Waiting::Approval => {
                let mut change = self.stay(format!("{because}, a person must approve"));
                change.state = TaskState::WaitingApproval;
                let message = Message::ApprovalWanted { key: self.task.key.clone() };
                change.outward.push(Outward::Comment(message.clone()));
                change.outward.push(Outward::Chat(message));
                Decision::Apply(Box::new(change))
            }
            Waiting::Merge if finding.hold.is_some() => self.wait_for_the_merge(finding),
            Waiting::Review => self.ask_for_review(self.wait_for_others(finding, on, because)),
            Waiting::Ci | Waiting::CiNone if self.told_of_ci(finding) => {
                self.said_already(format!("{because}, waiting for {on}"))
            }
            Waiting::Ci
            | Waiting::CiNone
            | Waiting::CiSilent
            | Waiting::CiLate
            | Waiting::CiCancelled
            | Waiting::Merge
            | Waiting::PullMissing
            | Waiting::PullClosed
            | Waiting::PullMerged => self.wait_for_others(finding, on, because),
        }
    }

    /// People were told of this commit that the task waits for CI, whatever CI did then.
    fn told_of_ci(&self, finding: &Finding) -> bool {
        let commit = finding.fingerprint.split_once(':').map(|(commit, _)| commit);
        let told = self.task.said.as_deref().and_then(|said| said.split_once(':'));
        told.is_some_and(|(of, what)| Some(of) == commit && what.starts_with("waiting:ci"))
    }

    fn wait_for_others(&self, finding: &Finding, on: Waiting, because: &str) -> Decision {
        let Some(gate) = finding.gate else { return Decision::nothing("no gate") };
        let message = match on {
            Waiting::PullMissing | Waiting::PullClosed | Waiting::PullMerged => Message::PullNotOpen { gate, pull: on },
            Waiting::CiSilent | Waiting::CiLate | Waiting::CiCancelled => {
                Message::ChecksWait { wait: on, names: finding.checks.clone() }
            }
            Waiting::Approval | Waiting::Ci | Waiting::CiNone | Waiting::Review | Waiting::Merge => {
                Message::Waiting { gate }
            }
        };
        self.say_once(&finding.fingerprint, message, format!("{because}, waiting for {on}"))
    }

    /// Who reviews is told where they look: by a request of the forge, which mails them, and by a status of the commit.
    fn ask_for_review(&self, mut decision: Decision) -> Decision {
        if let Decision::Apply(change) = &mut decision {
            let text = "waits for a review".to_owned();
            let status = Outward::Status { stage: self.task.stage, state: StatusState::Pending, text };
            change.outward.extend([status, Outward::AskReview]);
        }
        decision
    }

    /// The task stays at the merge, with a reason that everybody sees; each reason is said once for a head.
    fn wait_for_the_merge(&self, finding: &Finding) -> Decision {
        let Some(hold) = finding.hold.clone() else { return Decision::nothing("nothing holds the merge") };
        let (reason, asks) = (format!("the merge waits: {hold}"), matches!(hold, Hold::Approvals { .. }));
        let message = Message::MergeWaits { why: hold };
        let decision = self.say_once(&finding.fingerprint, message, reason);
        if asks { self.ask_for_review(decision) } else { decision }
    }

    fn failed(&self, role: Role, reason: &FailReason, log: &str) -> Decision {
        match (role, reason) {
            (Role::Analyst, FailReason::MissingFiles { .. }) => self.analysis_incomplete(log),
            (Role::Developer, FailReason::TestsRed { tail, .. }) => self.send_back(&tests_red(reason, tail)),
            (
                Role::Analyst | Role::Architect | Role::Developer | Role::Reviewer | Role::Tester | Role::Deployer,
                FailReason::MissingFiles { .. }
                | FailReason::Conflict { .. }
                | FailReason::TestsRed { .. }
                | FailReason::CiFailed { .. }
                | FailReason::ChangesRequested { .. }
                | FailReason::NotFound { .. }
                | FailReason::NoVerdict { .. }
                | FailReason::NoPullAndNoReview
                | FailReason::PullRejected { .. }
                | FailReason::TestsNotPassed { .. }
                | FailReason::EvidenceGone { .. }
                | FailReason::BaseMoved { .. }
                | FailReason::BranchClash { .. },
            ) => self.failed_by_rule(reason, Some(role)),
        }
    }

    /// The rules that hold whoever asked; what has none is said once.
    pub(super) fn failed_by_rule(&self, reason: &FailReason, ended: Option<Role>) -> Decision {
        match reason {
            FailReason::Conflict { file, text } => self.send_back(&conflict(reason, file, text)),
            FailReason::ChangesRequested { file, .. } => self.send_back(&changes_requested(reason, file)),
            FailReason::PullRejected { reviewer, reason: words, person } => {
                self.send_back(&pull_rejected(reason, &format!("{reviewer}: {words}"), *person))
            }
            FailReason::TestsNotPassed { file, .. } => self.send_back(&tests_not_passed(reason, file)),
            FailReason::EvidenceGone { .. } => self.judge_anew(reason, false),
            FailReason::CiFailed { checks } => self.send_back(&ci_failed(reason, checks)),
            FailReason::BaseMoved { base, files } => self.send_back(&base_moved(reason, base, files)),
            FailReason::BranchClash { clash } => self.clashed(reason, clash, false),
            FailReason::NotFound { file } | FailReason::NoVerdict { file, .. } if ended == Some(Role::Tester) => {
                self.send_back(&tests_not_passed(reason, file))
            }
            FailReason::MissingFiles { .. }
            | FailReason::TestsRed { .. }
            | FailReason::NotFound { .. }
            | FailReason::NoVerdict { .. }
            | FailReason::NoPullAndNoReview => self.no_rule(reason),
        }
    }

    fn no_rule(&self, reason: &FailReason) -> Decision {
        let Some((finding, gate)) = self.finding.and_then(|f| Some((f, f.gate?))) else {
            return Decision::nothing("the stage has no gate");
        };
        let message = Message::GateFailed { gate, reason: reason.clone() };
        self.say_once(&finding.fingerprint, message, format!("gate {gate} failed: {reason}"))
    }

    fn analysis_incomplete(&self, log: &str) -> Decision {
        if let Some(questions) = self.finding.and_then(|f| f.questions.clone()) {
            let mut change = self.stay("the analyst has questions");
            change.state = TaskState::NeedsInput;
            let message = Message::Questions { text: questions };
            change.outward.push(Outward::Comment(message.clone()));
            change.outward.push(Outward::Chat(message));
            return Decision::Apply(Box::new(change));
        }
        let mut change = self.stay("the analyst left no artifacts and no questions");
        // The reconciler finds the same later and has nothing to add.
        change.said = self.finding.map(|f| f.fingerprint.clone());
        change.state_reason = Some(change.reason.clone());
        change.outward.push(Outward::Comment(Message::NoArtifacts { log: log.to_owned() }));
        Decision::Apply(Box::new(change))
    }
}

fn tests_red(reason: &FailReason, tail: &str) -> Rework {
    Rework {
        role: Role::Developer,
        reason: reason.to_string(),
        message: |n, r| Message::TestsRed { attempt: n.attempt, cap: n.cap, tail: r.text.clone() },
        brief: |n, r| Brief::TestsRed { tail: r.text.clone(), attempt: n.attempt, cap: n.cap },
        file: String::new(),
        text: tail.to_owned(),
        checks: Vec::new(),
        told_at_cap: reason.to_string(),
        person: false,
    }
}

/// CI judged the work at the forge. The developer gets the ends of the logs, people the names and where to look.
fn ci_failed(reason: &FailReason, checks: &[FailedCheck]) -> Rework {
    let list: Vec<String> = checks.iter().map(FailedCheck::shown).collect();
    Rework {
        role: Role::Developer,
        reason: reason.to_string(),
        message: |n, r| {
            let list = r.checks.iter().map(FailedCheck::shown).collect();
            Message::ChecksFailed { attempt: n.attempt, cap: n.cap, list }
        },
        brief: |n, r| Brief::ChecksFailed { checks: r.checks.clone(), attempt: n.attempt, cap: n.cap },
        file: String::new(),
        text: String::new(),
        checks: checks.to_vec(),
        told_at_cap: format!("CI failed: {}", list.join("; ")),
        person: false,
    }
}

fn rework_brief(n: &super::rework::RetryCount, r: &Rework) -> Brief {
    Brief::Rework { file: r.file.clone(), reason: r.text.clone(), attempt: n.attempt, cap: n.cap }
}

fn changes_requested(reason: &FailReason, file: &str) -> Rework {
    Rework {
        role: Role::Developer,
        reason: reason.to_string(),
        message: |n, r| Message::ReviewChanges { attempt: n.attempt, cap: n.cap, reason: r.text.clone() },
        brief: rework_brief,
        file: file.to_owned(),
        text: reason.to_string(),
        checks: Vec::new(),
        told_at_cap: reason.to_string(),
        person: false,
    }
}

/// What reviewers at the forge want. No file says it, and a person's word is not held to the cap.
fn pull_rejected(reason: &FailReason, words: &str, person: bool) -> Rework {
    Rework {
        message: |n, r| Message::ReviewChanges { attempt: n.attempt, cap: n.cap, reason: r.told_at_cap.clone() },
        text: words.to_owned(),
        told_at_cap: words.chars().take(WORDS_CHARS).collect(),
        person,
        ..changes_requested(reason, "")
    }
}

fn tests_not_passed(reason: &FailReason, file: &str) -> Rework {
    Rework {
        role: Role::Developer,
        reason: reason.to_string(),
        message: |_, r| Message::TestsFailed { reason: r.text.clone() },
        brief: rework_brief,
        file: file.to_owned(),
        text: reason.to_string(),
        checks: Vec::new(),
        told_at_cap: reason.to_string(),
        person: false,
    }
}

/// `file` is the base, `text` the files with conflicts, one a line.
pub(super) fn base_moved(reason: &FailReason, base: &str, files: &[String]) -> Rework {
    Rework {
        role: Role::Developer,
        reason: reason.to_string(),
        message: |n, r| Message::BaseMoved { base: r.file.clone(), files: files_of(r), attempt: n.attempt, cap: n.cap },
        brief: |n, r| Brief::BaseMoved { base: r.file.clone(), files: files_of(r), attempt: n.attempt, cap: n.cap },
        file: base.to_owned(),
        text: files.join("\n"),
        checks: Vec::new(),
        told_at_cap: reason.to_string(),
        person: false,
    }
}

fn files_of(rework: &Rework) -> Vec<String> {
    rework.text.lines().map(str::to_owned).collect()
}

fn conflict(reason: &FailReason, file: &str, text: &str) -> Rework {
    let excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
    Rework {
        role: Role::Analyst,
        reason: reason.to_string(),
        message: |_, r| Message::Conflict { excerpt: r.text.clone() },
        brief: |_, r| Brief::Conflict { file: r.file.clone(), excerpt: r.text.clone() },
        file: file.to_owned(),
        text: excerpt.clone(),
        checks: Vec::new(),
        told_at_cap: excerpt,
        person: false,
    }
}

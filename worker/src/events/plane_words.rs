//! What a person said in a work item's thread, and whether it counts: the comment is read again before it moves a task, and
//! whoever is not heard is told why.

use super::once::Once;
use super::people::names_in;
use super::plan::{Plan, PlanError};
use super::plane::SaidInPlane;
use super::plane_rules::{Case, trigger};
use crate::clients::ApiError;
use crate::html;
use orch_common::config::AnswersFrom;
use orch_common::domain::decide::{Trigger, Via};
use orch_common::domain::messages::Message;
use orch_common::domain::stage::TaskState;
use orch_common::domain::words::{Command, is_visible, parse_comment};
use orch_common::store::tasks::Task;

/// Whose words a comment has.
enum Words {
    /// The actor's, as they are now.
    Own(String),
    /// Somebody else has changed them.
    Nobodys,
    /// The comment was deleted.
    Gone,
}

impl Case<'_> {
    pub(super) async fn said(&self, task: Task, said: SaidInPlane) -> Result<Plan, PlanError> {
        if said.external_source.as_deref() == Some("orch") {
            return Ok(Plan::ignore("the orchestrator's own comment"));
        }
        let may_answer = task.state == TaskState::NeedsInput && !said.edited;
        let told = parse_comment(&said.text);
        if told.is_none() && !may_answer {
            return Ok(Plan::ignore("a comment without a command"));
        }
        let once = Once::comment(&said.comment_id);
        if self.was_taken(&once).await? {
            return Ok(Plan::ignore("done already"));
        }
        let text = match self.words_now(&said).await? {
            Words::Own(text) => text,
            Words::Gone => return Ok(Plan::ignore("the comment is gone")),
            Words::Nobodys => return Ok(self.nobodys_word(task, &said, told)),
        };
        let actor = self.actor.to_owned();
        if let Some(command) = parse_comment(&text) {
            if let Some(refusal) = self.not_an_approver(&task, &command, Some(&once)) {
                return Ok(refusal);
            }
            return Ok(trigger(task, Trigger::Command { command, actor, via: Via::Comment }, Some(once)));
        }
        if !may_answer || !is_visible(&text) {
            return Ok(Plan::ignore("a comment without a command"));
        }
        if self.project.answers == AnswersFrom::Approvers && !self.is_approver() {
            // Whoever talks about the questions is told once for each time that questions are open.
            let once = Once::First(format!("unanswered:{}:{}:{actor}", task.id, task.stage_version));
            return Ok(Plan::Answer { task: Box::new(task), message: Message::AnswerRefused, once: Some(once) });
        }
        Ok(trigger(task, Trigger::Answer { text, actor }, Some(once)))
    }

    /// The comment as it is now: what was told may have been changed before it was sent, and since.
    async fn words_now(&self, said: &SaidInPlane) -> Result<Words, PlanError> {
        let told = || if said.own_words { Words::Own(said.text.clone()) } else { Words::Nobodys };
        let Some(plane) = &self.ctx.outside.plane else { return Ok(told()) };
        let project = &self.project.plane_project;
        let comment = match plane.comment(project, self.work_item, &said.comment_id).await {
            Ok(comment) => comment,
            // A proxy says so too while Plane restarts; the item is gone where the project is there.
            Err(ApiError::NotFound) => plane.project(project).await.map(|_| None)?,
            Err(error) => return Err(error.into()),
        };
        let Some(comment) = comment else { return Ok(Words::Gone) };
        if !comment.is_word_of(self.actor) || comment.external_source.as_deref() == Some("orch") {
            return Ok(Words::Nobodys);
        }
        let names = names_in(self.ctx, project, &comment.comment_html).await;
        Ok(Words::Own(html::words(&comment.comment_html, &|id| names.get(id).cloned())))
    }

    /// Somebody changed another's comment so that it is a command: told once, whoever is told of first.
    fn nobodys_word(&self, task: Task, said: &SaidInPlane, told: Option<Command>) -> Plan {
        let Some(command) = told else {
            return Plan::ignore("somebody changed another's comment: nobody's word");
        };
        let once = Once::First(format!("changed:{}", said.comment_id));
        Plan::Answer { task: Box::new(task), message: Message::WordsChanged { command }, once: Some(once) }
    }

    async fn was_taken(&self, once: &Once) -> Result<bool, PlanError> {
        let once = once.clone();
        Ok(self.ctx.store.read(move |c| once.was_taken(c)).await?)
    }

    fn is_approver(&self) -> bool {
        let approvers = &self.project.approvers;
        approvers.is_empty() || approvers.iter().any(|a| a.eq_ignore_ascii_case(self.actor))
    }

    /// The answer to a command of somebody who may not give one.
    pub(super) fn not_an_approver(&self, task: &Task, command: &Command, once: Option<&Once>) -> Option<Plan> {
        if self.is_approver() {
            return None;
        }
        let message = Message::Refused {
            command: command.clone(),
            why: "only the project's approvers move its tasks".to_owned(),
        };
        Some(Plan::Answer { task: Box::new(task.clone()), message, once: once.cloned() })
    }
}

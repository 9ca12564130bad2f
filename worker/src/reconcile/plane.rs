//! What happened in a Plane project since it was asked last: one list of the items that changed; then, only for what
//! matters, an item's history and thread.

use super::findings::Findings;
use super::{OVERLAP_MS, Reconciler, RoundError, position, threads};
use crate::clients::plane::{Activity, PlaneClient, WorkItem};
use crate::context::Context;
use crate::events::{NewItem, Observed, PlaneChange, PlaneEvent, newest_move};
use crate::html;
use orch_common::config::{Project, StartRule};
use orch_common::domain::stage::TaskState;
use orch_common::store::StoreError;
use orch_common::store::tasks::{self, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One project at Plane.
pub(super) struct Asking<'a> {
    pub ctx: &'a Context,
    pub plane: &'a PlaneClient,
    pub project: &'a Project,
    /// When the project was first asked about (ms): older items start nothing.
    pub begin: i64,
}

/// Asks; what was found before a failure counts.
pub(super) async fn ask(ctx: &Arc<Context>, memory: &mut Reconciler, project: &Project) -> Findings {
    let mut findings = Findings::default();
    let Some(plane) = ctx.outside.plane.clone() else { return findings };
    if let Err(trouble) = ask_into(ctx, &plane, memory, project, &mut findings).await {
        findings.trouble = Some(trouble);
    }
    findings
}

async fn ask_into(
    ctx: &Context,
    plane: &PlaneClient,
    memory: &mut Reconciler,
    project: &Project,
    findings: &mut Findings,
) -> Result<(), RoundError> {
    let id = &project.plane_project;
    let begin = position(ctx, format!("plane:begin:{id}")).await?;
    let name = format!("plane:since:{id}");
    let since = position(ctx, name.clone()).await?;
    let asking = Asking { ctx, plane, project, begin };
    let mut items = plane.work_items_updated_since(id, since.saturating_sub(OVERLAP_MS)).await?;
    items.sort_by_key(|item| item.updated_at);
    let mut read = Vec::new();
    for item in &items {
        if !memory.knows(&item.id, item.updated_at) {
            asking.look_at(item, findings).await?;
            memory.deal_with(&item.id, item.updated_at);
            read.push(item.id.as_str());
        }
        if item.updated_at > since {
            findings.position = Some((name.clone(), item.updated_at));
        }
    }
    threads::ask_those_who_wait(&asking, memory, &read, findings).await
}

impl Asking<'_> {
    async fn look_at(&self, item: &WorkItem, findings: &mut Findings) -> Result<(), RoundError> {
        let (project, id) = (self.project.plane_project.clone(), item.id.clone());
        match self.ctx.store.read(move |c| tasks::by_work_item(c, &project, &id)).await? {
            None => self.perhaps_new(item, findings).await,
            // A cancelled card that was moved back.
            Some(task) if task.state == TaskState::Cancelled && item.state.group.as_deref() != Some("cancelled") => {
                self.moves(item, &task, findings).await?;
                threads::ask_for_late_words(self, &task, findings).await
            }
            Some(task) if task.state.is_terminal() => threads::ask_for_late_words(self, &task, findings).await,
            Some(task) => {
                self.moves(item, &task, findings).await?;
                threads::ask_for_words(self, &task, findings).await
            }
        }
    }

    /// An item without a task, that perhaps should have one. Whether the start rule holds is for the rules to say.
    async fn perhaps_new(&self, item: &WorkItem, findings: &mut Findings) -> Result<(), RoundError> {
        let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
        let is_new = item.created_at >= self.begin;
        let could = match &self.project.start {
            StartRule::Created => is_new,
            StartRule::Label(label) => item.labels.iter().any(|l| l.name.as_deref().is_some_and(|n| same(n, label))),
            StartRule::State(state) => item.state.name.as_deref().is_some_and(|n| same(n, state)),
        };
        if !could || item.external_source.as_deref() == Some("orch") {
            return Ok(());
        }
        let history = self.plane.activities(&self.project.plane_project, &item.id).await?;
        let since_begin = history.iter().filter(|a| a.created_at >= self.begin);
        let named = |a: &Activity, wanted: &str| a.new_value.as_deref().is_some_and(|v| same(v, wanted));
        let deed = since_begin.filter(|a| match (&self.project.start, a.field.as_deref()) {
            (StartRule::Label(label), Some("labels")) => named(a, label),
            (StartRule::State(state), Some("state")) => named(a, state),
            (_, None) => a.verb == "created" && is_new,
            (_, Some(_)) => false,
        });
        let Some(deed) = deed.max_by_key(|a| a.created_at) else { return Ok(()) };
        let Some(actor) = deed.actor.clone() else { return Ok(()) };
        let what = match (deed.field.as_deref(), &deed.new_identifier) {
            (Some("labels"), _) => PlaneChange::LabelsChanged,
            (Some(_), Some(to)) => PlaneChange::StateChanged { to: to.clone(), at: Some(deed.created_at) },
            (Some(_), None) => return Ok(()),
            (None, _) => PlaneChange::ItemCreated(new_item(item)),
        };
        findings.push(format!("plane:{}", deed.id), deed.created_at, self.event(&item.id, Some(actor), what));
        Ok(())
    }

    /// Where people have moved an item that has a task: the newest move to each state that has not acted.
    async fn moves(&self, item: &WorkItem, task: &Task, findings: &mut Findings) -> Result<(), RoundError> {
        let history = self.plane.activities(&self.project.plane_project, &item.id).await?;
        let mut newest: BTreeMap<&str, &Activity> = BTreeMap::new();
        let since = task.finished_at.unwrap_or(task.created_at);
        for deed in history.iter().filter(|a| a.field.as_deref() == Some("state") && a.created_at >= since) {
            if let Some(to) = deed.new_identifier.as_deref()
                && newest.get(to).is_none_or(|known| known.created_at < deed.created_at)
            {
                newest.insert(to, deed);
            }
        }
        let mut deeds: Vec<_> = newest.into_iter().collect();
        deeds.sort_by_key(|(_, deed)| deed.created_at);
        for (to, deed) in deeds {
            let Some(actor) = deed.actor.clone() else { continue };
            if self.has_acted(&item.id, to, deed.created_at).await? || self.is_own(&actor).await? {
                continue;
            }
            let what = PlaneChange::StateChanged { to: to.to_owned(), at: Some(deed.created_at) };
            findings.push(format!("plane:{}", deed.id), deed.created_at, self.event(&item.id, Some(actor), what));
        }
        Ok(())
    }

    async fn has_acted(&self, item: &str, to: &str, at: i64) -> Result<bool, StoreError> {
        let (item, to) = (item.to_owned(), to.to_owned());
        Ok(self.ctx.store.read(move |c| newest_move(c, &item, &to)).await?.is_some_and(|known| known >= at))
    }

    pub(super) async fn is_own(&self, actor: &str) -> Result<bool, RoundError> {
        Ok(self.ctx.accounts.is_own_in_plane(&self.ctx.outside, actor).await?)
    }

    pub(super) fn event(&self, item: &str, actor: Option<String>, what: PlaneChange) -> Observed {
        let project = Some(self.project.plane_project.clone());
        Observed::Plane(PlaneEvent { project, work_item: item.to_owned(), actor, what })
    }
}

fn new_item(item: &WorkItem) -> NewItem {
    NewItem {
        title: item.name.clone(),
        description: html::page(item.description_html.as_deref().unwrap_or_default(), &html::nobody).text,
        state_id: item.state.id.clone(),
        state_name: item.state.name.clone(),
        state_group: item.state.group.clone(),
        labels: item.labels.iter().filter_map(|l| l.name.clone()).collect(),
        label_ids: item.labels.iter().map(|l| l.id.clone()).collect(),
        sequence_id: item.sequence_id,
        external_source: item.external_source.clone(),
    }
}

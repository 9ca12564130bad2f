//! What a test can see of a stack: rows of the database, and what people see outside.

use super::{REPO, Stack};
use crate::fakes::{FakePlane, PullRow};
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::run::RunState;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::accounts::{Account, DEFAULT_ACCOUNT};
use orch_common::store::jobs::Job;
use orch_common::store::runs::Run;
use orch_common::store::tasks::Task;
use orch_common::store::{Conn, StoreError, accounts, audit, gates, jobs, runs, tasks};

/// A comment of ours on a work item, by what it says.
pub type Commented = String;

/// A move of the work item: the state's name, and whether it was ours.
pub type Moved = (String, bool);

/// What begins, or stands in, each text of ours, and a short name for it.
const KINDS: &[(&str, &str)] = &[
    ("runs without success", "cap reached"),
    ("changed nothing that counts", "nothing changed"),
    ("does not count any more", "judged anew"),
    ("the analyst has started", "started"),
    ("the analysis is ready", "approval wanted"),
    ("The analyst has questions", "questions"),
    ("ended without documents", "no artifacts"),
    ("The reviewer asks for changes", "changes wanted"),
    ("report is not a pass", "tests failed"),
    ("tests are red", "tests red"),
    ("CI is red", "ci red"),
    ("The task waits for CI", "ci waits"),
    ("found a conflict", "conflict"),
    ("does not take its commits", "push refused"),
    ("is no longer at the forge", "branch gone"),
    ("was closed without a merge", "pull closed"),
    ("while the task is still at", "pull merged early"),
    ("it will not be merged there", "pull retargeted"),
    ("The work waits for the forge", "forge shut"),
    ("is called", "repository renamed"),
    ("joins both sides now", "branch conflict"),
    ("was rewritten at the forge", "branch rewritten"),
    ("Approved, thank you", "approved"),
    ("Rejected; the work", "rejected"),
    ("Thank you for the answer", "answer taken"),
    ("Opened again: the", "reopened"),
    ("the attempts are counted anew", "retrying"),
    ("Paused: no agent", "paused"),
    ("Paused: the agent at work", "paused at work"),
    ("Resumed: the task", "resumed"),
    ("Cancelled: the agent", "cancelled"),
    ("does nothing here any more", "ended"),
    ("does nothing here", "refused"),
    ("answer an agent's questions", "answer refused"),
    ("counts for nobody here", "words changed"),
    ("the task is not done: at", "not done"),
    ("Nothing was started, because a budget", "budget used up"),
    ("does not pass", "gate failed"),
    ("The task waits at", "waiting"),
    ("The merge waits", "merge waits"),
    ("has moved. ", "base moved"),
    ("was refused tools", "denied tools"),
    ("The task is blocked", "blocked"),
    ("waits since", "still waits"),
    ("left things beside its work", "left"),
    ("has failed for good", "job failed"),
    ("is done:", "done"),
    ("keeps failing", "breaker opened"),
    ("works again", "breaker closed"),
    ("usage limit is reached", "usage limit"),
    ("has started without the comments", "story unread"),
    ("gives no answers since", "away"),
    ("answers again", "back"),
    ("cannot run on this installation", "installation fault"),
];

/// The short name of a text of ours.
fn kind_of(text: &str) -> Commented {
    let plain = text.replace("&#39;", "'").replace("&#x27;", "'");
    if let Some(rest) = plain.split("is finished, now in ").nth(1) {
        let stage: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
        return format!("now in {stage}");
    }
    let found = KINDS.iter().find(|(sign, _)| plain.contains(sign));
    found.map_or_else(|| format!("? {plain}"), |(_, kind)| (*kind).to_owned())
}

impl Stack {
    /// A look at the database.
    pub fn read<T, F>(&self, look: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T, StoreError> + Send + 'static,
    {
        self.runtime.block_on(self.store.read(look)).expect("the database can be read")
    }

    pub fn task(&self, item: &str) -> Option<Task> {
        let item = item.to_owned();
        self.read(move |c| tasks::by_work_item_alone(c, &item))
    }

    fn task_id(&self, item: &str) -> i64 {
        self.task(item).unwrap_or_else(|| panic!("{item} has no task")).id
    }

    /// Waits for the task to be there.
    pub fn wait_task(&self, item: &str, stage: Stage, state: TaskState) -> Task {
        let what = format!("the task to be {state} at {stage}");
        self.wait_for(&what, || self.task(item).filter(|t| t.stage == stage && t.state == state))
    }

    /// A work item whose analysis waits for a person.
    pub fn analysed(&self, title: &str) -> String {
        let (item, _) = self.plane().create_item(title, "<p>Please.</p>", &[]);
        self.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
        item
    }

    /// A work item whose analysis a person has approved.
    pub fn approved(&self, title: &str) -> String {
        let item = self.analysed(title);
        self.plane().comment(&item, "<p>:approved:</p>");
        item
    }

    pub fn runs(&self, item: &str) -> Vec<Run> {
        let id = self.task_id(item);
        self.read(move |c| runs::of_task(c, id))
    }

    /// The roles that ran, in order, with what each run came to.
    pub fn run_trail(&self, item: &str) -> Vec<(Role, String)> {
        self.runs(item).into_iter().map(|r| (r.role, r.outcome.map(|o| o.to_string()).unwrap_or_default())).collect()
    }

    /// Waits for a run of this role whose scripted agent has begun: one that is ended from now on was seen by `agents_begun`.
    pub fn wait_at_work(&self, item: &str, role: Role) -> Run {
        let run = self.wait_running(item, role);
        self.wait(&format!("the {role} itself"), || {
            let begun = self.agents_begun(item, role);
            begun > 0 && begun == self.runs(item).iter().filter(|r| r.role == role).count()
        });
        run
    }

    /// Waits for a run of this role that has a process, which need not have done anything yet.
    pub fn wait_running(&self, item: &str, role: Role) -> Run {
        self.wait_for(&format!("the {role} to be at work"), || {
            self.task(item)?;
            self.runs(item).into_iter().find(|r| r.role == role && r.state == RunState::Running)
        })
    }

    pub fn jobs(&self, item: &str) -> Vec<Job> {
        let id = self.task_id(item);
        self.read(move |c| jobs::of_task(c, id))
    }

    /// The newest agent job of the task.
    pub fn agent_job(&self, item: &str) -> Job {
        self.jobs(item).into_iter().rfind(|j| j.kind == JobKind::Agent).expect("an agent job")
    }

    /// Every job with this status.
    pub fn jobs_with(&self, status: JobStatus) -> i64 {
        self.read(move |c| Ok(jobs::counts(c)?.values().filter_map(|of| of.get(status.as_str())).sum()))
    }

    /// The event job that carries this text.
    pub fn notes_of_events(&self) -> Vec<String> {
        self.read(|c| {
            let newest = (1..).map_while(|id| jobs::get(c, id).transpose()).collect::<Result<Vec<_>, _>>()?;
            Ok(newest.into_iter().filter(|j| j.kind == JobKind::Event).map(|j| j.note.unwrap_or_default()).collect())
        })
    }

    /// The stages the task has been in.
    pub fn stages(&self, item: &str) -> Vec<Stage> {
        let id = self.task_id(item);
        self.read(move |c| audit::stage_trail(c, id))
    }

    /// The gates that were looked at, each with its outcome.
    pub fn gates(&self, item: &str) -> Vec<(String, String)> {
        let id = self.task_id(item);
        let rows = self.read(move |c| gates::of_task(c, id));
        rows.into_iter().map(|g| (g.gate.to_string(), g.outcome.to_string())).collect()
    }

    pub fn account(&self) -> Account {
        self.read(|c| accounts::get(c, DEFAULT_ACCOUNT))
    }

    /// Waits until nothing is left to do: every webhook delivered, every job ended.
    pub fn settle(&self) {
        self.wait("everything to be done", || self.is_settled());
    }

    /// Waits until everything was written outside.
    pub fn settle_effects(&self) {
        self.wait("everything to be said", || {
            self.read(|c| {
                Ok(jobs::counts(c)?[&JobKind::Effect]
                    .iter()
                    .all(|(s, n)| !matches!(*s, "queued" | "running") || *n == 0))
            })
        });
    }

    /// What waits has waited for so much longer, in ms.
    pub fn age_waits(&self, by: i64) {
        use diesel::prelude::*;
        let age = diesel::sql_query("UPDATE held_jobs SET story_since = story_since - ?")
            .bind::<diesel::sql_types::BigInt, _>(by);
        self.store.write_now(|c| Ok(age.clone().execute(&mut *c)?)).expect("the database can be written");
    }

    /// Nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.nothing_left() && self.delivered() && self.nothing_left()
    }

    fn nothing_left(&self) -> bool {
        self.jobs_with(JobStatus::Queued) + self.jobs_with(JobStatus::Running) == 0
    }

    fn delivered(&self) -> bool {
        let plane = self.plane.as_ref().is_none_or(|p| p.deliveries().len() == p.delivery_answers().len());
        plane && self.gitea.as_ref().is_none_or(|g| g.deliveries().len() == g.delivery_answers().len())
    }

    /// What we said on the work item, in order.
    pub fn comments(&self, item: &str) -> Vec<Commented> {
        let comments = self.plane().item(item).comments;
        comments.iter().filter(|c| c.actor == FakePlane::BOT).map(|c| kind_of(&c.html)).collect()
    }

    /// The text of our newest comment of this kind.
    pub fn said(&self, item: &str, kind: &str) -> String {
        let comments = self.plane().item(item).comments;
        let found = comments.into_iter().rfind(|c| c.actor == FakePlane::BOT && kind_of(&c.html) == kind);
        found.unwrap_or_else(|| panic!("nothing of the kind '{kind}' was said: {:?}", self.comments(item))).html
    }

    /// Waits for a comment of this kind.
    pub fn wait_said(&self, item: &str, kind: &str) -> String {
        self.wait(&format!("the comment '{kind}'"), || self.comments(item).iter().any(|k| k == kind));
        self.said(item, kind)
    }

    /// Waits for the work item's state.
    pub fn wait_state(&self, item: &str, state: &str) {
        self.wait(&format!("the work item to be in '{state}'"), || self.plane().state_of(item) == state);
    }

    /// The states we moved the work item to, in order.
    pub fn our_states(&self, item: &str) -> Vec<String> {
        let moves = self.plane().moves_of(item);
        moves.into_iter().filter(|(_, actor)| actor == FakePlane::BOT).map(|(state, _)| state).collect()
    }

    /// We moved the work item through these states in this order, to the last; what had been overtaken by the next before it could
    /// be shown was left out.
    pub fn states_were(&self, item: &str, wanted: &[&str]) {
        let ours = self.our_states(item);
        let mut rest = wanted.iter();
        let in_order = ours.iter().all(|state| rest.any(|wanted| wanted == state));
        assert!(in_order && ours.last().map(String::as_str) == wanted.last().copied(), "{ours:?}");
    }

    /// The kinds of the chat's messages, in order.
    pub fn told(&self) -> Vec<Commented> {
        // Those that waited for a turn together came as one.
        let messages = self.telegram().messages();
        messages.iter().flat_map(|text| text.split("———")).map(|text| kind_of(text.trim())).collect()
    }

    /// The open or newest pull request of the task.
    pub fn pull(&self, item: &str) -> Option<PullRow> {
        self.gitea().pull_of(REPO, &self.task(item)?.branch)
    }

    /// Our commit statuses on every commit of the task's branch, oldest commit first: context and state.
    pub fn statuses(&self, item: &str) -> Vec<(String, String)> {
        let branch = self.task(item).expect("a task").branch;
        let log = super::git(&self.scene.forge, &["log", "--reverse", "--format=%H", &branch]);
        let of = |sha: &str| self.gitea().statuses_of(REPO, sha);
        log.lines().flat_map(of).map(|s| (s.context, s.state)).collect()
    }

    /// What the run was told.
    pub fn prompt(&self, run: &Run) -> String {
        std::fs::read_to_string(self.scene.runs.join(&run.dir).join("prompt.md")).expect("the run's prompt")
    }

    /// How many agent processes of a role were really begun for the work item.
    pub fn agents_begun(&self, item: &str, role: Role) -> usize {
        let beginning = format!("{}-{role}-", self.task(item).expect("a task").key);
        let places = std::fs::read_dir(self.scene.script.with_extension("places")).into_iter().flatten().flatten();
        places.filter(|place| place.file_name().to_string_lossy().starts_with(&beginning)).count()
    }
}

use super::*;
use crate::domain::budget::{BudgetStop, Limit};
use crate::domain::failure::Denial;
use crate::domain::fault::Fault;
use crate::domain::gate::{FailReason, Gate, Waiting};
use crate::domain::job::JobKind;
use crate::domain::leftover::{LeftKind, Leftover};
use crate::domain::merge::Hold;
use crate::domain::names::{BranchName, WorkItemKey};
use crate::domain::refusal::Refusal;
use crate::domain::stage::{Role, Stage, TaskState};
use crate::domain::submodule::SubmoduleWhy;
use crate::domain::words::{Command, parse_comment};
use minijinja::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key() -> WorkItemKey {
    "ET-017".parse().unwrap()
}

/// One that is kept, and one that is not.
fn left(text: &str) -> Vec<Leftover> {
    let stash = Leftover::new(LeftKind::Stash, text);
    vec![Leftover { kept: Some("refs/orch/preserved/ET-017/1".into()), ..stash }, Leftover::new(LeftKind::Nested, text)]
}

/// One of each, with `text` wherever a text from outside can be.
fn every(text: &str) -> Vec<Message> {
    let (key, text) = (key(), text.to_owned());
    let branch: BranchName = "feature/ET-017-x".parse().unwrap();
    let files = vec!["01-brd.md".to_owned(), text.clone()];
    let reason = FailReason::ChangesRequested { file: "12-review.md".into(), reason: text.clone() };
    vec![
        Message::AnalystStarted { key: key.clone(), files, minutes: 31 },
        Message::ApprovalWanted { key: key.clone() },
        Message::Questions { text: text.clone() },
        Message::NoArtifacts { log: text.clone() },
        Message::ReviewChanges { attempt: 2, cap: 3, reason: text.clone() },
        Message::ReviewVerdict { verdict: "APPROVED".into(), reason: text.clone() },
        Message::TestsFailed { reason: text.clone() },
        Message::TestsRed { attempt: 2, cap: 3, tail: text.clone() },
        Message::NothingChanged { role: Role::Developer, attempt: 2, cap: 3, found: text.clone() },
        Message::JudgedAnew {
            gate: Gate::TestsLocal,
            by: vec![text.clone(), text.clone()],
            to: Stage::Development,
            role: Role::Developer,
            attempt: 2,
            cap: 3,
        },
        Message::BranchConflict {
            role: Role::Developer,
            ours: text.clone(),
            theirs: text.clone(),
            files: vec![text.clone()],
            attempt: 2,
            cap: 3,
        },
        Message::BranchRewritten {
            role: Role::Developer,
            ours: text.clone(),
            theirs: text.clone(),
            attempt: 2,
            cap: 3,
        },
        Message::PushRefused { branch: "feature/ET-017-x".parse().unwrap(), why: Refusal::Hook, words: text.clone() },
        Message::BranchGone { branch: "feature/ET-017-x".parse().unwrap(), renamed: Some(text.clone()) },
        Message::PullClosed { number: 7 },
        Message::PullMergedEarly { number: 7, by: text.clone(), stage: Stage::Review },
        Message::PullRetargeted { number: 7, base: text.clone(), wanted: text.clone() },
        Message::ForgeShut { what: text.clone(), why: Refusal::Archived, words: text.clone() },
        Message::ReviewerUnasked { who: text.clone(), number: 7, words: text.clone() },
        Message::RepositoryRenamed { repo: text.clone(), name: text.clone() },
        Message::PullGivenUp { key: key.clone() },
        Message::Conflict { excerpt: text.clone() },
        Message::RoleCapReached { role: Role::Developer, cap: 3, reason: text.clone() },
        Message::StageAdvanced { key: key.clone(), from: Stage::Review, to: Stage::Testing, role: Some(Role::Tester) },
        Message::Approved { to: Stage::Architecture, role: Some(Role::Architect) },
        Message::RejectedBack { to: Stage::Development, reason: text.clone() },
        Message::AnswerTaken,
        Message::Retrying { role: Role::Deployer, stage: Stage::Deploy },
        Message::Reopened { role: Role::Tester, stage: Stage::Testing },
        Message::Paused,
        Message::PausedAtWork,
        Message::Resumed,
        Message::Cancelled,
        Message::Refused { command: Command::Approve, why: text.clone() },
        Message::Ended { command: Command::Resume, state: TaskState::Cancelled },
        Message::AnswerRefused,
        Message::WordsChanged { command: Command::Approve },
        Message::NotDone { to: text.clone(), stage: Stage::Analysis, state: TaskState::WaitingApproval },
        Message::GateFailed { gate: Gate::TestsPassed, reason },
        Message::Waiting { gate: Gate::CiGreen },
        Message::ChecksFailed { attempt: 2, cap: 3, list: vec![text.clone()] },
        Message::ChecksWait { wait: Waiting::CiLate, names: vec![text.clone()] },
        Message::PullNotOpen { gate: Gate::ReviewApproved, pull: Waiting::PullClosed },
        Message::CommandsElsewhere { command: Command::Approve, key: key.clone(), url: Some(text.clone()) },
        Message::Blocked { reason: text.clone() },
        Message::NeedsAPerson { fault: Fault::NoRight, words: text.clone() },
        Message::AgentFailed { role: Role::Developer, error: text.clone() },
        Message::ProtectedPaths { files: vec![text.clone()] },
        Message::AgentRefused { role: Role::Developer, why: text.clone() },
        Message::LfsNoProgram { objects: 2 },
        Message::LfsNoContent { oids: vec![text.clone()] },
        Message::SubmoduleMissing { path: text.clone(), url: text.clone(), why: SubmoduleWhy::Host },
        Message::SubmoduleUnpublished { path: text.clone(), url: text.clone(), commit: text.clone() },
        Message::JobFailed { kind: JobKind::Effect, id: 4711, error: text.clone() },
        Message::BudgetStop {
            which: Limit::TaskUsd,
            limit: text.clone(),
            spent: text.clone(),
            setting: "task_usd".into(),
        },
        Message::BudgetUsedUp {
            command: Some(Command::Retry),
            which: Limit::DayTokens,
            limit: text.clone(),
            spent: text.clone(),
            setting: "day_tokens".into(),
        },
        Message::LoopStop { runs: 11, minutes: 30 },
        Message::BreakerOpened { pause_s: 300, why: text.clone() },
        Message::BreakerClosed,
        Message::UsageLimit { until: Moment(4_102_444_800_000) },
        Message::InstallationFault { why: text.clone() },
        Message::WebhooksSilent { source: text.clone(), since: Moment(4_102_444_800_000) },
        Message::OutsideAway { what: text.clone(), since: Moment(4_102_444_800_000), why: text.clone(), jobs: 3 },
        Message::StoryUnread { key: key.clone(), role: Role::Developer, minutes: 10, why: text.clone() },
        Message::StillWaits { key: key.clone(), since: Moment(4_102_444_800_000), why: text.clone() },
        Message::OutsideBack { what: text.clone(), since: Moment(4_102_444_800_000) },
        Message::TaskDone { key: key.clone(), title: text.clone(), branch: branch.clone() },
        Message::TaskDoneUnmerged { key: key.clone(), title: text.clone(), branch },
        Message::MergeWaits { why: Hold::Hook { words: text.clone() } },
        Message::BaseMoved { base: "main".into(), files: vec![text.clone()], attempt: 2, cap: 3 },
        Message::PullBody {
            key: key.clone(),
            title: text.clone(),
            url: Some(text.clone()),
            branch: "feature/ET-017-x".parse().unwrap(),
        },
        Message::Leftovers { key, list: left(&text), repo: text.clone() },
        Message::DatabaseFilesLost,
        Message::DeniedTools { list: vec![Denial { tool: text, count: 2 }] },
    ]
}

fn catalogue(locale: Locale) -> Catalogue {
    Catalogue::new(locale, BTreeMap::new()).unwrap()
}

/// The texts that a value consists of.
fn texts(value: &Value) -> Vec<String> {
    match value.try_iter() {
        Ok(items) if value.as_str().is_none() => items.map(|item| item.to_string()).collect(),
        _ => vec![value.to_string()],
    }
}

#[test]
fn every_message_reads_well_in_both_languages() {
    let names: Vec<&str> = every("x").iter().map(Message::name).collect();
    assert_eq!(names, Message::ALL_NAMES, "the table is complete");
    for locale in Locale::ALL {
        let catalogue = catalogue(*locale);
        for message in every("Sentinel text") {
            let text = catalogue.render(&message);
            for (name, value) in message.values(*locale) {
                for part in texts(&value) {
                    assert!(text.contains(&part), "{locale} {}: {name} = {part} is not in: {text}", message.name());
                }
            }
            assert!(!text.contains(['{', '}', '%']) && !text.contains("none"), "{text}");
            assert!(text.chars().count() < 700 && !text.contains("\n\n\n"), "{text}");
            assert!(parse_comment(&text).is_none(), "our own words are no command: {text}");
            assert_eq!(text.contains(|c: char| matches!(c, 'а'..='я')), *locale == Locale::Ru, "{text}");
        }
    }
}

#[test]
fn each_template_has_its_message() {
    for templates in [en::TEMPLATES, ru::TEMPLATES] {
        assert_eq!(templates.iter().map(|(name, _)| *name).collect::<Vec<_>>(), Message::ALL_NAMES);
    }
}

#[test]
fn absent_parameters_leave_no_trace() {
    let en = catalogue(Locale::En);
    let done = Message::StageAdvanced { key: key(), from: Stage::Deploy, to: Stage::Done, role: None };
    assert_eq!(en.render(&done), "ET-017: deploy is finished, now in done.");
    let reject = Message::RejectedBack { to: Stage::Analysis, reason: String::new() };
    assert_eq!(en.render(&reject), "Rejected; the work in analysis is done again.");
    let body = Message::PullBody { key: key(), title: "T".into(), url: None, branch: "b".parse().unwrap() };
    assert!(en.render(&body).contains("Work item: ET-017\nBranch: b\n"), "{}", en.render(&body));
}

#[test]
fn people_are_told_what_to_do_at_a_waiting_gate() {
    let text = |gate| catalogue(Locale::En).render(&Message::Waiting { gate });
    assert!(text(Gate::AnalysisApproved).contains(":approved:"));
    assert!(text(Gate::PrMerged).contains("merge the pull request"));
    assert!(text(Gate::CiGreen).contains("by itself"));
    let ci = |wait| catalogue(Locale::En).render(&Message::ChecksWait { wait, names: vec![] });
    assert!(ci(Waiting::CiSilent).contains("nothing of this commit.") && ci(Waiting::CiLate).contains("a long time."));
    assert!(ci(Waiting::CiCancelled).contains("was cancelled") && ci(Waiting::CiLate).contains(":approved:"));
    let pull = |pull: Waiting| catalogue(Locale::En).render(&Message::PullNotOpen { gate: Gate::ReviewApproved, pull });
    assert!(pull(Waiting::PullMissing).contains("not open yet"));
    assert!(pull(Waiting::PullClosed).contains("open it again"));
    assert!(pull(Waiting::PullMerged).contains("merged already"));
}

#[test]
fn a_budget_stop_shows_its_unit() {
    let stop = BudgetStop { which: Limit::TaskUsd, limit: 5.0, spent: 5.25 };
    assert!(catalogue(Locale::En).render(&Message::from(&stop)).contains("cost of the task, $5.25 of $5.00"));
    let stop = BudgetStop { which: Limit::TaskRuns, limit: 12.0, spent: 12.0 };
    assert!(catalogue(Locale::Ru).render(&Message::from(&stop)).contains("запуски задачи, 12 из 12"));
}

#[test]
fn a_moment_is_shown_in_utc() {
    let text = |ms| catalogue(Locale::En).render(&Message::UsageLimit { until: Moment(ms) });
    assert!(text(4_102_444_800_000).contains("2100-01-01 00:00 UTC"));
    assert!(text(i64::MAX).contains('?'));
}

#[test]
fn the_chat_learns_which_task() {
    let en = catalogue(Locale::En);
    assert!(en.render_for_chat(&key(), &Message::Paused).starts_with("ET-017: Paused"));
    let wanted = en.render_for_chat(&key(), &Message::ApprovalWanted { key: key() });
    assert!(wanted.starts_with("ET-017: the analysis"), "{wanted}");
}

#[test]
fn text_from_outside_is_never_a_template() {
    let evil = "{{ 7 * 7 }}{% for i in range(9) %}x{% endfor %}{# gone #}{{ key.__class__ }}";
    for locale in Locale::ALL {
        for message in every(evil) {
            let has_text = !every("other").contains(&message);
            let text = catalogue(*locale).render(&message);
            assert!(!text.contains("49") && (!has_text || text.contains(evil)), "{text}");
        }
    }
}

#[test]
fn text_from_outside_stays_in_its_place() {
    let evil = "a\r\n:approved: yes\n```\nopen\u{1b}[31m";
    for message in every(evil) {
        let text = catalogue(Locale::En).render(&message);
        assert!(parse_comment(&text).is_none() && !text.contains(['\r', '\u{1b}']), "{text:?}");
        let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
        assert_eq!(fences % 2, 0, "{text}");
    }
    let inside = "x\n```\ny\n```\nz";
    let text = catalogue(Locale::En).render(&Message::TestsRed { attempt: 1, cap: 3, tail: inside.into() });
    assert_eq!(text.matches("```").count(), 2, "{text}");
    let questions = catalogue(Locale::En).render(&Message::Questions { text: inside.into() });
    assert!(questions.contains(inside), "code in questions is kept: {questions}");
}

fn with(name: &str, template: &str) -> Result<Catalogue, BadTemplate> {
    Catalogue::new(Locale::En, BTreeMap::from([(name.to_owned(), template.to_owned())]))
}

#[test]
fn templates_can_be_replaced() {
    let own =
        with("approved", "Go to {{ to | upper }}!{% set a = 1 %}{% for i in range(2) %}{{ a }}{% endfor %}").unwrap();
    assert_eq!(own.render(&Message::Approved { to: Stage::Review, role: None }), "Go to REVIEW!11");
    assert_eq!(own.render(&Message::Resumed), catalogue(Locale::En).render(&Message::Resumed));
}

#[test]
fn a_bad_template_is_an_error_that_helps() {
    let rows = [
        ("aproved", "x", "no message 'aproved', allowed: analyst_started,"),
        ("approved", "{{ to", "'approved' cannot be used"),
        ("approved", "{{ reason }}", "unknown variable reason; its variables: to"),
        ("approved", "{% if false %}{{ key }}{% endif %}x", "unknown variable key"),
        ("approved", "{{ to | nope }}", "nope"),
        ("approved", "{{ to.x.y }}", "its variables: to"),
        ("paused", "{{ key }}", "its variables: none"),
        ("paused", " {# nothing #} ", "renders to nothing"),
    ];
    for (name, template, want) in rows {
        let err = with(name, template).unwrap_err().to_string();
        assert!(err.contains(want) && !err.contains('\n'), "{template}: {err}");
    }
}

#[test]
fn a_template_that_fails_later_gives_way_to_the_built_in_one() {
    let own = with("blocked", "{% if reason == 'text' %}fine{% else %}{{ reason.x.y }}{% endif %}").unwrap();
    let message = Message::Blocked { reason: "disk".into() };
    assert_eq!(own.render(&message), catalogue(Locale::En).render(&message));
}

proptest! {
    #[test]
    fn any_text_renders_in_every_message(text in "(?s).{0,120}", ru in any::<bool>()) {
        let catalogue = catalogue(if ru { Locale::Ru } else { Locale::En });
        for message in every(&text) {
            let rendered = catalogue.render(&message);
            prop_assert!(!rendered.is_empty() && rendered != message.name());
            prop_assert!(parse_comment(&rendered).is_none());
        }
    }
}

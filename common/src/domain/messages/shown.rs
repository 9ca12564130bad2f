//! Parameters as people read them, in their language.

use super::{Locale, rich};
use crate::domain::budget::Limit;
use crate::domain::failure::Denial;
use crate::domain::gate::{FailReason, Gate, Waiting};
use crate::domain::job::JobKind;
use crate::domain::merge::Hold;
use crate::domain::names::{BranchName, WorkItemKey};
use crate::domain::stage::{Role, Stage, TaskState};
use crate::domain::submodule::SubmoduleWhy;
use crate::domain::words::{Command, parse_comment};
use minijinja::Value;

/// A moment, milliseconds since the epoch; shown to the minute in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

/// A type of parameter.
pub(super) trait Shown {
    fn shown(&self, locale: Locale) -> Value;
    /// A value of this type, to try a template with.
    fn sample() -> Value;
}

/// Text from outside: no control characters, no fence that is left open, no line that reads as a command.
pub(super) fn tame(text: &str) -> String {
    let is_plain = |c: &char| matches!(c, '\n' | '\t') || !(c.is_control() || matches!(*c, rich::BEGINS | rich::ENDS));
    let text: String = text.replace("\r\n", "\n").chars().filter(is_plain).collect();
    let fences = text.lines().filter(|line| line.trim_start().starts_with("```")).count();
    let quoted = |line: &str| if parse_comment(line).is_some() { format!("> {line}") } else { line.to_owned() };
    let text = text.trim().lines().map(quoted).collect::<Vec<_>>().join("\n");
    if fences % 2 == 0 { text } else { text.replace("```", "'''") }
}

impl Shown for String {
    fn shown(&self, _: Locale) -> Value {
        Value::from(tame(self))
    }
    fn sample() -> Value {
        Value::from("text")
    }
}

impl Shown for Option<String> {
    fn shown(&self, locale: Locale) -> Value {
        self.as_ref().map_or_else(|| Value::from(()), |text| text.shown(locale))
    }
    fn sample() -> Value {
        String::sample()
    }
}

impl Shown for Vec<String> {
    fn shown(&self, _: Locale) -> Value {
        self.iter().map(|text| tame(text)).collect()
    }
    fn sample() -> Value {
        Value::from_iter(["text"])
    }
}

impl Shown for Vec<Denial> {
    fn shown(&self, locale: Locale) -> Value {
        let texts: Vec<String> = self.iter().map(|denial| format!("{} ({})", denial.tool, denial.count)).collect();
        texts.shown(locale)
    }
    fn sample() -> Value {
        Vec::<String>::sample()
    }
}

impl Shown for Moment {
    fn shown(&self, _: Locale) -> Value {
        let stamp = jiff::Timestamp::from_millisecond(self.0);
        Value::from(stamp.map_or_else(|_| "?".to_owned(), |stamp| stamp.strftime("%Y-%m-%d %H:%M UTC").to_string()))
    }
    fn sample() -> Value {
        Value::from("2030-01-01 00:00 UTC")
    }
}

/// Types that read the same in every language.
macro_rules! shown_as_is {
    ($($ty:ty: $value:ident => $text:expr, $sample:expr;)+) => {$(
        impl Shown for $ty {
            fn shown(&self, _: Locale) -> Value {
                let $value = self;
                Value::from($text)
            }
            fn sample() -> Value {
                Value::from($sample)
            }
        }
    )+};
}

shown_as_is! {
    u32: n => *n, 3;
    u64: n => *n, 3;
    i64: n => *n, 3;
    WorkItemKey: key => key.to_string(), "ET-001";
    BranchName: branch => branch.to_string(), "feature/ET-001-text";
    Gate: gate => gate.as_str(), "tests_local";
    JobKind: kind => kind.as_str(), "agent";
    Command: command => command.word(), ":retry:";
}

impl Shown for Option<Command> {
    fn shown(&self, locale: Locale) -> Value {
        self.as_ref().map_or_else(|| Value::from(()), |command| command.shown(locale))
    }
    fn sample() -> Value {
        Command::sample()
    }
}

impl Shown for Option<Role> {
    fn shown(&self, locale: Locale) -> Value {
        self.map_or_else(|| Value::from(()), |role| role.shown(locale))
    }
    fn sample() -> Value {
        Role::sample()
    }
}

impl Shown for Role {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, role) => role.as_str(),
            (Locale::Ru, Role::Analyst) => "аналитик",
            (Locale::Ru, Role::Architect) => "архитектор",
            (Locale::Ru, Role::Developer) => "разработчик",
            (Locale::Ru, Role::Reviewer) => "ревьюер",
            (Locale::Ru, Role::Tester) => "тестировщик",
            (Locale::Ru, Role::Deployer) => "инженер развёртывания",
        })
    }
    fn sample() -> Value {
        Value::from("developer")
    }
}

impl Shown for Stage {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, stage) => stage.as_str(),
            (Locale::Ru, Stage::Created) => "создано",
            (Locale::Ru, Stage::Analysis) => "анализ",
            (Locale::Ru, Stage::Architecture) => "архитектура",
            (Locale::Ru, Stage::Development) => "разработка",
            (Locale::Ru, Stage::Review) => "ревью",
            (Locale::Ru, Stage::Testing) => "тестирование",
            (Locale::Ru, Stage::Deploy) => "развёртывание",
            (Locale::Ru, Stage::Done) => "готово",
        })
    }
    fn sample() -> Value {
        Value::from("review")
    }
}

/// What a task does now, and what would move it.
impl Shown for TaskState {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, TaskState::Active) => "is being worked on",
            (Locale::En, TaskState::WaitingApproval) => "waits for :approved: or :rejected:",
            (Locale::En, TaskState::NeedsInput) => "waits for an answer to the questions",
            (Locale::En, TaskState::Paused) => "is paused until :resume:",
            (Locale::En, TaskState::Blocked) => "is blocked until :retry:",
            (Locale::En, TaskState::Cancelled) => "was cancelled; :retry: opens it again",
            (Locale::En, TaskState::Done) => "is done; what else is to be done needs a new work item",
            (Locale::Ru, TaskState::Active) => "в работе",
            (Locale::Ru, TaskState::WaitingApproval) => "ждёт :approved: или :rejected:",
            (Locale::Ru, TaskState::NeedsInput) => "ждёт ответа на вопросы",
            (Locale::Ru, TaskState::Paused) => "на паузе до :resume:",
            (Locale::Ru, TaskState::Blocked) => "заблокирована до :retry:",
            (Locale::Ru, TaskState::Cancelled) => "отменена; :retry: откроет её снова",
            (Locale::Ru, TaskState::Done) => "готова; для остального нужна новая задача в Plane",
        })
    }
    fn sample() -> Value {
        Value::from("is paused until :resume:")
    }
}

impl Shown for SubmoduleWhy {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, SubmoduleWhy::Host) => {
                "it is not at the project's own forge; an operator can allow its host with submodule_hosts"
            }
            (Locale::En, SubmoduleWhy::Address) => "its address in .gitmodules is none that may be used",
            (Locale::En, SubmoduleWhy::Path) => "its path in .gitmodules is none that may be used",
            (Locale::En, SubmoduleWhy::Commit) => {
                "the repository, or the commit that the project records, is not there or may not be read; push it, or \
                 give the account the right to read it"
            }
            (Locale::En, SubmoduleWhy::Credentials) => {
                "its server refuses the credentials; give the account the right to read it"
            }
            (Locale::En, SubmoduleWhy::Depth) => "submodules are nested too deep (5 levels are allowed)",
            (Locale::En, SubmoduleWhy::Count) => "there are too many submodules (100 are allowed)",
            (Locale::Ru, SubmoduleWhy::Host) => {
                "он не на сервере проекта; оператор может разрешить его адрес настройкой submodule_hosts"
            }
            (Locale::Ru, SubmoduleWhy::Address) => "его адрес в .gitmodules недопустим",
            (Locale::Ru, SubmoduleWhy::Path) => "его путь в .gitmodules недопустим",
            (Locale::Ru, SubmoduleWhy::Commit) => {
                "репозитория или записанного в проекте коммита там нет либо их нельзя прочитать; отправьте коммит или \
                 дайте учётной записи право чтения"
            }
            (Locale::Ru, SubmoduleWhy::Credentials) => {
                "его сервер не принимает учётные данные; дайте учётной записи право чтения"
            }
            (Locale::Ru, SubmoduleWhy::Depth) => "подмодули вложены слишком глубоко (допустимо 5 уровней)",
            (Locale::Ru, SubmoduleWhy::Count) => "подмодулей слишком много (допустимо 100)",
        })
    }
    fn sample() -> Value {
        Value::from("text")
    }
}

impl Shown for Limit {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, Limit::RunUsd) => "cost of one run",
            (Locale::En, Limit::RunTurns) => "turns of one run",
            (Locale::En, Limit::TaskUsd) => "cost of the task",
            (Locale::En, Limit::TaskRuns) => "runs of the task",
            (Locale::En, Limit::ProjectUsdPerDay) => "cost of the project today",
            (Locale::En, Limit::DayUsd) => "cost of all projects today",
            (Locale::En, Limit::RunTokens) => "tokens of one run",
            (Locale::En, Limit::TaskTokens) => "tokens of the task",
            (Locale::En, Limit::ProjectTokensPerDay) => "tokens of the project today",
            (Locale::En, Limit::DayTokens) => "tokens of all projects today",
            (Locale::Ru, Limit::RunUsd) => "стоимость одного запуска",
            (Locale::Ru, Limit::RunTurns) => "шаги одного запуска",
            (Locale::Ru, Limit::TaskUsd) => "стоимость задачи",
            (Locale::Ru, Limit::TaskRuns) => "запуски задачи",
            (Locale::Ru, Limit::ProjectUsdPerDay) => "стоимость проекта за день",
            (Locale::Ru, Limit::DayUsd) => "стоимость всех проектов за день",
            (Locale::Ru, Limit::RunTokens) => "токены одного запуска",
            (Locale::Ru, Limit::TaskTokens) => "токены задачи",
            (Locale::Ru, Limit::ProjectTokensPerDay) => "токены проекта за день",
            (Locale::Ru, Limit::DayTokens) => "токены всех проектов за день",
        })
    }
    fn sample() -> Value {
        Value::from("cost of the task")
    }
}

/// How what is waited for stands, and what people can do.
impl Shown for Waiting {
    fn shown(&self, locale: Locale) -> Value {
        Value::from(match (locale, self) {
            (Locale::En, Waiting::PullMissing) => "not open yet; it is opened by itself",
            (Locale::En, Waiting::PullClosed) => "closed: please open it again, or write :cancel: here",
            (Locale::En, Waiting::PullMerged) => {
                "merged already, before it was reviewed: please write :cancel: here, or :rejected: with what is to be done"
            }
            (Locale::Ru, Waiting::PullMissing) => "ещё не открыт; он откроется сам",
            (Locale::Ru, Waiting::PullClosed) => "закрыт: откройте его снова или напишите здесь :cancel:",
            (Locale::Ru, Waiting::PullMerged) => {
                "уже влит, до ревью: напишите здесь :cancel: или :rejected: с тем, что нужно сделать"
            }
            (Locale::En, Waiting::CiSilent) => "it has said nothing of this commit",
            (Locale::En, Waiting::CiLate) => "it has not ended for a long time",
            (Locale::En, Waiting::CiCancelled) => "it was cancelled, which says nothing about the work",
            (Locale::Ru, Waiting::CiSilent) => "он ничего не сообщил об этом коммите",
            (Locale::Ru, Waiting::CiLate) => "он давно не заканчивается",
            (Locale::Ru, Waiting::CiCancelled) => "он был отменён, что ничего не говорит о работе",
            (_, Waiting::Approval | Waiting::Ci | Waiting::CiNone | Waiting::Review | Waiting::Merge) => self.as_str(),
        })
    }
    fn sample() -> Value {
        Value::from("closed")
    }
}

impl Shown for Hold {
    fn shown(&self, locale: Locale) -> Value {
        let text = match locale {
            Locale::En => self.to_string(),
            Locale::Ru => hold_in_russian(self),
        };
        Value::from(tame(&text))
    }
    fn sample() -> Value {
        String::sample()
    }
}

fn hold_in_russian(hold: &Hold) -> String {
    match hold {
        Hold::Forge { why } => format!("форж не готов: {why}"),
        Hold::Checks { names } if names.is_empty() => "не пройдены обязательные проверки".to_owned(),
        Hold::Checks { names } => format!("не пройдены проверки: {}", names.join(", ")),
        Hold::Approvals { wanted } => format!("не хватает одобрений (нужно {wanted})"),
        Hold::Rejected { by } if by.is_empty() => "запрошены правки".to_owned(),
        Hold::Rejected { by } => format!("правки запросил {}", by.join(", ")),
        Hold::Draft => "PR помечен как незавершённый".to_owned(),
        Hold::Retargeted { base, wanted } => format!("PR ведёт в {base}, а не в {wanted}"),
        Hold::Gone => "такого PR на форже нет".to_owned(),
        Hold::Archived => "репозиторий в архиве".to_owned(),
        Hold::Style => "репозиторий не разрешает подходящего способа слияния".to_owned(),
        Hold::NotAllowed { words } => format!("учётной записи нельзя вливать: {words}"),
        Hold::Hook { words } => format!("отказал хук сервера: {words}"),
        Hold::Rule { words } => format!("форж отказывает: {words}"),
        Hold::Otherwise { by, missing, unjudged } => {
            let mut text = format!("влил {by}, и не то, что было проверено");
            if !missing.is_empty() {
                text.push_str(&format!("; нет в основной ветке: {}", missing.join(", ")));
            }
            if !unjudged.is_empty() {
                text.push_str(&format!("; влито без проверки: {}", unjudged.join(", ")));
            }
            text
        }
    }
}

impl Shown for FailReason {
    fn shown(&self, locale: Locale) -> Value {
        let text = match locale {
            Locale::En => self.summary(),
            Locale::Ru => in_russian(self),
        };
        Value::from(tame(&text))
    }
    fn sample() -> Value {
        String::sample()
    }
}

/// The counterpart of [`FailReason::summary`].
fn in_russian(reason: &FailReason) -> String {
    let text = match reason {
        FailReason::MissingFiles { files } => format!("нет файлов или они пусты: {}", files.join(", ")),
        FailReason::Conflict { file, text } => format!("противоречие ({file}): {text}"),
        FailReason::TestsRed { exit_code, .. } => format!("тесты не проходят (код {exit_code})"),
        FailReason::CiFailed { checks } => {
            let each = checks.iter().map(|c| format!("{} ({})", c.name, c.says)).collect::<Vec<_>>();
            format!("проверки CI не прошли: {}", each.join("; "))
        }
        FailReason::ChangesRequested { file, reason } => format!("запрошены правки ({file}): {reason}"),
        FailReason::NotFound { file } => format!("файл {file} не найден"),
        FailReason::NoVerdict { file, detail } => format!("в файле {file} нет вердикта: {detail}"),
        FailReason::NoPullAndNoReview => "нет ни открытого PR, ни файла ревью".to_owned(),
        FailReason::PullRejected { reviewer, reason, person: _ } => format!("отклонил {reviewer}: {reason}"),
        FailReason::TestsNotPassed { file, reason } => format!("проверка не пройдена ({file}): {reason}"),
        FailReason::EvidenceGone { gate, by, .. } if by.is_empty() => {
            format!("результат проверки {gate} больше не действует: ветка переписана")
        }
        FailReason::EvidenceGone { gate, by, .. } => {
            format!("результат проверки {gate} больше не действует: {}", by.join("; "))
        }
        FailReason::BaseMoved { base, files } if files.is_empty() => {
            format!("ветка {base} изменилась и влита в ветку задачи")
        }
        FailReason::BaseMoved { base, files } => format!("конфликт с {base} в: {}", files.join(", ")),
        FailReason::BranchClash { clash } => {
            let (ours, theirs) = clash.short();
            match clash.rewritten {
                true => format!("ветка переписана на {theirs}, а наших коммитов до {ours} в ней не было"),
                false => {
                    format!("наши коммиты до {ours} и коммиты до {theirs} конфликтуют: {}", clash.files.join(", "))
                }
            }
        }
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

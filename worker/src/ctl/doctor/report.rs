//! What was looked at, what was found, what to do. One line per check, told as soon as it is known; the worst of them is the answer.

use crate::clients::causes::Diagnosis;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Names are shown as wide as this; longer ones push their line.
const WIDTH: usize = 28;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Level {
    #[serde(rename = "ok")]
    Ok,
    /// It works, or cannot be told from here; somebody should look.
    #[serde(rename = "warn")]
    Warn,
    /// It does not work.
    #[serde(rename = "FAIL")]
    Fail,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// A stable name, e.g. `gitea.hook widgets`.
    pub check: String,
    pub level: Level,
    pub found: String,
    /// What to do, where there is something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

/// Where checks tell what they found; several may be under way.
#[derive(Clone)]
pub struct Report {
    lines: UnboundedSender<Line>,
    /// The checks that wait for an answer.
    waiting: Arc<Mutex<Vec<String>>>,
}

impl Report {
    /// A report, and its lines in the order in which they are told.
    pub fn open() -> (Report, UnboundedReceiver<Line>) {
        let (lines, told) = unbounded_channel();
        (Report { lines, waiting: Arc::default() }, told)
    }

    pub fn ok(&self, check: impl Into<String>, found: impl Into<String>) {
        self.add(check, Level::Ok, found, None);
    }

    pub fn warn(&self, check: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Level::Warn, found, Some(todo.into()));
    }

    pub fn fail(&self, check: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Level::Fail, found, Some(todo.into()));
    }

    /// It does not work, and the table knows why.
    pub fn failed(&self, check: impl Into<String>, why: Diagnosis) {
        self.fail(check, why.found, why.cure);
    }

    fn add(&self, check: impl Into<String>, level: Level, found: impl Into<String>, todo: Option<String>) {
        // Nobody listens only where the command has ended.
        let _ = self.lines.send(Line { check: check.into(), level, found: found.into(), todo });
    }

    /// Waits for an answer, under the check's name.
    pub async fn during<T>(&self, check: &str, work: impl Future<Output = T>) -> T {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(check.to_owned());
        let done = work.await;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = waiting.iter().position(|name| name == check) {
            waiting.swap_remove(at);
        }
        done
    }

    /// The checks that have had no answer so far.
    pub fn unanswered(&self) -> Vec<String> {
        let mut names = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone();
        names.sort();
        names.dedup();
        names
    }
}

/// All lines that were told.
#[derive(Debug, Default, Serialize)]
pub struct Sheet {
    pub checks: Vec<Line>,
}

impl Sheet {
    pub fn has_failed(&self) -> bool {
        self.checks.iter().any(|line| line.level == Level::Fail)
    }

    /// The last line for a terminal.
    pub fn sum(&self) -> String {
        let count = |level| self.checks.iter().filter(|line| line.level == level).count();
        format!("{} ok, {} warn, {} FAIL", count(Level::Ok), count(Level::Warn), count(Level::Fail))
    }
}

impl Line {
    /// For a terminal.
    pub fn text(&self) -> String {
        let Line { check, level, found, todo } = self;
        let todo = todo.as_ref().map(|todo| format!(" -> {todo}")).unwrap_or_default();
        format!("{:<5} {check:<WIDTH$}  {found}{todo}", level.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_line_a_check_and_the_worst_counts() {
        let (report, mut told) = Report::open();
        report.ok("a", "fine");
        report.warn("long.name", "odd", "look");
        report.fail("b", "broken", "mend it");
        let mut sheet = Sheet::default();
        let mut next = async || sheet.checks.push(told.recv().await.unwrap());
        next().await;
        next().await;
        assert!(!sheet.has_failed());
        sheet.checks.push(told.recv().await.unwrap());
        assert!(sheet.has_failed());
        let shown: Vec<String> = sheet.checks.iter().map(Line::text).collect();
        let pad = |name: &str| format!("{name:<WIDTH$}");
        let expected = [
            format!("ok    {}  fine", pad("a")),
            format!("warn  {}  odd -> look", pad("long.name")),
            format!("FAIL  {}  broken -> mend it", pad("b")),
        ];
        assert_eq!(shown, expected);
        assert_eq!(sheet.sum(), "1 ok, 1 warn, 1 FAIL");
        let json = serde_json::to_value(&sheet).unwrap();
        assert_eq!(
            (&json["checks"][2]["level"], &json["checks"][0]["todo"]),
            (&"FAIL".into(), &serde_json::Value::Null)
        );
    }

    #[tokio::test]
    async fn what_has_no_answer_yet_is_known_by_name() {
        let (report, _told) = Report::open();
        report.during("quick", async {}).await;
        let slow = report.during("slow", std::future::pending::<()>());
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), slow).await.is_err());
        assert_eq!(report.unanswered(), ["slow"]);
    }
}

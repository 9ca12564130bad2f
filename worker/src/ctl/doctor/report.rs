//! What was looked at, what was found, what to do. One line per check; the worst of them is the answer.

use serde::Serialize;

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

/// All checks.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub checks: Vec<Line>,
}

impl Report {
    pub fn ok(&mut self, check: impl Into<String>, found: impl Into<String>) {
        self.add(check, Level::Ok, found, None);
    }

    pub fn warn(&mut self, check: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Level::Warn, found, Some(todo.into()));
    }

    pub fn fail(&mut self, check: impl Into<String>, found: impl Into<String>, todo: impl Into<String>) {
        self.add(check, Level::Fail, found, Some(todo.into()));
    }

    fn add(&mut self, check: impl Into<String>, level: Level, found: impl Into<String>, todo: Option<String>) {
        self.checks.push(Line { check: check.into(), level, found: found.into(), todo });
    }

    pub fn failed(&self) -> bool {
        self.checks.iter().any(|line| line.level == Level::Fail)
    }

    /// The lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let width = self.checks.iter().map(|line| line.check.chars().count()).max().unwrap_or(0);
        let mut lines: Vec<String> = self.checks.iter().map(|line| shown(line, width)).collect();
        let count = |level| self.checks.iter().filter(|line| line.level == level).count();
        lines.push(format!("{} ok, {} warn, {} FAIL", count(Level::Ok), count(Level::Warn), count(Level::Fail)));
        lines
    }
}

fn shown(line: &Line, width: usize) -> String {
    let Line { check, level, found, todo } = line;
    let todo = todo.as_ref().map(|todo| format!(" -> {todo}")).unwrap_or_default();
    format!("{:<5} {check:<width$}  {found}{todo}", level.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_check_and_the_worst_counts() {
        let mut report = Report::default();
        report.ok("a", "fine");
        report.warn("long.name", "odd", "look");
        assert!(!report.failed());
        report.fail("b", "broken", "mend it");
        assert!(report.failed());
        let expected = [
            "ok    a          fine",
            "warn  long.name  odd -> look",
            "FAIL  b          broken -> mend it",
            "1 ok, 1 warn, 1 FAIL",
        ];
        assert_eq!(report.lines(), expected);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(
            (&json["checks"][2]["level"], &json["checks"][0]["todo"]),
            (&"FAIL".into(), &serde_json::Value::Null)
        );
    }
}

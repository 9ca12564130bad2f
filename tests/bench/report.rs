//! What was measured, beside what must be reached: for people on stdout, for machines as JSON.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// One measured number.
#[derive(Debug)]
pub struct Row {
    what: String,
    value: Option<f64>,
    unit: &'static str,
    must: Option<Must>,
    note: String,
}

/// What a number is held to.
#[derive(Debug, Clone, Copy)]
pub enum Must {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    /// A number that is only shown.
    pub fn shown(what: impl Into<String>, value: f64, unit: &'static str) -> Row {
        Row { what: what.into(), value: Some(value), unit, must: None, note: String::new() }
    }

    /// A number that is held to something.
    pub fn held(what: impl Into<String>, value: f64, unit: &'static str, must: Must) -> Row {
        Row { must: Some(must), ..Row::shown(what, value, unit) }
    }

    /// Something that could not be measured here.
    pub fn missing(what: impl Into<String>, why: impl Into<String>) -> Row {
        Row { what: what.into(), value: None, unit: "", must: None, note: why.into() }
    }

    /// With a word of explanation.
    pub fn note(mut self, note: impl Into<String>) -> Row {
        self.note = note.into();
        self
    }

    fn is_met(&self) -> Option<bool> {
        Some(match (self.must?, self.value?) {
            (Must::AtLeast(bound), value) => value >= bound,
            (Must::AtMost(bound), value) => value <= bound,
        })
    }

    fn print(&self) {
        let value = self.value.map_or("not measured".to_owned(), |v| format!("{} {}", short(v), self.unit));
        let must = match self.must {
            Some(Must::AtLeast(bound)) => format!(">= {}", short(bound)),
            Some(Must::AtMost(bound)) => format!("<= {}", short(bound)),
            None => String::new(),
        };
        let verdict = match self.is_met() {
            Some(true) => "ok",
            Some(false) => "FALLS SHORT",
            None => "",
        };
        println!("  {:<58} {:>18} {:>10} {:<11} {}", self.what, value, must, verdict, self.note);
    }

    fn json(&self) -> Value {
        let (at_least, at_most) = match self.must {
            Some(Must::AtLeast(bound)) => (Some(bound), None),
            Some(Must::AtMost(bound)) => (None, Some(bound)),
            None => (None, None),
        };
        json!({
            "what": self.what, "value": self.value, "unit": self.unit, "at_least": at_least, "at_most": at_most,
            "met": self.is_met(), "note": self.note,
        })
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All of one call.
pub struct Report {
    conditions: BTreeMap<&'static str, String>,
    figures: Vec<(&'static str, Vec<Row>)>,
    broken: bool,
}

impl Report {
    pub fn new(conditions: BTreeMap<&'static str, String>) -> Report {
        Report { conditions, figures: Vec::new(), broken: false }
    }

    pub fn print_conditions(&self) {
        for (name, value) in &self.conditions {
            println!("{name:<12} {value}");
        }
    }

    /// Takes a figure's rows and prints them; a figure that could not be measured is one that falls short.
    pub fn add(&mut self, figure: &'static str, rows: anyhow::Result<Vec<Row>>) {
        println!("{figure}");
        let rows = rows.unwrap_or_else(|error| {
            self.broken = true;
            vec![Row::missing(figure, format!("{error:#}"))]
        });
        rows.iter().for_each(Row::print);
        self.figures.push((figure, rows));
    }

    pub fn falls_short(&self) -> bool {
        self.broken || self.figures.iter().flat_map(|(_, rows)| rows).any(|row| row.is_met() == Some(false))
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let figures: BTreeMap<_, Vec<_>> =
            self.figures.iter().map(|(name, rows)| (*name, rows.iter().map(Row::json).collect())).collect();
        let whole = json!({"conditions": self.conditions, "figures": figures, "falls_short": self.falls_short()});
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&whole)?)?)
    }
}

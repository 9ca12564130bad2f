//! `docs/CONFIGURATION.md`, made from the declarations. `ORCH_BLESS=1 cargo test -p orch-common` writes it.

use super::declare::{Section, SettingDoc};
use super::load::{OTHER_VARIABLES, SECTIONS};
use crate::domain::price::{Price, PriceTable};
use std::fmt::Write;

/// The part of the document that no declaration holds.
const HEAD: &str = include_str!("docs_head.md");
const PRICES: &str = include_str!("docs_prices.md");
const PROJECTS: &str = include_str!("docs_projects.md");

/// The whole document.
pub fn markdown() -> String {
    let mut out = HEAD.trim_end().to_owned();
    for section in SECTIONS {
        table(&mut out, section);
    }
    prices(&mut out);
    let _ = write!(out, "\n\n{}\n\n## Other variables\n\n| variable | what it does |\n|---|---|", PROJECTS.trim_end());
    for (name, doc) in OTHER_VARIABLES {
        let _ = write!(out, "\n| `{name}` | {doc} |");
    }
    out.push('\n');
    out
}

fn prices(out: &mut String) {
    let _ = write!(out, "\n\n{}\n", PRICES.trim_end());
    for (name, p) in PriceTable::default().iter() {
        let Price { input, output, cache_read, cache_write, cache_write_1h } = p;
        let _ = write!(out, "\n| `{name}` | {input} | {output} | {cache_read} | {cache_write} | {cache_write_1h} |");
    }
}

fn table(out: &mut String, section: &Section) {
    let _ = write!(out, "\n\n## `[{}]`\n\n{}\n\n", section.name, section.doc.trim());
    out.push_str("| key | variable | default | allowed | what it is |\n|---|---|---|---|---|");
    for setting in section.settings {
        row(out, setting);
    }
}

fn row(out: &mut String, s: &SettingDoc) {
    let default = match s.default {
        "none" => "none".to_owned(),
        "" => "empty".to_owned(),
        text => format!("`{text}`"),
    };
    let secret = if s.secret { " *Secret.*" } else { "" };
    let doc = s.doc.trim();
    let _ = write!(out, "\n| `{}` | `{}` | {default} | {} | {doc}{secret} |", s.key, s.env, s.allowed);
}

//! What lies where, and what the documents point at.

use super::{root, text, tracked};
use std::collections::BTreeSet;
use std::path::Path;

/// Folders and files that may be at the top; dotfiles may be as well.
const TOP: [&str; 19] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "api",
    "clippy.toml",
    "common",
    "deny.toml",
    "docs",
    "migrations",
    "rustfmt.toml",
    "systemd",
    "tests",
    "worker",
];

/// Lines of one source file, without the tests at its end.
const LONGEST_FILE: usize = 400;

#[test]
fn the_top_level_holds_what_it_may_and_nothing_else() {
    let files = tracked();
    let top: BTreeSet<&str> = files.iter().filter_map(|f| f.split('/').next()).collect();
    let strange: Vec<_> = top.iter().filter(|name| !name.starts_with('.') && !TOP.contains(name)).collect();
    assert!(strange.is_empty(), "{strange:?} have no place at the top level");
    let needed = ["Cargo.toml", "Cargo.lock", "LICENSE-MIT", "LICENSE-APACHE", "api", "common", "worker", "migrations"];
    for name in needed {
        assert!(top.contains(name), "{name} is missing");
    }
}

#[test]
fn source_files_stay_readable() {
    let mut long = Vec::new();
    for file in tracked().iter().filter(|f| f.ends_with(".rs") && f.contains("/src/")) {
        let text = text(file).unwrap_or_default();
        let own = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let counted = own.lines().count();
        if counted > LONGEST_FILE {
            long.push(format!("{file}: {counted} lines"));
        }
    }
    assert_eq!(long, Vec::<String>::new(), "more than {LONGEST_FILE} lines");
}

/// A module with files of its own is a folder with a `mod.rs`. Its unit tests are at its end (`mod tests { ... }`), in
/// `tests.rs` or in `tests/mod.rs` of that folder.
#[test]
fn modules_and_unit_tests_have_one_layout() {
    let files: Vec<String> = tracked().into_iter().filter(|f| f.ends_with(".rs")).collect();
    let path_attribute = concat!("#[path", " = ");
    let wrong: Vec<&String> = files
        .iter()
        .filter(|file| {
            let folder = format!("{}/", file.trim_end_matches(".rs"));
            files.iter().any(|other| other.starts_with(&folder))
                || file.ends_with("_tests.rs")
                || text(file).unwrap_or_default().contains(path_attribute)
        })
        .collect();
    assert_eq!(wrong, Vec::<&String>::new());
}

/// A test that cannot run says so with `orch_testkit::needs`, which fails it.
#[test]
fn no_test_skips_itself_in_silence() {
    // Reads a folder without rights as another user where it is root; elsewhere it is another user already.
    let exempt = ["tests/kit/src/needs.rs", "common/src/config/tests/secrets.rs"];
    let is_test = |f: &str| f.starts_with("tests/") || f.contains("/tests/") || f.ends_with("/tests.rs");
    let skips = |line: &str| {
        let printed =
            ["eprint", "stderr()"].iter().any(|to| line.contains(to)) && line.contains(concat!("ski", "pped"));
        printed || [concat!("is_r", "oot()"), concat!("ALLOW", "_SKIP")].iter().any(|sign| line.contains(sign))
    };
    let files = tracked().into_iter().filter(|f| f.ends_with(".rs") && is_test(f) && !exempt.contains(&f.as_str()));
    let found: Vec<String> = files.filter(|file| text(file).unwrap_or_default().lines().any(skips)).collect();
    assert_eq!(found, Vec::<String>::new());
}

/// The targets of `[text](target)` outside code, with their line.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in markdown.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            found.push((number + 1, target.to_owned()));
        }
    }
    found
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for file in tracked().iter().filter(|f| f.ends_with(".md") && !f.starts_with("tests/fixtures/")) {
        let folder = root().join(Path::new(file).parent().unwrap_or(Path::new("")));
        for (line, target) in links(&text(file).unwrap_or_default()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            count += 1;
            if path.starts_with('/') || !folder.join(path).exists() {
                broken.push(format!("{file}:{line}: {target}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
    assert!(count > 5, "only {count} links were found: are they still read?");
}

#[test]
fn links_are_found_in_prose_and_not_in_code() {
    let text = "a [b](c.md) and `[d](e.md)`\n```\n[f](g.md)\n```\n[h `i`](j.md#k) [l](m.md \"title\")";
    let found: Vec<String> = links(text).into_iter().map(|(_, target)| target).collect();
    assert_eq!(found, ["c.md", "j.md#k", "m.md"]);
}

/// Where on one machine something lay: at the start of an absolute path, not inside another one.
fn machine_path(line: &str) -> Option<&str> {
    let homes = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];
    homes.into_iter().find(|home| {
        line.match_indices(home).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + home.len()..].chars().next();
            let inside = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '>' | '*'));
            !inside && after.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_'))
        })
    })
}

#[test]
fn no_file_speaks_of_the_machine_it_was_written_on() {
    let mut found = Vec::new();
    for file in tracked().iter().filter(|f| !f.starts_with("tests/fixtures/")) {
        for (number, line) in text(file).unwrap_or_default().lines().enumerate() {
            if let Some(path) = machine_path(line) {
                found.push(format!("{file}:{}: {path}...", number + 1));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn machine_paths_are_told_from_others() {
    for (line, expected) in [
        (concat!("cd /ro", "ot/x"), true),
        (concat!("\"/ho", "me/ann/orch\""), true),
        (concat!("(/wo", "rk/wt)"), true),
        (concat!("https://host.example/wo", "rk/items"), false),
        (concat!("docs/wo", "rk/x"), false),
        (concat!("/ho", "me/<user>"), false),
    ] {
        assert_eq!(machine_path(line).is_some(), expected, "{line}");
    }
}

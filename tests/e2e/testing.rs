//! The tables of `docs/TESTING.md` and `docs/SECURITY.md` name tests; a name that is nobody's proves nothing.

use crate::house::{root, text, tracked};
use orch_tests::mutations::{self, Mutation};
use std::collections::BTreeSet;

/// Names of functions that are tests: an attribute that ends in `test` stands above.
fn tests_of(source: &str, found: &mut BTreeSet<String>) {
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            marked |= line.contains("test]") || line.contains("test(");
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")) {
            if marked {
                found.extend(rest.split(['(', '<']).next().map(str::to_owned));
            }
            marked = false;
        } else if !line.starts_with("//") {
            marked = false;
        }
    }
}

/// The words between backticks in the last column of the table's rows, without the modules before them.
fn named(document: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.matches(" | ").count() >= 2);
    let rows = rows.filter(|line| line[2..].starts_with(|c: char| c.is_ascii_digit()));
    let column = |line: &str| line.rsplit(" | ").next().unwrap_or_default().to_owned();
    let name = |word: &str| word.rsplit("::").next().unwrap_or_default().to_owned();
    rows.map(column).flat_map(|c| c.split('`').skip(1).step_by(2).map(name).collect::<Vec<_>>()).collect()
}

#[test]
fn every_test_that_the_table_names_exists() {
    let mut tests = BTreeSet::new();
    for file in tracked().iter().filter(|f| f.ends_with(".rs")) {
        tests_of(&text(file).unwrap_or_default(), &mut tests);
    }
    for (document, at_least) in [("docs/TESTING.md", 150), ("docs/SECURITY.md", 60)] {
        let names = named(&text(document).unwrap());
        assert!(names.len() > at_least, "{document}: only {} names were found: is it still read?", names.len());
        let unknown: BTreeSet<_> = names.iter().filter(|name| !tests.contains(*name)).collect();
        assert_eq!(unknown, BTreeSet::new(), "{document}");
    }
}

/// The table for `docs/TESTING.md`.
fn table(mutations: &[Mutation]) -> String {
    let row = |m: &Mutation| {
        let Mutation { section, rule, file, change, test, .. } = m;
        let untried = if m.untried { " (not tried yet)" } else { "" };
        format!("| {section} | {rule} | `{file}`: {change} | `{test}`{untried} |\n")
    };
    let rows: String = mutations.iter().map(row).collect();
    format!("\n| section | rule | mutation | test that dies |\n|---|---|---|---|\n{rows}\n")
}

/// `ORCH_BLESS=1` writes the table into the document.
#[test]
fn every_mutation_can_still_be_made_and_the_table_is_that_of_the_list() {
    let all = mutations::all(&root());
    let stale: Vec<String> = all.iter().filter_map(|mutation| mutation.applied(&root()).err()).collect();
    assert_eq!(stale, Vec::<String>::new(), "tests/mutations/list.toml");
    let places: BTreeSet<&str> = all.iter().map(|mutation| mutation.place.as_str()).collect();
    assert!(places.is_subset(&BTreeSet::from(["api", "common", "e2e", "worker"])), "{places:?}");

    let (document, table) = (text("docs/TESTING.md").unwrap(), table(&all));
    let (begin, end) = ("<!-- made from tests/mutations/list.toml -->\n", "<!-- end -->\n");
    let (before, rest) = document.split_once(begin).expect("the table's place");
    let (there, after) = rest.split_once(end).expect("the table's end");
    if std::env::var_os("ORCH_BLESS").is_some() {
        std::fs::write(root().join("docs/TESTING.md"), [before, begin, &table, end, after].concat()).unwrap();
    } else {
        assert!(
            there == table,
            "docs/TESTING.md is stale: ORCH_BLESS=1 cargo test -p orch-tests --test e2e -- mutation"
        );
    }
}

#[test]
fn tests_are_told_from_other_functions() {
    let mut found = BTreeSet::new();
    let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn three() {}\n\
                  #[inline]\nfn four() {}\n    #[test]\n    // why\n    fn five(n in 0..9) {}\n";
    tests_of(source, &mut found);
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["five", "one", "three"]);
}

/// The same inputs in every run; `make fuzz` tries others, for as long as one likes.
#[test]
fn mutated_inputs_are_refused_or_read_by_every_parser_of_outside_text() {
    let out = tempfile::tempdir().unwrap();
    let mut fuzz = std::process::Command::new(env!("CARGO_BIN_EXE_orch-fuzz"));
    fuzz.args(["--seed", "1", "--inputs", "150", "--seconds", "600", "--out"]).arg(out.path());
    let said = orch_testkit::output_of(fuzz);
    assert!(said.lines().filter(|line| line.contains(": 150 inputs")).count() >= 7, "{said}");
}

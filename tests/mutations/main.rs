//! Makes each mutation of `list.toml` in a copy of the checkout and runs the test that is to die of it; `make mutations`.
//! Words on the command line choose those whose rule, file or test has one of them. Exits with 1 where a mutation lives.

use orch_tests::mutations::{self, Mutation};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Seconds that building and running may take; a test that does not end has noticed.
const LIMIT_S: &str = "1200";

/// What a run of one or several tests came to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Passed,
    Failed,
    /// Nothing was tested, with the reason.
    Nothing(String),
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |m: &Mutation, word: &str| [&m.rule, &m.file, &m.test].iter().any(|text| text.contains(word));
    let wanted = |m: &Mutation| words.is_empty() || words.iter().any(|word| has(m, word));
    let chosen: Vec<Mutation> = mutations::all(root).into_iter().filter(wanted).collect();
    let stale: Vec<String> = chosen.iter().filter_map(|m| m.applied(root).err()).collect();
    if !stale.is_empty() || chosen.is_empty() {
        eprintln!("{} chosen; stale: {stale:#?}", chosen.len());
        return ExitCode::FAILURE;
    }
    let copy = copied(root);
    // What fails without a mutation proves nothing with one.
    let mut places: BTreeMap<[String; 4], BTreeSet<&str>> = BTreeMap::new();
    for mutation in &chosen {
        places.entry(arguments(mutation)).or_default().insert(&mutation.test);
    }
    for (arguments, tests) in places {
        let tests: Vec<&str> = tests.into_iter().collect();
        let came = run(&copy, &arguments, &tests);
        if came != Came::Passed {
            eprintln!("without any mutation: {came:?}: {tests:?}");
            return ExitCode::FAILURE;
        }
    }
    let lived =
        chosen.iter().enumerate().filter(|(n, mutation)| !dies(root, &copy, mutation, (*n + 1, chosen.len()))).count();
    println!("{} of {} mutations were noticed", chosen.len() - lived, chosen.len());
    if lived == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn dies(root: &Path, copy: &Path, mutation: &Mutation, (n, of): (usize, usize)) -> bool {
    let file = copy.join(&mutation.file);
    std::fs::write(&file, mutation.applied(root).expect("checked above")).expect("the copy is ours");
    let came = run(copy, &arguments(mutation), &[&mutation.test]);
    std::fs::copy(root.join(&mutation.file), &file).expect("the copy is ours");
    let word = match &came {
        Came::Failed if mutation.untried => "dies, and need not be called untried any more",
        Came::Failed => "dies",
        Came::Passed => "LIVES",
        Came::Nothing(why) => why,
    };
    println!(
        "{n}/{of} section {}: {}: {}: {word} ({})",
        mutation.section, mutation.rule, mutation.change, mutation.test
    );
    came == Came::Failed
}

/// How cargo is told to run the tests of its place.
fn arguments(mutation: &Mutation) -> [String; 4] {
    let [package, kind, name] = match mutation.place.as_str() {
        "e2e" => ["orch-tests", "--test", "e2e"],
        "common" => ["orch-common", "--lib", "--quiet"],
        "api" => ["orch-api", "--lib", "--quiet"],
        _ => ["orch-worker", "--lib", "--quiet"],
    };
    ["-p", package, kind, name].map(str::to_owned)
}

/// Runs tests by their full names.
fn run(copy: &Path, arguments: &[String; 4], tests: &[&str]) -> Came {
    let mut command = Command::new("timeout");
    command.args([LIMIT_S, "cargo", "test", "--locked"]).args(arguments).args(["--", "--exact"]).args(tests);
    // Dependencies are built once for the checkout and for its copy.
    let target = copy.parent().and_then(Path::parent).expect("<target>/mutations/tree");
    let output = command.env("CARGO_TARGET_DIR", target).current_dir(copy).output().expect("timeout and cargo run");
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find(|line| line.starts_with("test result:")).unwrap_or_default();
    match (output.status.code(), result) {
        (Some(0), line) if line.contains(&format!("{} passed", tests.len())) => Came::Passed,
        (Some(124), _) => Came::Failed,
        (_, line) if line.starts_with("test result: FAILED") => Came::Failed,
        (Some(0), line) => Came::Nothing(format!("no such tests: {line}")),
        _ => Came::Nothing(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A copy of what is in the checkout, committed or not. Files that are the same are left alone, so that little is built.
fn copied(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("mutations/tree");
    let git = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").args(git).current_dir(root).output().expect("git runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names: BTreeSet<&str> = listed.split_terminator('\0').collect();
    remove_others(&copy, &copy, &names);
    for name in names {
        let (from, to) = (root.join(name), copy.join(name));
        let Ok(text) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|there| there == text) {
            continue;
        }
        std::fs::create_dir_all(to.parent().expect("it is below the copy")).expect("the target folder is ours");
        std::fs::copy(&from, &to).expect("the target folder is ours");
    }
    copy
}

/// What the checkout does not have any more would be built all the same.
fn remove_others(copy: &Path, folder: &Path, names: &BTreeSet<&str>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.strip_prefix(copy).expect("it is below the copy").to_string_lossy().into_owned();
        if path.is_dir() {
            remove_others(copy, &path, names);
        } else if !names.contains(name.as_str()) {
            std::fs::remove_file(&path).expect("the copy is ours");
        }
    }
}

//! Commands that documents and messages name exist: those of `orchctl`, with their options, and the targets of make.

use super::{text, tracked};
use clap::Command;
use std::collections::BTreeSet;

/// The pieces of code of a text, each with its line: what stands between backticks, and the lines of fenced blocks.
fn code(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((number + 1, line));
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(|piece| (number + 1, piece)));
        }
    }
    found
}

/// The command lines of a piece of code, in words, without what stands in front of the program.
fn command_lines(piece: &str) -> Vec<Vec<&str>> {
    let before_a_comment = piece.split(" #").next().unwrap_or_default();
    let in_front = |word: &&str| matches!(*word, "$" | "sudo" | "-u" | "orch") || word.contains('=');
    let lines = before_a_comment.split(['|', ';', '&']);
    lines
        .map(|line| line.split_whitespace().skip_while(in_front).collect())
        .filter(|words: &Vec<_>| !words.is_empty())
        .collect()
}

/// Stands for something that the reader puts in: `KEY`, `<FILE>`, `{key}`, `...`.
fn is_placeholder(word: &str) -> bool {
    word.starts_with(['<', '[', '{', '.', '…', '"', '\'', '$', '/']) || !word.contains(|c: char| c.is_lowercase())
}

/// What is wrong with the arguments of a command; `None` if they are known.
fn unknown_argument(tree: &Command, words: &[&str]) -> Option<String> {
    let (mut at, mut options) = (tree, BTreeSet::from(["help", "version"]));
    let mut words = words.iter().copied();
    options.extend(tree.get_arguments().filter_map(|a| a.get_long()));
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) {
            let name = option.split('=').next().unwrap_or_default();
            let known = at.get_arguments().find(|a| a.get_long() == Some(name));
            if known.is_none() && !options.contains(name) {
                return Some(format!("{} has no --{name}", at.get_name()));
            }
            let of_all = tree.get_arguments().find(|a| a.get_long() == Some(name));
            if known.or(of_all).is_some_and(|a| a.get_action().takes_values()) && !option.contains('=') {
                words.next();
            }
        } else if at.has_subcommands() && !is_placeholder(word) {
            match at.find_subcommand(word) {
                Some(found) => at = found,
                None => return Some(format!("{} has no {word}", at.get_name())),
            }
        }
    }
    None
}

/// What make can be asked for.
fn targets(makefile: &str) -> BTreeSet<&str> {
    let names = makefile.lines().filter_map(|line| line.split_once(':').map(|(name, _)| name));
    names.filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect()
}

/// What is wrong with a command line; `None` if there is no command of ours in it.
fn complaint(words: &[&str], tree: &Command, targets: &BTreeSet<&str>) -> Option<String> {
    let (program, arguments) = words.split_first()?;
    match program.rsplit('/').next().unwrap_or_default() {
        "orchctl" => unknown_argument(tree, arguments),
        "make" => {
            let wanted =
                arguments.iter().filter(|w| !w.starts_with('-') && !w.contains(['=', '"']) && !is_placeholder(w));
            wanted.copied().find(|name| !targets.contains(name)).map(|name| format!("make has no {name}"))
        }
        _ => None,
    }
}

#[test]
fn every_command_that_is_named_exists() {
    let makefile = text("Makefile").unwrap();
    let (tree, targets) = (orch_worker::ctl::command(), targets(&makefile));
    let (mut wrong, mut count) = (Vec::new(), 0);
    let files = tracked();
    let documents = files.iter().filter(|f| f.ends_with(".md") && !f.starts_with("tests/fixtures/"));
    let sources = files.iter().filter(|f| f.ends_with(".rs") && f.contains("/src/"));
    for file in documents.chain(sources) {
        let text = text(file).unwrap_or_default();
        for (line, words) in
            code(&text).iter().flat_map(|(n, piece)| command_lines(piece).into_iter().map(move |w| (n, w)))
        {
            count += usize::from(words.len() > 1 && words[0].ends_with("orchctl"));
            wrong.extend(complaint(&words, &tree, &targets).map(|why| format!("{file}:{line}: {why}")));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(count > 80, "only {count} commands were found: are they still read?");
}

#[test]
fn unknown_commands_are_told_from_known_ones() {
    let tree = orch_worker::ctl::command();
    let targets = targets("demo: x\n\tmake it\nVERSION := 1\ntest-long:\n.PHONY: help\n");
    for (piece, expected) in [
        ("orchctl tasks show KEY", None),
        ("sudo -u orch target/debug/orchctl --config FILE runs log RUN --follow  # and more", None),
        ("orchctl tasks retry {key} && make demo test-long PROFILE=dev", None),
        ("orchctl cancel KEY", Some("orchctl has no cancel")),
        ("ORCH_LOG=info orchctl tasks close KEY", Some("tasks has no close")),
        ("true; orchctl doctor --quickly", Some("doctor has no --quickly")),
        ("orchctl --config tasks", None),
        ("make demo help", Some("make has no help")),
        ("make a wish", Some("make has no a")),
        ("makes nothing", None),
    ] {
        let found = command_lines(piece).iter().find_map(|words| complaint(words, &tree, &targets));
        assert_eq!(found.as_deref(), expected, "{piece}");
    }
    let document = "Say `orchctl up` or `make x`.\n```\nmake deb  # once\n```\n";
    assert_eq!(code(document), [(1, "orchctl up"), (1, "make x"), (3, "make deb  # once")]);
}

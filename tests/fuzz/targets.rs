//! The parsers, each with its seeds and the properties that hold for every input.

use anyhow::{Context as _, bail, ensure};
use orch_common::domain::checks;
use orch_common::domain::failure::{How, LogParser, RunEnd, classify};
use orch_common::domain::front_matter;
use orch_common::domain::names::{ArtifactDir, BranchName, RepoName, WorkItemKey, key_in_branch, slug};
use orch_common::domain::words;
use orch_worker::events::{self, RawEvent, Source};
use std::path::{Path, PathBuf};

/// One parser.
pub struct Target {
    pub name: &'static str,
    /// Panics where a property does not hold.
    pub run: fn(&[u8]),
    /// Folders of `tests/fixtures` whose files are the seeds.
    folders: &'static [&'static str],
    /// Further seeds.
    texts: &'static [&'static str],
}

const ALL: &[Target] = &[
    Target {
        name: "plane-delivery",
        run: plane_delivery,
        folders: &["plane", "plane-real", "plane-real-2"],
        texts: &["{}"],
    },
    Target { name: "forge-delivery", run: forge_delivery, folders: &["gitea", "gitea-real"], texts: &["{}"] },
    Target {
        name: "commands",
        run: commands,
        folders: &[],
        texts: &[
            ":approved:",
            "> :approved:\n:rejected: the names are wrong",
            "- [x] :retry:\n\n```\n:cancel:\n```",
            "**:pause:**",
        ],
    },
    Target {
        name: "front-matter",
        run: front_matter_target,
        folders: &[],
        texts: &[
            "---\nverdict: approved\n---\nFine.",
            "# Review\n\n```yaml\nverdict: changes_requested\nwhy: |\n  two\n  lines\n```\n",
            "---\nresult: \"passed\" # all\nlist: [a, b]\n---\n",
        ],
    },
    Target {
        name: "names",
        run: names,
        folders: &[],
        texts: &[
            "feature/ET-001-log-in",
            "acme/shop",
            "ET-42",
            "docs/work-items/ET-1/",
            "Log in, with a password: 100%",
        ],
    },
    Target {
        name: "agent-log",
        run: agent_log,
        folders: &["claude", "claude-steering"],
        texts: &["{\"type\":\"result\"}\n"],
    },
    Target {
        name: "check-patterns",
        run: check_patterns,
        folders: &[],
        texts: &["ci / test (push)\nci / *", "a{b,c}d\na{b,c}d", "[a-z]?\nx"],
    },
];

/// For the program's help.
pub fn list() -> String {
    format!("Targets: {}", ALL.iter().map(|target| target.name).collect::<Vec<_>>().join(", "))
}

/// The targets of these names; all for none.
pub fn named(names: &[String]) -> anyhow::Result<Vec<&'static Target>> {
    if let Some(unknown) = names.iter().find(|name| !ALL.iter().any(|target| target.name == name.as_str())) {
        bail!("there is no target '{unknown}'. {}", list());
    }
    Ok(ALL.iter().filter(|target| names.is_empty() || names.iter().any(|name| name == target.name)).collect())
}

/// The inputs that mutations begin with.
pub fn seeds(target: &Target) -> anyhow::Result<Vec<Vec<u8>>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut seeds: Vec<Vec<u8>> = target.texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    for folder in target.folders {
        for file in files(&fixtures.join(folder))? {
            seeds.push(std::fs::read(&file).with_context(|| file.display().to_string())?);
        }
    }
    ensure!(!seeds.is_empty(), "no seeds");
    Ok(seeds)
}

/// The files below a folder, in an order that does not depend on the file system.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

/// A text in which the first line is one argument and the others another.
fn two(input: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(input);
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    (first.to_owned(), rest.to_owned())
}

fn plane_delivery(input: &[u8]) {
    let body = String::from_utf8_lossy(input);
    for event in ["issue", "issue_comment"] {
        let raw = RawEvent { source: Source::Plane, event: Some(event.into()), event_type: None, body: &body };
        if let Err(error) = events::parse(&raw) {
            assert!(error.to_string().len() < 1000, "an error is bounded");
        }
    }
}

fn forge_delivery(input: &[u8]) {
    const EVENTS: [&str; 8] = [
        "push",
        "create",
        "delete",
        "pull_request",
        "pull_request_review_approved",
        "issue_comment",
        "status",
        "workflow_job",
    ];
    let body = String::from_utf8_lossy(input);
    for event in EVENTS {
        let raw =
            RawEvent { source: Source::Gitea, event: Some(event.into()), event_type: Some(event.into()), body: &body };
        if let Err(error) = events::parse(&raw) {
            assert!(error.to_string().len() < 1000, "an error is bounded");
        }
    }
}

fn commands(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let command = words::parse_comment(&text);
    assert!(command.is_none() || words::is_visible(&text), "a command that people cannot see");
}

fn front_matter_target(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(parsed) = front_matter::parse(&text) {
        let (_deciding, _text) = (parsed.deciding("verdict"), parsed.text("why"));
        assert!(parsed.body().len() <= text.len(), "a body is a part of its text");
    }
}

fn names(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let slug = slug(&text, 40);
    assert!(
        slug.len() <= 40 && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "{slug:?}"
    );
    if let Ok(branch) = text.parse::<BranchName>() {
        let name = branch.as_str();
        assert!(!name.contains("..") && !name.starts_with('-') && !name.bytes().any(|b| b <= b' '), "{name:?}");
    }
    if let Ok(repo) = text.parse::<RepoName>() {
        for part in [repo.owner(), repo.name()] {
            assert!(!part.is_empty() && !part.contains('/') && part != "." && part != "..", "{part:?}");
        }
    }
    if let Ok(key) = text.parse::<WorkItemKey>() {
        assert_eq!(key.to_string().parse::<WorkItemKey>().ok().as_ref(), Some(&key), "a key reads itself");
    }
    let (_key, _folder) = (key_in_branch(&text), text.parse::<ArtifactDir>());
}

fn agent_log(input: &[u8]) {
    let mut whole = LogParser::default();
    whole.feed(input);
    let whole = whole.finish();
    // The pieces in which a log arrives change nothing.
    let mut pieces = LogParser::default();
    let size = 1 + input.first().map_or(0, |byte| usize::from(*byte) % 61);
    input.chunks(size).for_each(|piece| pieces.feed(piece));
    assert_eq!(whole, pieces.finish(), "in pieces of {size}");
    for how in [How::Ended { exit_code: Some(0), signal: None }, How::Ended { exit_code: Some(1), signal: None }] {
        let end = RunEnd { how, log: Some(whole.clone()), stderr_tail: String::new(), now_ms: 1_700_000_000_000 };
        let _outcome = classify(&end);
    }
}

fn check_patterns(input: &[u8]) {
    let (pattern, context) = two(input);
    assert!(checks::fits(&context, &context), "a name means itself");
    let fits = checks::fits(&pattern, &context);
    if !pattern.contains(['*', '?', '[', '{']) {
        assert_eq!(fits, pattern == context, "{pattern:?} is no pattern");
    }
}

//! What the scripted agent does: every artifact, code with real tests, one 429, one review that wants changes.

use crate::ctl::scripted::{Deed, Script};
use orch_common::domain::stage::Role;
use std::collections::BTreeMap;

/// The whole play.
pub(super) fn script() -> Script {
    Script {
        roles: BTreeMap::from([
            (Role::Analyst, vec![analysis()]),
            (Role::Architect, vec![architecture()]),
            (Role::Developer, vec![rate_limited(), first_try(), second_try()]),
            (Role::Reviewer, vec![wants_changes(), approves()]),
            (Role::Tester, vec![tests()]),
            (Role::Deployer, vec![deploys()]),
        ]),
    }
}

fn say(text: &str) -> Deed {
    Deed::Say(text.to_owned())
}

fn write(path: &str, text: &str) -> Deed {
    Deed::Write { path: path.to_owned(), text: text.to_owned() }
}

fn commit(message: &str) -> Deed {
    Deed::Commit(message.to_owned())
}

fn analysis() -> Vec<Deed> {
    vec![
        say("I read the work item and the repository."),
        Deed::Work(500),
        write("{dir}/01-brd.md", "# Business requirements\n\nUsers want to be greeted by name.\n"),
        write("{dir}/02-trz.md", "# Technical requirements\n\n`greet.sh NAME` prints `Hello, NAME!`.\n"),
        write(
            "{dir}/03-acceptance-criteria.md",
            "# Acceptance criteria\n\n1. A name is greeted.\n2. Without a name: `Hello`.\n",
        ),
        write("{dir}/04-test-plan.md", "# Test plan\n\nOne test per criterion in `tests/`.\n"),
        commit("{key}: analysis"),
    ]
}

fn architecture() -> Vec<Deed> {
    vec![
        Deed::Work(500),
        write("{dir}/06-adr.md", "# Decision\n\nThe name is the first argument; no option parser.\n"),
        commit("{key}: architecture"),
    ]
}

fn rate_limited() -> Vec<Deed> {
    vec![say("I begin with the code."), Deed::Work(300), Deed::ApiError(429)]
}

fn first_try() -> Vec<Deed> {
    vec![
        Deed::Work(700),
        write(
            "greet.sh",
            "#!/bin/sh\n# Greets whoever is named.\nif [ $# -gt 0 ]; then echo \"Hello, $1!\"; else echo \"Hello\"; fi\n",
        ),
        write("tests/test_name.sh", "[ \"$(sh \"$1/greet.sh\" Ada)\" = \"Hello, Ada!\" ]\n"),
        Deed::Shell("sh tests/run.sh".into()),
        commit("{key}: greet by name"),
    ]
}

fn second_try() -> Vec<Deed> {
    vec![
        say("I read the review: an empty name must count as none."),
        Deed::Work(700),
        write(
            "greet.sh",
            "#!/bin/sh\n# Greets whoever is named; an empty name is none.\nif [ -n \"${1:-}\" ]; then echo \"Hello, $1!\"; else echo \"Hello\"; fi\n",
        ),
        write("tests/test_empty_name.sh", "[ \"$(sh \"$1/greet.sh\" '')\" = \"Hello\" ]\n"),
        Deed::Shell("sh tests/run.sh".into()),
        // Left uncommitted on purpose: what an agent forgets to commit is committed for it.
    ]
}

fn wants_changes() -> Vec<Deed> {
    vec![
        Deed::Work(500),
        write(
            "{dir}/12-review.md",
            "---\nverdict: REQUEST_CHANGES\nreason: an empty name is greeted as 'Hello, !'\n---\n\n- greet.sh:3: `greet.sh ''` prints `Hello, !`.\n",
        ),
        commit("{key}: review"),
    ]
}

fn approves() -> Vec<Deed> {
    vec![
        Deed::Work(500),
        write("{dir}/12-review.md", "---\nverdict: APPROVED\n---\n\nThe empty name is handled and tested.\n"),
        commit("{key}: review of the second attempt"),
    ]
}

fn tests() -> Vec<Deed> {
    vec![
        Deed::Shell("sh tests/run.sh".into()),
        Deed::Work(500),
        write(
            "{dir}/13-test-report.md",
            "---\nresult: PASS\n---\n\nAll tests are green; tried names with blanks and quotes by hand.\n",
        ),
        commit("{key}: test report"),
    ]
}

fn deploys() -> Vec<Deed> {
    vec![
        Deed::Work(300),
        write("{dir}/14-deploy.md", "# Release\n\nMerge the branch; users get it with their next pull.\n"),
        commit("{key}: release notes"),
    ]
}

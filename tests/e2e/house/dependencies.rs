//! What may be depended on, and by whom. The lists are in `deny.toml`, so that `cargo deny` and these tests cannot
//! disagree.

use super::{licence, root, text, toml_of, tracked};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Never acceptable, whatever `deny.toml` is changed to.
const COPYLEFT: [&str; 4] = ["GPL", "LGPL", "AGPL", "SSPL"];

/// The packages that are built for this machine, from what is already downloaded.
fn metadata() -> Metadata {
    let out = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let said = String::from_utf8(out.stdout).expect("rustc says text");
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host").to_owned();
    let options = ["--offline", "--locked", "--filter-platform"].map(str::to_owned).into_iter().chain([host]);
    MetadataCommand::new()
        .cargo_path(env!("CARGO"))
        .manifest_path(root().join("Cargo.toml"))
        .other_options(options.collect::<Vec<_>>())
        .exec()
        .expect("cargo knows its packages")
}

fn texts(list: &toml::Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|v| v.as_str()).map(str::to_owned).collect()
}

#[test]
fn every_licence_is_on_the_list() {
    let rules = toml_of("deny.toml")["licenses"].clone();
    let exceptions = rules.get("exceptions").and_then(|list| list.as_array()).cloned().unwrap_or_default();
    let allowed_for = |package: &Package| {
        let own = exceptions.iter().filter(|e| e["crate"].as_str() == Some(package.name.as_str()));
        own.flat_map(|e| texts(&e["allow"])).chain(texts(&rules["allow"])).collect::<Vec<_>>()
    };
    let metadata = metadata();
    assert!(metadata.packages.len() > 100, "only {} packages", metadata.packages.len());
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter(|p| {
            let allowed = allowed_for(p);
            let copyleft = allowed.iter().any(|name| COPYLEFT.iter().any(|c| name.starts_with(c)));
            copyleft || !licence::acceptable(p.license.as_deref().unwrap_or_default(), &allowed)
        })
        .map(|p| format!("{} {}: {:?}", p.name, p.version, p.license))
        .collect();
    assert_eq!(refused, Vec::<String>::new());
}

/// Package name -> the packages that name it as a dependency, for every platform.
fn dependents() -> BTreeMap<String, BTreeSet<String>> {
    let lock = toml_of("Cargo.lock");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        found.entry(name.to_owned()).or_default();
        for dependency in package.get("dependencies").map(texts).unwrap_or_default() {
            let bare = dependency.split(' ').next().unwrap_or_default();
            found.entry(bare.to_owned()).or_default().insert(name.to_owned());
        }
    }
    found
}

#[test]
fn what_is_banned_is_not_there_on_any_platform() {
    let deny = toml_of("deny.toml");
    let bans = deny["bans"]["deny"].as_array().expect("a list");
    let dependents = dependents();
    for ban in bans {
        let (name, wrappers) = (ban["crate"].as_str().expect("a name"), ban.get("wrappers").map(texts));
        let users = dependents.get(name);
        match wrappers {
            None => assert_eq!(users, None, "{name} is banned: {}", ban["reason"]),
            Some(wrappers) => {
                let others: Vec<_> = users.into_iter().flatten().filter(|u| !wrappers.contains(u)).collect();
                assert!(others.is_empty(), "{name} is for {wrappers:?} alone, not {others:?}: {}", ban["reason"]);
            }
        }
    }
    let banned: Vec<_> = bans.iter().filter_map(|ban| ban["crate"].as_str()).collect();
    for name in ["actix-governor", "openssl-sys", "native-tls", "libgit2-sys", "instant", "backoff"] {
        assert!(banned.contains(&name), "deny.toml no longer bans {name}");
    }
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let lock = toml_of("Cargo.lock");
    for package in lock["package"].as_array().expect("packages") {
        let source = package.get("source").and_then(|s| s.as_str());
        let public = source.is_none_or(|s| s == "registry+https://github.com/rust-lang/crates.io-index");
        assert!(public, "{} comes from {source:?}", package["name"]);
    }
}

/// Everything that is linked into `package`, by name.
fn linked(metadata: &Metadata, package: &str) -> BTreeSet<String> {
    let by_id: BTreeMap<_, &Package> = metadata.packages.iter().map(|p| (&p.id, p)).collect();
    let nodes = &metadata.resolve.as_ref().expect("resolved").nodes;
    let by_node: BTreeMap<_, _> = nodes.iter().map(|n| (&n.id, n)).collect();
    let start = metadata.packages.iter().find(|p| p.name.as_str() == package).expect("a package of ours");
    let (mut found, mut open) = (BTreeSet::new(), vec![&start.id]);
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let normal = |d: &&cargo_metadata::NodeDep| d.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal);
            open.extend(by_node[id].deps.iter().filter(normal).map(|d| &d.pkg));
        }
    }
    found.into_iter().map(|id| by_id[id].name.to_string()).collect()
}

#[test]
fn the_two_processes_link_only_what_is_theirs() {
    let metadata = metadata();
    for (package, foreign) in [
        ("orch-api", &["reqwest", "backoff", "orch-worker"][..]),
        ("orch-worker", &["actix-web", "orch-api"]),
        ("orch-common", &["reqwest", "actix-web", "orch-api", "orch-worker"]),
    ] {
        let linked = linked(&metadata, package);
        assert!(linked.contains("serde") && linked.contains("diesel"), "{package}: {linked:?}");
        let wrong: Vec<_> = foreign.iter().filter(|name| linked.contains(**name)).collect();
        assert!(wrong.is_empty(), "{package} links {wrong:?}");
    }
}

/// The crate, and not `domain::backoff`: named at the start of a path, with a name only the crate has.
fn uses_backoff(line: &str) -> bool {
    let names = ["ExponentialBackoff", "backoff::Backoff", "future::", "retry", "Error", "{Exponential", "SystemClock"];
    line.match_indices("backoff::").any(|(at, start)| {
        let before = line[..at].chars().next_back();
        let own = before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, ':' | '_'));
        let rest = &line[at + start.len()..];
        own && names.iter().any(|name| rest.starts_with(name))
    })
}

#[test]
fn the_crate_backoff_is_used_in_one_file() {
    let users: Vec<String> = tracked()
        .into_iter()
        .filter(|f| f.ends_with(".rs") && !f.starts_with("tests/"))
        .filter(|f| text(f).is_some_and(|text| text.lines().any(uses_backoff)))
        .collect();
    assert_eq!(users, ["worker/src/clients/http.rs"]);
}

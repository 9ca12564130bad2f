//! One task that walks its road without a turn, with many pull requests of others beside its own: who called what, counted by the
//! forge. The bounds are the promise; the table is printed.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::runs::Run;
use orch_tests::fakes::{FakeGitea, Request};
use orch_tests::stack::{LONG, REPO, Stack, git};
use std::collections::BTreeMap;
use std::time::Instant;

const MOST_CALLS: usize = 15;
const MOST_OF_GIT: usize = 25;
/// An idle machine and optimized programs take less than 200.
const MOST_OWN_MS: i64 = 2_000;

/// A request without what differs from task to task: the ids of commits.
fn kind_of(request: &Request) -> String {
    let is_commit = |part: &str| part.len() == 40 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let path: Vec<&str> = request.segments().into_iter().map(|p| if is_commit(p) { "SHA" } else { p }).collect();
    let query = request.query("service").or(request.query("state")).map(|q| format!("?{q}")).unwrap_or_default();
    format!("{} {}{query}", request.method, path.join("/").replace("api/v1/repos/acme/shop/", ""))
}

fn is_git(request: &Request) -> bool {
    request.segments().get(1).is_some_and(|folder| folder.ends_with(".git"))
}

fn table(requests: &[Request]) -> BTreeMap<String, usize> {
    requests.iter().fold(BTreeMap::new(), |mut table, request| {
        *table.entry(kind_of(request)).or_default() += 1;
        table
    })
}

#[test]
fn a_straight_road_costs_few_calls_and_few_requests_of_git() {
    let stack = Stack::builder().with_git_over_http().start();
    // More than a page of them.
    for n in 0..60 {
        stack.gitea().open_fork_pull("stranger", REPO, &format!("theirs-{n}"), &"c".repeat(40));
    }
    stack.settle();
    // The worker's first round asks whether the forge is there.
    let round_is_over = |all: &[Request]| all.iter().any(|r| r.path == "/api/v1/repos/acme/shop");
    assert!(stack.gitea().wait_for(LONG, round_is_over));
    stack.gitea().forget_requests();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let (git, api): (Vec<Request>, Vec<Request>) = stack.gitea().requests().into_iter().partition(is_git);
    let (calls, git_calls) = (table(&api), table(&git));
    println!("{} calls: {calls:#?}\n{} of git: {git_calls:#?}", api.len(), git.len());
    assert!(api.len() <= MOST_CALLS, "{}: {calls:#?}", api.len());
    assert!(git.len() <= MOST_OF_GIT, "{}: {git_calls:#?}", git.len());
    let lists = api.iter().filter(|r| r.method == "GET" && r.path.ends_with("/pulls")).count();
    assert_eq!(lists, 0, "nothing is asked about pull requests of others: {calls:#?}");
    let reviews = calls.iter().filter(|(kind, _)| kind.ends_with("/reviews")).map(|(_, n)| n).sum::<usize>();
    assert_eq!(reviews, 3, "the ends of reviewer, tester and deployer: one read each: {calls:#?}");
    own_time_between_agents(&stack, &item);
}

/// What the orchestrator itself takes from the end of one agent to the beginning of the next: all but one push and one fetch, which
/// are timed by hand at the same forge. The bound is for a loaded machine and programs that are not optimized.
fn own_time_between_agents(stack: &Stack, item: &str) {
    let runs: Vec<Run> = stack.runs(item);
    let (push, fetch) = by_hand(stack);
    let mut own = Vec::new();
    for (before, after) in runs.iter().zip(runs.iter().skip(1)) {
        // A person approves after the analyst, and the tests are run after the developer.
        if matches!(before.role, Role::Analyst | Role::Developer) {
            continue;
        }
        let gap = times(stack, after).0 - times(stack, before).1;
        println!("{} to {}: {gap} ms, of them push {push} and fetch {fetch} by hand", before.role, after.role);
        own.push(gap - push - fetch);
    }
    own.sort_unstable();
    println!("own time between two agents: {own:?} ms");
    assert!(own[own.len() / 2] <= MOST_OWN_MS, "{own:?}");
}

/// When the agent's process began and ended, in ms, by its supervisor.
fn times(stack: &Stack, run: &Run) -> (i64, i64) {
    let record = std::fs::read(stack.scene.root.join("runs").join(&run.dir).join("exit.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    (record["started_at_ms"].as_i64().unwrap(), record["finished_at_ms"].as_i64().unwrap())
}

/// The medians of a push of a commit and of a fetch that brings nothing, in ms.
fn by_hand(stack: &Stack) -> (i64, i64) {
    let clone = stack.signal("by-hand");
    let (url, folder) = (stack.gitea().git_url(REPO), clone.to_string_lossy().into_owned());
    git(&stack.scene.root, &["clone", "--quiet", &url, &folder]);
    let token = format!("http.extraHeader=Authorization: token {}", FakeGitea::TOKEN);
    let (mut pushes, mut fetches) = (Vec::new(), Vec::new());
    for n in 0..3 {
        git(&clone, &["commit", "--quiet", "--allow-empty", "-m", &format!("by hand {n}")]);
        let begun = Instant::now();
        git(&clone, &["-c", &token, "push", "--quiet", "origin", "HEAD:refs/heads/by-hand"]);
        pushes.push(begun.elapsed().as_millis());
        let begun = Instant::now();
        git(&clone, &["fetch", "--quiet", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*"]);
        fetches.push(begun.elapsed().as_millis());
    }
    let median = |mut all: Vec<u128>| {
        all.sort_unstable();
        i64::try_from(all[1]).unwrap()
    };
    (median(pushes), median(fetches))
}

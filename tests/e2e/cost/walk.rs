//! One task that walks its road without a turn, with many pull requests of others beside its own: who called what, counted by the
//! forge. The bounds are the promise; the table is printed.

use orch_common::domain::stage::{Stage, TaskState};
use orch_tests::fakes::Request;
use orch_tests::stack::{LONG, REPO, Stack};
use std::collections::BTreeMap;

const MOST_CALLS: usize = 15;
const MOST_OF_GIT: usize = 25;

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
}

//! Merging: the forge's few words, and what becomes of them; over a real git repository where it matters.

use super::gitea_at;
use orch_tests::fakes::{FakeGitea, Fault, Reply};
use orch_worker::clients::gitea::{GiteaClient, MergeOutcome, MergeStyle, NewMerge, NewPull};
use serde_json::json;
use std::path::Path;
use std::process::Command;

const REPO: &str = "widgets";

fn git(dir: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=T", "-c", "user.email=t@acme.test", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").current_dir(dir).args(identity).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A forge with an open pull request from `work`; gives its number and head.
async fn pull(forge: &FakeGitea, client: &GiteaClient) -> (i64, String) {
    forge.add_plain_repo(REPO);
    let head = "b".repeat(40);
    forge.set_branch(REPO, "work", &head);
    let new = NewPull { branch: "work", base: "main", title: "t", body: "" };
    (client.create_pull(REPO, new).await.unwrap().number, head)
}

async fn merge(client: &GiteaClient, number: i64, head: &str) -> MergeOutcome {
    let head = head.parse().unwrap();
    let new = NewMerge { style: MergeStyle::Merge, head: &head, title: "t", message: "", delete_branch: true };
    client.merge(REPO, number, new).await.unwrap()
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    type Arrange = fn(&FakeGitea, i64);
    let says = |forge: &FakeGitea, status: u16, words: &str| {
        forge.fail_when("POST", "/merge", 1, Fault::Answer(Reply::json(status, json!({ "message": words }))));
    };
    let table: [(&str, Arrange, MergeOutcome); 5] = [
        ("at once", |_, _| {}, MergeOutcome::Merged),
        ("still checking at first", |forge, _| forge.merges_later(REPO, 2), MergeOutcome::Merged),
        ("checking for long", |forge, _| forge.merges_later(REPO, 100), MergeOutcome::NotReady),
        ("conflicts", |forge, n| forge.set_mergeable(REPO, n, false), MergeOutcome::Conflicts),
        ("merged by a person", |forge, n| drop(forge.merge_as("maria", REPO, n)), MergeOutcome::AlreadyMerged),
    ];
    for (what, arrange, expected) in table {
        let forge = FakeGitea::start();
        let client = gitea_at(forge.url());
        let (number, head) = pull(&forge, &client).await;
        arrange(&forge, number);
        assert_eq!(merge(&client, number, &head).await, expected, "{what}");
    }
    let forge = FakeGitea::start();
    let client = gitea_at(forge.url());
    let (number, head) = pull(&forge, &client).await;
    let words = "User not allowed to merge PR";
    says(&forge, 405, words);
    assert_eq!(merge(&client, number, &head).await, MergeOutcome::Forbidden(words.into()));
    assert_eq!(merge(&client, number, &"c".repeat(40)).await, MergeOutcome::HeadMoved);
    assert!(!client.is_merged(REPO, number).await.unwrap());
}

#[tokio::test]
async fn both_spellings_of_the_form_merge_on_every_version() {
    for (version, forgejo) in [((1, 22), false), ((1, 26), false), ((1, 22), true)] {
        let forge = FakeGitea::start_version(version);
        if forgejo {
            forge.be_forgejo();
        }
        let client = gitea_at(forge.url());
        let (number, head) = pull(&forge, &client).await;
        assert_eq!(merge(&client, number, &head).await, MergeOutcome::Merged, "{version:?}");
        assert!(client.is_merged(REPO, number).await.unwrap());
        let pull = client.pull(REPO, number).await.unwrap().unwrap();
        assert_eq!((pull.branch(), pull.head.r#ref.as_str()), ("work", "refs/pull/1/head"), "its branch is gone");
    }
}

#[tokio::test]
async fn a_merge_moves_the_real_branch_and_a_conflict_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let (bare, work) = (dir.path().join("widgets.git"), dir.path().join("work"));
    git(dir.path(), &["init", "--quiet", "--bare", bare.to_str().unwrap()]);
    git(dir.path(), &["clone", "--quiet", bare.to_str().unwrap(), work.to_str().unwrap()]);
    let commit = |branch: &str, text: &str| {
        std::fs::write(work.join("file"), text).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "-m", text]);
        git(&work, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(&work, &["rev-parse", "HEAD"])
    };
    let base = commit("main", "one");
    let clean = commit("clean", "two");
    git(&work, &["checkout", "--quiet", "--detach", &base]);
    let rival = commit("rival", "three");

    let forge = FakeGitea::start();
    forge.add_repo(REPO, &bare);
    let client = gitea_at(forge.url());
    let open = async |branch: &'static str| {
        let new = NewPull { branch, base: "main", title: branch, body: "" };
        client.create_pull(REPO, new).await.unwrap().number
    };
    let (first, second) = (open("clean").await, open("rival").await);
    assert_eq!(client.branch(REPO, "clean").await.unwrap().unwrap().head(), clean);
    assert_eq!(merge(&client, first, &clean).await, MergeOutcome::Merged);
    let main = forge.head_of(REPO, "main").unwrap();
    assert_eq!(git(&bare, &["rev-parse", &format!("{main}^2")]), clean, "a merge commit");
    assert_eq!(client.branch(REPO, "clean").await.unwrap(), None, "its branch is deleted");
    assert_ne!(merge(&client, second, &rival).await, MergeOutcome::Merged);
    assert_eq!(forge.head_of(REPO, "main").unwrap(), main);
}

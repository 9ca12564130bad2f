//! Merging: the forge's few words, and what becomes of them; over a real git repository where it matters.

use super::gitea_at;
use orch_common::domain::merge::MergeStyle;
use orch_testkit::git;
use orch_tests::fakes::{FakeGitea, Fault, Reply};
use orch_worker::clients::gitea::{GiteaClient, MergeAnswer, NewMerge, NewPull};
use serde_json::json;

const REPO: &str = "widgets";

/// A forge with an open pull request from `work`; gives its number and head.
async fn pull(forge: &FakeGitea, client: &GiteaClient) -> (i64, String) {
    forge.add_plain_repo(REPO);
    let head = "b".repeat(40);
    forge.set_branch(REPO, "work", &head);
    let new = NewPull { branch: "work", base: "main", title: "t", body: "" };
    (client.create_pull(REPO, new).await.unwrap().number, head)
}

async fn merge(client: &GiteaClient, number: i64, head: &str) -> MergeAnswer {
    let head = head.parse().unwrap();
    let new = NewMerge { style: MergeStyle::Merge, head: &head, title: "t", message: "", delete_branch: true };
    client.merge(REPO, number, new).await
}

#[tokio::test]
async fn a_merge_is_asked_for_once_and_answered_in_the_forges_words() {
    let forge = FakeGitea::start();
    let client = gitea_at(forge.url());
    let (number, head) = pull(&forge, &client).await;
    let said = |status: u16, words: &str| MergeAnswer { status, words: words.to_owned() };
    forge.merges_later(REPO, 1);
    assert_eq!(merge(&client, number, &head).await, said(405, "Please try again later"));
    assert_eq!(merge(&client, number, &"c".repeat(40)).await, said(409, "head out of date"));
    for fault in [Fault::status(502), Fault::Answer(Reply::json(500, json!({ "message": "" })))] {
        forge.forget_requests();
        forge.fail_when("POST", "/merge", 1, fault);
        let answer = merge(&client, number, &head).await;
        assert!(matches!(answer.status, 0 | 500), "{answer:?}");
        let sent = forge.requests().iter().filter(|r| r.method == "POST").count();
        assert_eq!(sent, 1, "what became of it is asked before it is sent again");
    }
    assert!(!client.is_merged(REPO, number).await.unwrap());
    assert_eq!(merge(&client, number, &head).await.status, 200);
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
        assert_eq!(merge(&client, number, &head).await.status, 200, "{version:?}");
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
    assert_eq!(merge(&client, first, &clean).await.status, 200);
    let main = forge.head_of(REPO, "main").unwrap();
    assert_eq!(git(&bare, &["rev-parse", &format!("{main}^2")]), clean, "a merge commit");
    assert_eq!(client.branch(REPO, "clean").await.unwrap(), None, "its branch is deleted");
    assert_ne!(merge(&client, second, &rival).await.status, 200);
    assert_eq!(forge.head_of(REPO, "main").unwrap(), main);
}

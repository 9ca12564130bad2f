//! The tests' forge is no kinder than a real one: what a merge is answered.

use super::forge_calls::{call, of, send};
use orch_testkit::git;
use orch_tests::fakes::{BranchRule, FakeGitea, Fault};
use orch_worker::clients::plain_client;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const REPO: &str = "widgets";
const LATER: &str = "Please try again later";

/// A forge over a bare repository, where `work` is ahead of `main` by one commit, and its pull request #1.
struct Real {
    forge: FakeGitea,
    bare: PathBuf,
    work: PathBuf,
    _dir: tempfile::TempDir,
}

impl Real {
    async fn new() -> Real {
        let dir = tempfile::tempdir().unwrap();
        let (bare, work) = (dir.path().join("widgets.git"), dir.path().join("work"));
        git(dir.path(), &["init", "--quiet", "--bare", bare.to_str().unwrap()]);
        git(dir.path(), &["clone", "--quiet", bare.to_str().unwrap(), work.to_str().unwrap()]);
        let real = Real { forge: FakeGitea::start(), bare, work, _dir: dir };
        real.commit("main", "file", "one");
        real.commit("work", "other", "two");
        real.forge.add_repo(REPO, &real.bare);
        let new = json!({ "head": "work", "base": "main", "title": "t", "body": "" });
        assert_eq!(call(&real.forge, FakeGitea::BOT, "POST", "/pulls", new).await.0, 201);
        real
    }

    /// A commit on top of the branch, pushed.
    fn commit(&self, branch: &str, file: &str, text: &str) -> String {
        if git(&self.bare, &["branch", "--list", branch]).is_empty() {
            let _ = Command::new("git").current_dir(&self.work).args(["checkout", "-q", "-b", branch]).output();
        } else {
            git(&self.work, &["fetch", "--quiet", "origin"]);
            git(&self.work, &["checkout", "--quiet", "-B", branch, &format!("origin/{branch}")]);
        }
        std::fs::write(self.work.join(file), text).unwrap();
        git(&self.work, &["add", "."]);
        git(&self.work, &["commit", "--quiet", "-m", text]);
        git(&self.work, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(&self.work, &["rev-parse", "HEAD"])
    }

    async fn merge(&self, login: &str, style: &str) -> (u16, String) {
        let head = self.forge.head_of(REPO, "work").unwrap();
        self.merge_head(login, style, &head).await
    }

    async fn merge_head(&self, login: &str, style: &str, head: &str) -> (u16, String) {
        let form = json!({ "Do": style, "do": style, "head_commit_id": head });
        let (status, answer) = call(&self.forge, login, "POST", "/pulls/1/merge", form).await;
        (status, of(&answer, "/message"))
    }

    async fn pull(&self) -> Value {
        call(&self.forge, FakeGitea::BOT, "GET", "/pulls/1", Value::Null).await.1
    }
}

fn says(status: u16, words: &str) -> (u16, String) {
    (status, words.to_owned())
}

#[tokio::test]
async fn while_the_forge_computes_a_merge_is_put_off_before_any_rule() {
    let real = Real::new().await;
    real.forge.computes_for(REPO, Duration::from_millis(600));
    real.forge.set_rule(REPO, "main", BranchRule { required_approvals: 1, ..BranchRule::default() });
    assert_eq!(real.pull().await["mergeable"], false, "after a change of the rule");
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(405, LATER));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(real.pull().await["mergeable"], true);
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(405, "Does not have enough approvals"));
    for (branch, file) in [("work", "more"), ("main", "elsewhere")] {
        real.commit(branch, file, "x");
        assert_eq!(real.pull().await["mergeable"], false, "after a push to {branch}");
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(real.pull().await["mergeable"], true, "{branch}");
    }
}

#[tokio::test]
async fn a_real_conflict_is_told_in_the_same_words_for_ever() {
    let real = Real::new().await;
    real.commit("main", "other", "three");
    for _ in 0..3 {
        assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(405, LATER));
    }
    assert_eq!(real.pull().await["mergeable"], false);
    // Forgejo does not look at a moved base: the merge finds out, and says so without a message.
    let real = Real::new().await;
    real.forge.be_forgejo();
    real.commit("main", "other", "three");
    assert_eq!(real.pull().await["mergeable"], true);
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(409, ""));
    let form = json!({ "Do": "merge" });
    let (_, answer) = call(&real.forge, FakeGitea::BOT, "POST", "/pulls/1/merge", form).await;
    assert!(of(&answer, "/StdOut").contains("other"), "{answer}");
}

#[tokio::test]
async fn each_rule_has_its_words() {
    let rule = BranchRule::default;
    type Arrange = Box<dyn Fn(&Real)>;
    let set = |rule: BranchRule| -> Arrange { Box::new(move |r| r.forge.set_rule(REPO, "main", rule.clone())) };
    let table: Vec<(Arrange, &str, (u16, String))> = vec![
        (set(BranchRule { required_approvals: 1, ..rule() }), "merge", says(405, "Does not have enough approvals")),
        (
            set(BranchRule { contexts: vec!["ci / *".into()], ..rule() }),
            "merge",
            says(405, "Not all required status checks successful"),
        ),
        (
            set(BranchRule { mergers: Some(vec!["ada".into()]), ..rule() }),
            "merge",
            says(405, "User not allowed to merge PR"),
        ),
        (set(BranchRule { signed: true, ..rule() }), "merge", says(405, "wont sign: nokey")),
        (
            Box::new(|r| {
                r.forge.set_rule(REPO, "main", BranchRule { block_on_rejection: true, ..BranchRule::default() });
                r.forge.review(REPO, 1, "hugo", "REQUEST_CHANGES", "no");
            }),
            "merge",
            says(405, "There are requested changes"),
        ),
        (Box::new(|r| r.forge.archive(REPO, true)), "merge", says(423, "acme/widgets is archived")),
        (Box::new(|r| drop(r.forge.close(REPO, 1))), "merge", says(404, "not found")),
        (Box::new(|r| drop(r.forge.merge_as("ada", REPO, 1))), "merge", says(405, "The PR is already merged")),
        (
            Box::new(|r| r.forge.forbid_styles(REPO, &["squash"])),
            "squash",
            says(405, "squash is not allowed an allowed merge style for this repository"),
        ),
        (Box::new(|_| {}), "sideways", says(422, "[Do]: In")),
        (
            Box::new(|r| r.forge.hook_refuses(REPO, Some("no merges on Friday"))),
            "merge",
            says(409, "PushRejected with remote message: no merges on Friday"),
        ),
        (Box::new(|r| drop(r.commit("main", "elsewhere", "x"))), "fast-forward-only", says(500, "")),
    ];
    for (arrange, style, expected) in table {
        let real = Real::new().await;
        arrange(&real);
        let head = real.forge.pulls(REPO)[0].closed_head.clone().or(real.forge.head_of(REPO, "work")).unwrap();
        assert_eq!(real.merge_head(FakeGitea::BOT, style, &head).await, expected, "{style}");
    }
    let real = Real::new().await;
    assert_eq!(real.merge("rita", "merge").await, says(405, "User not allowed to merge PR"));
    assert_eq!(real.merge_head(FakeGitea::BOT, "merge", &"c".repeat(40)).await, says(409, "head out of date"));
    call(&real.forge, FakeGitea::BOT, "PATCH", "/pulls/1", json!({ "title": "WIP: t" })).await;
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(405, "Work in progress PRs cannot be merged"));
    // What is asked for is there: it goes through.
    call(&real.forge, FakeGitea::BOT, "PATCH", "/pulls/1", json!({ "title": "t" })).await;
    let rule = BranchRule { required_approvals: 1, contexts: vec!["ci / *".into()], ..BranchRule::default() };
    real.forge.set_rule(REPO, "main", rule);
    real.forge.review(REPO, 1, "stranger", "APPROVED", "");
    real.forge.ci(REPO, &real.forge.head_of(REPO, "work").unwrap(), "ci / test (push)", "success");
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await, says(405, "Does not have enough approvals"));
    real.forge.review(REPO, 1, "hugo", "APPROVED", "");
    assert_eq!(real.merge(FakeGitea::BOT, "merge").await.0, 200);
    // Forgejo says nothing at all of one that is merged.
    real.forge.be_forgejo();
    let form = json!({ "Do": "merge" });
    let (status, answer) = call(&real.forge, FakeGitea::BOT, "POST", "/pulls/1/merge", form).await;
    assert_eq!((status, of(&answer, "/message").as_str()), (405, ""));
}

#[tokio::test]
async fn each_style_makes_its_commits() {
    for (style, parents) in [("merge", 2), ("squash", 1), ("rebase", 1), ("rebase-merge", 2), ("fast-forward-only", 1)]
    {
        let real = Real::new().await;
        if style != "fast-forward-only" {
            real.commit("main", "elsewhere", "x");
        }
        let work = real.forge.head_of(REPO, "work").unwrap();
        assert_eq!(real.merge(FakeGitea::BOT, style).await.0, 200, "{style}");
        let main = real.forge.head_of(REPO, "main").unwrap();
        let of_main = git(&real.bare, &["rev-list", "--parents", "-1", &main]);
        assert_eq!(of_main.split(' ').count() - 1, parents, "{style}");
        assert_eq!(git(&real.bare, &["show", &format!("{main}:other")]), "two", "{style}");
        let judged = Command::new("git")
            .arg("--git-dir")
            .arg(&real.bare)
            .args(["merge-base", "--is-ancestor", &work, &main])
            .status();
        assert_eq!(judged.unwrap().success(), matches!(style, "merge" | "fast-forward-only"), "{style}");
        assert_eq!(of(&real.pull().await, "/merge_commit_sha"), main);
    }
}

#[tokio::test]
async fn a_deed_whose_answer_is_lost_or_late_is_done_all_the_same() {
    let real = Real::new().await;
    real.forge.fail_when("POST", "/merge", 1, Fault::Late(Duration::from_secs(3)));
    let form = json!({ "do": "merge" }).to_string();
    let url = format!("{}/api/v1/repos/acme/widgets/pulls/1/merge", real.forge.url());
    let client = plain_client().unwrap();
    let token = format!("token {}", FakeGitea::TOKEN);
    assert!(
        client
            .post(&url)
            .timeout(Duration::from_secs(1))
            .header("authorization", token)
            .body(form)
            .send()
            .await
            .is_err()
    );
    assert_eq!(real.pull().await["merged"], false, "not yet");
    let give_up = std::time::Instant::now() + Duration::from_secs(30);
    while real.pull().await["merged"] == false && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(real.pull().await["merged"], true);
    real.forge.comments_panic(REPO, 1);
    let (status, _, page) =
        send(&real.forge, FakeGitea::BOT, "POST", "/issues/1/comments", json!({ "body": "hi" }), None).await;
    assert!(status == 500 && page.contains("<title>"), "{status} {page}");
    assert_eq!(real.forge.comments_of(REPO, 1).len(), 1);
}

#[tokio::test]
async fn a_branch_tells_a_writer_its_rule() {
    let real = Real::new().await;
    let rule = BranchRule { required_approvals: 2, contexts: vec!["ci / *".into()], ..BranchRule::default() };
    real.forge.set_rule(REPO, "main", rule);
    let (_, main) = call(&real.forge, FakeGitea::BOT, "GET", "/branches/main", Value::Null).await;
    let told =
        ["user_can_merge", "user_can_push", "required_approvals", "enable_status_check", "status_check_contexts"];
    assert_eq!(
        told.map(|key| main[key].clone()),
        [json!(true), json!(false), json!(2), json!(true), json!(["ci / *"])]
    );
    assert_eq!(call(&real.forge, "rita", "GET", "/branches/main", Value::Null).await.1["user_can_merge"], false);
    let new = json!({ "new_branch_name": "work/under", "old_ref_name": "main" });
    let (status, answer) = call(&real.forge, FakeGitea::BOT, "POST", "/branches", new).await;
    assert_eq!((status, of(&answer, "/message").as_str()), (409, "The branch with the same name already exists."));
}

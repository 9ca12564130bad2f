//! What people do to a task's pull request and to its repository at the forge: each is seen by a delivery or by a round, said
//! once in Plane with what is to be done, and over when it is mended.

use super::rig::{REPO, Rig};
use orch_common::domain::effect::Effect;
use orch_common::domain::job::{JobKind, JobStatus};
use orch_common::domain::stage::{Stage, TaskState};
use orch_common::store::{repositories, tasks};
use orch_tests::fakes::{Delivery, FakeGitea, Fault, Right};
use orch_worker::clients::gitea::NewPull;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(60);

/// A task at review, with its own pull request #1.
async fn in_review() -> (Rig, String) {
    let rig = Rig::new("").await;
    let (item, created) = rig.plane.create_item("Greet by name", "<p>please</p>", &[]);
    rig.arrives(&created).await;
    let task = rig.place(Stage::Review, TaskState::Active).await;
    rig.waits_for("the reviewer's answer").await;
    rig.gitea.set_branch(REPO, &task.branch, &"b".repeat(40));
    let gitea = rig.ctx.outside.gitea.clone().unwrap();
    let new = NewPull { branch: &task.branch, base: "main", title: "t", body: "" };
    gitea.create_pull(REPO, new).await.unwrap();
    rig.own_pull(1).await;
    rig.store().write(move |c| tasks::note_head(c, task.id, &"b".repeat(40), 1)).await.unwrap();
    (rig, item)
}

/// Our comments on the work item that have these words.
fn said(rig: &Rig, item: &str, words: &str) -> usize {
    rig.plane.item(item).comments.iter().filter(|c| c.html.contains(words)).count()
}

/// Rounds until it is so: what answered a moment ago is believed to answer still.
async fn ask_until(rig: &mut Rig, what: &str, is_so: impl Fn(&Rig) -> bool) {
    let begun = Instant::now();
    loop {
        rig.ask().await;
        if is_so(rig) {
            return;
        }
        assert!(begun.elapsed() < LONG, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// It arrives, or is lost and found by a round.
async fn seen(rig: &mut Rig, told: &Delivery, by_round: bool) {
    match by_round {
        true => drop(rig.ask().await),
        false => rig.arrives(told).await,
    }
}

#[tokio::test]
async fn what_happens_to_a_pull_request_is_said_once_by_event_or_by_round() {
    for by_round in [false, true] {
        let (mut rig, item) = in_review().await;
        rig.gitea.set_branch(REPO, "dev", &"a".repeat(40));
        let closed = "#1 of this task was closed without a merge";
        let first = rig.gitea.close(REPO, 1);
        seen(&mut rig, &first, by_round).await;
        assert_eq!(said(&rig, &item, closed), 1, "{by_round}");
        // Whoever sees it next knows that it was said.
        seen(&mut rig, &first, !by_round).await;
        rig.forget();
        rig.ask().await;
        assert_eq!(said(&rig, &item, closed), 1, "{by_round}");
        let reopened = rig.gitea.reopen_as("hugo", REPO, 1);
        seen(&mut rig, &reopened, by_round).await;
        let again = rig.gitea.close(REPO, 1);
        seen(&mut rig, &again, by_round).await;
        assert_eq!(said(&rig, &item, closed), 2, "it was closed once more: {by_round}");
        let reopened = rig.gitea.reopen_as("hugo", REPO, 1);
        seen(&mut rig, &reopened, by_round).await;

        let retargeted = rig.gitea.retarget_as("hugo", REPO, 1, "dev");
        seen(&mut rig, &retargeted, by_round).await;
        rig.ask().await;
        let words = "#1 of this task goes to dev now, and the task&#x27;s base is main";
        let plain = words.replace("&#x27;", "'");
        assert_eq!(said(&rig, &item, words) + said(&rig, &item, &plain), 1, "{by_round}: {:?}", rig.plane.item(&item));
        let back = rig.gitea.retarget_as("hugo", REPO, 1, "main");
        seen(&mut rig, &back, by_round).await;

        let merged = rig.gitea.merge_as("maria", REPO, 1);
        seen(&mut rig, &merged, by_round).await;
        seen(&mut rig, &merged, !by_round).await;
        assert_eq!(said(&rig, &item, "#1 was merged by maria while the task is still at review"), 1, "{by_round}");
        assert_eq!(said(&rig, &item, closed), 2, "a merge is no closing: {by_round}");
        let task = rig.task().await.unwrap();
        assert_eq!((task.stage, task.state), (Stage::Review, TaskState::Active), "nothing is decided by it");
    }
}

#[tokio::test]
async fn a_pull_request_that_its_branchs_loss_closed_is_the_branchs_matter() {
    let (mut rig, item) = in_review().await;
    let task = rig.task().await.unwrap();
    rig.gitea.delete_branch_as("hugo", REPO, &task.branch);
    let all = rig.gitea.deliveries();
    for told in &all[all.len() - 2..] {
        rig.arrives(told).await;
    }
    rig.ask().await;
    assert_eq!(said(&rig, &item, "closed without a merge"), 0);
    let gone = "is no longer at the forge";
    assert_eq!(said(&rig, &item, gone), 1, "told of by the delivery, and by no round again");
    // It comes back with the head that it had: a round finds it.
    rig.gitea.set_branch(REPO, &task.branch, &"b".repeat(40));
    rig.ask().await;
    let queued = rig.waiting(orch_common::domain::job::JobKind::Advance).await;
    assert_eq!(queued, ["forge pushed"], "a look finds that it is mended");
    assert_eq!(said(&rig, &item, gone), 1);
}

/// What people do to a repository or to the bot's account, how it is mended, and what they read.
type Case = (&'static str, fn(&FakeGitea), fn(&FakeGitea), &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "archived",
        |gitea| gitea.archive(REPO, true),
        |gitea| gitea.archive(REPO, false),
        &["archived: true", "take it out of the archive"],
    ),
    (
        "pull requests off",
        |gitea| gitea.switch_pulls_off(REPO),
        |gitea| gitea.switch_pulls_on(REPO),
        &["has_pull_requests: false", "switch them on in its settings"],
    ),
    (
        "bot removed",
        |gitea| gitea.set_right(FakeGitea::BOT, Right::Stranger),
        |gitea| gitea.set_right(FakeGitea::BOT, Right::Admin),
        &["permissions.push: false", "give it the right to write again"],
    ),
    (
        "bot suspended",
        |gitea| gitea.suspend(FakeGitea::BOT),
        |gitea| gitea.allow(FakeGitea::BOT),
        &["prohibited from signing in", "an administrator of the forge has to allow it again"],
    ),
];

#[tokio::test]
async fn a_forge_that_takes_nothing_is_said_once_with_the_cure_and_is_over_after_the_mend() {
    let (mut rig, item) = in_review().await;
    let keeper = tokio::spawn(orch_worker::outage::keep(Arc::clone(&rig.ctx)));
    for (n, (what, harm, mend, words)) in CASES.iter().enumerate() {
        harm(&rig.gitea);
        ask_until(&mut rig, what, |rig| said(rig, &item, "The work waits for the forge") > n).await;
        rig.ask().await;
        assert_eq!(said(&rig, &item, "The work waits for the forge"), n + 1, "{what}: once");
        for part in *words {
            assert_eq!(said(&rig, &item, part), 1, "{what}: {part}");
        }
        assert!(!rig.ctx.outages.is_empty(), "{what}");
        mend(&rig.gitea);
        let over = async {
            while !rig.ctx.outages.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LONG, over).await.unwrap_or_else(|_| panic!("{what} is over"));
    }
    keeper.abort();
    let attempts: Vec<i32> =
        rig.jobs(orch_common::domain::job::JobKind::Effect).await.iter().map(|j| j.attempts).collect();
    assert!(attempts.iter().all(|n| *n <= 1), "{attempts:?}");
}

#[tokio::test]
async fn a_repository_that_was_renamed_is_followed_by_its_id() {
    let (mut rig, item) = in_review().await;
    let gitea = rig.ctx.outside.gitea.clone().unwrap();
    for (name, later) in [("acme/gadgets", "a new name"), ("corp/things", "a new owner")] {
        rig.gitea.rename_repo(REPO, name);
        rig.gitea.forget_requests();
        let names = gitea.names().clone();
        ask_until(&mut rig, later, |_| names.now("acme/widgets") == name).await;
        assert!(rig.ctx.outages.is_empty(), "{later}: nothing is away");
        let known = rig.store().read(|c| repositories::by_id(c, 11)).await.unwrap().unwrap();
        assert_eq!((known.repo.as_str(), known.name.as_str()), ("acme/widgets", name));
        // A round after that asks nobody under the old name, and what is told under the new one is understood.
        rig.gitea.forget_requests();
        rig.ask().await;
        let asked: Vec<String> = rig.gitea.requests().iter().map(|r| r.path.clone()).collect();
        let at = format!("/repos/{name}");
        assert!(asked.iter().filter(|p| p.contains("/repos/")).all(|p| p.contains(&at)), "{later}: {asked:?}");
        let closed = rig.gitea.close(REPO, 1);
        assert!(closed.body.contains(&format!("\"full_name\": \"{name}\"")), "{}", closed.body);
        let before = said(&rig, &item, "was closed without a merge");
        rig.arrives(&closed).await;
        assert_eq!(said(&rig, &item, "was closed without a merge"), before + 1, "{later}");
        let reopened = rig.gitea.reopen_as("hugo", REPO, 1);
        rig.arrives(&reopened).await;
    }
    // Somebody else takes the old name: it is not ours.
    rig.gitea.add_plain_repo("other");
    rig.gitea.rename_repo("other", "acme/widgets");
    rig.gitea.forget_requests();
    let ours = "/repositories/11".to_owned();
    gitea.names().learn("acme/widgets", "acme/widgets");
    let asked = |rig: &Rig| rig.gitea.requests().iter().any(|r| r.path.contains(&ours));
    ask_until(&mut rig, "the id to be asked for", asked).await;
    assert_eq!(gitea.names().now("acme/widgets"), "corp/things", "found again by its id");
    assert_eq!(said(&rig, &item, "The work waits for the forge"), 0);
}

/// Nobody of that name, no such team, and a refusal of one: each is said once, and keeps nobody else from being asked.
#[tokio::test]
async fn who_cannot_be_asked_for_a_review_is_said_once_and_the_others_are_asked() {
    let (rig, item) = in_review().await;
    rig.gitea.set_team("backend", &["tom"]);
    let task = rig.task().await.unwrap();
    let ask = Effect::GiteaAsk {
        repo: task.repo.clone(),
        branch: task.branch.clone(),
        head: "b".repeat(40).parse().unwrap(),
        people: ["ghost", "ivan", "hugo"].map(str::to_owned).to_vec(),
        teams: ["phantoms", "backend"].map(str::to_owned).to_vec(),
    };
    rig.gitea.cannot_review("ivan");
    for n in 0..2 {
        let (ask, id) = (ask.clone(), task.id);
        let sent =
            move |c: &mut _| orch_worker::engine::apply::enqueue_effect(c, Some(id), &ask, &format!("ask{n}"), 1);
        rig.store().write(sent).await.unwrap();
        rig.settle().await;
    }
    let pull = rig.gitea.pull_of(REPO, &task.branch).unwrap();
    assert_eq!((pull.requested, pull.requested_teams), (vec!["hugo".to_owned()], vec!["backend".to_owned()]));
    for (who, words) in [("ghost", "not found"), ("ivan", "be requested for review"), ("team phantoms", "not found")] {
        let begin = format!("{who} could not be asked");
        let said: Vec<_> = rig.plane.item(&item).comments.into_iter().filter(|c| c.html.contains(&begin)).collect();
        assert_eq!(said.len(), 1, "{who}");
        assert!(said[0].html.contains(words) && said[0].html.contains("reviewers"), "{}", said[0].html);
    }
    // An answer that the forge gives to everything now is no word about anybody.
    rig.gitea.fail_when("POST", "/requested_reviewers", 9, Fault::status(403));
    let (again, id) = (
        Effect::GiteaAsk {
            repo: task.repo,
            branch: task.branch,
            head: "b".repeat(40).parse().unwrap(),
            people: vec!["maria".into()],
            teams: vec![],
        },
        task.id,
    );
    let sent = move |c: &mut _| orch_worker::engine::apply::enqueue_effect(c, Some(id), &again, "ask2", 1);
    rig.store().write(sent).await.unwrap();
    rig.settle().await;
    let effects = rig.jobs(JobKind::Effect).await;
    let waits = effects.iter().find(|job| job.payload.contains("maria")).unwrap();
    assert_eq!((waits.status, waits.attempts), (JobStatus::Queued, 0), "{waits:?}");
    assert_eq!(said(&rig, &item, "could not be asked"), 3);
}

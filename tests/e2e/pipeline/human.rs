//! What people say: by comments and by moving the work item.

use orch_common::domain::job::JobStatus;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::fakes::FakePlane;
use orch_tests::stack::play::{after, analyses, asks, decides, develops};
use orch_tests::stack::{Play, REPO, Stack, WORKER, git};
use orch_worker::agent::{ExitReason, RunDir, StopReason};

/// A description as Plane's editor makes it, and how an agent reads it.
const WRITTEN: &str = "<p>Ask <mention-component entity_identifier=\"99db7b9c-7251-401e-b636-e3e6bca1d53e\" \
    entity_name=\"user_mention\"></mention-component>, see <a href=\"https://a.test/x\">the plan</a>:</p>\
    <ul data-type=\"taskList\"><li data-checked=\"true\" data-type=\"taskItem\"><div><p>walls</p></div></li>\
    <li data-checked=\"false\" data-type=\"taskItem\"><div><p>roof, <s>door</s></p></div></li></ul>\
    <table><tbody><tr><th><p>a</p></th></tr><tr><td><p>1</p></td></tr></tbody></table>\
    <p><img src=\"https://a.test/i.png\"></p>";
const READ: &str = "Ask @ada, see [the plan](https://a.test/x):\n\n- [x] walls\n- [ ] roof, ~~door~~\n\n| a |\n| --- |\n| 1 |\n\n\
    ![](https://a.test/i.png)\n";

#[test]
fn questions_wait_for_an_answer_and_the_analyst_goes_on_with_it() {
    let questions = "1. Which **colour**?\n2. `#fff`?\n\n<script>x</script>";
    let play = Play::default().role(Role::Analyst, [asks(questions), analyses()]);
    let stack = Stack::builder().play(play).with_telegram().start();
    let (item, _) = stack.plane().create_item("Paint it", WRITTEN, &[]);
    stack.plane().attach(&item, "plan.png", "image/png", b"a plan");
    stack.wait_task(&item, Stage::Analysis, TaskState::NeedsInput);
    stack.settle();
    assert_eq!(stack.plane().state_of(&item), "Needs Input");
    let said = stack.said(&item, "questions");
    assert!(
        said.contains("<ol>\n<li>Which <strong>colour</strong>?</li>\n<li><code>#fff</code>?</li>\n</ol>"),
        "{said}"
    );
    assert!(said.contains("&lt;script&gt;x"), "{said}");
    // What was written reaches the agent.
    let prompt = stack.prompt(&stack.runs(&item)[0]);
    assert!(prompt.contains(READ), "{prompt}");
    let place = stack.scene.runs.join(&stack.runs(&item)[0].dir).join("files/01-plan.png");
    assert_eq!(std::fs::read(&place).unwrap(), b"a plan");
    let elsewhere = "- a picture: not here (an address outside Plane is not asked); https://a.test/i.png";
    for file in [&format!("- plan.png: {}\n", place.display()), elsewhere] {
        assert!(prompt.contains(file), "{file}: {prompt}");
    }

    stack.plane().comment(&item, "<p>Blue, please.</p><pre><code class=\"language-css\">a {\n  b\n}</code></pre>");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    let runs = stack.runs(&item);
    assert_eq!(runs.len(), 2);
    let answer = "Blue, please.\n\n```css\na {\n  b\n}\n```";
    assert!(stack.prompt(&runs[1]).contains(answer), "{}", stack.prompt(&runs[1]));
    assert_eq!(stack.comments(&item), ["started", "questions", "answer taken", "approval wanted"]);
    assert_eq!(stack.our_states(&item), ["In Progress", "Needs Input", "In Progress", "In Review"]);
    assert_eq!(stack.told(), ["now in analysis", "questions", "approval wanted"]);

    // What is said later is no answer to anything.
    stack.plane().comment(&item, "<p>Thanks!</p>");
    stack.settle();
    assert_eq!(stack.runs(&item).len(), 2);
}

#[test]
fn a_rejection_brings_back_the_work_with_its_reason() {
    let gone = std::path::Path::new("/nonexistent/never");
    let play = Play::default().role(Role::Architect, [after(gone, decides()), decides()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.analysed("Login");
    stack.plane().comment(&item, "<p>:rejected: no word about passwords</p>");
    stack.wait_said(&item, "rejected");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    let runs = stack.runs(&item);
    assert_eq!(runs.len(), 2);
    assert!(stack.prompt(&runs[1]).contains("no word about passwords"));

    // At a later stage: one back, and whoever works there goes away.
    stack.plane().comment(&item, "<p>:approved:</p>");
    let run = stack.wait_at_work(&item, Role::Architect);
    stack.plane().comment(&item, "<p>:rejected: think again</p>");
    stack.wait("the analyst's third run to be over", || {
        stack.task(&item).is_some_and(|t| t.stage == Stage::Analysis && t.state == TaskState::WaitingApproval)
    });
    stack.settle();
    let exit = RunDir::at(stack.scene.runs.join(&run.dir)).read_exit().unwrap().unwrap();
    assert_eq!(exit.reason, ExitReason::Stopped { why: StopReason::Cancel });
    let trail = stack.run_trail(&item);
    assert_eq!(trail.iter().filter(|(role, _)| *role == Role::Analyst).count(), 3, "{trail:?}");
    assert!(trail.contains(&(Role::Architect, "stopped".into())), "{trail:?}");

    // An earlier approval does not count for the new analysis: it takes another one.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn a_paused_task_moves_only_when_a_person_resumes_it() {
    let stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Developer, [after(&go, develops("done"))]));
    let mut stack = stack;
    stack.start_worker(WORKER);
    let item = stack.approved("Login");
    stack.wait_at_work(&item, Role::Developer);
    stack.plane().comment(&item, "<p>:pause:</p>");
    stack.wait_task(&item, Stage::Development, TaskState::Paused);
    stack.wait_said(&item, "paused at work");
    stack.give("go");
    stack.settle();
    let task = stack.task(&item).unwrap();
    assert_eq!((task.stage, task.state), (Stage::Development, TaskState::Paused));
    assert_eq!(stack.run_trail(&item).last(), Some(&(Role::Developer, "success".into())));
    // What it left is on the branch, though nobody judges it yet.
    assert_eq!(git(&stack.scene.forge, &["show", &format!("{}:feature.txt", task.branch)]), "done");

    for word in [":approved:", ":retry:"] {
        stack.plane().comment(&item, &format!("<p>{word}</p>"));
    }
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().state, TaskState::Paused);
    assert_eq!(stack.comments(&item).iter().filter(|k| *k == "refused").count(), 2);

    stack.plane().comment(&item, "<p>:resume:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.agents_begun(&item, Role::Developer), 1, "the work was done already");
    assert!(stack.comments(&item).contains(&"resumed".to_owned()));
}

#[test]
fn a_cancelled_task_stops_its_agent_and_keeps_its_branch() {
    let gone = std::path::Path::new("/nonexistent/never");
    let play = Play::default().role(Role::Developer, [after(gone, develops("done"))]);
    let stack =
        Stack::builder().play(play).project("commands_by_state", toml::toml! { cancel = ["Cancelled"] }).start();
    for (by_comment, title) in [(true, "By word"), (false, "By state")] {
        let item = stack.approved(title);
        let run = stack.wait_at_work(&item, Role::Developer);
        if by_comment {
            stack.plane().comment(&item, "<p>:cancel:</p>");
        } else {
            stack.plane().move_item(&item, "Cancelled");
        }
        let task = stack.wait_task(&item, Stage::Development, TaskState::Cancelled);
        stack.settle();
        let dir = RunDir::at(stack.scene.runs.join(&run.dir));
        let agent = dir.read_agent().unwrap().unwrap();
        assert!(!agent.is_alive(), "the agent still works");
        assert_eq!(stack.run_trail(&item).last(), Some(&(Role::Developer, "stopped".into())));
        assert_eq!(stack.agent_job(&item).status, JobStatus::Cancelled);
        assert_eq!(stack.plane().state_of(&item), "Cancelled");
        // A state that a person chose is left as it is, and needs no comment.
        assert_eq!(stack.our_states(&item).contains(&"Cancelled".to_owned()), by_comment);
        assert_eq!(stack.comments(&item).contains(&"cancelled".to_owned()), by_comment);
        assert!(stack.gitea().head_of(REPO, &task.branch).is_some(), "the branch is kept");
        // It can be opened again: by the word, or by moving the card back.
        for word in [":resume:", ":approved:"] {
            stack.plane().comment(&item, &format!("<p>{word}</p>"));
        }
        stack.wait("both words to be answered", || {
            stack.comments(&item).iter().filter(|kind| *kind == "ended").count() == 2
        });
        assert_eq!(stack.task(&item).unwrap().state, TaskState::Cancelled);
        if by_comment {
            stack.plane().comment(&item, "<p>:retry:</p>");
        } else {
            stack.plane().move_item(&item, "Todo");
        }
        stack.wait_said(&item, "reopened");
        let again = stack.wait_at_work(&item, Role::Developer);
        assert_ne!(again.dir, run.dir);
        assert_eq!(stack.task(&item).unwrap().state, TaskState::Active);
        stack.plane().comment(&item, "<p>:cancel:</p>");
        stack.wait_task(&item, Stage::Development, TaskState::Cancelled);
    }
}

#[test]
fn a_move_to_a_mapped_state_is_an_approval_or_a_retry() {
    let stack = Stack::builder()
        .project(
            "commands_by_state",
            toml::toml! { approve = "Approved"
            retry = ["Again"] },
        )
        .start();
    stack.plane().add_state("Approved", "started");
    stack.plane().add_state("Again", "started");
    let item = stack.analysed("Login");
    stack.plane().move_item(&item, "Again");
    stack.wait_said(&item, "retrying");
    stack.wait("the second analysis", || stack.runs(&item).len() == 2);
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    stack.plane().move_item(&item, "Approved");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    assert_eq!(stack.plane().state_of(&item), "Done");
    assert!(stack.our_states(&item).ends_with(&[
        "In Progress".into(),
        "In Review".into(),
        "In Progress".into(),
        "Done".into()
    ]));
}

#[test]
fn only_approvers_move_a_task_where_the_project_lists_them() {
    let approvers = toml::Value::Array(vec![FakePlane::ADMIN.into()]);
    let stack = Stack::builder().project("approvers", approvers).start();
    let item = stack.analysed("Login");
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.plane().move_item(&item, "Cancelled");
    stack.settle();
    assert_eq!(stack.task(&item).unwrap().state, TaskState::WaitingApproval);
    assert_eq!(stack.comments(&item), ["started", "approval wanted", "refused", "refused"]);
    assert_eq!(stack.runs(&item).len(), 1);

    stack.plane().comment_as(FakePlane::ADMIN, &item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
}

#[test]
fn an_approval_before_the_work_is_done_is_refused() {
    let stack = Stack::builder().without_worker().start();
    let go = stack.signal("go");
    stack.change_play(&Play::default().role(Role::Analyst, [after(&go, analyses())]));
    let mut stack = stack;
    stack.start_worker(WORKER);
    let (item, _) = stack.plane().create_item("Login", "", &[]);
    stack.wait_at_work(&item, Role::Analyst);
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_said(&item, "refused");
    stack.give("go");
    stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    stack.settle();
    assert_eq!(stack.comments(&item), ["started", "refused", "approval wanted"]);
}

//! Verdicts as models write them, and what is done about one that cannot be read.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_tests::stack::play::{approves, commit, first, passes, write};
use orch_tests::stack::{Play, Stack};
use orch_worker::ctl::scripted::Deed;

/// As the CLI does, keeps the conversation in its home, so that it can be resumed.
fn keeps_its_session() -> Deed {
    let id = "id=$(tr '\\0' '\\n' < /proc/$PPID/cmdline | sed -n '/^--session-id$/{n;p;}')";
    Deed::Shell(format!("{id}; mkdir -p \"$HOME/.claude/projects/x\"; : > \"$HOME/.claude/projects/x/$id.jsonl\""))
}

fn reviews(text: &str) -> Vec<Deed> {
    vec![write("{dir}/12-review.md", text), commit("{key}: review")]
}

fn reports(text: &str) -> Vec<Deed> {
    vec![write("{dir}/13-test-report.md", text), commit("{key}: report")]
}

fn roles(stack: &Stack, item: &str) -> Vec<Role> {
    stack.runs(item).into_iter().map(|run| run.role).filter(|r| !matches!(r, Role::Analyst | Role::Architect)).collect()
}

#[test]
fn a_natural_reason_takes_the_verdict_to_the_developer() {
    let text = "# Review\n\n```yaml\n---\nverdict: **REQUEST_CHANGES**\nreason: TypeError: x is undefined\n---\n```\n";
    let play = Play::default().role(Role::Reviewer, [reviews(text), approves()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    use Role::{Deployer, Developer, Reviewer, Tester};
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Developer, Reviewer, Tester, Deployer]);
    assert!(stack.said(&item, "changes wanted").contains("TypeError: x is undefined"));
}

#[test]
fn a_verdict_that_cannot_be_read_is_asked_of_the_same_session_before_a_person_is() {
    let home = tempfile::tempdir().unwrap();
    let unread = "I looked at it all.\n\nverdict: APPROVED\n\nFINDINGS STAY\n";
    let mended = Deed::Shell(
        "printf -- '---\\nverdict: APPROVED\\n---\\n\\n' | cat - {dir}/12-review.md > r && mv r {dir}/12-review.md"
            .into(),
    );
    let steps = [first(keeps_its_session(), reviews(unread)), vec![mended, commit("{key}: verdict")]];
    let tester = [vec![keeps_its_session(), Deed::Say("All is well.".into())], passes()];
    let play = Play::default().role(Role::Reviewer, steps).role(Role::Tester, tester);
    let stack = Stack::builder().play(play).set("agent.home", home.path().display().to_string()).start();
    let item = stack.approved("Login");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    use Role::{Deployer, Developer, Reviewer, Tester};
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Reviewer, Tester, Tester, Deployer]);
    for (role, problem) in [(Reviewer, "does not begin with a '---' line"), (Tester, "the file is not there")] {
        let runs: Vec<_> = stack.runs(&item).into_iter().filter(|r| r.role == role).collect();
        assert_eq!(runs[0].session_id, runs[1].session_id, "{role}: the same session");
        assert!(runs[1].resumed && runs[0].counts && !runs[1].counts, "{role}: {runs:?}");
        let prompt = stack.prompt(&runs[1]);
        assert!(prompt.contains("cannot be read") && prompt.contains(problem), "{prompt}");
        assert!(!prompt.contains("Why you work now"), "short: {prompt}");
    }
    assert!(!stack.comments(&item).iter().any(|c| c == "gate failed"), "{:?}", stack.comments(&item));
}

#[test]
fn it_is_asked_once_and_then_a_person_is() {
    let unread = "verdict: APPROVED\n";
    let play = Play::default()
        .role(Role::Reviewer, [reviews(unread), reviews("---\nverdict: MAYBE\n---\n"), approves()])
        .role(Role::Tester, [reports("fine\n"), reports("still fine\n"), passes()]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "gate failed");
    stack.settle();
    use Role::{Deployer, Developer, Reviewer, Tester};
    assert_eq!(roles(&stack, &item), [Developer, Reviewer, Reviewer]);
    assert!(stack.said(&item, "gate failed").contains("MAYBE"));
    // A fresh session, where the old one is gone, has the whole prompt.
    let asked = stack.runs(&item).into_iter().rfind(|r| r.role == Reviewer).unwrap();
    let prompt = stack.prompt(&asked);
    assert!(!asked.resumed && prompt.contains("Why you work now") && prompt.contains("could not be read"), "{prompt}");

    stack.plane().comment(&item, "<p>:retry:</p>");
    stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let want = [Developer, Reviewer, Reviewer, Reviewer, Tester, Tester, Developer, Reviewer, Tester, Deployer];
    assert_eq!(
        roles(&stack, &item),
        want,
        "the tester's report goes back to the developer after it was asked for once"
    );
}

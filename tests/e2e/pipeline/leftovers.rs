//! What agents leave beside their work: published, or kept and said: to people, in `orchctl tasks show`, to the next agent.

use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::store::leftovers;
use orch_tests::stack::play::{develops, first, write};
use orch_tests::stack::{Play, Stack, git, programs};
use orch_worker::ctl::scripted::Deed;
use std::process::Command;

fn shell(line: &str) -> Deed {
    Deed::Shell(line.to_owned())
}

/// What `orchctl tasks show` prints of the task.
fn shown(stack: &Stack, item: &str) -> String {
    let key = stack.task(item).expect("a task").key;
    let mut command = Command::new(programs().join("orchctl"));
    command.args(["--config".as_ref(), stack.scene.config.as_os_str()]).args(["tasks", "show", &key]);
    let output = command.current_dir(&stack.scene.root).output().expect("orchctl runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn left(stack: &Stack, item: &str) -> Vec<(String, String, Option<String>)> {
    let id = stack.task(item).expect("a task").id;
    let rows = stack.read(move |c| leftovers::of_task(c, id));
    rows.into_iter().map(|row| (row.kind.to_string(), row.name, row.kept)).collect()
}

#[test]
fn a_scaffold_a_stash_and_a_branch_of_its_own_are_published_or_kept_and_said_once() {
    let line = "mkdir app && cd app && git init -q && echo made > made.txt && git add . && git commit -qm made && cd .. && \
        echo stashed > stashed.txt && git add stashed.txt && git stash -q && \
        git checkout -q -b idea && echo idea > idea.txt && git add idea.txt && git commit -qm idea && git checkout -q - && \
        git update-index --skip-worktree README.md && echo hidden > README.md";
    let play = Play::default().role(Role::Developer, [first(shell(line), develops("done"))]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    let task = stack.wait_task(&item, Stage::Done, TaskState::Done);
    stack.settle();
    let at_forge = |file: &str| git(&stack.scene.forge, &["show", &format!("{}:{file}", task.branch)]);
    assert_eq!((at_forge("app/made.txt"), at_forge("README.md")), ("made".into(), "hidden".into()));
    let said = stack.said(&item, "left");
    for words in ["app is a repository of its own", "A stash", "refs/heads/idea", "refs/orch/preserved/", "mirror.git"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "left").count(), 1, "said once");
    let mirror = stack.scene.root.join("repos/acme/shop/mirror.git");
    let rows = left(&stack, &item);
    for (kind, file, text) in
        [("stash", "stashed.txt", "stashed"), ("ref", "idea.txt", "idea"), ("history", "made.txt", "made")]
    {
        let kept = rows.iter().find(|row| row.0 == kind).and_then(|row| row.2.clone()).expect(kind);
        assert_eq!(git(&mirror, &["show", &format!("{kept}^{{commit}}:{file}")]), text, "{kind}");
        assert!(said.contains(&kept) && shown(&stack, &item).contains(&kept), "{kind}");
    }
    let reviewer = stack.runs(&item).into_iter().find(|run| run.role == Role::Reviewer).expect("a reviewer");
    let prompt = stack.prompt(&reviewer);
    assert!(prompt.contains("What an earlier run left") && prompt.contains("A stash"), "{prompt}");
    assert_eq!(git(&mirror, &["for-each-ref", "refs/stash"]), "", "nobody else finds it");
}

#[test]
fn documents_in_a_folder_that_the_repository_ignores_are_published() {
    let play = Play::default();
    let mut stack = Stack::builder().play(play).without_worker().start();
    let seed = stack.scene.root.join("seed");
    std::fs::write(seed.join(".gitignore"), "docs/\n").expect("a file");
    git(&seed, &["add", "."]);
    git(&seed, &["commit", "-qm", "Ignore docs"]);
    git(&seed, &["push", "-q", &stack.scene.forge.to_string_lossy(), "main"]);
    let deeds = |commit: bool| {
        let mut deeds: Vec<Deed> = ["01-brd.md", "02-trz.md", "03-acceptance-criteria.md", "04-test-plan.md"]
            .iter()
            .map(|name| write(&format!("{{dir}}/{name}"), "# text\n"))
            .collect();
        deeds.extend(commit.then(|| shell("git add . && git commit -q --allow-empty -m analysis")));
        deeds
    };
    stack.change_play(&Play::default().role(Role::Analyst, [deeds(true)]));
    stack.start_worker("w1");
    let item = stack.analysed("Login");
    let branch = stack.task(&item).expect("a task").branch;
    assert!(git(&stack.scene.forge, &["ls-tree", "-r", "--name-only", &branch]).contains("/04-test-plan.md"));
}

#[test]
fn the_work_of_a_developer_that_failed_for_good_is_kept_and_said() {
    let line = "echo half > half.txt && git update-index --assume-unchanged README.md && echo more > README.md";
    let play = Play::default().role(Role::Developer, [vec![shell(line), Deed::Exit(3)]]);
    let stack = Stack::builder().play(play).start();
    let item = stack.approved("Login");
    stack.wait_said(&item, "left");
    stack.wait_task(&item, Stage::Development, TaskState::Blocked);
    stack.settle();
    let said = stack.said(&item, "left");
    assert!(said.contains("half.txt") && said.contains("Uncommitted files of a run that did not end well"), "{said}");
    assert_eq!(stack.comments(&item).iter().filter(|kind| *kind == "left").count(), 1, "said once, not at each try");
    let kept = left(&stack, &item).into_iter().find(|row| row.0 == "files").and_then(|row| row.2).expect("a ref");
    let mirror = stack.scene.root.join("repos/acme/shop/mirror.git");
    let of = |file: &str| git(&mirror, &["show", &format!("{kept}^{{commit}}:{file}")]);
    assert_eq!((of("half.txt"), of("README.md")), ("half".into(), "more".into()));
    assert!(shown(&stack, &item).contains(&kept));
}

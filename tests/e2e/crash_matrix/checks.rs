//! What must hold at the end of every round.

use super::round::Round;
use nix::unistd::Pid;
use orch_common::domain::job::JobStatus;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage};
use orch_common::store::{audit, standing, tasks};
use orch_tests::stack::{REPO, Stack, git, run_folders};
use orch_worker::agent::RunDir;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long what is ending may take to be gone.
const GONE_IN: Duration = Duration::from_secs(20);

/// All of it, after a round. `starts`: how often an agent of one role may have been started; `told_again`: how many
/// messages of the chat may be there twice.
pub fn all_is_well(round: &Round, starts: usize, told_again: usize) {
    // A comment that is refused for long steps aside for the later ones.
    let in_order = round.plane_answers();
    well(&round.stack, &round.item, starts, (told_again, in_order));
}

/// [`all_is_well`] for one of several work items.
pub fn all_is_well_with(stack: &Stack, item: &str, starts: usize, told_again: usize) {
    well(stack, item, starts, (told_again, true));
}

fn well(stack: &Stack, item: &str, starts: usize, (told_again, in_order): (usize, bool)) {
    one_history(stack, item, starts);
    seen_once(stack, item, (told_again, in_order));
    one_good_run_each(stack, item, starts);
    nothing_is_left(stack);
    nobody_waits_for_nothing(stack);
}

/// At every moment of a round: what is active has a job, or is named what it waits for.
pub fn nobody_waits_for_nothing(stack: &Stack) {
    let left: Vec<String> = stack.read(|c| Ok(standing::unattended(c)?.into_iter().map(|task| task.key).collect()));
    assert_eq!(left, [""; 0], "active, with nothing that would go on with it");
}

fn one_history(stack: &Stack, item: &str, starts: usize) {
    use Stage::{Analysis, Created, Development, Done};
    assert_eq!(stack.stages(item), [Created, Analysis, Development, Done]);
    let id = stack.task(item).unwrap().id;
    let moves = stack.read(move |c| audit::of_task(c, id));
    let steps: Vec<_> = moves.iter().map(|t| (t.version, t.from_stage, t.to_stage)).collect();
    assert_eq!(steps, [(1, Created, Analysis), (2, Analysis, Development), (3, Development, Done)]);
    for (status, n) in [(JobStatus::Queued, 0), (JobStatus::Running, 0), (JobStatus::Failed, 0)] {
        assert_eq!(stack.jobs_with(status), n, "{status}");
    }
    let branch = stack.task(item).unwrap().branch;
    let commits =
        git(&stack.scene.forge, &["rev-list", "--count", &format!("main..{branch}")]).parse::<usize>().unwrap();
    assert!((2..=2 * starts).contains(&commits), "a commit by each agent's work, not {commits}");
}

fn seen_once(stack: &Stack, item: &str, (told_again, in_order): (usize, bool)) {
    let (mut comments, mut expected) = (stack.comments(item), ["started", "now in development", "done"]);
    if !in_order {
        comments.sort();
        expected.sort_unstable();
    }
    assert_eq!(comments, expected);
    stack.states_were(item, &["In Progress", "Done"]);
    let statuses: Vec<String> =
        stack.statuses(item).into_iter().map(|(context, state)| context + " " + &state).collect();
    assert_eq!(statuses, ["orch/analysis success", "orch/development success"]);
    let branch = stack.task(item).unwrap().branch;
    assert_eq!(stack.gitea().pulls(REPO).iter().filter(|p| p.branch == branch).count(), 1);
    assert_eq!(stack.plane().item(item).links.len(), 1);
    let tasks = stack.read(|c| tasks::newest(c, 100)).len();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for text in stack.told() {
        *told.entry(text).or_default() += 1;
    }
    assert_eq!(told.keys().collect::<Vec<_>>(), ["done", "now in analysis", "now in development"]);
    let (messages, expected) = (told.values().sum::<usize>(), told.len() * tasks);
    assert!((expected..=expected + told_again).contains(&messages), "{told:?}");
}

fn one_good_run_each(stack: &Stack, item: &str, starts: usize) {
    for role in [Role::Analyst, Role::Developer] {
        let runs: Vec<_> = stack.runs(item).into_iter().filter(|r| r.role == role).collect();
        let good = runs.iter().filter(|r| r.outcome == Some(RunOutcome::Success)).count();
        assert_eq!(good, 1, "{runs:?}");
        assert!(runs.iter().all(|r| !r.state.is_open()), "{runs:?}");
        let begun = stack.agents_begun(item, role);
        assert!((1..=starts).contains(&begun), "the {role} was started {begun} times");
    }
    assert!(!stack.signal("overlap").exists(), "two agents were at work at a time");
}

fn nothing_is_left(stack: &Stack) {
    for folder in &run_folders(&stack.scene.runs) {
        let dir = RunDir::at(folder);
        assert!(dir.has_exit() || dir.is_fenced(), "{} is open", folder.display());
    }
    let give_up = Instant::now() + GONE_IN;
    loop {
        let left = processes_of(stack);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < give_up, "still running: {left:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Supervisors, agents, tests and git of this stack: whatever names its folder or bears the marker of its runs.
pub fn processes_of(stack: &Stack) -> Vec<String> {
    let root = stack.scene.root.to_string_lossy().into_owned();
    let markers: Vec<String> = run_folders(&stack.scene.runs)
        .iter()
        .filter_map(|folder| Some(format!("ORCH_RUN_ID={}", folder.file_name()?.to_str()?)))
        .collect();
    let own = Pid::this().as_raw();
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let program = line.contains("--config");
            let marked =
                String::from_utf8_lossy(&read("environ")).split('\0').any(|entry| markers.iter().any(|m| m == entry));
            (marked || (line.contains(&root) && !program)).then(|| format!("{pid}: {line}"))
        })
        .collect()
}

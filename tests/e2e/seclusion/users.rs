//! Agents as a Unix user of their own, through the real worker and supervisor.

use nix::unistd::User;
use orch_common::domain::run::RunOutcome;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_testkit::needs::{self, Need};
use orch_tests::stack::{Stack, git};
use std::os::unix::fs::PermissionsExt;

/// An agent that looks around, works, and leaves half of its work uncommitted.
const AGENT: &str = r##"#!/bin/sh
if [ "$1" = --version ]; then echo '2.1.330 (Claude Code)'; exit 0; fi
prompt=$(cat)
say() { printf '{"type":"%s","subtype":"%s","session_id":"0d5b1a52-97a5-4d4e-9d4a-0f5d4b8b6f10","is_error":false,"result":"done","num_turns":1}\n' "$1" "$2"; }
say system init
role=$(printf '%s' "$prompt" | sed -n '1s/^# You are the \([a-z]*\) of .*/\1/p')
dir=docs/work-items/ET-001
mkdir -p $dir
if [ "$role" = analyst ]; then
    git fetch -q ROOT/repos/acme/shop/mirror.git secret && echo 'LEAK: another branch'
    for secret in ROOT/orchestrator.db ROOT/orchestrator.db-wal ROOT/orch.toml ROOT/repos/acme/shop/mirror.git/config; do
        cat $secret >/dev/null && echo "LEAK: $secret"
    done 2>/dev/null
    for folder in ROOT/runs ROOT/repos ROOT/repos/acme/shop ROOT/repos/acme/shop/work; do
        ls $folder >/dev/null && echo "LEAK: $folder"
    done 2>/dev/null
    for process in /proc/[0-9]*; do
        [ -O $process ] || { cat $process/environ >/dev/null && echo "LEAK: $process/environ"; }
    done 2>/dev/null
    echo "user $(id -u):$(id -g) groups $(id -G) home $HOME processes $(sed -n 's/^Max processes *\([0-9]*\) .*/\1/p' /proc/self/limits)"
fi > $dir/probe.txt
echo "{\"type\":\"noted\"}" > /dev/stdout
case $role in
    analyst) for f in 01-brd 02-trz 03-acceptance-criteria 04-test-plan; do echo "# $f" > $dir/$f.md; done;
        git add --all && git commit -q -m 'ET-001: by the agent' && echo rest > rest.txt;;
    architect) echo '# Decision' > $dir/06-adr.md;;
    developer) echo code > feature.txt;;
esac
say result success
"##;

#[test]
fn an_agent_with_a_user_of_its_own_reads_nothing_of_ours_and_its_work_comes_back() {
    if !needs::all(&[Need::Root, Need::User("nobody")]) {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o711)).unwrap();
    let tests = format!("test $(id -u) = {} && grep -q code feature.txt && echo junk > junk.txt", nobody.uid);
    let mut stack = Stack::builder()
        .set("agent.user", "nobody")
        .set("agent.home", home.path().join("agent").to_string_lossy().into_owned())
        .set("agent.max_processes", 500)
        .project("test_command", tests)
        .without_worker()
        .start();
    let root = stack.scene.root.clone();
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o711)).unwrap();
    let agent = stack.scene.agent();
    std::fs::write(&agent, AGENT.replace("ROOT", &root.to_string_lossy())).unwrap();
    std::fs::set_permissions(&agent, PermissionsExt::from_mode(0o755)).unwrap();
    git(&root.join("seed"), &["push", "--quiet", &stack.scene.forge.to_string_lossy(), "HEAD:secret"]);
    stack.start_worker(orch_tests::stack::WORKER);

    let (item, _) = stack.plane().create_item("Add a greeting", "", &[]);
    let task = stack.wait_task(&item, Stage::Analysis, TaskState::WaitingApproval);
    let forge = stack.scene.forge.clone();
    let show = |path: &str| git(&forge, &["show", &format!("{}:{path}", task.branch)]);
    let (uid, gid) = (nobody.uid, nobody.gid);
    let home = home.path().join("agent").to_string_lossy().into_owned();
    let expected = format!("user {uid}:{gid} groups {gid} home {home} processes 500");
    assert_eq!(show("docs/work-items/ET-001/probe.txt"), expected);
    assert_eq!(show("rest.txt"), "rest");
    let log = git(&forge, &["log", "--format=%an: %s", &format!("main..{}", task.branch)]);
    assert_eq!(log, "orch analyst: ET-001: work of the analyst at analysis\norch analyst: ET-001: by the agent");

    // The project's tests are an agent's code as well.
    stack.plane().comment(&item, "<p>:approved:</p>");
    stack.wait_task(&item, Stage::Review, TaskState::Active);
    assert_eq!(show("feature.txt"), "code");
    let gates = stack.gates(&item);
    assert!(gates.contains(&("tests_local".into(), "pass".into())), "{gates:?}");
    assert!(stack.runs(&item).iter().all(|r| r.role != Role::Developer || r.outcome == Some(RunOutcome::Success)));
}

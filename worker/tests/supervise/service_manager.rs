//! Supervisors that a service manager starts: one for each connection to its socket, with rights of its own.

use super::support::{PATIENCE, Run, WORKER, eventually};
use orch_testkit::needs::{self, Need};
use orch_worker::agent::launch::LaunchError;
use orch_worker::agent::{ExitReason, Found, Launched, Starter, examine, launch};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

const RIGHTS: &str = "+setuid,+setgid,+chown,+kill,+sys_ptrace,+sys_nice";
/// `daemon`, the services' user of this test; `nobody` is the agents'.
const SERVICE: u32 = 1;

/// What systemd does for a socket with `Accept=yes`: one connection, one process whose input and output it is.
fn serve_once(socket: &Path, mut program: Command, before: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        before();
        let output = Stdio::from(OwnedFd::from(connection.try_clone().unwrap()));
        let mut child = program.stdin(OwnedFd::from(connection)).stdout(output).env_clear().spawn().unwrap();
        drop(program);
        child.wait().unwrap();
    })
}

fn supervisor() -> Command {
    let mut command = Command::new(WORKER);
    command.args(["supervise", "--run-dir-from-stdin"]);
    command
}

async fn launch_by(run: &Run, socket: &Path) -> Result<Launched, LaunchError> {
    launch(&run.path(), &run.spec, b"the prompt\n", &Starter::Socket(socket.to_owned())).await
}

#[tokio::test]
async fn a_connection_is_a_run() {
    let run = Run::of("cat; echo up > $W/up; until [ -e $W/go ]; do sleep 0.05; done; echo bye");
    let socket = run.temp.path().join("socket");
    let server = serve_once(&socket, supervisor(), || {});
    let launched = launch_by(&run, &socket).await.unwrap();
    run.note("up").await;
    assert_eq!(examine(&run.path()).unwrap(), Found::Alive(launched.supervisor));
    std::fs::write(run.spec.cwd.join("go"), "").unwrap();
    assert_eq!(run.record().await.reason, ExitReason::Exited);
    assert_eq!(run.log(), "the prompt\nbye\n");
    server.join().unwrap();
}

#[tokio::test]
async fn without_an_answer_nothing_is_started_then_or_later() {
    let nowhere = Run::of("echo up > $W/up");
    let missing = launch_by(&nowhere, &nowhere.temp.path().join("socket")).await;
    assert!(matches!(missing, Err(LaunchError::Supervisor { .. })), "{missing:?}");

    let run = Run::of("echo up > $W/up");
    let socket = run.temp.path().join("socket");
    let server = serve_once(&socket, Command::new("true"), || {});
    let refused = launch_by(&run, &socket).await;
    assert!(matches!(refused, Err(LaunchError::NotTaken(_))), "{refused:?}");
    server.join().unwrap();
    // One that comes late finds the run given up.
    let mut late = supervisor().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    writeln!(late.stdin.take().unwrap(), "{}", run.path().display()).unwrap();
    assert!(late.wait().unwrap().success());
    assert!(!run.dir().has_exit() && run.noted("up").is_none());
}

#[test]
fn only_an_absolute_folder_is_taken() {
    for input in ["", "\n", "relative\n", "/no/line/end", "/no/such/folder\n"] {
        let mut child = supervisor().stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        assert!(!child.wait().unwrap().success(), "{input:?}");
    }
}

/// The package's way: a supervisor that is not root, with just the rights it needs, and an agent that has none.
#[tokio::test]
async fn an_ordinary_user_with_rights_runs_an_agent_without() {
    if !needs::all(&[Need::Root, Need::User("nobody"), Need::Program("setpriv")]) {
        return;
    }
    let script = "id -u; id -g; id -G; grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs)' /proc/self/status; \
        echo again > /dev/stderr; (setsid sleep 600 &); cat ../run/spec.json; sleep 600";
    let run = Run::of(script).with(|s| (s.user, s.timeout_s) = (Some("nobody".into()), 3));
    let (root, folder) = (run.temp.path().to_owned(), run.path());
    // The program too must be where that user can reach it.
    let program = root.join("orch-worker");
    orch_testkit::place_program(WORKER.as_ref(), &program);
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o711)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "1", "--regid", "1", "--clear-groups", "--no-new-privs"]);
    command.args(["--inh-caps", &format!("-all,{RIGHTS}"), "--ambient-caps", &format!("-all,{RIGHTS}")]);
    command.args(["--bounding-set", &format!("-all,{RIGHTS}")]).arg(&program);
    command.args(["supervise", "--run-dir-from-stdin"]);
    let owned = folder.clone();
    let server = serve_once(&root.join("socket"), command, move || {
        for entry in std::fs::read_dir(&owned).unwrap() {
            chown(entry.unwrap().path(), Some(SERVICE), Some(SERVICE)).unwrap();
        }
        chown(&owned, Some(SERVICE), Some(SERVICE)).unwrap();
    });
    launch_by(&run, &root.join("socket")).await.unwrap();
    let record = run.record().await;
    assert_eq!(record.reason, ExitReason::TimedOut);
    assert!(record.swept >= 1, "{record:?}");
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let mut expected = vec![nobody.uid.to_string(), nobody.gid.to_string(), nobody.gid.to_string()];
    expected.extend(["Inh", "Prm", "Eff", "Amb"].map(|set| format!("Cap{set}:\t0000000000000000")));
    expected.push("NoNewPrivs:\t1".into());
    assert_eq!(run.log().lines().collect::<Vec<_>>(), expected);
    let log = std::fs::metadata(run.dir().log()).unwrap();
    assert_eq!((log.uid(), log.gid(), log.mode() & 0o777), (nobody.uid.as_raw(), SERVICE, 0o640));
    let errors = std::fs::read_to_string(run.dir().stderr()).unwrap();
    assert!(errors.starts_with("again\n") && errors.contains("Permission denied"), "{errors}");
    eventually("the end of all that it started", || run.marked().is_empty().then_some(())).await;
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || server.join().unwrap())).await.unwrap().unwrap();
}

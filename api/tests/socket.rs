//! A socket that the service manager opened and hands over (`LISTEN_FDS`): it is served, it outlives the process, and a
//! stop in the middle of many connections answers all of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Descriptor 3 is the first that is handed over; the number of the process is known to it alone.
const HAND_OVER: &str = r#"exec 3<&0 4<&0 0</dev/null; LISTEN_PID=${OTHER_PID:-$$} exec "$@""#;

/// The program with `handed` as its descriptors 3 and 4, of which `count` are said to be sockets for it.
fn command(dir: &Path, handed: OwnedFd, count: u32) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", HAND_OVER, "sh", env!("CARGO_BIN_EXE_orch-api")]).current_dir(dir).env_clear();
    command.env("LISTEN_FDS", count.to_string()).env("ORCH_API_BIND", "127.0.0.1:0");
    command.stdin(handed).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Api {
    child: Child,
    address: String,
}

impl Api {
    fn start(mut command: Command) -> Api {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        Api { child, address }
    }

    fn terminate(&self) {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended, and what it wrote to standard error.
    fn end(mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

/// Sends a request and leaves the answer for later.
fn ask(address: SocketAddr, connection: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: {connection}\r\n\r\n").unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_socket_that_is_handed_over_is_served_and_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listener();
    let mut command = command(dir.path(), copy(&listener), 1);
    let api = Api::start({
        command.env("ORCH_API_BIND", "127.0.0.1:1");
        command
    });
    assert_eq!(api.address, address.to_string());
    assert!(answer(ask(address, "close")).starts_with("HTTP/1.1 200"));
    api.terminate();
    let (status, log) = api.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("listening on the service manager's socket"), "{log}");
    // Nobody serves now: the kernel keeps what comes.
    let early = ask(address, "close");
    let next = Api::start(self::command(dir.path(), copy(&listener), 1));
    assert!(answer(early).starts_with("HTTP/1.1 200"));
    next.terminate();
    assert_eq!(next.end().0.code(), Some(0));
}

#[test]
fn a_stop_under_many_connections_answers_every_request() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listener();
    let api = Api::start(command(dir.path(), copy(&listener), 1));
    // Connections that are kept open and idle must not hold the stop up.
    let idle: Vec<TcpStream> = (0..20).map(|_| ask(address, "keep-alive")).collect();
    let (mut stopping, mut asked) = (Some(&api), Vec::new());
    for n in 0..200 {
        asked.push(ask(address, "close"));
        if n == 100 {
            stopping.take().unwrap().terminate();
        }
    }
    let (status, log) = api.end();
    assert_eq!(status.code(), Some(0), "{log}");
    // What it had not accepted is the next one's.
    let next = Api::start(command(dir.path(), copy(&listener), 1));
    let answered = asked.into_iter().map(answer).filter(|answer| answer.starts_with("HTTP/1.1 200")).count();
    assert_eq!(answered, 200);
    assert!(idle.into_iter().map(answer).all(|answer| answer.starts_with("HTTP/1.1 200")));
    next.terminate();
    assert_eq!(next.end().0.code(), Some(0));
}

#[test]
fn what_is_handed_to_another_process_is_not_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, address) = listener();
    let mut command = command(dir.path(), copy(&listener), 1);
    command.env("OTHER_PID", "1");
    let api = Api::start(command);
    assert!(api.address.starts_with("127.0.0.1:") && api.address != address.to_string(), "{}", api.address);
    let own: SocketAddr = api.address.parse().unwrap();
    assert!(answer(ask(own, "close")).starts_with("HTTP/1.1 200"));
    api.terminate();
    assert_eq!(api.end().0.code(), Some(0));
    assert!(TcpStream::connect(own).is_err(), "nobody listens any more");
}

#[test]
fn what_cannot_be_served_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (listener, _) = listener();
    let file = File::create(dir.path().join("file")).unwrap();
    for (handed, count, named) in
        [(copy(&listener), 2, "hands over 2 sockets"), (OwnedFd::from(file), 1, "not a listening TCP socket")]
    {
        let api = Api::start(command(dir.path(), handed, count));
        assert_eq!(api.address, "");
        let (status, log) = api.end();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(named), "{log}");
    }
}

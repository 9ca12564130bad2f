//! Stopping when the system or a person says so. The first signal asks, the second does not wait.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that got a second signal (128 + SIGINT, as shells count).
const TOLD_TWICE: i32 = 130;

/// A token that SIGTERM or SIGINT cancels. A second such signal ends the process at once, with code 130; agents
/// live on under their own supervisors. Must be called inside a tokio runtime.
pub fn on_signals() -> io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let name = either(&mut term, &mut int).await;
        tracing::info!(signal = name, "shutting down; a second signal exits at once");
        asked.cancel();
        let name = either(&mut term, &mut int).await;
        tracing::warn!(signal = name, "second signal: exiting at once");
        std::process::exit(TOLD_TWICE);
    });
    Ok(token)
}

async fn either(term: &mut Signal, int: &mut Signal) -> &'static str {
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Sig, kill};
    use nix::unistd::Pid;
    use std::io::{BufRead, BufReader, Lines};
    use std::process::{Child, ChildStdout, Command, Stdio};

    const ROLE: &str = "ORCH_TEST_SHUTDOWN_CHILD";

    /// Not a test of its own: the program that the tests below start and signal.
    #[test]
    #[ignore = "the other process of the tests"]
    fn child() {
        let Ok(mode) = std::env::var(ROLE) else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let token = on_signals().unwrap();
            println!("\nready");
            token.cancelled().await;
            println!("\nstopping");
            if mode == "hangs" {
                std::future::pending::<()>().await;
            }
        });
    }

    fn start(mode: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "shutdown::tests::child", "--nocapture"])
            .env(ROLE, mode)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        wait_for(&mut lines, "ready");
        (child, lines)
    }

    fn wait_for(lines: &mut Lines<BufReader<ChildStdout>>, wanted: &str) {
        assert!(lines.any(|line| line.unwrap() == wanted), "the child ended before it said {wanted}");
    }

    fn send(child: &Child, signal: Sig) {
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    }

    #[test]
    fn one_signal_asks() {
        for signal in [Sig::SIGTERM, Sig::SIGINT] {
            let (mut child, mut lines) = start("ends");
            send(&child, signal);
            wait_for(&mut lines, "stopping");
            // libtest has more to say; a closed pipe would be its death.
            lines.for_each(drop);
            assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        }
    }

    #[test]
    fn a_second_signal_does_not_wait() {
        let (mut child, mut lines) = start("hangs");
        send(&child, Sig::SIGTERM);
        wait_for(&mut lines, "stopping");
        send(&child, Sig::SIGINT);
        assert_eq!(child.wait().unwrap().code(), Some(TOLD_TWICE));
    }
}

//! The real programs: built once, started with a configuration of their own, ended by their own process id only.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a program may take to stop when asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that a program gets of the environment in which the tests run: where programs are, and what measures coverage.
const INHERITED: [&str; 3] = ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"];

/// The folder of the built programs. Builds them the first time it is asked for: cargo builds no other package's
/// programs for a test.
pub fn programs() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build)
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("the test's own program");
    let folder = own.parent().and_then(Path::parent).expect("<target>/<profile>/deps").to_owned();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What the cargo that runs the tests says of their package would make this one build everything anew.
    let of_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|p| name.starts_with(p));
    for (name, _) in std::env::vars().filter(|(name, _)| of_package(name)) {
        command.env_remove(name);
    }
    let output = command
        .args(["build", "--workspace", "--bins", "--quiet", "--profile", profile])
        .arg("--target-dir")
        .arg(folder.parent().expect("the target folder"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the programs do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// One running program. It is killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    /// What it logs; appended to by each start of the same name.
    log: PathBuf,
    out: PathBuf,
}

impl Program {
    /// Starts `program` as `name` with the configuration at `config`, in `root`.
    pub fn start(program: &str, name: &str, root: &Path, config: &Path, env: &[(&str, &str)]) -> Program {
        let program = programs().join(program);
        Self::run(Command::new(&program), &program, name, root, config, env)
    }

    /// [`Program::start`] with the signal of an exceeded file size ignored.
    pub fn start_deaf_to_file_limits(
        program: &str,
        name: &str,
        root: &Path,
        config: &Path,
        env: &[(&str, &str)],
    ) -> Program {
        let program = programs().join(program);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&program);
        Self::run(command, &program, name, root, config, env)
    }

    fn run(
        mut command: Command,
        program: &Path,
        name: &str,
        root: &Path,
        config: &Path,
        env: &[(&str, &str)],
    ) -> Program {
        let (log, out) = (root.join(format!("{name}.log")), root.join(format!("{name}.out")));
        let appended = File::options().create(true).append(true).open(&log).expect("a log");
        // A test means the same whatever is configured where it runs; nobody's credentials reach an agent.
        command.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("HOME", root).env("LANG", "C.UTF-8");
        let child = command
            .arg("--config")
            .arg(config)
            .envs(env.iter().copied())
            .env("ORCH_LOG", "info")
            .env("ORCH_LOG_FORMAT", "text")
            .current_dir(root)
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("an output"))
            .stderr(appended)
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", program.display()));
        Program { name: name.to_owned(), child, log, out }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed since its last start.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// What it logged, all its starts together.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`, as a power cut would end it.
    pub fn kill(mut self) {
        self.end_at_once();
    }

    /// Asks it to stop (SIGTERM) and waits.
    pub fn stop(mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it can be signalled");
        let give_up = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < give_up, "{} does not stop:\n{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end_at_once(&mut self) {
        // An error means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end_at_once();
    }
}

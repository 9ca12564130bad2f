//! What a test needs of the machine. Where that is missing the test fails, so that a green run has run everything.
//!
//! `ORCH_TEST_ALLOW_SKIP=1` leaves such tests out instead, and each appends a line to the file named by
//! `ORCH_TEST_SKIPS`; `make test` counts the lines at its end. `tests/needs.sh` installs what can be installed.

use nix::unistd::{User, geteuid};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Something of the machine.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Root: only root can start processes as another user.
    Root,
    /// A user of this name.
    User(&'static str),
    /// A program on `PATH`, or at an absolute path.
    Program(&'static str),
}

impl Need {
    /// Why it is not there; `None` if it is.
    fn missing(self) -> Option<String> {
        match self {
            Need::Root => (!geteuid().is_root()).then(|| "the tests do not run as root".to_owned()),
            Need::User(name) => {
                let found = User::from_name(name).ok().flatten();
                found.is_none().then(|| format!("there is no user '{name}'"))
            }
            Need::Program(name) => find(name).is_none().then(|| format!("there is no program '{name}'")),
        }
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // An absolute name replaces the folder it is joined to.
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|file| file.is_file())
}

/// True where the machine has all of them. Use: `if !needs::all(&[Need::Root]) { return; }`
#[must_use]
pub fn all(needs: &[Need]) -> bool {
    let missing: Vec<String> = needs.iter().filter_map(|need| need.missing()).collect();
    given(if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }).is_some()
}

/// Unwraps what a test needs. Panics with the reason where it is missing, or gives `None` where skips are allowed.
#[must_use]
pub fn given<T>(what: Result<T, String>) -> Option<T> {
    let allowed = std::env::var_os("ORCH_TEST_ALLOW_SKIP").is_some_and(|value| value == "1");
    let skips = std::env::var_os("ORCH_TEST_SKIPS").map(PathBuf::from);
    let thread = std::thread::current();
    judge(what, allowed, skips.as_deref(), thread.name().unwrap_or("a test"))
}

fn judge<T>(what: Result<T, String>, allowed: bool, skips: Option<&Path>, test: &str) -> Option<T> {
    let why = match what {
        Ok(found) => return Some(found),
        Err(why) => why,
    };
    assert!(
        allowed,
        "this test cannot run here: {why}. `tests/needs.sh` installs what can be installed; \
         ORCH_TEST_ALLOW_SKIP=1 leaves out what this machine cannot run"
    );
    let line = format!("{test}: {why}\n");
    match skips {
        Some(file) => {
            let file = OpenOptions::new().create(true).append(true).open(file);
            file.and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the list of skipped tests can be written");
        }
        // Straight to the standard error: what a passing test prints is not shown.
        None => drop(std::io::stderr().write_all(format!("skipped: {line}").as_bytes())),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot run here: no moon")]
    fn a_test_without_what_it_needs_fails() {
        judge(Err::<(), _>("no moon".into()), false, None, "test");
    }

    #[test]
    fn a_skip_that_is_allowed_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let skips = dir.path().join("skips");
        assert_eq!(judge(Ok(5), true, Some(&skips), "one"), Some(5));
        assert!(!skips.exists(), "a test that runs is no skip");
        assert_eq!(judge(Err::<(), _>("no moon".into()), true, Some(&skips), "two"), None);
        assert_eq!(judge(Err::<(), _>("no sun".into()), true, Some(&skips), "three"), None);
        assert_eq!(std::fs::read_to_string(&skips).unwrap(), "two: no moon\nthree: no sun\n");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Need::Program("sh").missing(), None);
        assert_eq!(Need::Program("/bin/sh").missing(), None);
        assert_eq!(Need::Program("no-such-program").missing().unwrap(), "there is no program 'no-such-program'");
        assert_eq!(Need::Program("/no/such/sh").missing().unwrap(), "there is no program '/no/such/sh'");
        assert_eq!(Need::User("no-such-user").missing().unwrap(), "there is no user 'no-such-user'");
        assert_eq!(Need::User("root").missing(), None);
        assert_eq!(Need::Root.missing().is_none(), geteuid().is_root());
    }
}

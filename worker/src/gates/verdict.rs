//! Red or infra: whether the end of a test command says something about the work. Pure.

use orch_common::domain::fault::Fault;
use orch_common::domain::gate::TestEnd;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Less free space than this after a failed run is taken for its reason, in bytes.
const NO_SPACE: u64 = 1 << 20;

/// Signals by which a program's own fault ends it: ILL TRAP ABRT BUS FPE SEGV PIPE XCPU XFSZ SYS.
const OWN_FAULT: &[i32] = &[4, 5, 6, 7, 8, 11, 13, 24, 25, 31];

/// Exit codes by which a shell says that its child got HUP, INT, KILL or TERM: from outside, or out of memory.
const FROM_OUTSIDE: &[i32] = &[129, 130, 137, 143];

/// How the attendant begins what it says, and the two reasons of its that are the command's: EACCES and ENOEXEC. Others are the
/// machine's, that has no process or memory left.
const ATTENDANT: &str = "orch-worker attend: ";
const NOT_EXECUTABLE: [&str; 2] = ["(os error 13)", "(os error 8)"];

/// What a command means that could not be started.
pub(super) fn unstarted(error: &io::Error) -> TestEnd {
    let why = format!("the test command cannot be started: {error}");
    match error.raw_os_error() {
        Some(2) => unfit(Fault::NoProgram, why),
        Some(8 | 13) => unfit(Fault::NotExecutable, why),
        _ => infra(why),
    }
}

/// What the end of a run that we did not stop means. `free` is the least space left where the run could
/// write, `None` if unknown.
pub(super) fn end_of(status: ExitStatus, tail: &str, free: Option<u64>) -> TestEnd {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) if OWN_FAULT.contains(&signal) => 128 + signal,
        (None, signal) => return infra(format!("killed by signal {} from outside", signal.unwrap_or(0))),
    };
    match code {
        0 => TestEnd::Exited { code },
        126 if tail.contains(ATTENDANT) && !NOT_EXECUTABLE.iter().any(|words| tail.contains(words)) => {
            infra("the command could not be started (exit 126)")
        }
        126 => unfit(Fault::NotExecutable, "the command cannot be executed (exit 126)"),
        127 => unfit(Fault::NoProgram, "a command was not found (exit 127)"),
        _ if FROM_OUTSIDE.contains(&code) => {
            infra(format!("killed by signal {} from outside, or out of memory (exit {code})", code - 128))
        }
        _ if tail.contains("No space left on device") => infra("no space left on the device"),
        _ if free.is_some_and(|free| free < NO_SPACE) => infra("less than 1 MiB of disk space is left"),
        _ => TestEnd::Exited { code },
    }
}

pub(super) fn infra(why: impl Into<String>) -> TestEnd {
    TestEnd::Infra { why: why.into() }
}

pub(super) fn unfit(fault: Fault, why: impl Into<String>) -> TestEnd {
    TestEnd::Unfit { fault, why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_or_infra() {
        const PLENTY: Option<u64> = Some(1 << 30);
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        let signal = ExitStatus::from_raw;
        let is_code = |end: &TestEnd, wanted| matches!(end, TestEnd::Exited { code } if *code == wanted);
        for (status, tail, free, red) in [
            (exit(0), "", PLENTY, Some(0)),
            (exit(0), "No space left on device", Some(0), Some(0)),
            (exit(1), "", PLENTY, Some(1)),
            (exit(1), "", None, Some(1)),
            (exit(101), "timed out, 503, Killed", PLENTY, Some(101)),
            (exit(1), "x\nwrite: No space left on device\n", PLENTY, None),
            (exit(1), "", Some(1000), None),
            (exit(137), "", PLENTY, None),
            (exit(143), "", PLENTY, None),
            (exit(139), "", PLENTY, Some(139)),
            (exit(134), "", PLENTY, Some(134)),
            (signal(9), "", PLENTY, None),
            (signal(15), "", PLENTY, None),
            (signal(11), "", PLENTY, Some(139)),
            (signal(6), "", PLENTY, Some(134)),
        ] {
            let end = end_of(status, tail, free);
            match red {
                Some(code) => assert!(is_code(&end, code), "{status} {tail:?} {free:?}: {end:?}"),
                None => assert!(matches!(end, TestEnd::Infra { .. }), "{status} {tail:?} {free:?}: {end:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_run_at_all_is_a_persons() {
        for (code, wanted) in [(126, Fault::NotExecutable), (127, Fault::NoProgram)] {
            let end = end_of(ExitStatus::from_raw(code << 8), "", None);
            assert!(matches!(end, TestEnd::Unfit { fault, .. } if fault == wanted), "{code}: {end:?}");
        }
        for (code, wanted) in
            [(2, Some(Fault::NoProgram)), (8, Some(Fault::NotExecutable)), (13, Some(Fault::NotExecutable)), (11, None)]
        {
            let error = io::Error::from_raw_os_error(code);
            let said = format!("orch-worker attend: /bin/x cannot be started: {error}");
            let attended = end_of(ExitStatus::from_raw(if code == 2 { 127 } else { 126 } << 8), &said, None);
            for end in [unstarted(&error), attended] {
                let fault = if let TestEnd::Unfit { fault, .. } = &end { Some(*fault) } else { None };
                assert_eq!(fault, wanted, "{error}: {end:?}");
            }
        }
    }
}

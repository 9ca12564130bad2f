use super::super::record::ExitReason;
use super::super::record::tests::spec;
use super::*;
use orch_common::domain::run::StopReason;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn dir() -> (tempfile::TempDir, RunDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = RunDir::create(temp.path().join("a/run")).unwrap();
    (temp, dir)
}

fn record() -> ExitRecord {
    ExitRecord {
        run_id: "r".into(),
        reason: ExitReason::SpawnFailed { error: "x".repeat(300) },
        exit_code: None,
        signal: Some(15),
        started_at_ms: 1,
        finished_at_ms: 2,
        cpu_ms: 3,
        max_rss_kb: 4,
        swept: 5,
    }
}

#[test]
fn every_file_reads_back_and_is_private() {
    let (_temp, dir) = dir();
    let wanted = spec(&uuid::Uuid::new_v4().to_string());
    let me = Identity::own().unwrap();
    let stop = StopRequest { reason: StopReason::Pause };
    assert_eq!(dir.read_exit().unwrap(), None);
    dir.write_spec(&wanted).unwrap();
    dir.write_prompt(b"do it").unwrap();
    dir.write_supervisor(&me).unwrap();
    dir.write_agent(&me).unwrap();
    dir.write_stop(&stop).unwrap();
    dir.reserve_exit().unwrap();
    dir.write_exit(&record()).unwrap();
    dir.sync().unwrap();
    assert_eq!(dir.read_spec().unwrap(), wanted);
    assert_eq!(fs::read(dir.prompt()).unwrap(), b"do it");
    assert_eq!(dir.read_supervisor().unwrap(), Some(me.clone()));
    assert_eq!(dir.read_agent().unwrap(), Some(me));
    assert_eq!(dir.read_stop().unwrap(), Some(stop));
    assert_eq!(dir.read_exit().unwrap(), Some(record()));
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        assert!(!entry.file_name().to_string_lossy().starts_with('.'), "left over: {:?}", entry.file_name());
    }
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_exit_record_uses_the_space_set_aside() {
    let (_temp, dir) = dir();
    dir.reserve_exit().unwrap();
    let reserved = fs::metadata(dir.path().join(".exit.json")).unwrap();
    dir.write_exit(&record()).unwrap();
    let written = fs::metadata(dir.path().join("exit.json")).unwrap();
    assert_eq!(reserved.ino(), written.ino());
    assert!(written.len() < EXIT_RESERVE && written.len() > 300);
}

#[test]
fn the_lock_excludes_and_is_given_back() {
    let (_temp, dir) = dir();
    let held = dir.try_lock().unwrap().unwrap();
    assert!(dir.try_lock().unwrap().is_none());
    drop(held);
    assert!(dir.lock().is_ok());
}

#[test]
fn damage_is_told_from_absence() {
    let (_temp, dir) = dir();
    assert!(matches!(dir.read_spec(), Err(RunDirError::Malformed { .. })));
    fs::write(dir.path().join("exit.json"), "{").unwrap();
    assert!(dir.has_exit());
    assert!(matches!(dir.read_exit(), Err(RunDirError::Malformed { .. })));
    assert!(!dir.is_fenced());
    dir.fence().unwrap();
    assert!(dir.is_fenced());
}

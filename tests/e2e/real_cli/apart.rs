//! The real CLI as a Unix user of its own.

use super::{Setting, analysis, analyst, install};
use orch_common::domain::run::RunOutcome;
use orch_testkit::needs::{self, Need};
use orch_tests::model_api::ModelApi;
use orch_tests::stack::git;
use std::os::unix::fs::PermissionsExt;

#[test]
#[ignore = "long: fetches the real agent CLI"]
fn the_real_cli_works_as_nobody() {
    if !needs::all(&[Need::Root, Need::User("nobody")]) {
        return;
    }
    let Some(cli) = install::fetched() else { return };
    // Where that user can reach it: the build's own folder may be private.
    let shelf = tempfile::Builder::new().prefix("orch-shelf-").tempdir().unwrap();
    std::fs::set_permissions(shelf.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = shelf.path().join("claude");
    orch_testkit::place_program(&cli, &program);
    let setting = Setting::quick().set("agent.user", "nobody").set("agent.max_processes", 1000);
    let case = setting.start_with(&program, ModelApi::start(analysis()), |seed| {
        std::fs::set_permissions(seed.parent().unwrap(), PermissionsExt::from_mode(0o711)).unwrap();
    });
    let runs = case.wait_analysed();
    let run = analyst(&runs);
    assert_eq!((run.outcome, run.turns), (Some(RunOutcome::Success), 3), "{:?}", run.error);
    let branch = case.stack.task(&case.item).unwrap().branch;
    let log = git(&case.stack.scene.forge, &["log", "--format=%an|%s", &format!("main..{branch}")]);
    assert_eq!(log, "orch analyst|ET-001: the analysis, by the agent itself");
    let folder = case.api.calls()[0].working_folder();
    assert!(folder.ends_with("/repos/.agents/acme/shop/ET-001"), "{folder}");
}

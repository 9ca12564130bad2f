//! `generate`: what a package ships about the command lines, made from the command lines themselves.

use super::support::World;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn generated(world: &World, folder: &str) -> BTreeMap<String, String> {
    world.ctl(&["generate", &world.at(folder)]).ok();
    let files = std::fs::read_dir(world.path(folder)).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The names under "Commands:" in the help.
fn commands(world: &World) -> Vec<String> {
    let help = world.ctl(&["--help"]).ok();
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(String::from).collect()
}

#[test]
fn every_command_has_a_page_and_every_shell_its_completions() {
    let world = World::bare();
    let files = generated(&world, "deep/er");
    let commands = commands(&world);
    assert!(commands.contains(&"drain".to_owned()) && commands.len() > 10, "{commands:?}");
    for command in &commands {
        let page = files.get(&format!("orchctl-{command}.1")).unwrap_or_else(|| panic!("no page of {command}"));
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{page}");
        for shell in ["orchctl.bash", "_orchctl", "orchctl.fish"] {
            assert!(files[shell].contains(command.as_str()), "{shell} does not know {command}");
        }
    }
    assert!(files["orchctl-drain.1"].contains("\\-\\-undo"), "{}", files["orchctl-drain.1"]);
    assert!(files["orchctl.1"].contains(".TH orchctl 1") && files["orch-worker.8"].contains(".TH orch-worker 8"));
    assert!(files.contains_key("orch-worker.bash") && files.contains_key("_orch-worker"));
}

#[test]
fn what_is_hidden_has_no_page() {
    let world = World::bare();
    let files = generated(&world, "pages");
    let hidden: Vec<_> = files.keys().filter(|file| file.contains("generate") || file.contains("scripted")).collect();
    assert_eq!(hidden, Vec::<&String>::new());
    assert!(!files["orchctl.1"].contains("scripted"), "{}", files["orchctl.1"]);
}

/// A package of the same commit is the same package.
#[test]
fn a_second_time_gives_the_same_bytes_and_bash_can_read_them() {
    let world = World::bare();
    assert_eq!(generated(&world, "one"), generated(&world, "two"));
    assert_eq!(generated(&world, "one"), generated(&world, "two"), "what is there is replaced");
    for file in ["orchctl.bash", "orch-worker.bash"] {
        let line = format!(". ./{file} && complete -p {}", file.trim_end_matches(".bash"));
        let said = Command::new("bash").args(["-c", &line]).current_dir(world.path("one")).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let world = World::bare();
    std::fs::write(world.path("file"), "").unwrap();
    let said = world.ctl(&["generate", &world.at("file/pages")]).fails(1);
    assert!(said.contains("file/pages"), "{said}");
}

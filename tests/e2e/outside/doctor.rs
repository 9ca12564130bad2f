//! `orchctl doctor`, the real program, against installations that lack one thing each: the line that says so, what to
//! do, and the exit code. What is about the forge is in `forge_setups`.

use super::place::{OURS, Place, doctor, line};
use orch_testkit::needs::{self, Need};
use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram, Reply, Server};
use serde_json::json;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

#[test]
fn nothing_configured_is_said_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    std::fs::write(&file, "").unwrap();
    let (lines, code) = doctor(&["--config", file.to_str().unwrap(), "doctor", "--json"]);
    for check in ["projects", "plane", "plane.webhook_secret", "gitea", "gitea.webhook_secret"] {
        assert_eq!(line(&lines, check).0, "FAIL", "{check}");
    }
    assert_eq!(line(&lines, "telegram").0, "ok");
    assert_eq!(code, 1);
}

#[test]
fn a_configuration_that_does_not_load_is_a_line_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("orch.toml");
    std::fs::write(&file, "[plane]\nurl = \"nope\"\n").unwrap();
    let (lines, code) = doctor(&["--config", file.to_str().unwrap(), "doctor", "--json"]);
    assert_eq!((lines.len(), line(&lines, "config").0, code), (1, "FAIL", 1));
}

#[test]
fn each_fault_has_its_line() {
    let good = || Place::new().hook(&format!("{OURS}/webhook/gitea"));
    let guest = good();
    guest.plane.set_bot_role(5);
    let guest_of_project = good();
    guest_of_project.plane.set_bot_role_in_project(5);
    let table: [(&str, Place, &str, &str); 6] = [
        ("a guest", guest, "plane.role", "Member"),
        ("a guest of the project", guest_of_project, "plane.project ET", "refuses every change of a state"),
        ("Plane's token", good().with(FakePlane::TOKEN, "plane_api_other"), "plane.token", "Personal Access Tokens"),
        ("Plane's workspace", good().with("\"acme\"\napi", "\"other\"\napi"), "plane.project ET", "Member"),
        ("the chat", good().with(FakeTelegram::CHAT, "-1"), "telegram.chat", "add the bot"),
        ("Telegram's token", good().with(FakeTelegram::TOKEN, "123:other"), "telegram.token", "@BotFather"),
    ];
    for (what, place, check, words) in table {
        let (lines, code) = place.examine();
        let (level, said) = line(&lines, check);
        assert_eq!((level, code), ("FAIL", 1), "{what}: {lines:#?}");
        assert!(said.contains(words), "{what}: {said}");
        let others: Vec<_> = lines.iter().filter(|(name, level, _)| level == "FAIL" && name != check).collect();
        assert!(others.is_empty(), "{what}: {others:#?}");
    }
}

/// What answers at the intake's port, and what doctor says of it.
#[test]
fn whether_the_intake_listens_and_whether_its_address_leads_there_is_asked() {
    let health = |ready: bool| {
        let readiness = json!({ "ready": ready, "database": "cannot be written", "migrations": "ok" });
        Reply::json(200, json!({ "status": "ok", "version": "x", "readiness": readiness }))
    };
    type Row = (&'static str, Option<Reply>, (&'static str, &'static str), (&'static str, &'static str));
    let table: [Row; 4] = [
        ("ready", Some(health(true)), ("ok", "takes webhooks"), ("ok", "leads to orch-api")),
        ("unready", Some(health(false)), ("FAIL", "cannot be written"), ("warn", "cannot take webhooks")),
        ("another", Some(Reply::empty(404)), ("FAIL", "another program"), ("warn", "leads elsewhere")),
        ("nothing", None, ("warn", "start orch-api"), ("warn", "cannot be reached")),
    ];
    for (what, reply, (level, words), (level_of_url, words_of_url)) in table {
        let server = reply.map(|reply| Server::start(move |_| reply.clone()));
        let nobodys = || TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().to_string();
        let at = server.as_ref().map_or_else(nobodys, |server| server.url.replace("http://", ""));
        let url = format!("http://{at}");
        let place = Place::new().hook(&format!("{url}/webhook/gitea"));
        let place = place.with(&format!("public_url = \"{OURS}\""), &format!("public_url = \"{url}\""));
        let (lines, _) = place.with("[plane]", &format!("[api]\nbind = \"{at}\"\n[plane]")).examine();
        for (check, level, words) in [("api", level, words), ("api.public_url", level_of_url, words_of_url)] {
            let (found, said) = line(&lines, check);
            assert!(found == level && said.contains(words), "{what}: {check} {found} {said}");
        }
    }
}

#[test]
fn root_looks_as_the_user_that_owns_the_database_and_leaves_no_file_of_its_own() {
    if !needs::all(&[Need::Root, Need::User("nobody")]) {
        return;
    }
    let place = Place::new().hook(&format!("{OURS}/webhook/gitea"));
    place.store();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let owner = format!("{}:{}", nobody.uid, nobody.gid);
    assert!(Command::new("chown").args(["-R", &owner]).arg(place.dir.path()).status().unwrap().success());
    let (lines, code) = place.examine();
    assert_eq!(code, 0, "{lines:#?}");
    for entry in std::fs::read_dir(place.dir.path()).unwrap().map(Result::unwrap) {
        // The configuration is the test's own, written just before.
        let ours = entry.file_name() == "orch.toml";
        assert!(ours || entry.metadata().unwrap().uid() == nobody.uid.as_raw(), "{:?}", entry.path());
    }
}

#[test]
fn what_cannot_be_told_from_here_is_a_warning() {
    let url = "http://10.0.0.7:8500";
    let place = Place::new().hook(&format!("{url}/webhook/gitea"));
    let (lines, code) = place.with(&format!("public_url = \"{OURS}\""), &format!("public_url = \"{url}\"")).examine();
    let (level, said) = line(&lines, "plane.address");
    assert_eq!((level, code), ("warn", 0), "{lines:#?}");
    assert!(said.contains("WEBHOOK_ALLOWED_HOSTS=10.0.0.7"), "{said}");
}

#[test]
fn what_plane_never_takes_is_said_whatever_it_was_told() {
    let hook = |url: &str| Place::new().hook(&format!("{url}/webhook/gitea"));
    for (url, words) in [("http://orch:8500", "dot"), ("http://localhost", "name the port")] {
        let place = hook(url).with(&format!("public_url = \"{OURS}\""), &format!("public_url = \"{url}\""));
        let (lines, code) = place.examine();
        let said =
            lines.iter().any(|(name, level, said)| name == "plane.address" && level == "FAIL" && said.contains(words));
        assert!(said && code == 1, "{url}: {lines:#?}");
    }
}

#[test]
fn a_reviewer_account_is_one_that_sees_the_repository() {
    let second = format!("token = \"{}\"\nreviewer_token = \"{}\"", FakeGitea::TOKEN, FakeGitea::REVIEWER_TOKEN);
    let token = format!("token = \"{}\"", FakeGitea::TOKEN);
    let gate = "id_prefix = \"ET\"\nreview_gate = \"review_approved\"";
    let place = || Place::new().hook(&format!("{OURS}/webhook/gitea")).with(&token, &second);
    let place = || place().with("id_prefix = \"ET\"", gate);
    let (lines, code) = place().examine();
    let (level, said) = line(&lines, "gitea.reviewer");
    assert_eq!((level, code), ("ok", 0), "{lines:#?}");
    assert!(said.contains(FakeGitea::REVIEWER), "{said}");
    let blind = place();
    blind.gitea.hide_from_reviewer();
    let (lines, code) = blind.examine();
    let (level, said) = line(&lines, "gitea.reviewer");
    assert_eq!((level, code), ("FAIL", 1), "{lines:#?}");
    assert!(said.contains("acme/widgets is not there, or the reviewer's account may not see it"), "{said}");
}

#[test]
fn what_is_in_order_is_said_to_be() {
    let place = Place::new().hook(&format!("{OURS}/webhook/gitea"));
    let (lines, code) = place.examine();
    assert_eq!(code, 0, "{lines:#?}");
    for check in [
        "plane.token",
        "plane.clock",
        "plane.account",
        "plane.role",
        "plane.project ET",
        "plane.members ET",
        "plane.states ET",
        "gitea.token",
        "gitea.repo acme/widgets",
        "gitea.scopes",
        "gitea.rules acme/widgets",
        "claude",
        "plane.address",
        "gitea.hook acme/widgets",
        "gitea.reviewer",
        "telegram.token",
        "telegram.chat",
        "git",
        "agent.user",
    ] {
        assert_eq!(line(&lines, check).0, "ok", "{check}: {:?}", line(&lines, check));
    }
    assert!(line(&lines, "plane.states ET").1.contains("Needs Input"));
    let all = format!("{lines:?}");
    for secret in [FakePlane::TOKEN, FakeGitea::TOKEN, FakeTelegram::TOKEN] {
        assert!(!all.contains(secret));
    }
}

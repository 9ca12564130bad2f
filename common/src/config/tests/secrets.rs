//! Secrets come from four places and are seen in none.

use super::*;
use std::os::unix::fs::PermissionsExt;

const TOKEN: &str = "hunter2-token";

fn token(loaded: &Loaded) -> Option<&str> {
    loaded.config.plane.api_token.as_ref().map(Secret::expose)
}

#[test]
fn a_secret_is_read_from_variable_file_credential_and_configuration_in_this_order() {
    let file = File::new("[plane]\napi_token = \"configured\"");
    std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let named = file.beside("token.txt", "from-file\n");
    file.beside("plane_api_token", "from-systemd\n");
    let folder = file.path.parent().unwrap().to_str().unwrap();
    for (pairs, expected) in [
        (vec![("ORCH_PLANE_API_TOKEN", "direct"), ("CREDENTIALS_DIRECTORY", folder)], "direct"),
        (vec![("ORCH_PLANE_API_TOKEN_FILE", named.as_str()), ("CREDENTIALS_DIRECTORY", folder)], "from-file"),
        (vec![("CREDENTIALS_DIRECTORY", folder)], "from-systemd"),
        (vec![("CREDENTIALS_DIRECTORY", "/nowhere")], "configured"),
    ] {
        let loaded = Config::load(Some(&file.path), &env(&pairs)).unwrap();
        assert_eq!(token(&loaded), Some(expected));
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }
}

#[test]
fn an_operator_sees_the_secrets_that_systemd_gives_the_services() {
    let file = File::new("[plane]\napi_token = \"configured\"");
    let store = |name: &str, secret: Option<&str>| {
        let folder = file.path.with_file_name(name);
        std::fs::create_dir(&folder).unwrap();
        if let Some(secret) = secret {
            std::fs::write(folder.join("orch.plane_api_token"), format!("{secret}\n")).unwrap();
        }
        folder
    };
    let stores = [store("empty", None), store("first", Some("first")), store("second", Some("second"))];
    let read = |pairs: &[(&str, &str)]| Config::load_with(Some(file.path.clone()), &env(pairs), &stores).unwrap();
    let loaded = read(&[]);
    assert_eq!((token(&loaded), &loaded.hidden), (Some("first"), &None), "as systemd does, and before the file");
    assert_eq!(token(&read(&[("ORCH_PLANE_API_TOKEN", "direct")])), Some("direct"));
    let plain = Config::load(Some(&file.path), &env(&[])).unwrap();
    assert_eq!(token(&plain), Some("configured"), "a service is given its own by systemd alone");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&stores[1], 0o000);
    mode(&file.path, 0o644);
    mode(file.path.parent().unwrap(), 0o755);
    // Where the tests are root: this thread alone is somebody else for files.
    let me = nix::unistd::geteuid();
    nix::unistd::setfsuid(if me.is_root() { nix::unistd::Uid::from_raw(65_534) } else { me });
    let loaded = read(&[]);
    nix::unistd::setfsuid(me);
    mode(&stores[1], 0o700);
    assert_eq!(loaded.hidden.as_ref(), Some(&stores[1]), "what is not set may be set where this user may not look");
}

#[test]
fn a_variable_and_its_file_are_refused_together() {
    let pairs = [("ORCH_GITEA_TOKEN", TOKEN), ("ORCH_GITEA_TOKEN_FILE", "/nowhere")];
    assert_eq!(problems("", &pairs), ["ORCH_GITEA_TOKEN and ORCH_GITEA_TOKEN_FILE are both set; allowed: one of them"]);
}

#[test]
fn a_secret_file_that_cannot_be_used_stops_the_start() {
    let file = File::new("");
    let empty = file.beside("empty", "\n");
    for path in ["/nowhere/token", empty.as_str()] {
        let error = Config::load(Some(&file.path), &env(&[("ORCH_GITEA_TOKEN_FILE", path)])).unwrap_err().to_string();
        assert!(error.contains("ORCH_GITEA_TOKEN_FILE") && error.contains(path), "{error}");
    }
}

#[test]
fn a_secret_is_seen_nowhere() {
    let loaded = load("", &[("ORCH_GITEA_TOKEN", TOKEN), ("ORCH_API_READ_TOKEN", TOKEN)]).unwrap();
    let shown = [
        format!("{loaded:?}"),
        serde_json::to_string(&loaded.config).unwrap(),
        loaded.config.gitea.token.as_ref().unwrap().to_string(),
    ];
    for text in shown {
        assert!(text.contains("***") && !text.contains(TOKEN), "{text}");
    }
}

#[test]
fn a_secret_is_in_no_error() {
    let two_lines = format!("{TOKEN}\nsecond");
    let project = format!("[[projects]]\nenv = {{ A = [\"{TOKEN}\"] }}");
    for (text, pairs) in [
        ("", vec![("ORCH_GITEA_TOKEN", two_lines.as_str())]),
        (&format!("[gitea]\ntoken = [\"{TOKEN}\"]"), vec![]),
        (&format!("[gitea]\ntoken = \"{TOKEN}"), vec![]),
        (&format!("[gitea]\ntoken = {TOKEN}"), vec![]),
        (&format!("[gitea]\ntoken = \"a\"\ntoken = \"{TOKEN}\""), vec![]),
        (&project, vec![]),
    ] {
        let found = problems(text, &pairs).join("\n");
        assert!(!found.contains(TOKEN), "{found}");
    }
}

#[test]
fn a_file_with_a_secret_that_everybody_may_read_is_warned_about() {
    let file = File::new("[plane]\napi_token = \"configured\"");
    for (mode, count) in [(0o644, 1), (0o640, 0)] {
        std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Config::load(Some(&file.path), &env(&[])).unwrap().warnings.len(), count, "{mode:o}");
    }
}

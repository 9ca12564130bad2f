//! Secrets come from four places and are seen in none.

use super::*;
use crate::config::credentials::Stores;
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
    let plain = vec![store("empty", None), store("first", Some("first")), store("second", Some("second"))];
    let stores = Stores { plain, ..Stores::default() };
    let read = |pairs: &[(&str, &str)]| Config::load_with(Some(file.path.clone()), &env(pairs), &stores).unwrap();
    let loaded = read(&[]);
    assert_eq!((token(&loaded), &loaded.hidden), (Some("first"), &None), "as systemd does, and before the file");
    assert_eq!(token(&read(&[("ORCH_PLANE_API_TOKEN", "direct")])), Some("direct"));
    let plain = Config::load(Some(&file.path), &env(&[])).unwrap();
    assert_eq!(token(&plain), Some("configured"), "a service is given its own by systemd alone");
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(&stores.plain[1], 0o000);
    mode(&file.path, 0o644);
    mode(file.path.parent().unwrap(), 0o755);
    // Where the tests are root: this thread alone is somebody else for files.
    let me = nix::unistd::geteuid();
    nix::unistd::setfsuid(if me.is_root() { nix::unistd::Uid::from_raw(65_534) } else { me });
    let loaded = read(&[]);
    nix::unistd::setfsuid(me);
    mode(&stores.plain[1], 0o700);
    assert_eq!(
        loaded.hidden.as_ref(),
        Some(&stores.plain[1]),
        "what is not set may be set where this user may not look"
    );
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

/// What stands for systemd's tool: it takes `decrypt --name=NAME FILE -`, refuses another name than the one in the file, and
/// writes what it found to its standard output.
const TOOL: &str = "#!/bin/sh\n[ \"$1\" = decrypt ] && [ \"$4\" = - ] || exit 64\n\
    read -r name secret < \"$3\"\n[ \"--name=$name\" = \"$2\" ] || { echo 'Embedded name does not match,\n refusing.' >&2; exit 1; }\n\
    printf '%s' \"$secret\"\n";

#[test]
fn an_encrypted_secret_is_read_by_the_tool_that_has_the_key_and_where_it_has_not_that_is_said() {
    let file = File::new("[plane]\napi_token = \"configured\"");
    let tool = file.beside("systemd-creds", TOOL);
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let folder = file.path.with_file_name("credstore.encrypted");
    std::fs::create_dir(&folder).unwrap();
    let secret = folder.join("orch.plane_api_token");
    let stores = |tool: &str| Stores { encrypted: vec![folder.clone()], decrypts: tool.into(), ..Stores::default() };
    let read = |tool: &str| Config::load_with(Some(file.path.clone()), &env(&[]), &stores(tool)).unwrap();
    std::fs::write(&secret, "plane_api_token sealed\n").unwrap();
    let loaded = read(&tool);
    assert_eq!((token(&loaded), loaded.warnings.len()), (Some("sealed"), 0), "{:?}", loaded.warnings);
    for (content, tool, why) in [
        ("other sealed\n", tool.as_str(), "Embedded name does not match, refusing."),
        ("plane_api_token sealed\n", "/nowhere/systemd-creds", "/nowhere/systemd-creds could not be run: No such file"),
    ] {
        std::fs::write(&secret, content).unwrap();
        let loaded = read(tool);
        let said = loaded.warnings.join("; ");
        assert!(said.contains("orch.plane_api_token cannot be decrypted") && said.contains(why), "{said}");
        assert_eq!(token(&loaded), Some("configured"), "as if it were not there");
        assert!(!said.contains("sealed"));
    }
}

//! Defaults, precedence, and the words for each kind of bad value.

use super::*;
use crate::domain::stage::Role;

#[test]
fn every_default_is_the_documented_one() {
    let expected = [
        ("ORCH_DB_PATH", "data/orchestrator.db"),
        ("ORCH_REPOS_DIR", "data/repos"),
        ("ORCH_RUNS_DIR", "data/runs"),
        ("ORCH_API_BIND", "127.0.0.1:8500"),
        ("ORCH_PLANE_URL", "none"),
        ("ORCH_PLANE_WORKSPACE", "none"),
        ("ORCH_PLANE_API_TOKEN", "none"),
        ("ORCH_PLANE_WEBHOOK_SECRET", "none"),
        ("ORCH_GITEA_URL", "none"),
        ("ORCH_GITEA_OWNER", "none"),
        ("ORCH_GITEA_TOKEN", "none"),
        ("ORCH_GITEA_WEBHOOK_SECRET", "none"),
        ("ORCH_TELEGRAM_BOT_TOKEN", "none"),
        ("ORCH_TELEGRAM_CHAT_ID", "none"),
        ("ORCH_CLAUDE_BIN", "claude"),
        ("ORCH_STALL_SECONDS", "0"),
        ("ORCH_RECONCILE_SECONDS", "300"),
        ("ORCH_HEARTBEAT_SECONDS", "5"),
        ("ORCH_HEARTBEAT_DEAD_SECONDS", "30"),
        ("ORCH_MAX_CONCURRENCY", "1"),
        ("ORCH_QUEUE_POLL_INTERVAL", "2.0"),
        ("ORCH_PREFLIGHT_CACHE_TTL", "45"),
        ("ORCH_BACKOFF_BASE_SECONDS", "10"),
        ("ORCH_BACKOFF_MAX_SECONDS", "600"),
        ("ORCH_TRANSIENT_MAX_ATTEMPTS", "5"),
        ("ORCH_BREAKER_THRESHOLD", "3"),
        ("ORCH_BREAKER_PAUSE_SECONDS", "300"),
        ("ORCH_AGENT_TIMEOUT_SECONDS", "1800"),
        ("ORCH_AGENT_KILL_GRACE_SECONDS", "20"),
        ("ORCH_AGENT_TIMEOUT_OVERRIDES_JSON", "{}"),
        ("ORCH_ROLE_RUN_CAP", "3"),
        ("ORCH_AGENT_USER", "none"),
        ("ORCH_RUN_LOG_CAP_MB", "64"),
        ("ORCH_RETENTION_JOBS_DAYS", "30"),
        ("ORCH_RETENTION_LOGS_DAYS", "14"),
        ("ORCH_RETENTION_DELIVERY_KEYS_DAYS", "90"),
        ("ORCH_BUDGET_RUN_USD", "none"),
        ("ORCH_BUDGET_TASK_USD", "none"),
        ("ORCH_BUDGET_PROJECT_USD_PER_DAY", "none"),
        ("ORCH_BUDGET_DAY_USD", "none"),
        ("ORCH_LOCALE", "en"),
    ];
    for (name, default) in expected {
        let doc = settings().find(|s| s.env == name).unwrap_or_else(|| panic!("{name} is not declared"));
        assert_eq!(doc.default, default, "{name}");
    }
}

#[test]
fn nothing_set_is_the_default_and_every_default_is_itself_allowed() {
    assert_eq!(load("", &[]).unwrap().config, Config::default());
    let written: Vec<_> =
        settings().filter(|s| !matches!(s.default, "none" | "")).map(|s| (s.env, s.default)).collect();
    let loaded = load("", &written).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn names_are_declared_once() {
    let mut names: Vec<_> = settings().map(|s| s.env).chain(OTHER_VARIABLES.iter().map(|(n, _)| *n)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(names.iter().all(|n| n.starts_with("ORCH_")));
}

#[test]
fn the_variable_wins_over_the_file_and_the_file_over_the_default() {
    let text = "[worker]\nmax_concurrency = 3\npoll_interval_s = 1\n[telegram]\nchat_id = -100123\n";
    let config = load(text, &[("ORCH_MAX_CONCURRENCY", " 4 "), ("ORCH_QUEUE_POLL_INTERVAL", "")]).unwrap().config;
    assert_eq!(config.worker.max_concurrency, 4);
    assert_eq!(config.worker.poll_interval_s, 1.0, "a blank variable counts as not set");
    assert_eq!(config.worker.heartbeat_s, 5);
    assert_eq!(config.telegram.chat_id.as_deref(), Some("-100123"));
}

#[test]
fn each_kind_of_value_is_read_from_both_places() {
    let text = r#"
        [plane]
        url = "https://plane.example/"
        bot_user_ids = ["5f0c6a36-7c7e-4b43-9a5e-0f3a7f1f2d10"]
        [gitea]
        git_url = "/srv/git"
        [agent]
        permission_mode = "acceptEdits"
        [agent.timeout_overrides]
        reviewer = 3600
        [budget]
        run_usd = 5
    "#;
    let from_file = load(text, &[]).unwrap().config;
    let from_env = load(
        "",
        &[
            ("ORCH_PLANE_URL", "https://plane.example/"),
            ("ORCH_PLANE_BOT_USER_IDS", "5f0c6a36-7c7e-4b43-9a5e-0f3a7f1f2d10,"),
            ("ORCH_GITEA_GIT_URL", "/srv/git"),
            ("ORCH_AGENT_PERMISSION_MODE", "acceptEdits"),
            ("ORCH_AGENT_TIMEOUT_OVERRIDES_JSON", r#"{"reviewer": 3600}"#),
            ("ORCH_BUDGET_RUN_USD", "5"),
        ],
    );
    assert_eq!(from_env.unwrap().config, from_file);
    assert_eq!(from_file.plane.url.unwrap().as_str(), "https://plane.example");
    assert_eq!(from_file.agent.timeout_overrides, BTreeMap::from([(Role::Reviewer, 3600)]));
    assert_eq!(from_file.budget.run_usd, Some(5.0));
}

#[test]
fn a_bad_variable_is_named_with_what_is_allowed() {
    for (name, value, expected) in [
        ("ORCH_MAX_CONCURRENCY", "0", "worker.max_concurrency = 0 (variable ORCH_MAX_CONCURRENCY): allowed: 1 to 64"),
        (
            "ORCH_MAX_CONCURRENCY",
            "many",
            "worker.max_concurrency = many (variable ORCH_MAX_CONCURRENCY): allowed: 1 to 64",
        ),
        ("ORCH_MAX_CONCURRENCY", "-1", "worker.max_concurrency = -1 (variable ORCH_MAX_CONCURRENCY): allowed: 1 to 64"),
        (
            "ORCH_QUEUE_POLL_INTERVAL",
            "NaN",
            "worker.poll_interval_s = NaN (variable ORCH_QUEUE_POLL_INTERVAL): allowed: 0.05 to 3600.0",
        ),
        (
            "ORCH_QUEUE_POLL_INTERVAL",
            "0.01",
            "worker.poll_interval_s = 0.01 (variable ORCH_QUEUE_POLL_INTERVAL): allowed: 0.05 to 3600.0",
        ),
        ("ORCH_LOCALE", "de", "worker.locale = de (variable ORCH_LOCALE): allowed: en, ru"),
        (
            "ORCH_API_BIND",
            "localhost",
            "api.bind = localhost (variable ORCH_API_BIND): allowed: an IP address and a port, e.g. 127.0.0.1:8500",
        ),
        (
            "ORCH_PLANE_URL",
            "plane.example",
            "plane.url = plane.example (variable ORCH_PLANE_URL): allowed: an http:// or https:// address without user, query or fragment",
        ),
        (
            "ORCH_PLANE_URL",
            "https://me:hunter2@h",
            "plane.url = https://***@h (variable ORCH_PLANE_URL): allowed: an http:// or https:// address without user, query or fragment",
        ),
        (
            "ORCH_AGENT_MODEL",
            "--help",
            "agent.model = --help (variable ORCH_AGENT_MODEL): allowed: a model's name or alias",
        ),
        (
            "ORCH_HEARTBEAT_DEAD_SECONDS",
            "5",
            "worker.heartbeat_dead_s = 5: allowed: at least twice worker.heartbeat_s = 5",
        ),
        (
            "ORCH_BACKOFF_MAX_SECONDS",
            "9",
            "resilience.backoff_max_s = 9: allowed: not less than resilience.backoff_base_s = 10",
        ),
    ] {
        assert_eq!(problems("", &[(name, value)]), [expected], "{name}={value}");
    }
}

#[test]
fn a_bad_file_is_named_with_what_is_allowed() {
    let resilience = "preflight_cache_ttl_s, backoff_base_s, backoff_max_s, transient_max_attempts, breaker_threshold, breaker_pause_s";
    for (text, expected) in [
        ("[worker]\nmax_concurrency = 0", "worker.max_concurrency = 0 (file orch.toml): allowed: 1 to 64".to_owned()),
        ("[worker]\nmax_concurrency = \"2\"", "worker.max_concurrency = 2 (file orch.toml): allowed: 1 to 64".to_owned()),
        (
            "[resilience]\nbackoff_base = 3",
            format!("unknown key resilience.backoff_base (file orch.toml): did you mean backoff_base_s?; allowed: {resilience}"),
        ),
        ("[resilience]\nzzz = 3", format!("unknown key resilience.zzz (file orch.toml); allowed: {resilience}")),
        (
            "[wroker]\nname = \"a\"",
            "unknown key wroker (file orch.toml): did you mean worker?; allowed: database, api, plane, gitea, telegram, \
             network, worker, agent, resilience, retention, budget, prices, projects"
                .to_owned(),
        ),
        ("worker = 3", "worker = integer (file orch.toml): allowed: a table, [worker]".to_owned()),
        (
            "[agent.timeout_overrides]\ncook = 3",
            "agent.timeout_overrides = { cook = 3 } (file orch.toml): allowed: roles with 1 to 604800 seconds, e.g. \
             {\"reviewer\": 3600}"
                .to_owned(),
        ),
    ] {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let found = problems("[worker]\nheartbeat_s = 0\nwhat = 1", &[("ORCH_LOCALE", "de"), ("ORCH_API_THREADS", "0")]);
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn bad_json_of_the_timeout_overrides_alone_does_not_stop_the_start() {
    for bad in ["{", "[]", r#"{"cook": 3}"#, r#"{"reviewer": 0}"#, r#"{"reviewer": "long"}"#] {
        let loaded = load("", &[("ORCH_AGENT_TIMEOUT_OVERRIDES_JSON", bad)]).unwrap();
        assert!(loaded.config.agent.timeout_overrides.is_empty(), "{bad}");
        let [warning] = loaded.warnings.as_slice() else { panic!("{bad}: {:?}", loaded.warnings) };
        assert!(warning.contains("ORCH_AGENT_TIMEOUT_OVERRIDES_JSON") && warning.ends_with("the default {} is used"));
    }
}

#[test]
fn unknown_variables_are_warned_about() {
    let pairs = [
        ("ORCH_PLANE_TOKEN", "x"),
        ("ORCH_LOG", "debug"),
        ("ORCH_ZZZZZZ", "1"),
        ("HOME", "/"),
        ("ORCH_DB_PATH_FILE", "x"),
    ];
    let warnings = load("", &pairs).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "unknown variable ORCH_DB_PATH_FILE, did you mean ORCH_DB_PATH?",
            "unknown variable ORCH_PLANE_TOKEN, did you mean ORCH_PLANE_API_TOKEN?",
            "unknown variable ORCH_ZZZZZZ",
        ]
    );
}

#[test]
fn the_file_is_found_by_argument_then_by_variable() {
    let (first, second) = (File::new("[api]\nthreads = 5"), File::new("[api]\nthreads = 6"));
    let named = env(&[("ORCH_CONFIG", second.path.to_str().unwrap())]);
    assert_eq!(Config::load(Some(&first.path), &named).unwrap().config.api.threads, 5);
    let loaded = Config::load(None, &named).unwrap();
    assert_eq!((loaded.config.api.threads, loaded.file), (6, Some(second.path.clone())));
    let gone = env(&[("ORCH_CONFIG", "/nowhere/orch.toml")]);
    let error = Config::load(None, &gone).unwrap_err().to_string();
    assert!(error.contains("file /nowhere/orch.toml: cannot be read"), "{error}");
}

#[test]
fn the_document_is_what_the_declarations_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md");
    if std::env::var_os("ORCH_BLESS").is_some() {
        std::fs::write(&path, docs::markdown()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == docs::markdown(), "docs/CONFIGURATION.md is stale: ORCH_BLESS=1 cargo test -p orch-common");
}

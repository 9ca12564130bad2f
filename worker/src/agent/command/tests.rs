use super::*;
use crate::agent::environment::INHERITED;
use proptest::prelude::*;

fn plan() -> LaunchPlan {
    LaunchPlan::new(Role::Developer, Session::Fresh(Uuid::nil()))
}

fn value_of<'a>(line: &'a CommandLine, name: &str) -> Option<&'a str> {
    line.env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

#[test]
fn the_recipe_in_full() {
    let full = LaunchPlan {
        model: Some("sonnet".into()),
        fallback_model: Some("haiku".into()),
        max_turns: Some(50),
        max_budget_usd: Some(2.5),
        append_system_prompt_file: Some("/roles/developer.md".into()),
        extra_args: vec!["--add-dir".into(), "/data".into()],
        ..plan()
    };
    let want = "-p|--output-format|stream-json|--verbose|--include-partial-messages\
        |--session-id|00000000-0000-0000-0000-000000000000\
        |--permission-mode|dontAsk|--allowedTools|Bash|Read|Write|Edit|Grep|Glob\
        |--disallowedTools|Bash(git push *)|WebFetch|WebSearch|--setting-sources|user|--strict-mcp-config\
        |--append-system-prompt-file|/roles/developer.md|--model|sonnet|--fallback-model|haiku\
        |--max-turns|50|--max-budget-usd|2.5|--add-dir|/data";
    assert_eq!(build(&full).unwrap().args.join("|"), want);
}

#[test]
fn a_bare_plan_resumes_and_names_no_limits() {
    let id = Uuid::from_u128(7);
    let bare = LaunchPlan {
        session: Session::Resume(id),
        permission_mode: PermissionMode::AcceptEdits,
        allowed_tools: vec![],
        disallowed_tools: vec![],
        ..plan()
    };
    let want = format!(
        "-p|--output-format|stream-json|--verbose|--include-partial-messages|--resume|{id}|--permission-mode|acceptEdits\
         |--setting-sources|user|--strict-mcp-config"
    );
    assert_eq!(build(&bare).unwrap().args.join("|"), want);
}

#[test]
fn every_switch_is_set_and_the_author_is_the_role() {
    let line = build(&plan()).unwrap();
    for (name, value) in [
        ("CLAUDE_CODE_MAX_RETRIES", "2"),
        ("API_TIMEOUT_MS", "300000"),
        ("CLAUDE_ENABLE_BYTE_WATCHDOG", "1"),
        ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "120000"),
        ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
        ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "orch developer"),
        ("GIT_COMMITTER_NAME", "orch developer"),
        ("GIT_AUTHOR_EMAIL", "developer@orch.invalid"),
        ("GIT_COMMITTER_EMAIL", "developer@orch.invalid"),
    ] {
        assert_eq!(value_of(&line, name), Some(value), "{name}");
    }
    assert_eq!(line.env.len(), 13);
}

#[test]
fn the_project_wins_over_the_recipe_and_the_worker() {
    let line = build(&LaunchPlan {
        base_env: vec![pair("HOME", "/root"), pair("PATH", "/bin"), pair("SECRET", "s"), pair("LC_ALL", "C")],
        home: Some("/srv/agent".into()),
        extra_env: vec![pair("PATH", "/opt/bin"), pair("API_TIMEOUT_MS", "1"), pair("ORCH_DB_PATH", "x")],
        ..plan()
    })
    .unwrap();
    let shown = |name| value_of(&line, name);
    assert_eq!((shown("HOME"), shown("PATH")), (Some("/srv/agent"), Some("/opt/bin")));
    assert_eq!((shown("API_TIMEOUT_MS"), shown("LC_ALL")), (Some("1"), Some("C")));
    assert_eq!((shown("SECRET"), shown("ORCH_DB_PATH")), (None, None));
}

#[test]
fn what_would_be_misread_is_refused() {
    let option = |what, value: &str| Err(PlanError::LooksLikeOption { what, value: value.into() });
    let with_tool = |tool: &str| build(&LaunchPlan { allowed_tools: vec![tool.into()], ..plan() });
    assert_eq!(with_tool("--dangerously-skip-permissions"), option("tool", "--dangerously-skip-permissions"));
    assert_eq!(with_tool(""), option("tool", ""));
    assert_eq!(with_tool("a\0b"), Err(PlanError::Nul("tool")));
    assert_eq!(build(&LaunchPlan { model: Some("-x".into()), ..plan() }), option("model", "-x"));
    assert_eq!(build(&LaunchPlan { extra_args: vec!["\0".into()], ..plan() }), Err(PlanError::Nul("extra argument")));
    for bad in ["", "1A", "A=B", "A B", "Ä", "A\0"] {
        let got = build(&LaunchPlan { extra_env: vec![pair(bad, "x")], ..plan() });
        assert_eq!(got, Err(PlanError::VariableName(bad.into())));
    }
    let nul = LaunchPlan { extra_env: vec![pair("A", "\0")], ..plan() };
    assert_eq!(build(&nul), Err(PlanError::Nul("environment")));
}

/// Names near the edge of the list as well as any others.
fn a_name() -> impl Strategy<Value = String> {
    let near = prop::sample::select(vec![
        "ORCH_",
        "orch_",
        "Orch_",
        "PATH",
        "HOME",
        "LC_",
        "LANG",
        "ANTHROPIC_",
        "CLAUDE_",
        "API_KEY",
        "TOKEN",
        "LD_PRELOAD",
        "GIT_",
        "SSH_AUTH_SOCK",
        "AWS_",
    ]);
    prop_oneof![
        (near, "[A-Z_]{0,6}").prop_map(|(a, b)| format!("{a}{b}")),
        prop::sample::select(INHERITED.to_vec()).prop_map(String::from),
        "[A-Za-z_][A-Za-z0-9_]{0,12}",
    ]
}

fn variables() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((a_name(), "[ -~]{0,12}"), 0..24)
}

proptest! {
    #[test]
    fn nothing_but_the_allowed_reaches_an_agent(base_env in variables(), extra_env in variables()) {
        let line = build(&LaunchPlan { base_env: base_env.clone(), extra_env: extra_env.clone(), ..plan() }).unwrap();
        let ours = build(&plan()).unwrap();
        for (name, value) in &line.env {
            prop_assert!(!name.to_ascii_uppercase().starts_with("ORCH_"), "{}", name);
            let extra = extra_env.iter().rev().find(|(n, _)| n == name);
            let inherited = INHERITED.contains(&name.as_str()) || name.starts_with("LC_");
            let base = base_env.iter().rev().find(|(n, _)| n == name).filter(|_| inherited);
            let own = value_of(&ours, name).map(|v| pair(name, v));
            let source = extra.cloned().or(own).or(base.cloned());
            prop_assert_eq!(source.map(|(_, v)| v), Some(value.clone()), "{}", name);
        }
    }

    #[test]
    fn the_worker_alone_decides_nothing(base_env in variables()) {
        let line = build(&LaunchPlan { base_env, ..plan() }).unwrap();
        let ours = build(&plan()).unwrap();
        for (name, value) in &ours.env {
            prop_assert_eq!(value_of(&line, name), Some(value.as_str()));
        }
        prop_assert_eq!(line.args, ours.args);
    }
}

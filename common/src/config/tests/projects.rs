//! The registry: what an entry may say, how wrong ones are named, how projects are found.

use super::*;
use crate::domain::decide::MergePolicy;
use crate::domain::gate::Gate;
use crate::domain::pipeline::Step;
use crate::domain::stage::{Role, Stage};
use crate::domain::task::Situation;

const PLANE: &str = "0b6c3c4e-8b0b-4d0e-9f0a-3f1f0a6f5b11";
const PERSON: &str = "5f0c6a36-7c7e-4b43-9a5e-0f3a7f1f2d10";

/// A smallest entry with further lines.
fn entry(more: &str) -> String {
    format!("[[projects]]\nplane_project = \"{PLANE}\"\nrepo = \"team/shop\"\nid_prefix = \"SHOP\"\n{more}\n")
}

#[test]
fn a_smallest_entry_has_the_documented_defaults() {
    let config = load(&entry(""), &[]).unwrap().config;
    let project = config.projects.iter().next().unwrap();
    assert_eq!((project.owner(), project.repo_name()), ("team", "shop"));
    assert_eq!((project.default_branch.as_str(), project.test_timeout_s), ("main", 900));
    assert_eq!((&project.start, project.merge), (&StartRule::Created, MergePolicy::Never));
    assert_eq!(project.state_name(Situation::WaitingApproval), "In Review");
    assert_eq!(project.command_of_state("approved"), Some(StateCommand::Approve));
    assert_eq!(project.command_of_state("Todo"), None);
    let unset = [project.development_gate, project.review_gate, project.deploy_gate];
    assert_eq!(unset, [None; 3]);
    assert!(project.pipeline.is_none() && project.test_command.is_none() && project.approvers.is_empty());
    assert!(project.test_caches.is_empty());
}

#[test]
fn everything_an_entry_can_say_is_read() {
    let text = entry(&format!(
        r#"
        default_branch = "trunk"
        test_command = ["cargo", "test"]
        approvers = ["{PERSON}"]
        start = {{ label = "agent" }}
        merge = "on_deploy"
        models = {{ reviewer = "opus" }}
        limits = {{ agent_timeout_s = 60, timeout_overrides = {{ tester = 90 }}, role_run_cap = 2 }}
        budget = {{ run_usd = 2, usd_per_day = 20.5 }}
        env = {{ RUST_LOG = "debug" }}
        artifacts = {{ questions = "questions.md" }}
        states = {{ blocked = "Stuck" }}
        commands_by_state = {{ approve = ["Go", "Ship"], retry = "Again", cancel = [] }}
        remote = "file:///srv/git/shop.git"
        protected_paths = [".gitea/"]
        test_caches = ["target", "web/node_modules", ".gradle"]
        pipeline = [
            {{ stage = "created", role = "developer" }},
            {{ stage = "development", gate = "ci_green", role = "reviewer" }},
            {{ stage = "review", gate = "reviewer_verdict" }},
        ]"#
    ));
    let config = load(&text, &[]).unwrap().config;
    let project = config.projects.by_plane(&PLANE.to_uppercase()).unwrap();
    assert_eq!(project.test_command.as_ref().unwrap().argv(), ["cargo", "test"]);
    assert_eq!((&project.start, project.merge), (&StartRule::Label("agent".into()), MergePolicy::OnDeploy));
    assert_eq!(project.state_name(Situation::Blocked), "Stuck");
    let command = |name| project.command_of_state(name);
    assert_eq!([command("ship"), command("AGAIN")], [Some(StateCommand::Approve), Some(StateCommand::Retry)]);
    assert_eq!([command("Approved"), command("Cancelled")], [None; 2]);
    let steps = project.pipeline.as_ref().unwrap();
    assert_eq!(steps[1], Step { stage: Stage::Development, gate: Some(Gate::CiGreen), role: Some(Role::Reviewer) });
    assert_eq!(project.test_caches, ["target", "web/node_modules", ".gradle"]);
    assert_eq!(project.artifacts.questions, "questions.md");
    assert_eq!(project.artifacts.conflict, "10-conflict.md");
    assert_eq!(config.git_remote(project).unwrap().as_str(), "file:///srv/git/shop.git");
    assert_eq!(project.env["RUST_LOG"].expose(), "debug");
}

#[test]
fn a_test_command_as_text_is_for_the_shell() {
    let config = load(&entry("test_command = \"make test && make lint\""), &[]).unwrap().config;
    let command = config.projects.iter().next().unwrap().test_command.clone().unwrap();
    assert_eq!(command.argv(), ["sh", "-c", "make test && make lint"]);
    assert_eq!(command.to_string(), "make test && make lint");
}

#[test]
fn a_wrong_entry_is_named_by_place_and_key() {
    for (more, expected) in [
        (
            "aprovers = []",
            "projects[1] (SHOP): unknown key aprovers: did you mean approvers?; allowed: plane_project, repo",
        ),
        (
            "start = \"sometimes\"",
            "projects[1] (SHOP): unknown variant `sometimes`, expected one of `created`, `label`, `state`",
        ),
        ("limits = { timeout = 3 }", "projects[1] (SHOP): unknown field `timeout`, expected one of `agent_timeout_s`"),
        (
            "test_command = 3",
            "projects[1] (SHOP): allowed: a command line as text, or a list of a program and its arguments",
        ),
        ("test_command = []", "projects[1] (SHOP): test_command = \"\": allowed: a command line"),
        ("test_timeout_s = 0", "projects[1] (SHOP): a time limit = \"0\": allowed: 1 to 604800 seconds"),
        ("default_branch = \"-f\"", "projects[1] (SHOP): default_branch = \"-f\": allowed: a git branch name"),
        ("default_branch = \"a..b\"", "projects[1] (SHOP): default_branch = \"a..b\": allowed: a git branch name"),
        ("approvers = [\"ann\"]", "projects[1] (SHOP): approvers = \"ann\": allowed: Plane user ids (UUIDs)"),
        ("env = { ORCH_X = \"1\" }", "projects[1] (SHOP): env = \"ORCH_X\": allowed: names of letters"),
        ("models = { cook = \"opus\" }", "projects[1] (SHOP): unknown variant `cook`, expected one of `analyst`"),
        (
            "review_gate = \"ci_green\"",
            "projects[1] (SHOP): review_gate = \"ci_green\": allowed: reviewer_verdict, review_approved",
        ),
        ("artifacts = { questions = \"../x\" }", "projects[1] (SHOP): artifacts = \"../x\": allowed: plain file names"),
        (
            "protected_paths = [\"/etc\"]",
            "projects[1] (SHOP): protected_paths = \"/etc\": allowed: paths inside the repository",
        ),
        ("remote = \"ext::sh\"", "projects[1] (SHOP): allowed: an http(s)://, ssh://"),
        (
            "pipeline = [{ stage = \"review\" }]",
            "projects[1] (SHOP): pipeline = \"review\": allowed: stages in the order",
        ),
        (
            "required_checks = [\"orch/review\"]",
            "projects[1] (SHOP): required_checks = \"orch/review\": allowed: names or patterns of contexts",
        ),
        ("answers = \"all\"", "projects[1] (SHOP): unknown variant `all`, expected `approvers` or `everybody`"),
        ("without_checks = \"go\"", "projects[1] (SHOP): unknown variant `go`, expected `wait` or `pass`"),
        ("budget = { run_usd = 0 }", "projects[1] (SHOP): budget = \"0\": allowed: 0.01 to 1000000 US dollars"),
    ] {
        let found = problems(&entry(more), &[]);
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(found[0].starts_with(expected), "{more}: {}", found[0]);
    }
}

#[test]
fn a_cache_of_the_tests_is_a_plain_folder_inside_the_checkout() {
    let long = "x".repeat(201);
    for bad in
        ["", ".", "/target", "target/", "a//b", "./target", "a/../b", "..", ".git", "a/.GIT/b", "a\\\\b", " ", &long]
    {
        let found = problems(&entry(&format!("test_caches = [\"target\", \"{bad}\"]")), &[]);
        assert_eq!(found.len(), 1, "{bad}: {found:?}");
        assert!(found[0].contains("test_caches = ") && found[0].contains("allowed: relative paths"), "{}", found[0]);
    }
}

#[test]
fn the_needed_keys_are_needed() {
    for (text, expected) in [
        ("projects = 3", "projects: integer: allowed: a list of tables, [[projects]]"),
        ("projects = [3]", "projects[1]: integer: allowed: a table"),
        (
            "[[projects]]\nplane_project = \"x\"\nrepo = \"a/b\"\nid_prefix = \"X\"",
            "projects[1] (X): plane_project = \"x\": allowed: a UUID",
        ),
    ] {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
    let missing = ["plane_project", "repo", "id_prefix"].map(|key| format!("projects[1]: missing field `{key}`"));
    assert_eq!(problems("[[projects]]", &[]), missing);
}

#[test]
fn all_faults_of_all_entries_are_told_at_once() {
    let first = entry("approvers = [\"nobody\"]\nwithout_checks = \"go\"\nbudget = { run_usd = 0 }\nstrat = 1");
    let second = "[[projects]]\nplane_project = \"x\"\nrepo = \"a/b/c\"\nid_prefix = 7\n";
    let third = entry("");
    let mut found = problems(&(first + second + &third + &third), &[]);
    found.sort();
    let expected = [
        "projects (SHOP): id_prefix = shop is used twice; allowed: once",
        &format!("projects (SHOP): plane_project = {PLANE} is used twice; allowed: once"),
        "projects (SHOP): repo = team/shop is used twice; allowed: once",
        "projects[1] (SHOP): approvers = \"nobody\": allowed: Plane user ids (UUIDs)",
        "projects[1] (SHOP): budget = \"0\": allowed: 0.01 to 1000000 US dollars",
        "projects[1] (SHOP): unknown key strat: did you mean start?; allowed: ",
        "projects[1] (SHOP): unknown variant `go`, expected `wait` or `pass`",
        "projects[2]: invalid type: integer `7`, expected a string",
        "projects[2]: plane_project = \"x\": allowed: a UUID",
        "projects[2]: repo = \"a/b/c\": allowed: owner/name of letters, digits, -, _ and .",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn the_owner_completes_a_bare_repository() {
    let bare = entry("").replace("team/shop", "shop");
    let config = load(&bare, &[("ORCH_GITEA_OWNER", "Team")]).unwrap().config;
    assert_eq!(config.projects.by_repo("team/SHOP").unwrap().repo, "Team/shop");
    let found = problems(&bare, &[]);
    assert_eq!(
        found,
        ["projects[1] (SHOP): repo = \"shop\": allowed: owner/name, or a name alone where gitea.owner is set"]
    );
}

#[test]
fn doubles_are_refused_without_regard_to_case() {
    let other = "11111111-8b0b-4d0e-9f0a-3f1f0a6f5b11";
    for (plane, repo, prefix, expected) in [
        (
            PLANE,
            "team/other",
            "OTHER",
            format!("projects (OTHER): plane_project = {PLANE} is used twice; allowed: once"),
        ),
        (other, "Team/Shop", "OTHER", "projects (OTHER): repo = team/shop is used twice; allowed: once".to_owned()),
        (other, "team/other", "shop", "projects (shop): id_prefix = shop is used twice; allowed: once".to_owned()),
    ] {
        let second = entry("").replace(PLANE, plane).replace("team/shop", repo).replace("SHOP", prefix);
        assert_eq!(problems(&(entry("") + &second), &[]), [expected]);
    }
}

#[test]
fn a_projects_words_are_laid_over_the_general_ones() {
    let text = entry(
        "limits = { agent_timeout_s = 60, timeout_overrides = { tester = 90 } }\nmodels = { tester = \"opus\" }\nbudget = { run_usd = 2 }",
    );
    let pairs = [
        ("ORCH_AGENT_TIMEOUT_OVERRIDES_JSON", r#"{"reviewer": 3600, "tester": 5}"#),
        ("ORCH_AGENT_MODEL", "sonnet"),
        ("ORCH_BUDGET_RUN_TURNS", "7"),
        ("ORCH_BUDGET_RUN_USD", "9"),
        ("ORCH_GITEA_URL", "https://git.example/"),
    ];
    let config = load(&text, &pairs).unwrap().config;
    let project = config.projects.by_prefix("shop").unwrap();
    for (role, timeout_s, model) in
        [(Role::Tester, 90, "opus"), (Role::Reviewer, 3600, "sonnet"), (Role::Developer, 60, "sonnet")]
    {
        let limits = config.run_limits(project, role);
        assert_eq!((limits.timeout_s, limits.model.as_deref()), (timeout_s, Some(model)), "{role}");
        assert_eq!((limits.max_turns, limits.max_usd), (Some(7), Some(2.0)));
    }
    assert_eq!(config.git_remote(project).unwrap().as_str(), "https://git.example/team/shop.git");
    assert_eq!(config.missing_for_api(), ["ORCH_PLANE_WEBHOOK_SECRET", "ORCH_GITEA_WEBHOOK_SECRET"]);
    assert_eq!(
        config.missing_for_worker(),
        ["ORCH_PLANE_URL", "ORCH_PLANE_WORKSPACE", "ORCH_PLANE_API_TOKEN", "ORCH_GITEA_TOKEN"]
    );
}

#[test]
fn the_document_names_every_key_of_an_entry() {
    let document = docs::markdown();
    for key in super::super::registry::project_keys() {
        assert!(document.contains(&format!("| `{key}` |")), "{key}");
    }
}

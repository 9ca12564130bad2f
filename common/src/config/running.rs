//! How the work is done: the worker, its agents, how failures are met, what is kept, what may be spent.

use super::address::BaseUrl;
use super::declare::settings;
use crate::domain::stage::Role;
use crate::named_enum;
use std::collections::BTreeMap;
use std::path::PathBuf;

named_enum! {
    /// The language of every text a person reads.
    pub enum Locale ("locale") {
        En = "en",
        Ru = "ru",
    }
}

named_enum! {
    /// The CLI's permission modes that can work without a person.
    pub enum PermissionMode ("permission mode") {
        /// What is not on the list of allowed tools is denied.
        DontAsk = "dontAsk",
        /// File edits inside the worktree are allowed as well.
        AcceptEdits = "acceptEdits",
        /// Everything is allowed; the CLI refuses it to root.
        BypassPermissions = "bypassPermissions",
    }
}

settings! {
    /// The daemon.
    pub struct WorkerConfig["worker"] {
        /// The worker's name among those that share the database; without it, the host's name and `:1`.
        name: Option<String> = "none", "ORCH_WORKER_NAME",
            ("up to 64 letters, digits, -, _, . and :", |name| is_worker_name(name));
        /// Mirrors and worktrees.
        repos_dir: PathBuf = "data/repos", "ORCH_REPOS_DIR", ("a folder");
        /// One folder per run: prompt, log, exit record.
        runs_dir: PathBuf = "data/runs", "ORCH_RUNS_DIR", ("a folder");
        /// Agents at a time.
        max_concurrency: u32 = 1, "ORCH_MAX_CONCURRENCY", (1 to 64);
        /// Seconds between two looks at the queue where no commits are reported; a commit wakes the worker at once.
        poll_interval_s: f64 = 2.0, "ORCH_QUEUE_POLL_INTERVAL", (0.05 to 3600.0);
        /// Seconds between two signs of life.
        heartbeat_s: u64 = 5, "ORCH_HEARTBEAT_SECONDS", (1 to 3600);
        /// Seconds without a sign of life after which another worker takes over.
        heartbeat_dead_s: u64 = 30, "ORCH_HEARTBEAT_DEAD_SECONDS", (2 to 86400);
        /// Seconds between two rounds of the reconciler.
        reconcile_s: u64 = 300, "ORCH_RECONCILE_SECONDS", (1 to 86400);
        /// Seconds for which nothing may have been said of a commit's checks before they are judged: the forge registers those of
        /// one commit one after the other.
        ci_settle_s: u64 = 10, "ORCH_CI_SETTLE_SECONDS", (0 to 3600);
        /// Seconds between two questions for the checks of tasks that wait for them, where the forge has sent no status of the
        /// repository for a day (Forgejo sends none).
        ci_poll_s: u64 = 20, "ORCH_CI_POLL_SECONDS", (1 to 3600);
        /// Seconds without any check of a commit after which people are asked what to do.
        ci_silence_s: u64 = 600, "ORCH_CI_SILENCE_SECONDS", (1 to 604800);
        /// Seconds for which checks may run until people are told of it.
        ci_late_s: u64 = 3600, "ORCH_CI_LATE_SECONDS", (1 to 604800);
        /// Seconds after which people are told that Plane, the forge or git gives no answers; once, and when it is over.
        outage_alert_s: u64 = 180, "ORCH_OUTAGE_ALERT_SECONDS", (0 to 86400);
        /// Seconds after which people are told, once, on the work item and in the chat, that a task still waits for something to
        /// pass, and for what.
        wait_alert_s: u64 = 600, "ORCH_WAIT_ALERT_SECONDS", (1 to 86400);
        /// The language of comments and messages.
        locale: Locale = "en", "ORCH_LOCALE", ("en, ru");
        /// A folder of templates in place of built-in texts: one file `<message>.txt` each, in the language of the catalogue
        /// (minijinja). `orchctl config texts` shows every message with its variables and its built-in template.
        templates_dir: Option<PathBuf> = "none", "ORCH_TEMPLATES_DIR", ("a folder");
        /// The address under which people reach the API, for links in messages.
        public_url: Option<BaseUrl> = "none", "ORCH_PUBLIC_URL", (BaseUrl::ALLOWED);
    }

    /// The `claude` processes. What a run may spend is in `[budget]`.
    pub struct AgentConfig["agent"] {
        /// The program; a bare name is looked up on PATH once.
        claude_bin: PathBuf = "claude", "ORCH_CLAUDE_BIN", ("a program's name or path");
        /// Seconds after which a run is ended.
        timeout_s: u64 = 1800, "ORCH_AGENT_TIMEOUT_SECONDS", (1 to 604800);
        /// Seconds between the polite signal and the final one.
        kill_grace_s: u64 = 20, "ORCH_AGENT_KILL_GRACE_SECONDS", (0 to 3600);
        /// Seconds without output after which a run is ended; 0 = never.
        stall_s: u64 = 0, "ORCH_STALL_SECONDS", (0 to 604800);
        /// Seconds that a process may stay after its result, then it is ended and its result counts; 0 = for ever.
        result_linger_s: u64 = 60, "ORCH_RESULT_LINGER_SECONDS", (0 to 86400);
        /// Seconds per role in place of `timeout_s`: JSON in the variable (bad JSON there is warned about and
        /// does not count), a table in the file.
        timeout_overrides: BTreeMap<Role, u64> = "{}", "ORCH_AGENT_TIMEOUT_OVERRIDES_JSON",
            ("roles with 1 to 604800 seconds, e.g. {\"reviewer\": 3600}", |map| map.values().all(|s| (1..=604_800).contains(s)));
        /// Runs of one role (the first included) since the last word of a person, then the task is blocked.
        role_run_cap: u32 = 3, "ORCH_ROLE_RUN_CAP", (1 to 100);
        /// The Unix user agents (and the projects' tests) run as, in repositories of their own; the worker needs the right
        /// to change users, which the package's has.
        user: Option<String> = "none", "ORCH_AGENT_USER", ("a user's name", |name| is_user_name(name));
        /// The most processes and threads of the agents' user, all its runs together; for a user of their own.
        max_processes: Option<u64> = "none", "ORCH_AGENT_MAX_PROCESSES", (16 to 1000000);
        /// Megabytes of memory that one process of an agent may have; the CLI itself needs about 500.
        max_memory_mb: Option<u64> = "none", "ORCH_AGENT_MAX_MEMORY_MB", (256 to 16777216);
        /// The agents' home folder, where the CLI keeps its sessions; without it, the user's own.
        home: Option<PathBuf> = "none", "ORCH_AGENT_HOME", ("an absolute folder", |path| path.is_absolute());
        /// The socket at which the service manager starts what supervises a run, in a unit of its own; without it, the
        /// worker does. The package's units set it.
        socket: Option<PathBuf> = "none", "ORCH_AGENT_SOCKET", ("an absolute path", |path| path.is_absolute());
        /// Megabytes of a run's log, then the run is ended.
        log_cap_mb: u64 = 64, "ORCH_RUN_LOG_CAP_MB", (1 to 65536);
        /// The model; without it, the CLI's own default.
        model: Option<String> = "none", "ORCH_AGENT_MODEL", ("a model's name or alias", |name| is_argument(name));
        /// The model to fall back to when the first is overloaded.
        fallback_model: Option<String> = "none", "ORCH_AGENT_FALLBACK_MODEL",
            ("a model's name or alias", |name| is_argument(name));
        /// What happens to a tool that is not on the list.
        permission_mode: PermissionMode = "dontAsk", "ORCH_AGENT_PERMISSION_MODE",
            ("dontAsk, acceptEdits, bypassPermissions");
        /// Tools that agents may use.
        allowed_tools: Vec<String> = "Bash, Read, Write, Edit, Grep, Glob", "ORCH_AGENT_ALLOWED_TOOLS",
            ("a list of tools, e.g. Bash(git *)", |tools| tools.iter().all(|t| is_argument(t)));
        /// Tools that agents may not use, whatever else is allowed. Publishing is the orchestrator's work.
        disallowed_tools: Vec<String> = "Bash(git push *), WebFetch, WebSearch", "ORCH_AGENT_DISALLOWED_TOOLS",
            ("a list of tools", |tools| tools.iter().all(|t| is_argument(t)));
    }

    /// How failures that are nobody's fault are met.
    pub struct ResilienceConfig["resilience"] {
        /// Seconds for which the answer of the preflight is believed.
        preflight_cache_ttl_s: u64 = 45, "ORCH_PREFLIGHT_CACHE_TTL", (0 to 3600);
        /// The wait after the n-th transient failure is `min(2^n * base, max)` seconds.
        backoff_base_s: u64 = 10, "ORCH_BACKOFF_BASE_SECONDS", (1 to 3600);
        /// The longest such wait, also for a server's Retry-After.
        backoff_max_s: u64 = 600, "ORCH_BACKOFF_MAX_SECONDS", (1 to 86400);
        /// Requeues after transient failures; the next one is final.
        transient_max_attempts: u32 = 5, "ORCH_TRANSIENT_MAX_ATTEMPTS", (0 to 1000);
        /// Transient failures in a row that open the breaker.
        breaker_threshold: u32 = 3, "ORCH_BREAKER_THRESHOLD", (1 to 1000);
        /// Seconds it stays open before one run may try.
        breaker_pause_s: u64 = 300, "ORCH_BREAKER_PAUSE_SECONDS", (1 to 86400);
    }

    /// What is kept, and for how long.
    pub struct RetentionConfig["retention"] {
        /// Days for finished jobs and the bodies of deliveries.
        jobs_days: u32 = 30, "ORCH_RETENTION_JOBS_DAYS", (1 to 3650);
        /// Days for the logs of runs and the worktrees of finished tasks.
        logs_days: u32 = 14, "ORCH_RETENTION_LOGS_DAYS", (1 to 3650);
        /// Days for the keys by which a repeated delivery is known; signatures carry no time.
        delivery_keys_days: u32 = 90, "ORCH_RETENTION_DELIVERY_KEYS_DAYS", (1 to 3650);
    }

    /// What may be spent. Nothing is limited unless it is set. A run that reaches a limit while it goes on is ended, and its
    /// task is blocked with the figure.
    pub struct BudgetConfig["budget"] {
        /// US dollars of one run.
        run_usd: Option<f64> = "none", "ORCH_BUDGET_RUN_USD", (0.01 to 100000.0);
        /// Turns of one run.
        run_turns: Option<u32> = "none", "ORCH_BUDGET_RUN_TURNS", (1 to 100000);
        /// US dollars of one task.
        task_usd: Option<f64> = "none", "ORCH_BUDGET_TASK_USD", (0.01 to 1000000.0);
        /// Runs of one task.
        task_runs: Option<u32> = "none", "ORCH_BUDGET_TASK_RUNS", (1 to 100000);
        /// US dollars of one project in a day (UTC).
        project_usd_per_day: Option<f64> = "none", "ORCH_BUDGET_PROJECT_USD_PER_DAY", (0.01 to 1000000.0);
        /// US dollars of all projects in a day (UTC).
        day_usd: Option<f64> = "none", "ORCH_BUDGET_DAY_USD", (0.01 to 1000000.0);
        /// Tokens of one run: all that are read, read from and written to caches, and said.
        run_tokens: Option<u64> = "none", "ORCH_BUDGET_RUN_TOKENS", (1 to 1000000000000);
        /// Tokens of one task.
        task_tokens: Option<u64> = "none", "ORCH_BUDGET_TASK_TOKENS", (1 to 1000000000000);
        /// Tokens of one project in a day (UTC).
        project_tokens_per_day: Option<u64> = "none", "ORCH_BUDGET_PROJECT_TOKENS_PER_DAY", (1 to 1000000000000);
        /// Tokens of all projects in a day (UTC).
        day_tokens: Option<u64> = "none", "ORCH_BUDGET_DAY_TOKENS", (1 to 1000000000000);
    }
}

impl WorkerConfig {
    /// The configured name, else `<host>:1`.
    pub fn name_or_host(&self) -> String {
        let host = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        self.name.clone().unwrap_or_else(|| format!("{}:1", host().unwrap_or_else(|| "worker".to_owned())))
    }
}

fn is_worker_name(name: &str) -> bool {
    name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))
}

fn is_user_name(name: &str) -> bool {
    name.len() <= 32
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Something that the CLI cannot take for an option.
fn is_argument(text: &str) -> bool {
    !text.starts_with('-')
}

//! What is around the two processes: the database they share, the API's door, Plane, the forge, Telegram.

use super::address::{BaseUrl, GitRemote};
use super::declare::settings;
use super::secret::Secret;
use std::net::SocketAddr;
use std::path::PathBuf;

settings! {
    /// The only thing the two processes share.
    pub struct DatabaseConfig["database"] {
        /// The SQLite file; `-wal` and `-shm` are made beside it, so its folder must be writable and local.
        path: PathBuf = "data/orchestrator.db", "ORCH_DB_PATH", ("a file path");
    }

    /// The webhook intake and the read-only views.
    pub struct ApiConfig["api"] {
        /// Where it listens.
        bind: SocketAddr = "127.0.0.1:8500", "ORCH_API_BIND", ("an IP address and a port, e.g. 127.0.0.1:8500");
        /// The bearer token of the read routes; needed unless the API listens on loopback.
        read_token: Option<Secret> = "none", "ORCH_API_READ_TOKEN", ("text of one line");
        /// HTTP threads, beside the one that writes: one takes in more than ten thousand webhooks a second.
        threads: u32 = 1, "ORCH_API_THREADS", (1 to 64);
    }

    /// Where the work items are.
    pub struct PlaneConfig["plane"] {
        /// The server, as people open it.
        url: Option<BaseUrl> = "none", "ORCH_PLANE_URL", (BaseUrl::ALLOWED);
        /// The workspace's slug.
        workspace: Option<String> = "none", "ORCH_PLANE_WORKSPACE",
            ("letters, digits, - and _", |slug| is_slug(slug));
        /// The API key of the orchestrator's own account.
        api_token: Option<Secret> = "none", "ORCH_PLANE_API_TOKEN", ("text of one line");
        /// The secret Plane showed when the webhook was made.
        webhook_secret: Option<Secret> = "none", "ORCH_PLANE_WEBHOOK_SECRET", ("text of one line");
        /// Ids of further accounts whose comments and moves are not a person's (the own one is known).
        bot_user_ids: Vec<String> = "", "ORCH_PLANE_BOT_USER_IDS",
            ("a list of user ids (UUIDs)", |ids| ids.iter().all(|id| uuid::Uuid::parse_str(id).is_ok()));
        /// Calls a minute that the server grants a key (its `API_KEY_RATE_LIMIT`); the worker stays below.
        calls_per_minute: u32 = 60, "ORCH_PLANE_CALLS_PER_MINUTE", (2 to 60000);
    }

    /// Where the code is: Gitea or Forgejo.
    pub struct GiteaConfig["gitea"] {
        /// The server.
        url: Option<BaseUrl> = "none", "ORCH_GITEA_URL", (BaseUrl::ALLOWED);
        /// The owner of repositories that a project names without one.
        owner: Option<String> = "none", "ORCH_GITEA_OWNER",
            ("letters, digits, -, _ and .", |owner| super::registry::is_repo_part(owner));
        /// The access token of the orchestrator's own account.
        token: Option<Secret> = "none", "ORCH_GITEA_TOKEN", ("text of one line");
        /// The secret that signs the forge's webhooks.
        webhook_secret: Option<Secret> = "none", "ORCH_GITEA_WEBHOOK_SECRET", ("text of one line");
        /// The token of a second account for the reviewer: a forge lets nobody approve their own pull request.
        reviewer_token: Option<Secret> = "none", "ORCH_GITEA_REVIEWER_TOKEN", ("text of one line");
        /// The base of clone addresses, `<base>/<owner>/<name>.git`; without it, the server's.
        git_url: Option<GitRemote> = "none", "ORCH_GITEA_GIT_URL", (GitRemote::ALLOWED);
    }

    /// How Plane, the forge and Telegram are reached, by their APIs and by git.
    pub struct NetworkConfig["network"] {
        /// Certificates (PEM) of authorities that are trusted besides the system's, such as an own one that signed the forge's.
        ca_file: Option<PathBuf> = "none", "ORCH_NETWORK_CA_FILE", ("a file path");
        /// The proxy for everything but this machine; without it, what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
        proxy: Option<BaseUrl> = "none", "ORCH_NETWORK_PROXY", (BaseUrl::ALLOWED);
        /// Hosts that are reached without it: names (with all names below them), addresses and networks.
        no_proxy: Vec<String> = "", "ORCH_NETWORK_NO_PROXY",
            ("a list of hosts", |hosts| hosts.iter().all(|host| !host.contains([' ', ','])));
    }

    /// Who is told. Without a token and a chat, messages are only logged.
    pub struct TelegramConfig["telegram"] {
        /// The bot's token.
        bot_token: Option<Secret> = "none", "ORCH_TELEGRAM_BOT_TOKEN", ("text of one line");
        /// The chat, as a number or `@name`.
        chat_id: Option<String> = "none", "ORCH_TELEGRAM_CHAT_ID",
            ("a number or @name", |id| id.starts_with('@') || id.parse::<i64>().is_ok());
        /// The Bot API's server.
        api_url: BaseUrl = "https://api.telegram.org", "ORCH_TELEGRAM_API_URL", (BaseUrl::ALLOWED);
    }
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

//! Git over HTTP at the forge's own address, by git's own program: `/OWNER/NAME.git/...`. A push is told as the forge tells it.

use super::deliveries::Courier;
use super::world::World;
use super::{FakeGitea, git, held};
use crate::fakes::server::{Reply, Request};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// The answer, where the request is git's.
pub(super) fn handle(world: &Mutex<World>, courier: &Courier, request: &Request) -> Option<Reply> {
    let segments = request.segments();
    let [FakeGitea::OWNER, folder, rest @ ..] = segments.as_slice() else { return None };
    let repo = folder.strip_suffix(".git")?;
    // Nothing is held while git works: it may ask for long.
    let bare = held(world).repos.get(repo)?.bare.clone()?;
    let writes = rest == ["git-receive-pack"] || request.query("service") == Some("git-receive-pack");
    if writes && request.header("authorization") != Some(&format!("token {}", FakeGitea::TOKEN)) {
        let reply = Reply { status: 401, headers: Vec::new(), body: b"Unauthorized\n".to_vec() };
        return Some(reply.with("www-authenticate", "Basic realm=\"Gitea\""));
    }
    let before = heads(&bare);
    let reply = serve(&bare, &rest.join("/"), request);
    if writes && request.method == "POST" {
        tell(&held(world), courier, repo, &before, &heads(&bare));
    }
    Some(reply)
}

fn heads(bare: &Path) -> BTreeMap<String, String> {
    git::branches(bare).into_iter().filter_map(|name| Some((name.clone(), git::head(bare, &name)?))).collect()
}

fn tell(
    world: &World,
    courier: &Courier,
    repo: &str,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) {
    for (branch, head) in after {
        let old = before.get(branch).map_or(NO_COMMIT, String::as_str);
        if old == NO_COMMIT {
            courier.take(world.branch_event(repo, branch, "create", FakeGitea::BOT));
        }
        if old != head {
            courier.take(world.pushed(repo, branch, (old, head), FakeGitea::BOT));
        }
    }
}

/// As a web server calls it.
fn serve(bare: &Path, rest: &str, request: &Request) -> Reply {
    let query: Vec<String> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", bare)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REMOTE_USER", FakeGitea::BOT)
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", format!("/{rest}"))
        .env("QUERY_STRING", query.join("&"))
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (mut input, body) = (child.stdin.take().unwrap(), request.body.clone());
    // Git need not read all of it, and answers while it reads.
    let writer = std::thread::spawn(move || input.write_all(&body));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    read(&output.stdout)
}

/// Headers, an empty line, the body.
fn read(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|at| at == b"\r\n\r\n").unwrap();
    let (head, body) = (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec());
    let mut reply = Reply { status: 200, headers: Vec::new(), body };
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name.to_ascii_lowercase().as_str() {
            "status" => reply.status = value.split(' ').next().unwrap_or_default().parse().unwrap(),
            "content-type" => reply = reply.with("content-type", value),
            "cache-control" => reply = reply.with("cache-control", value),
            _ => {}
        }
    }
    reply
}

//! The sender: keep-alive HTTP/1.1 on one thread, requests signed and built ahead of time. It shares the machine with
//! what it measures, so it must be cheap: per request one write, one read, and 36 bytes changed.

use crate::stats::Samples;
use anyhow::{Context as _, bail, ensure};
use orch_api::SigningKey;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The secret of every load.
pub const SECRET: &str = "a-secret-for-measuring";
/// Repositories that pushes are about; each is an order of its own.
pub const REPOS: usize = 16;
/// A push of three commits, as Gitea sends it, has about this many bytes.
const BODY_BYTES: usize = 5_500;
/// Bodies that differ.
const BODIES: usize = 64;
/// Bytes of an answer; a longer one is an error.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
const ID_MARK: &str = "00000000-0000-4000-8000-000000000000";

/// Signed pushes; each send has an id of its own.
pub struct Pushes {
    requests: Vec<Template>,
    next: AtomicU64,
}

struct Template {
    bytes: Vec<u8>,
    id_at: usize,
}

/// A repository of the load.
pub fn repo(n: usize) -> String {
    format!("acme/widgets-{}", n % REPOS)
}

impl Pushes {
    /// For a server at this address.
    pub fn new(address: SocketAddr) -> anyhow::Result<Arc<Pushes>> {
        let key = SigningKey::new(SECRET).context("the secret")?;
        let requests = (0..BODIES).map(|n| template(address, &key, &body(n)?)).collect::<anyhow::Result<_>>()?;
        // Ids of an earlier load must not be met again in the same database.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let next = AtomicU64::new(u64::try_from(since.as_nanos()).unwrap_or_default());
        Ok(Arc::new(Pushes { requests, next }))
    }

    fn write_next(&self, to: &mut Vec<u8>) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let template = &self.requests[n as usize % self.requests.len()];
        to.clear();
        to.extend_from_slice(&template.bytes);
        write_id(&mut to[template.id_at..template.id_at + ID_MARK.len()], n);
    }
}

/// 122 bits that look random, so that the index of ids is filled as it is in life.
fn write_id(to: &mut [u8], n: u64) {
    let (a, b) = (mix(n), mix(n ^ 0x9e37_79b9_7f4a_7c15));
    let mut digits = (0..16).flat_map(|i| [a >> (4 * i), b >> (4 * i)]);
    for byte in to.iter_mut().filter(|byte| **byte != b'-') {
        let digit = digits.next().unwrap_or_default() & 15;
        *byte = b"0123456789abcdef"[digit as usize];
    }
}

/// Splitmix64.
const fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn body(n: usize) -> anyhow::Result<Vec<u8>> {
    let mut push = orch_tests::fakes::fixture_json("gitea/push.json");
    push["repository"]["full_name"] = repo(n).into();
    push["after"] = format!("{:040x}", mix(n as u64)).into();
    let short = BODY_BYTES.saturating_sub(serde_json::to_vec(&push)?.len());
    if let Some(message) = push.pointer_mut("/commits/0/message") {
        let text =
            format!("{}{}", message.as_str().unwrap_or_default(), "why it was done, line by line\\n".repeat(200));
        *message = text.chars().take(short).collect::<String>().into();
    }
    Ok(serde_json::to_vec(&push)?)
}

fn template(address: SocketAddr, key: &SigningKey, body: &[u8]) -> anyhow::Result<Template> {
    let head = format!(
        "POST /webhook/gitea HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: {}\r\nContent-Type: application/json\r\nX-Gitea-Delivery: {ID_MARK}\r\n\
         X-Gitea-Event: push\r\nX-Gitea-Event-Type: push\r\nX-Gitea-Signature: {signature}\r\n\
         X-Hub-Signature-256: sha256={signature}\r\nAccept-Encoding: gzip\r\n\r\n",
        body.len(),
        signature = hex::encode(key.sign(body)),
    );
    let id_at = head.find(ID_MARK).context("the head has an id")?;
    Ok(Template { bytes: [head.as_bytes(), body].concat(), id_at })
}

/// What came of a load.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub per_second: f64,
    pub took: Samples,
    /// Answers 200 of the whole load, its warm-up included.
    pub accepted: u64,
}

/// As many as `connections` can, each sending when it has its answer. The first fifth of a second does not count.
pub fn flat_out(
    pushes: &Arc<Pushes>,
    address: SocketAddr,
    connections: usize,
    span: Duration,
) -> anyhow::Result<Outcome> {
    let _there = (connections > 1).then(OnItsCore::go).transpose()?;
    runtime()?.block_on(async {
        let counts_from = Instant::now() + Duration::from_millis(200);
        let until = counts_from + span;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(sender(Arc::clone(pushes), address, counts_from, until));
        }
        let mut all = Outcome::default();
        while let Some(one) = tasks.join_next().await {
            let one = one??;
            all.accepted += one.accepted;
            all.took.join(one.took);
        }
        all.per_second = all.took.len() as f64 / span.as_secs_f64();
        Ok(all)
    })
}

/// Keeps the sender of a crowd on the last of the cores that it may use, until dropped. Left to the scheduler it stays for seconds beside
/// whichever thread it met first, the one that answers it or the one that commits, and a third of what is measured would
/// be which of them that was. What is measured is left where the scheduler puts it.
struct OnItsCore(CpuSet);

impl OnItsCore {
    fn go() -> anyhow::Result<OnItsCore> {
        let allowed = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set((0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)).context("no core")?);
        sched_setaffinity(None, &one)?;
        Ok(OnItsCore(allowed))
    }
}

impl Drop for OnItsCore {
    fn drop(&mut self) {
        let _as_before = sched_setaffinity(None, &self.0);
    }
}

async fn sender(pushes: Arc<Pushes>, address: SocketAddr, from: Instant, until: Instant) -> anyhow::Result<Outcome> {
    let mut connection = Connection::open(address).await?;
    let mut outcome = Outcome::default();
    loop {
        let began = Instant::now();
        if began >= until {
            return Ok(outcome);
        }
        connection.push(&pushes).await?;
        outcome.accepted += 1;
        if began >= from && Instant::now() < until {
            outcome.took.add(began.elapsed());
        }
    }
}

/// A thread of its own for whoever sends.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, request: Vec::with_capacity(8192), answer: vec![0; 64 * 1024] })
    }

    /// Sends the next push and waits for its 200.
    pub async fn push(&mut self, pushes: &Pushes) -> anyhow::Result<()> {
        pushes.write_next(&mut self.request);
        self.exchange().await
    }

    /// Reads a view.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<()> {
        self.request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes();
        self.exchange().await
    }

    async fn exchange(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.request).await?;
        let mut read = 0;
        loop {
            if read == self.answer.len() {
                ensure!(read < LONGEST_ANSWER, "the answer is too long");
                self.answer.resize(read * 2, 0);
            }
            let free = &mut self.answer[read..];
            let more = self.stream.read(free).await?;
            ensure!(more > 0, "the connection was closed");
            read += more;
            if is_whole(&self.answer[..read])? {
                return Ok(());
            }
        }
    }
}

fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(false) };
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("answered {}", String::from_utf8_lossy(&answer[..answer.len().min(300)]));
    }
    let text = std::str::from_utf8(&answer[..head])?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Ok(answer.len() >= head + 4 + length.context("an answer without a length")?)
}

//! A Messages API on loopback that says what a test has scripted, for the real agent CLI: streamed answers, tool
//! calls, errors, and all the ways in which a connection can disappoint. It knows nothing of Orch.

mod answer;
mod wire;

pub use answer::{Answer, Message, Refusal};

use serde_json::Value;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One request for a message.
#[derive(Debug, Clone)]
pub struct Call {
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The conversation so far: every text, tool call and tool result in it, system prompt not included.
    pub fn conversation(&self) -> String {
        self.body["messages"].to_string()
    }

    /// How many answers of the model the conversation holds already.
    pub fn answers(&self) -> usize {
        let messages = self.body["messages"].as_array();
        messages.into_iter().flatten().filter(|m| m["role"] == "assistant").count()
    }

    /// The folder that the CLI says it works in.
    pub fn working_folder(&self) -> String {
        let told = self.body.to_string();
        let after = told.split("working directory: ").nth(1).unwrap_or_default();
        after.chars().take_while(|c| !matches!(c, '\\' | '"' | '\n')).collect::<String>().trim().to_owned()
    }
}

type Script = Box<dyn FnMut(&Call) -> Answer + Send>;

struct Inner {
    script: Mutex<Script>,
    calls: Mutex<Vec<Call>>,
    stopping: AtomicBool,
}

/// The running server; it stops when dropped.
pub struct ModelApi {
    address: std::net::SocketAddr,
    inner: Arc<Inner>,
}

fn held<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ModelApi {
    /// Answers each call with what `script` says.
    pub fn start(script: impl FnMut(&Call) -> Answer + Send + 'static) -> ModelApi {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (calls, stopping) = (Mutex::default(), AtomicBool::new(false));
        let inner = Arc::new(Inner { script: Mutex::new(Box::new(script)), calls, stopping });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        ModelApi { address, inner }
    }

    /// Answers the calls in this order; the last answer repeats.
    pub fn saying(answers: impl IntoIterator<Item = Answer>) -> ModelApi {
        let api = ModelApi::start(|_| Answer::Drop);
        api.now_says(answers);
        api
    }

    /// Another script from now on.
    pub fn now_says(&self, answers: impl IntoIterator<Item = Answer>) {
        let mut answers = answers.into_iter().collect::<Vec<_>>().into_iter();
        let mut last = Answer::Drop;
        *held(&self.inner.script) = Box::new(move |_| {
            if let Some(next) = answers.next() {
                last = next;
            }
            last.clone()
        });
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        held(&self.inner.calls).clone()
    }

    /// Waits until there were `count` calls; `false` after `limit`.
    pub fn wait_for_calls(&self, count: usize, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while held(&self.inner.calls).len() < count {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for ModelApi {
    fn drop(&mut self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
        // Wakes the one who waits for connections.
        drop(TcpStream::connect(self.address));
    }
}

impl Inner {
    /// Requests of one connection, until either side has enough.
    fn serve(&self, stream: TcpStream) {
        let Ok(mut client) = wire::Client::new(stream) else { return };
        while let Some(request) = client.request() {
            if request.method != "POST" || request.path != "/v1/messages" {
                client.plain(404, &[], "{}");
                continue;
            }
            let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            let call = Call { headers: request.headers, body };
            let answer = (held(&self.script))(&call);
            let model = call.body["model"].as_str().unwrap_or("scripted").to_owned();
            held(&self.calls).push(call);
            if !answer.give(&mut client, &model, || self.stopping.load(Ordering::SeqCst)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! One small HTTP server for all fakes: a thread of its own, a log of requests, and faults on demand.

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What it was answered with; 0: nothing.
    pub status: u16,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The body as JSON, `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The non-empty parts of the path.
    pub fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|s| !s.is_empty()).collect()
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Reply { status, headers, body: body.to_string().into_bytes() }
    }

    pub fn empty(status: u16) -> Self {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// Something going wrong with a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered so, and not handled.
    Answer(Reply),
    /// The connection ends within an answer; the request is not handled.
    Cut,
    /// The request is handled, and answered so.
    DoneAnd(Reply),
    /// The request is handled, then the connection ends within the answer.
    LostAnswer,
    /// Handled, and answered after this time.
    Slow(Duration),
    /// Handled after this time, whether or not somebody still waits for the answer.
    Late(Duration),
}

impl Fault {
    /// A bare status.
    pub fn status(status: u16) -> Self {
        Fault::Answer(Reply::json(status, serde_json::json!({ "error": "injected" })))
    }
}

struct Planned {
    left: usize,
    method: String,
    path_part: String,
    fault: Fault,
}

#[derive(Default)]
struct Inner {
    log: Mutex<Vec<Request>>,
    faults: Mutex<VecDeque<Planned>>,
    /// What every request meets.
    ill: Mutex<Option<Fault>>,
}

/// The running server; it stops when dropped.
pub struct Server {
    /// `http://127.0.0.1:port`.
    pub url: String,
    inner: Arc<Inner>,
    handle: ServerHandle,
}

type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Answers every request with `handler`.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (inner, handler): (_, Handler) = (Arc::new(Inner::default()), Arc::new(handler));
        let (tell, told) = std::sync::mpsc::channel();
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    let (inner, handler) = (Arc::clone(&shared), Arc::clone(&handler));
                    let answer = move |request: HttpRequest, body: web::Bytes| {
                        respond(Arc::clone(&inner), Arc::clone(&handler), request, body)
                    };
                    App::new().app_data(web::PayloadConfig::new(64 << 20)).default_service(web::to(answer))
                };
                let server = HttpServer::new(app).workers(4).disable_signals().shutdown_timeout(0);
                let server = server.listen(listener).unwrap().run();
                let _ = tell.send(server.handle());
                let _ = server.await;
            });
        });
        Server { url, inner, handle: told.recv().unwrap() }
    }

    /// Every request so far, in the order of their answers.
    pub fn requests(&self) -> Vec<Request> {
        held(&self.inner.log).clone()
    }

    pub fn forget_requests(&self) {
        held(&self.inner.log).clear();
    }

    /// The next `times` requests of `method` (empty: any) whose path contains `path_part` meet `fault`.
    pub fn fail(&self, method: &str, path_part: &str, times: usize, fault: Fault) {
        let planned = Planned { left: times, method: method.into(), path_part: path_part.into(), fault };
        held(&self.inner.faults).push_back(planned);
    }

    /// Every request meets `fault` from now on; `None`: no longer.
    pub fn fall_ill(&self, fault: Option<Fault>) {
        *held(&self.inner.ill) = fault;
    }

    /// Nothing that was planned goes wrong any more.
    pub fn heal(&self) {
        held(&self.inner.faults).clear();
    }

    /// Waits until the log satisfies `enough`; `false` after `limit`.
    pub fn wait_for(&self, limit: Duration, enough: impl Fn(&[Request]) -> bool) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if enough(&held(&self.inner.log)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        enough(&held(&self.inner.log))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The command is sent by the call; nobody needs to wait for its end.
        drop(self.handle.stop(false));
    }
}

impl Inner {
    fn fault_for(&self, request: &Request) -> Option<Fault> {
        let mut faults = held(&self.faults);
        let fits =
            |p: &Planned| (p.method.is_empty() || p.method == request.method) && request.path.contains(&p.path_part);
        match faults.iter_mut().find(|p| p.left > 0 && fits(p)) {
            Some(planned) => {
                planned.left -= 1;
                Some(planned.fault.clone())
            }
            None => held(&self.ill).clone(),
        }
    }

    fn note(&self, mut request: Request, status: u16) {
        request.status = status;
        held(&self.log).push(request);
    }
}

async fn respond(inner: Arc<Inner>, handler: Handler, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let request = read(&request, body);
    let (reply, cut) = match inner.fault_for(&request) {
        Some(Fault::Answer(reply)) => (reply, false),
        Some(Fault::DoneAnd(reply)) => {
            handler(&request);
            (reply, false)
        }
        Some(Fault::Cut) => (Reply::json(200, Value::Null), true),
        Some(Fault::LostAnswer) => (handler(&request), true),
        Some(Fault::Slow(pause)) => {
            let reply = handler(&request);
            actix_web::rt::time::sleep(pause).await;
            (reply, false)
        }
        Some(Fault::Late(pause)) => {
            let (handler, late) = (Arc::clone(&handler), request.clone());
            // A task of its own: it goes on where the client has gone away.
            let deed = actix_web::rt::spawn(async move {
                actix_web::rt::time::sleep(pause).await;
                handler(&late)
            });
            (deed.await.unwrap(), false)
        }
        None => (handler(&request), false),
    };
    inner.note(request, if cut { 0 } else { reply.status });
    let mut response = HttpResponse::build(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response.insert_header((name, value));
    }
    if cut {
        let pieces = [Ok(web::Bytes::from_static(b"{\"half\":")), Err(std::io::Error::other("cut"))];
        return response.streaming(futures_util::stream::iter(pieces));
    }
    response.body(reply.body)
}

fn read(request: &HttpRequest, body: web::Bytes) -> Request {
    let decode = |text: &str| -> String {
        // A path is no form: these three stand for themselves in it.
        let plain = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
        url::form_urlencoded::parse(plain.as_bytes()).map(|(k, _)| k.into_owned()).collect()
    };
    let pairs = url::form_urlencoded::parse(request.query_string().as_bytes());
    let headers = request.headers().iter().map(|(n, v)| (n.as_str().to_owned(), v.to_str().unwrap_or("").to_owned()));
    Request {
        method: request.method().to_string(),
        path: request.uri().path().split('/').map(decode).collect::<Vec<_>>().join("/"),
        query: pairs.map(|(k, v)| (k.into_owned(), v.into_owned())).collect(),
        headers: headers.collect(),
        body: body.to_vec(),
        status: 0,
    }
}

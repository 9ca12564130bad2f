//! A client that shows the wire: what came back byte for byte, or that nothing did.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    /// A header's value, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The `status` of a webhook's answer and its job.
    pub fn outcome(&self) -> (String, Option<i64>) {
        assert_eq!(self.status, 200, "{self:?}");
        let json = self.json();
        (json["status"].as_str().unwrap().to_owned(), json["job_id"].as_i64())
    }

    /// Asserts an error answer of the standard shape.
    pub fn assert_problem(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], status, "{self:?}");
        assert!(json["type"].is_string() && json["title"].is_string() && json["detail"].is_string(), "{self:?}");
        self
    }
}

/// A request, as text and bytes.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &'static str, path: &str) -> Self {
        Request { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The request as bytes, with its length declared.
    pub fn bytes(&self, connection: &str) -> Vec<u8> {
        let mut bytes = self.head(&format!("Content-Length: {}\r\nConnection: {connection}\r\n", self.body.len()));
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The head as bytes, with these further lines.
    pub fn head(&self, further: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: orch\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}{further}\r\n").into_bytes()
    }

    /// Sends it on a connection of its own.
    pub fn send(&self, to: SocketAddr) -> io::Result<Answer> {
        let came = exchange(to, &self.bytes("close"))?;
        parse(&came).ok_or_else(|| io::Error::other(format!("no answer but {} bytes", came.len())))
    }
}

/// Everything that comes back on a connection of its own. A reset is an end like another: what counts is what came.
pub fn exchange(to: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(to)?;
    // A server that has refused already may stop reading.
    let _refused_early = stream.write_all(bytes);
    let mut came = Vec::new();
    match stream.read_to_end(&mut came) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => Err(error),
        _ => Ok(came),
    }
}

pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    Ok(stream)
}

/// One answer from a connection that stays open.
pub fn read_one(stream: &mut TcpStream) -> io::Result<Option<Answer>> {
    let mut came = Vec::new();
    let mut some = [0; 4096];
    loop {
        let n = match stream.read(&mut some) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error),
        };
        came.extend_from_slice(&some[..n]);
        let whole = parse(&came).filter(|answer| {
            answer.header("content-length").and_then(|text| text.parse().ok()) == Some(answer.body.len())
        });
        if n == 0 || whole.is_some() {
            return Ok(whole);
        }
    }
}

fn parse(came: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(came);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

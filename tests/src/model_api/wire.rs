//! The little of HTTP/1.1 that the CLI needs, on a bare socket, so that an answer can stop anywhere.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Between two looks whether a client that is kept waiting has gone.
const LOOK: Duration = Duration::from_millis(50);

/// A request as it came.
pub(super) struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The other end of one connection.
pub(super) struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
}

impl Client {
    pub fn new(stream: TcpStream) -> std::io::Result<Client> {
        Ok(Client { writer: stream.try_clone()?, reader: BufReader::new(stream) })
    }

    /// The next request; `None` when the client has gone.
    pub fn request(&mut self) -> Option<Request> {
        let line = self.line()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let path = target.split('?').next().unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(n, _)| n == "content-length").and_then(|(_, v)| v.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).ok()?;
        Some(Request { method, path, headers, body })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    }

    /// A whole JSON answer. False when the client has gone.
    pub fn plain(&mut self, status: u16, headers: &[(String, String)], body: &str) -> bool {
        let length = ("content-length".to_owned(), body.len().to_string());
        let head = self.head(status, "application/json", headers.iter().chain([&length]));
        head && self.writer.write_all(body.as_bytes()).is_ok()
    }

    /// The head of a streamed answer.
    pub fn begin_stream(&mut self, headers: &[(String, String)]) -> bool {
        let chunked = ("transfer-encoding".to_owned(), "chunked".to_owned());
        self.head(200, "text/event-stream", headers.iter().chain([&chunked]))
    }

    fn head<'a>(&mut self, status: u16, kind: &str, headers: impl Iterator<Item = &'a (String, String)>) -> bool {
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\nrequest-id: req_scripted\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.writer.write_all(head.as_bytes()).is_ok()
    }

    /// One event of a stream.
    pub fn event(&mut self, event: &serde_json::Value) -> bool {
        let name = event["type"].as_str().unwrap_or_default();
        let text = format!("event: {name}\ndata: {event}\n\n");
        self.writer.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).is_ok()
    }

    /// The end of a stream.
    pub fn end_stream(&mut self) -> bool {
        self.writer.write_all(b"0\r\n\r\n").is_ok()
    }

    /// Says nothing until the client gives up, or `stopping`.
    pub fn wait_until_gone(&mut self, stopping: impl Fn() -> bool) {
        let mut byte = [0];
        let _ = self.writer.set_read_timeout(Some(LOOK));
        while !stopping() {
            match self.reader.read(&mut byte) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
                Err(_) => return,
            }
        }
    }

    /// The connection ends here, in the middle of whatever it was.
    pub fn cut(&mut self) {
        let _ = self.writer.shutdown(Shutdown::Both);
    }
}

//! A Git LFS server on loopback: the batch API with basic transfers, as much as an upload needs.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What came: objects by their id, and the `Authorization` of each request with its path.
#[derive(Debug, Default)]
pub struct Seen {
    pub objects: BTreeMap<String, Vec<u8>>,
    pub requests: Vec<(String, Option<String>)>,
}

pub struct LfsServer {
    pub port: u16,
    pub seen: Arc<Mutex<Seen>>,
}

impl LfsServer {
    pub fn start() -> LfsServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, port, &shared));
            }
        });
        LfsServer { port, seen }
    }
}

/// One request, then the connection is closed.
fn serve(mut stream: TcpStream, port: u16, seen: &Mutex<Seen>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (status, answer) = answer(&method, &path, &body, authorization.is_some(), port, seen);
    seen.lock().unwrap().requests.push((path, authorization));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/vnd.git-lfs+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(answer.as_bytes()).ok()
}

fn answer(method: &str, path: &str, body: &[u8], known: bool, port: u16, seen: &Mutex<Seen>) -> (&'static str, String) {
    if !known {
        return ("401 Unauthorized", json!({"message": "who are you?"}).to_string());
    }
    if path.ends_with("/info/lfs/objects/batch") {
        let asked: Value = serde_json::from_slice(body).unwrap();
        let upload = asked["operation"] == "upload";
        let objects: Vec<Value> =
            asked["objects"].as_array().unwrap().iter().map(|o| entry(o, upload, port, seen)).collect();
        return ("200 OK", json!({"transfer": "basic", "objects": objects}).to_string());
    }
    let oid = path.rsplit('/').next().unwrap_or_default().to_owned();
    if method == "PUT" {
        seen.lock().unwrap().objects.insert(oid, body.to_vec());
    }
    ("200 OK", String::new())
}

fn entry(object: &Value, upload: bool, port: u16, seen: &Mutex<Seen>) -> Value {
    let oid = object["oid"].as_str().unwrap();
    let has = seen.lock().unwrap().objects.contains_key(oid);
    match (upload, has) {
        (true, true) => json!({"oid": oid, "size": object["size"]}),
        (true, false) => {
            let href = format!("http://127.0.0.1:{port}/put/{oid}");
            json!({"oid": oid, "size": object["size"], "actions": {"upload": {"href": href}}})
        }
        (false, _) => {
            json!({"oid": oid, "size": object["size"], "error": {"code": 404, "message": "Object does not exist"}})
        }
    }
}

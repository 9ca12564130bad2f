//! Carries signed webhook deliveries to a receiver, one after the other, as the real senders do: each once, whatever
//! the answer. Written on a bare socket, so that the tests' own HTTP client cannot hide a mistake.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A webhook delivery, ready to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Delivery {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Posts it to `url` (`http://127.0.0.1:port/path`) and gives back the status; `None`: no answer.
    pub fn post(&self, url: &str) -> Option<u16> {
        let url = url::Url::parse(url).ok()?;
        let address = format!("{}:{}", url.host_str()?, url.port_or_known_default()?);
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let mut head = format!("POST {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", url.path());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(self.body.as_bytes()).ok()?;
        let mut answer = Vec::new();
        // An answer may come before the end of the connection does.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
    }
}

/// Lower-case hex HMAC-SHA256.
pub fn sign(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The deliveries of one fake: all are kept, and those after [`Courier::send_to`] are posted too.
#[derive(Default)]
pub struct Courier {
    made: Mutex<Vec<Delivery>>,
    route: Mutex<Option<Sender<Delivery>>>,
    answers: Arc<Mutex<Vec<Option<u16>>>>,
}

impl Courier {
    pub fn send_to(&self, url: &str) {
        let (sender, receiver) = channel();
        let (url, answers) = (url.to_owned(), Arc::clone(&self.answers));
        std::thread::spawn(move || carry(&receiver, &url, &answers));
        *self.route.lock().unwrap() = Some(sender);
    }

    pub fn take(&self, delivery: Delivery) -> Delivery {
        self.made.lock().unwrap().push(delivery.clone());
        if let Some(route) = &*self.route.lock().unwrap() {
            let _ = route.send(delivery.clone());
        }
        delivery
    }

    pub fn made(&self) -> Vec<Delivery> {
        self.made.lock().unwrap().clone()
    }

    pub fn answers(&self) -> Vec<Option<u16>> {
        self.answers.lock().unwrap().clone()
    }
}

fn carry(deliveries: &Receiver<Delivery>, url: &str, answers: &Mutex<Vec<Option<u16>>>) {
    for delivery in deliveries {
        let answer = delivery.post(url);
        answers.lock().unwrap().push(answer);
    }
}

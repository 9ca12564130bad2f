//! A way to a server that can be shut: nobody listens then, and whoever was connected is cut off.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// An address that leads to another.
pub struct Door {
    /// `http://127.0.0.1:port`.
    pub url: String,
    at: SocketAddr,
    to: String,
    open: Mutex<Option<Open>>,
}

/// While it is open.
struct Open {
    shut: Arc<AtomicBool>,
    connected: Arc<Mutex<Vec<TcpStream>>>,
    porter: JoinHandle<()>,
}

impl Door {
    /// To a server at `http://host:port`; open.
    pub fn to(url: &str) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let to = url.strip_prefix("http://").unwrap().to_owned();
        let door = Door { url: format!("http://{at}"), at, to, open: Mutex::new(None) };
        door.receive(listener);
        door
    }

    pub fn open(&self) {
        self.receive(TcpListener::bind(self.at).unwrap());
    }

    pub fn shut(&self) {
        let Some(open) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        open.shut.store(true, Ordering::SeqCst);
        // Wakes the one who waits for somebody to come; the listener goes with him.
        let _ = TcpStream::connect(self.at);
        open.porter.join().unwrap();
        for stream in open.connected.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn receive(&self, listener: TcpListener) {
        let (shut, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (told, all, to) = (Arc::clone(&shut), Arc::clone(&connected), self.to.clone());
        let porter = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(from), Ok(onward)) = (stream, TcpStream::connect(&to)) else { continue };
                let kept = [from.try_clone().unwrap(), onward.try_clone().unwrap()];
                all.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
                carry(from.try_clone().unwrap(), onward.try_clone().unwrap());
                carry(onward, from);
            }
        });
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(Open { shut, connected, porter });
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shut();
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}

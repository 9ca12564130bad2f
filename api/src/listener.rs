//! Where the listening socket comes from: the service manager hands over an open one (`LISTEN_FDS`), or the configured
//! address is bound. The rest of the program is given a listener and does not know.
//!
//! A socket that is handed over outlives this process: what arrives between two of its lives waits in the kernel's
//! queue, instead of being refused.

use anyhow::{Context, bail};
use listenfd::ListenFd;
use std::net::{SocketAddr, TcpListener};

/// The socket that was handed over, else one bound to the configured address.
pub fn open(bind: SocketAddr) -> anyhow::Result<TcpListener> {
    match handed_over(&mut ListenFd::from_env())? {
        Some(listener) => {
            let address = listener.local_addr()?;
            if !same_place(address, bind) {
                tracing::warn!(%address, configured = %bind, "listening on the service manager's socket; ORCH_API_BIND is not used");
            }
            Ok(listener)
        }
        None => TcpListener::bind(bind).with_context(|| format!("cannot listen on {bind} (ORCH_API_BIND)")),
    }
}

/// `None` where nothing was handed to this very process.
fn handed_over(sockets: &mut ListenFd) -> anyhow::Result<Option<TcpListener>> {
    match sockets.len() {
        0 => Ok(None),
        1 => sockets.take_tcp_listener(0).context("the service manager's socket is not a listening TCP socket"),
        more => bail!("the service manager hands over {more} sockets; one is served"),
    }
}

/// With port 0 the configuration leaves the port open.
fn same_place(address: SocketAddr, bind: SocketAddr) -> bool {
    address.ip() == bind.ip() && (bind.port() == 0 || bind.port() == address.port())
}

//! Where the listening socket comes from. A socket that systemd hands over (`LISTEN_FDS`) would be taken here and
//! nowhere else: the rest of the program is given a listener and does not know.

use anyhow::Context;
use std::net::{SocketAddr, TcpListener};

/// Binds the configured address.
pub fn open(bind: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(bind).with_context(|| format!("cannot listen on {bind} (ORCH_API_BIND)"))
}

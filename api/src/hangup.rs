//! Closing a connection without an answer. Plane takes every answer, a 503 too, for "delivered" and sends again
//! only after a connection that was cut; an HTTP framework, on the other hand, always answers. So a second handle
//! on each connection's socket is kept beside it, and the cut is the kernel's: after `shutdown` no byte of
//! whatever the framework writes gets out.
//!
//! A reverse proxy between Plane and this process undoes it by answering 502 for us, unless it is told to close its
//! own side as well.

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use std::any::Any;
use std::net::Shutdown;
use std::os::fd::AsFd;

/// The second handle; it lives and dies with the connection's own state, so no descriptor outlives it.
struct Wire(std::net::TcpStream);

/// For `HttpServer::on_connect`: one `dup` per connection, nothing per request.
pub fn remember(io: &dyn Any, connection: &mut Extensions) {
    let Some(stream) = io.downcast_ref::<TcpStream>() else { return };
    match stream.as_fd().try_clone_to_owned() {
        Ok(handle) => {
            connection.insert(Wire(handle.into()));
        }
        Err(error) => tracing::warn!(%error, "connection cannot be aborted later: its handle could not be duplicated"),
    }
}

/// Cuts the request's connection; `false` where that is not possible, and an answer goes out after all.
pub fn cut(request: &HttpRequest) -> bool {
    request.conn_data::<Wire>().is_some_and(|wire| wire.0.shutdown(Shutdown::Both).is_ok())
}

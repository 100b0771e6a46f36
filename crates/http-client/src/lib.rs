//! One request over TCP or TLS, and its answer. Each request has a connection of its own.

mod address;
mod connection;
mod tls;

pub use address::{BadAddress, HttpAddress};
pub use connection::{Connection, ConnectionError, Request};
pub use tls::{BadCertificates, TlsAuthorities};

//! Follows a stream of Server-Sent Events through every fault.
//!
//! [`Follower`] decides what a client does next. It has no network and no clock: it is told what happened, and
//! when. [`Connection`] is the network: one request over TCP or TLS. [`CursorFile`] keeps the cursor over
//! restarts. `web/conformance` describes the behaviour, and has the cases that the tests run.

mod address;
mod connection;
mod cursor_file;
mod follower;
mod parser;
mod tls;

pub use address::{BadAddress, StreamAddress};
pub use connection::{Connection, ConnectionError, Request};
pub use cursor_file::CursorFile;
pub use follower::{Answer, Follower, Step};
pub use parser::{BlockTooLarge, Parser, ServerEvent};
pub use tls::{BadCertificates, TlsAuthorities};

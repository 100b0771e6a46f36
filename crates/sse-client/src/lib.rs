//! Follows a stream of Server-Sent Events through every fault.
//!
//! [`StreamState`] decides what a client does next. It has no network and no clock: it is told what happened, and
//! when. [`Connection`] is the network: one request over TCP or TLS. [`CursorFile`] keeps the cursor over
//! restarts. `web/conformance` describes the behaviour, and has the cases that the tests run.

mod address;
mod connection;
mod cursor_file;
mod parser;
mod state;
mod tls;

pub use address::{BadAddress, StreamAddress};
pub use connection::{Connection, ConnectionError, Request};
pub use cursor_file::CursorFile;
pub use parser::{BlockTooLarge, Parser, ServerEvent};
pub use state::{Answer, Step, StreamState};
pub use tls::{BadCertificates, TlsAuthorities};

//! Follows a stream of Server-Sent Events through every fault.
//!
//! [`StreamState`] decides what a client does next. It has no network and no clock: it is told what happened, and
//! when. [`StreamRequest`] opens a connection, over TCP or TLS. [`CursorFile`] keeps the cursor over
//! restarts. `web/conformance` describes the behaviour, and has the cases that the tests run.

mod cursor_file;
mod opening;
mod parser;
mod state;

pub use cursor_file::CursorFile;
pub use http_client::{Connection, ConnectionError, HttpAddress, TlsAuthorities};
pub use opening::StreamRequest;
pub use parser::{BlockTooLarge, Parser, ServerEvent};
pub use state::{Answer, Step, StreamState};

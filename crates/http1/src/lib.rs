//! Reads responses of HTTP/1: heads, and bodies in each framing. It does no input or output.

mod body;
mod head;

pub use body::{Body, Chunked, Malformed};
pub use head::{BadHead, Head, MAX_HEAD_BYTES, header, parse};

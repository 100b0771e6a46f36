//! Streams: a cursor over a log, written out as Server-Sent Events.
//!
//! Opening a stream finds out where it starts; from then on replay and live are one
//! loop in [`body::StreamBody`]: read what comes after the cursor, write it, wait.

pub mod body;
pub mod filter;
pub mod log;
pub mod open;
pub mod output;
pub mod present;
pub mod reader;
pub mod resume;
pub mod scope;
pub mod wire;

pub use body::StreamBody;
pub use filter::Filter;
pub use open::{Opening, Refusal, open};
pub use reader::Reader;
pub use resume::{ResetReason, Since};
pub use scope::Scope;

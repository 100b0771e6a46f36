//! Streams: a cursor over a log, written out as Server-Sent Events.
//!
//! Opening a stream finds out where it starts; from then on replay and live are one
//! loop in [`body::StreamBody`]: read what comes after the cursor, write it, wait.

mod body;
mod filter;
pub mod history;
mod log;
mod open;
mod present;
mod reader;
mod resume;
mod scope;
mod settings;
pub mod wire;

pub use body::StreamBody;
pub use filter::Filter;
pub use history::{History, HistoryError, HistoryRange};
pub use log::{StreamLine, log_refusal};
pub use open::StreamServices;
pub use open::{Opening, Refusal, open};
pub use reader::Look;
pub use reader::Reader;
pub use resume::{ResetReason, Since};
pub use scope::Scope;
pub use scope::UnknownScope;
pub use settings::StreamSettings;

//! Streams: a cursor over a log, written as Server-Sent Events.
//!
//! [`open`] finds the start of a stream. From then on, replay and live delivery are one loop in
//! [`LogStream`]: read the events after the cursor, write them, move the cursor, wait. After its head
//! has been written, a stream leaves HTTP and is parked.

mod body;
mod ending;
#[cfg(any(test, feature = "fuzzing"))]
pub mod entry_points;
mod filter;
mod first_state;
mod heartbeat;
pub mod history;
mod log;
mod log_stream;
mod open;
mod pace;
mod parked;
mod presence;
mod resume;
mod scope;
mod services;
mod settings;
pub mod wire;

pub use body::StreamBody;
pub use ending::{LastWait, ServedRef, ServedStream, is_to_end};
pub use filter::Filter;
pub use heartbeat::{HeartbeatInterval, InvalidHeartbeat};
pub use history::{HistoryError, HistoryPage, HistoryQuery, HistoryRange};
pub use log::{PassingRefusal, RefusedStream, StreamLine};
pub use log_stream::LogStream;
pub use open::{StreamParameters, StreamRefusal, StreamRequest, open};
pub use pace::{InvalidPace, StreamPace};
pub use parked::Parking;
pub use resume::{ResetReason, Since};
pub use scope::{Scope, UnknownScope};
pub use services::StreamServices;
pub use settings::StreamSettings;

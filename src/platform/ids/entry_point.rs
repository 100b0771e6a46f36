//! Ids of strangers.

use std::fmt::Display;
use std::str::FromStr;

use super::{
    BrokerId, EventType, FaultCode, ModuleName, RecordId, RecordPath, SessionName, TaskId,
    TaskType, TeamId, UploadId, UserId,
};
use crate::platform::entry_point::{EntryPoint, with_text};

pub const IDS: EntryPoint = EntryPoint {
    name: "ids",
    read: |bytes| with_text(bytes, read),
};

fn read(text: &str) {
    stays::<BrokerId>(text);
    stays::<TeamId>(text);
    stays::<UserId>(text);
    stays::<RecordId>(text);
    stays::<RecordPath>(text);
    stays::<ModuleName>(text);
    stays::<SessionName>(text);
    stays::<TaskId>(text);
    stays::<TaskType>(text);
    stays::<UploadId>(text);
    stays::<EventType>(text);
    stays::<FaultCode>(text);
}

/// What is accepted is shown as it came, and can stand in a line of a stream.
fn stays<T: FromStr + Display>(text: &str) {
    if let Ok(id) = text.parse::<T>() {
        assert_eq!(id.to_string(), text);
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
    }
}

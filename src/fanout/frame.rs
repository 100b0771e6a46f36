//! An event of the log in memory.

use super::Encoded;
use crate::log::{Audience, Epoch, Event};
use crate::platform::UserId;

/// A frame's share of memory beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// One event of the log, ready to be written.
#[derive(Debug)]
pub struct Frame {
    /// Its place in the log.
    pub position: i64,
    pub audience: Audience,
    pub encoded: Encoded,
    /// Whose the record is from now on, where it gets another owner.
    pub new_owner: Option<Box<Option<UserId>>>,
}

impl Frame {
    /// Encodes an event under its place in the log.
    #[must_use]
    pub fn of(event: &Event, epoch: &Epoch) -> Self {
        let new_owner = event.told.is_new_owner.then(|| event.told.owner.clone());
        Self {
            position: event.position,
            audience: event.told.audience.clone(),
            encoded: Encoded::of(event, Some(&epoch.at(event.position))),
            new_owner: new_owner.map(Box::new),
        }
    }

    /// What it costs to keep.
    #[must_use]
    pub fn size(&self) -> usize {
        self.encoded.size() + OVERHEAD_BYTES
    }
}

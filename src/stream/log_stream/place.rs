//! Where a stream is in the log of its brokerage.

use crate::fanout::{StreamEncoding, WritePlace};
use crate::log::{Cursor, Epoch};
use crate::stream::resume::StreamStart;

pub(super) struct LogPlace {
    pub(super) epoch: Epoch,
    /// The client has been written everything up to here.
    pub(super) position: i64,
    /// The version of the ring when nothing was left to read there. 0: there always was something.
    pub(super) read_version: u64,
}

impl LogPlace {
    pub(super) fn at(start: StreamStart) -> Self {
        Self {
            epoch: start.epoch,
            position: start.position,
            read_version: 0,
        }
    }

    pub(super) fn cursor(&self) -> Cursor {
        self.epoch.at(self.position)
    }

    /// The stream continues there, which may be in another log.
    pub(super) fn go_to(&mut self, to: &Cursor) {
        self.position = to.position;
        if let Some(epoch) = &to.epoch {
            self.epoch = epoch.clone();
        }
    }

    /// Whether it has read everything once, so that what it reads now has just come.
    pub(super) fn has_caught_up(&self) -> bool {
        self.read_version != 0
    }

    /// Where a write begins or has begun, so that other streams can repeat it.
    pub(super) fn of_write(
        &self,
        position: i64,
        version: u64,
        encoding: StreamEncoding,
    ) -> WritePlace<'_> {
        WritePlace {
            epoch: &self.epoch,
            cursor: position,
            version,
            encoding,
        }
    }
}

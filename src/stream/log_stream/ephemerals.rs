//! Writes ephemeral events, from the stream's own position in their ring.

use bytes::Bytes;

use super::LogStream;
use crate::fanout::{EphemeralRead, Visibility};
use crate::stream::{Filter, presence, wire};

impl LogStream {
    /// The next ephemeral events, if there are any for this stream.
    pub(super) fn read_ephemerals(&mut self) -> Option<Bytes> {
        if self.reader.next_ephemeral() <= self.next_ephemeral {
            return None;
        }
        let mut write = self.event_write();
        let filter = self.filter.as_deref();
        let has_records = filter.is_some_and(|filter| filter.records().is_some());
        let from = self.next_ephemeral;
        let read = self.reader.read_ephemerals(from, has_records, |event| {
            // Ephemeral events have no private fields.
            write.add(filter, event, Visibility::Masked)
        });
        match read {
            EphemeralRead::UpTo(position) => self.next_ephemeral = position,
            EphemeralRead::SnapshotNeeded => {
                self.prepare_snapshot();
                // The events before it come first.
                let events = self.finish(write);
                return events.or_else(|| self.unsent.take_part());
            }
        }
        self.finish(write)
    }

    fn prepare_snapshot(&mut self) {
        if let Some(text) = self.presence_text() {
            self.unsent.put(wire::encoded(self.encoding, &text));
        }
    }

    /// The snapshot of presence, unless the filter leaves it out. Changes after it are events.
    pub(super) fn presence_text(&mut self) -> Option<String> {
        let open = Filter::default();
        let filter = self.filter.as_deref().unwrap_or(&open);
        let view = presence::view(&self.reader, filter);
        let presence = &self.services.presence;
        let snapshot = presence.snapshot_in_memory(self.reader.broker(), &view);
        let Some(current) = snapshot else {
            self.next_ephemeral = self.reader.next_ephemeral();
            return None;
        };
        self.next_ephemeral = current.next;
        let json = presence::snapshot(&current.people, filter)?;
        Some(wire::event(self.encoding.named, presence::SNAPSHOT, &json))
    }
}

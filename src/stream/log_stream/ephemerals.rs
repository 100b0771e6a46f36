//! Writes ephemeral events, from the stream's own position in their ring.

use bytes::Bytes;

use super::LogStream;
use super::catch_up::Chunk;
use crate::fanout::{EphemeralRead, Visibility};
use crate::stream::{Filter, presence, wire};

impl LogStream {
    /// The next ephemeral events, if there are any for this stream.
    pub(super) fn read_ephemerals(&mut self) -> Option<Bytes> {
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let has_records = filter.is_some_and(|filter| filter.records().is_some());
        let from = self.next_ephemeral;
        let read = self.reader.read_ephemerals(from, has_records, |event| {
            // Ephemeral events have no private fields.
            chunk.add(filter, event, Visibility::Masked)
        });
        match read {
            EphemeralRead::UpTo(position) => self.next_ephemeral = position,
            EphemeralRead::SnapshotNeeded => {
                self.prepare_snapshot();
                // The events before it come first.
                let events = self.finish(chunk);
                return events.or_else(|| self.next_unsent());
            }
        }
        self.finish(chunk)
    }

    fn prepare_snapshot(&mut self) {
        let open = Filter::default();
        let filter = self.filter.as_deref().unwrap_or(&open);
        let view = presence::view(&self.reader, filter);
        let presence = &self.services.presence;
        let snapshot = presence.snapshot_in_memory(self.reader.broker(), &view);
        let Some(current) = snapshot else {
            self.next_ephemeral = self.reader.next_ephemeral();
            return;
        };
        self.next_ephemeral = current.next;
        if let Some(snapshot) = presence::snapshot(current.people, filter) {
            let text = wire::control(self.encoding.named, &snapshot, None);
            self.unsent = wire::encoded(self.encoding, &text);
        }
    }
}

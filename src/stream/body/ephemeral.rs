//! What is whispered: changes of states, from this stream's own place in the air.

use bytes::Bytes;

use super::StreamBody;
use super::chunk::Chunk;
use crate::fanout::{EphemeralRead, Sight};
use crate::stream::{Filter, present, wire};

impl StreamBody {
    /// The next whispers, if there are any for this stream.
    pub(super) fn hear(&mut self) -> Option<Bytes> {
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let has_records = filter.is_some_and(|filter| filter.records().is_some());
        let heard = self.reader.hear(self.heard, has_records, |encoded| {
            // States have nothing private.
            chunk.take(filter, encoded, Sight::Masked)
        });
        match heard {
            EphemeralRead::UpTo(place) => self.heard = place,
            EphemeralRead::LookAgain => {
                self.look_again();
                // What was heard before it comes first.
                let heard = self.finished(chunk);
                return heard.or_else(|| self.next_of_greeting());
            }
        }
        self.finished(chunk)
    }

    /// Whispers were missed: the state is told as a whole again.
    fn look_again(&mut self) {
        let open = Filter::default();
        let filter = self.filter.as_deref().unwrap_or(&open);
        let view = present::view(&self.reader, filter);
        let presence = &self.services.presence;
        let Some((people, heard)) = presence.look_now(self.reader.broker(), &view) else {
            self.heard = self.reader.air_now();
            return;
        };
        self.heard = heard;
        if let Some(snapshot) = present::snapshot(people, filter) {
            let text = wire::control(self.encoding.named, &snapshot, None);
            self.greeting = wire::encoded(self.encoding, &text);
        }
    }
}

//! What is whispered: changes of states, from this stream's own place in the air.

use bytes::Bytes;

use super::StreamBody;
use super::chunk::Chunk;
use crate::hub::Heard;

impl StreamBody {
    /// The next whispers, if there are any for this stream.
    pub(super) fn hear(&mut self) -> Option<Bytes> {
        let mut chunk = Chunk::new(self.encoding);
        let filter = self.filter.as_deref();
        let heard = self
            .reader
            .hear(self.heard, |encoded| chunk.take(filter, encoded));
        match heard {
            Heard::UpTo(place) => self.heard = place,
            Heard::LookAgain => self.heard = self.reader.air_now(),
        }
        self.finished(chunk)
    }
}

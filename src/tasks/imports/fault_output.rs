//! The output of an import: one line for each fault.

use super::stop::Stop;
use crate::tasks::output::MOST_BYTES;
use crate::tasks::{LeaseClaim, OutputChunk, TaskError, Tasks};

/// The most bytes of one chunk.
const CHUNK_BYTES: usize = 64 * 1_024;
/// The last line of an output that is full, and the bytes reserved for it.
const LAST: &str = "There are more errors. They do not fit here.\n";
const RESERVED: usize = 256;

#[derive(Debug, Default)]
pub(super) struct FaultOutput {
    offset: i32,
    is_full: bool,
}

impl FaultOutput {
    /// Adds lines until the output is full.
    pub(super) async fn write(
        &mut self,
        tasks: &Tasks,
        lease: &LeaseClaim,
        mut text: &str,
    ) -> Result<(), Stop> {
        while !text.is_empty() && !self.is_full {
            let (chunk, rest) = text.split_at(cut(text));
            let used = usize::try_from(self.offset).unwrap_or(usize::MAX);
            let most = usize::try_from(MOST_BYTES).unwrap_or(usize::MAX);
            self.is_full = used.saturating_add(chunk.len() + RESERVED) > most;
            let chunk = OutputChunk {
                offset: self.offset,
                text: if self.is_full { LAST } else { chunk },
            };
            match tasks.write_output(lease, chunk).await {
                Ok(ack) => self.offset = ack.offset,
                Err(TaskError::OutputTooLarge) => self.is_full = true,
                Err(error) => return Err(error.into()),
            }
            text = rest;
        }
        Ok(())
    }
}

/// Where a chunk ends: at the end of a line if possible.
fn cut(text: &str) -> usize {
    if text.len() <= CHUNK_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(CHUNK_BYTES);
    text[..end].rfind('\n').map_or(end, |at| at + 1)
}

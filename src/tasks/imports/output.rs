//! The output of an import's attempt: a line for each fault.

use super::stop::Stop;
use crate::tasks::output::MOST_BYTES;
use crate::tasks::{LeaseClaim, TaskError, Tasks};

/// Bytes that one chunk has at the most.
const CHUNK_BYTES: usize = 64 * 1_024;
/// The last line of an output that is full, and room for it.
const LAST: &str = "There are more, and no room for them here.\n";
const ROOM: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Output {
    offset: i32,
    is_full: bool,
}

impl Output {
    /// Adds lines, as long as there is room.
    pub(super) async fn write(
        &mut self,
        (tasks, holding): (&Tasks, &LeaseClaim),
        mut text: &str,
    ) -> Result<(), Stop> {
        while !text.is_empty() && !self.is_full {
            let (chunk, rest) = text.split_at(cut(text));
            let used = usize::try_from(self.offset).unwrap_or(usize::MAX);
            let most = usize::try_from(MOST_BYTES).unwrap_or(usize::MAX);
            self.is_full = used.saturating_add(chunk.len() + ROOM) > most;
            let chunk = if self.is_full { LAST } else { chunk };
            match tasks.write_output(holding, (self.offset, chunk)).await {
                Ok(kept) => self.offset = kept.offset,
                Err(TaskError::OutputTooLarge) => self.is_full = true,
                Err(error) => return Err(error.into()),
            }
            text = rest;
        }
        Ok(())
    }
}

/// Where a chunk ends: with a line, if one ends in time.
fn cut(text: &str) -> usize {
    if text.len() <= CHUNK_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(CHUNK_BYTES);
    text[..end].rfind('\n').map_or(end, |at| at + 1)
}

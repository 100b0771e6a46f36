//! Receives a file. From its first byte on, the memory for the whole file is reserved, and the file
//! must come fast enough. Before the first byte nothing is reserved, so connections that send nothing
//! do not take memory from others.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::pace::PaceMeter;
use super::shares::{Share, ShareLimits};
use super::{Pace, UploadError, Uploads};
use crate::identity::Caller;
use crate::log::IdempotencyKeyId;

/// Memory is counted in these units.
pub(super) const UNIT_BYTES: usize = 1_024;
/// Units of the smallest file. They include the buffers of its connection.
const MIN_UNITS: u32 = 64;
/// The share of all memory that a brokerage and a user can have: one half, and one quarter.
const BROKERAGE_SHARE: u32 = 2;
const USER_SHARE: u32 = 4;

/// The limits of files.
#[derive(Clone, Copy, Debug)]
pub struct UploadRules {
    pub most_bytes: usize,
    /// Stored files of a user.
    pub most_per_user: u32,
    /// Files of the largest size that fit into memory at once.
    pub at_once: u32,
    pub pace: Pace,
}

/// A file that is about to be received.
#[derive(Debug)]
pub struct IncomingUpload<S> {
    /// The size, if the request has it.
    pub length: Option<usize>,
    /// With a key, the request can be repeated safely.
    pub key: Option<IdempotencyKeyId>,
    pub body: S,
}

/// A complete file, and the memory that it takes.
#[derive(Debug)]
pub(super) struct ReceivedUpload {
    pub(super) content: Bytes,
    _memory: Share,
}

impl UploadRules {
    pub(super) fn memory(&self) -> ShareLimits {
        let of = |files: u32| files.max(1).saturating_mul(units(self.most_bytes));
        ShareLimits {
            user: of(self.at_once / USER_SHARE),
            brokerage: of(self.at_once / BROKERAGE_SHARE),
            total: of(self.at_once),
        }
    }
}

impl Uploads {
    pub(super) async fn read_body<S, E>(
        &self,
        caller: &Caller,
        IncomingUpload {
            length, mut body, ..
        }: IncomingUpload<S>,
    ) -> Result<ReceivedUpload, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let most = self.rules.most_bytes;
        if length.is_some_and(|length| length > most) {
            return Err(UploadError::TooLarge(most));
        }
        let mut pace = PaceMeter::begin(self.rules.pace, Instant::now());
        let first = self.part(&mut body, &mut pace).await?;
        let first = first.ok_or(UploadError::Empty)?;
        // A file without a known size may have the largest size.
        let needed = units(length.unwrap_or(most));
        let memory = self.memory.try_take(caller, needed);
        let memory = memory.map_err(UploadError::Full)?;
        let mut content = BytesMut::with_capacity(length.unwrap_or(first.len()));
        let mut next = Some(first);
        while let Some(part) = next {
            if content.len() + part.len() > most {
                return Err(UploadError::TooLarge(most));
            }
            content.extend_from_slice(&part);
            next = self.part(&mut body, &mut pace).await?;
        }
        Ok(ReceivedUpload {
            content: content.freeze(),
            _memory: memory,
        })
    }

    /// The next part of a body. None at its end.
    async fn part<S, E>(
        &self,
        body: &mut S,
        pace: &mut PaceMeter,
    ) -> Result<Option<Bytes>, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        loop {
            match timeout_at(pace.ends_at(), body.next()).await {
                Ok(Some(Ok(part))) => {
                    pace.count(part.len());
                    return Ok(Some(part));
                }
                Ok(Some(Err(_))) => return Err(UploadError::BrokenOff),
                Ok(None) => return Ok(None),
                Err(_) if pace.next_window(Instant::now()) => {}
                Err(_) => return Err(UploadError::TooSlow(self.rules.pace)),
            }
        }
    }
}

fn units(bytes: usize) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
    units.max(MIN_UNITS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn memory(most_bytes: usize, at_once: u32) -> [u32; 3] {
        let pace = Pace {
            bytes_per_second: 1,
            window: Duration::from_secs(1),
        };
        let rules = UploadRules {
            most_per_user: 20,
            most_bytes,
            at_once,
            pace,
        };
        let ShareLimits {
            user,
            brokerage,
            total,
        } = rules.memory();
        [user, brokerage, total]
    }

    #[test]
    fn every_user_has_memory_for_one_file_of_the_largest_size() {
        assert_eq!(memory(16 << 20, 8), [2 << 14, 4 << 14, 8 << 14]);
        assert_eq!(memory(16 << 20, 2), [1 << 14, 1 << 14, 2 << 14]);
        assert_eq!(memory(1_024, 4), [64, 128, 256], "small ones count as well");
        assert_eq!(units(65_537), 65);
        let [user, brokerage, total] = memory(128 << 20, 1_024);
        assert!(user < brokerage && brokerage < total && total < u32::MAX);
    }
}

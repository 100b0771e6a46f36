//! A file on its way in: from its first byte on it has room in memory, as much as it will need, and
//! it must come fast enough. Until then it costs nothing, so that nobody is kept waiting by
//! connections that only say that a file will come.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::pace::Watch;
use super::shares::{Limits, Share};
use super::{Pace, UploadError, Uploads};
use crate::identity::Caller;

/// What room is counted in.
pub(super) const UNIT_BYTES: usize = 1_024;
/// Units of the smallest file: a connection that sends one has buffers, too.
const LEAST_UNITS: u32 = 64;
/// Of the files that arrive at once, a brokerage has at most one in so many, and a user.
const BROKERAGES: u32 = 2;
const USERS: u32 = 4;

/// How files are taken in.
#[derive(Clone, Copy, Debug)]
pub struct UploadRules {
    /// Bytes of a file.
    pub most_bytes: usize,
    /// Files of this size that are in memory at once.
    pub at_once: u32,
    /// How fast they must come.
    pub pace: Pace,
}

/// A file that is to come.
#[derive(Debug)]
pub struct Arrival<S> {
    /// Its bytes, if it is said how many there are.
    pub length: Option<usize>,
    pub body: S,
}

/// A file that is here, and the room that it takes.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) content: Bytes,
    _room: Share,
}

impl UploadRules {
    /// What there is of room.
    pub(super) fn room(&self) -> Limits {
        let of = |files: u32| files.max(1).saturating_mul(units(self.most_bytes));
        Limits {
            user: of(self.at_once / USERS),
            brokerage: of(self.at_once / BROKERAGES),
            total: of(self.at_once),
        }
    }
}

impl Uploads {
    /// Takes a file in as it comes.
    pub(super) async fn arrive<S, E>(
        &self,
        caller: &Caller,
        Arrival { length, mut body }: Arrival<S>,
    ) -> Result<Arrived, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let most = self.rules.most_bytes;
        if length.is_some_and(|length| length > most) {
            return Err(UploadError::TooLarge(most));
        }
        let mut watch = Watch::begin(self.rules.pace, Instant::now());
        let first = self.part(&mut body, &mut watch).await?;
        let first = first.ok_or(UploadError::Empty)?;
        // Where nobody says how large it is, it may be as large as any.
        let needed = units(length.unwrap_or(most));
        let room = self.room.try_take(caller, needed);
        let room = room.map_err(UploadError::Full)?;
        let mut content = BytesMut::with_capacity(length.unwrap_or(first.len()));
        let mut next = Some(first);
        while let Some(part) = next {
            if content.len() + part.len() > most {
                return Err(UploadError::TooLarge(most));
            }
            content.extend_from_slice(&part);
            next = self.part(&mut body, &mut watch).await?;
        }
        Ok(Arrived {
            content: content.freeze(),
            _room: room,
        })
    }

    /// The next part of a body; none at its end.
    async fn part<S, E>(
        &self,
        body: &mut S,
        watch: &mut Watch,
    ) -> Result<Option<Bytes>, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        loop {
            match timeout_at(watch.ends_at(), body.next()).await {
                Ok(Some(Ok(part))) => {
                    watch.count(part.len());
                    return Ok(Some(part));
                }
                Ok(Some(Err(_))) => return Err(UploadError::BrokenOff),
                Ok(None) => return Ok(None),
                Err(_) if watch.next_window(Instant::now()) => {}
                Err(_) => return Err(UploadError::TooSlow(self.rules.pace)),
            }
        }
    }
}

/// The units of a file of so many bytes.
fn units(bytes: usize) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
    units.max(LEAST_UNITS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn room(most_bytes: usize, at_once: u32) -> [u32; 3] {
        let pace = Pace {
            bytes_per_second: 1,
            window: Duration::from_secs(1),
        };
        let rules = UploadRules {
            most_bytes,
            at_once,
            pace,
        };
        let Limits {
            user,
            brokerage,
            total,
        } = rules.room();
        [user, brokerage, total]
    }

    #[test]
    fn everybody_has_room_for_one_file_of_the_largest_size() {
        assert_eq!(room(16 << 20, 8), [2 << 14, 4 << 14, 8 << 14]);
        assert_eq!(room(16 << 20, 2), [1 << 14, 1 << 14, 2 << 14]);
        assert_eq!(room(1_024, 4), [64, 128, 256], "small ones count as well");
        assert_eq!(units(65_537), 65);
        let [user, brokerage, total] = room(128 << 20, 1_024);
        assert!(user < brokerage && brokerage < total && total < u32::MAX);
    }
}

//! Who waits for a lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::LockError;
use super::sessions::moment;
use crate::platform::UserId;

/// Users that may wait for one lock.
pub(super) const MOST_WAITING: usize = 50;
/// Whoever asks again within this long does not disturb the holder again.
const QUIET: Duration = Duration::from_secs(30);

/// Who asked for a lock, in order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Waiting(Vec<Waiter>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiter {
    user_id: UserId,
    #[serde(with = "moment")]
    told_at: OffsetDateTime,
}

impl Waiting {
    /// This user asks; says whether the holder is to be told.
    pub(super) fn ask(&mut self, user: &UserId, now: OffsetDateTime) -> Result<bool, LockError> {
        if let Some(waiter) = self.0.iter_mut().find(|waiter| waiter.user_id == *user) {
            let is_due = waiter.told_at + QUIET <= now;
            if is_due {
                waiter.told_at = now;
            }
            return Ok(is_due);
        }
        if self.0.len() >= MOST_WAITING {
            return Err(LockError::TooManyWaiting);
        }
        let (user_id, told_at) = (user.clone(), now);
        self.0.push(Waiter { user_id, told_at });
        Ok(true)
    }

    /// This user waits no longer.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.0.retain(|waiter| waiter.user_id != *user);
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.0.iter().map(|waiter| &waiter.user_id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_again_disturbs_the_holder_only_after_a_while() {
        let start = time::macros::datetime!(2025-11-02 12:00:00 UTC);
        let user = |n: usize| format!("u-{n}").parse::<UserId>().unwrap();
        let mut waiting = Waiting::default();
        assert!(waiting.ask(&user(0), start).unwrap());
        assert!(!waiting.ask(&user(0), start + QUIET / 2).unwrap());
        assert!(waiting.ask(&user(0), start + QUIET).unwrap());
        assert!(!waiting.ask(&user(0), start + QUIET * 3 / 2).unwrap());
        for n in 1..MOST_WAITING {
            assert!(waiting.ask(&user(n), start).unwrap());
        }
        assert!(waiting.ask(&user(99), start).is_err());
        waiting.forget(&user(0));
        assert!(waiting.ask(&user(99), start).unwrap());
        assert_eq!(waiting.len(), MOST_WAITING);
    }
}

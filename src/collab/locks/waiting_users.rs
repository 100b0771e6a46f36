//! The users who wait for a lock.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::LockError;
use super::sessions::rfc3339;
use crate::platform::UserId;

/// Users who can wait for one lock.
pub(super) const MOST_WAITING: usize = 50;
/// When a user asks again, the holder gets another event only after this time.
const NOTIFY_INTERVAL: Duration = Duration::from_secs(30);

/// In the order in which they asked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WaitingUsers(Vec<WaitingUser>);

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WaitingUser {
    user_id: UserId,
    /// When the holder last got an event about this user.
    #[serde(rename = "toldAt", with = "rfc3339")]
    notified_at: OffsetDateTime,
}

impl WaitingUsers {
    /// Adds a user who asks for the lock, and returns whether to notify the holder.
    pub(super) fn add(&mut self, user: &UserId, now: OffsetDateTime) -> Result<bool, LockError> {
        if let Some(waiting) = self.0.iter_mut().find(|waiting| waiting.user_id == *user) {
            let is_due = waiting.notified_at + NOTIFY_INTERVAL <= now;
            if is_due {
                waiting.notified_at = now;
            }
            return Ok(is_due);
        }
        if self.0.len() >= MOST_WAITING {
            return Err(LockError::TooManyWaiting);
        }
        self.0.push(WaitingUser {
            user_id: user.clone(),
            notified_at: now,
        });
        Ok(true)
    }

    pub(super) fn remove(&mut self, user: &UserId) {
        self.0.retain(|waiting| waiting.user_id != *user);
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.0.iter().map(|waiting| &waiting.user_id)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_again_notifies_the_holder_only_after_a_while() {
        let start = time::macros::datetime!(2025-11-02 12:00:00 UTC);
        let user = |n: usize| format!("u-{n}").parse::<UserId>().unwrap();
        let mut waiting = WaitingUsers::default();
        assert!(waiting.add(&user(0), start).unwrap());
        assert!(!waiting.add(&user(0), start + NOTIFY_INTERVAL / 2).unwrap());
        assert!(waiting.add(&user(0), start + NOTIFY_INTERVAL).unwrap());
        assert!(
            !waiting
                .add(&user(0), start + NOTIFY_INTERVAL * 3 / 2)
                .unwrap()
        );
        for n in 1..MOST_WAITING {
            assert!(waiting.add(&user(n), start).unwrap());
        }
        assert!(waiting.add(&user(99), start).is_err());
        waiting.remove(&user(0));
        assert!(waiting.add(&user(99), start).unwrap());
        assert_eq!(waiting.len(), MOST_WAITING);
    }
}

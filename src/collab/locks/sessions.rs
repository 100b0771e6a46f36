//! The holder's devices: the lock lasts while one of them renews.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{LeaseDuration, LockError};
use crate::platform::SessionName;

/// Devices of one user that may share a lock.
pub(super) const MOST_SESSIONS: usize = 32;

/// The devices that keep a lock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sessions(BTreeMap<SessionName, SessionLease>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionLease {
    #[serde(with = "moment")]
    until: OffsetDateTime,
    lease_seconds: LeaseDuration,
}

impl Sessions {
    /// A sign of one device, which may be a new one.
    pub(super) fn keep(
        &mut self,
        session: &SessionName,
        lease: Option<LeaseDuration>,
        now: OffsetDateTime,
    ) -> Result<(), LockError> {
        self.forget_silent(now);
        let before = self
            .0
            .get(session)
            .map(|subscription| subscription.lease_seconds);
        if before.is_none() && self.0.len() >= MOST_SESSIONS {
            return Err(LockError::TooManySessions);
        }
        let lease = lease.or(before).unwrap_or_default();
        let subscription = SessionLease {
            until: now + lease.duration(),
            lease_seconds: lease,
        };
        self.0.insert(session.clone(), subscription);
        Ok(())
    }

    /// Takes one device out, or all of them; says whether there was any.
    pub(super) fn leave(&mut self, session: Option<&SessionName>, now: OffsetDateTime) -> bool {
        self.forget_silent(now);
        match session {
            Some(session) => self.0.remove(session).is_some(),
            None => !std::mem::take(&mut self.0).is_empty(),
        }
    }

    /// Whether this device keeps the lock.
    pub(super) fn has(&self, session: &SessionName, now: OffsetDateTime) -> bool {
        self.0
            .get(session)
            .is_some_and(|subscription| subscription.until > now)
    }

    /// The device that lasts longest, and until when.
    pub(super) fn longest(&self) -> Option<(&SessionName, OffsetDateTime)> {
        let ends = self
            .0
            .iter()
            .map(|(name, subscription)| (name, subscription.until));
        ends.max_by_key(|(_, until)| *until)
    }

    fn forget_silent(&mut self, now: OffsetDateTime) {
        self.0.retain(|_, subscription| subscription.until > now);
    }
}

/// Moments as text that people can read in the table, too.
pub(super) mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(in crate::collab::locks) fn serialize<S: Serializer>(
        at: &OffsetDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = at.format(&Rfc3339).map_err(ser::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(in crate::collab::locks) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<OffsetDateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lock_lasts_while_one_device_renews() {
        let start = time::macros::datetime!(2025-11-02 12:00:00 UTC);
        let [phone, tab]: [SessionName; 2] = ["phone", "tab"].map(|name| name.parse().unwrap());
        let minute = LeaseDuration::of_seconds(60).unwrap();
        let mut sessions = Sessions::default();
        sessions.keep(&phone, None, start).unwrap();
        sessions.keep(&tab, Some(minute), start).unwrap();
        assert_eq!(sessions.longest().unwrap().0, &phone);
        // A renewal that does not say for how long is as long as the last.
        let later = start + Duration::from_secs(50);
        sessions.keep(&tab, None, later).unwrap();
        let (phone_only, tab_end) = (sessions.clone(), later + minute.duration());
        assert!(sessions.has(&tab, tab_end - Duration::from_secs(1)));
        assert!(!phone_only.has(&tab, tab_end));
        assert!(sessions.leave(Some(&phone), later));
        assert!(!sessions.leave(Some(&phone), later));
        assert_eq!(sessions.longest().unwrap(), (&tab, tab_end));
        assert!(!sessions.leave(None, tab_end));
    }

    #[test]
    fn devices_are_limited_and_silent_ones_make_room() {
        let start = time::macros::datetime!(2025-11-02 12:00:00 UTC);
        let mut sessions = Sessions::default();
        let name = |n: usize| format!("tab-{n}").parse::<SessionName>().unwrap();
        for n in 0..MOST_SESSIONS {
            sessions.keep(&name(n), None, start).unwrap();
        }
        assert!(sessions.keep(&name(0), None, start).is_ok());
        assert!(sessions.keep(&name(99), None, start).is_err());
        let later = start + LeaseDuration::default().duration();
        assert!(sessions.keep(&name(99), None, later).is_ok());
    }
}

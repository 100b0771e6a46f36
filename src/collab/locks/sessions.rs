//! The holder's devices. The lock lasts as long as the longest of their leases.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{LeaseDuration, LockError};
use crate::platform::SessionName;

/// Devices of one user that can share a lock.
pub(super) const MOST_SESSIONS: usize = 32;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct HolderSessions(BTreeMap<SessionName, SessionLease>);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionLease {
    #[serde(with = "rfc3339")]
    until: OffsetDateTime,
    lease_seconds: LeaseDuration,
}

impl HolderSessions {
    /// Renews the lease of one device, or adds the device.
    pub(super) fn renew(
        &mut self,
        session: &SessionName,
        lease: Option<LeaseDuration>,
        now: OffsetDateTime,
    ) -> Result<(), LockError> {
        self.remove_expired(now);
        let known = self.0.get(session).map(|known| known.lease_seconds);
        if known.is_none() && self.0.len() >= MOST_SESSIONS {
            return Err(LockError::TooManySessions);
        }
        let lease = lease.or(known).unwrap_or_default();
        let renewed = SessionLease {
            until: now + lease.duration(),
            lease_seconds: lease,
        };
        self.0.insert(session.clone(), renewed);
        Ok(())
    }

    /// Removes one device, or all of them, and returns whether there was any.
    pub(super) fn remove(&mut self, session: Option<&SessionName>, now: OffsetDateTime) -> bool {
        self.remove_expired(now);
        match session {
            Some(session) => self.0.remove(session).is_some(),
            None => !std::mem::take(&mut self.0).is_empty(),
        }
    }

    /// Whether this device has a lease.
    pub(super) fn contains(&self, session: &SessionName, now: OffsetDateTime) -> bool {
        let lease = self.0.get(session);
        lease.is_some_and(|lease| lease.until > now)
    }

    /// The device with the longest lease, and the end of it.
    pub(super) fn longest(&self) -> Option<(&SessionName, OffsetDateTime)> {
        let ends = self.0.iter().map(|(name, lease)| (name, lease.until));
        ends.max_by_key(|(_, until)| *until)
    }

    fn remove_expired(&mut self, now: OffsetDateTime) {
        self.0.retain(|_, lease| lease.until > now);
    }
}

/// Times in the JSON columns, in a form that people can read.
pub(super) mod rfc3339 {
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
        let mut sessions = HolderSessions::default();
        sessions.renew(&phone, None, start).unwrap();
        sessions.renew(&tab, Some(minute), start).unwrap();
        assert_eq!(sessions.longest().unwrap().0, &phone);
        // A renewal without a lease is as long as the last one.
        let later = start + Duration::from_secs(50);
        sessions.renew(&tab, None, later).unwrap();
        let (phone_only, tab_end) = (sessions.clone(), later + minute.duration());
        assert!(sessions.contains(&tab, tab_end - Duration::from_secs(1)));
        assert!(!phone_only.contains(&tab, tab_end));
        assert!(sessions.remove(Some(&phone), later));
        assert!(!sessions.remove(Some(&phone), later));
        assert_eq!(sessions.longest().unwrap(), (&tab, tab_end));
        assert!(!sessions.remove(None, tab_end));
    }

    #[test]
    fn devices_are_limited_and_expired_ones_do_not_count() {
        let start = time::macros::datetime!(2025-11-02 12:00:00 UTC);
        let mut sessions = HolderSessions::default();
        let name = |n: usize| format!("tab-{n}").parse::<SessionName>().unwrap();
        for n in 0..MOST_SESSIONS {
            sessions.renew(&name(n), None, start).unwrap();
        }
        assert!(sessions.renew(&name(0), None, start).is_ok());
        assert!(sessions.renew(&name(99), None, start).is_err());
        let later = start + LeaseDuration::default().duration();
        assert!(sessions.renew(&name(99), None, later).is_ok());
    }
}

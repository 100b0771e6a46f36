//! Signs of life in a message to the other instances, which have them at once instead of with their next
//! read of the table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PresenceKey, SignRow, StoredSign};
use crate::collab::presence::moment::Moment;
use crate::collab::presence::sign_of_life::SignOfLife;
use crate::platform::BrokerId;

/// The signs of one brokerage that one write stored.
#[derive(Serialize, Deserialize)]
pub struct PeerSigns {
    #[serde(rename = "i")]
    pub instance: Arc<str>,
    /// The number of the write.
    #[serde(rename = "f")]
    pub flush: i64,
    /// The number of the write before it that was sent for this brokerage; 0: there was none. A receiver that
    /// does not have it reads the table.
    #[serde(rename = "b")]
    pub before: Option<i64>,
    #[serde(rename = "s")]
    signs: Vec<SignRow>,
}

impl PeerSigns {
    #[must_use]
    pub fn new(instance: &str, flush: i64, before: Option<i64>) -> Self {
        Self {
            instance: instance.into(),
            flush,
            before,
            signs: Vec::new(),
        }
    }

    pub fn add(&mut self, key: &PresenceKey, sign: &SignOfLife, now: Moment) {
        self.signs.push(SignRow::of(key, sign, now));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` if the text is not of this kind.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The signs as the table has them.
    #[must_use]
    pub fn stored(self, broker: &BrokerId, now: Moment) -> Vec<StoredSign> {
        let (instance, flush) = (self.instance, self.flush);
        let signs = self.signs.into_iter().filter_map(|row| {
            let row = SignRow {
                broker_id: broker.to_string(),
                instance: instance.to_string(),
                flush,
                ..row
            };
            row.parse(now)
        });
        signs.collect()
    }
}

impl SignRow {
    /// Times are relative to `now`.
    fn of(key: &PresenceKey, sign: &SignOfLife, now: Moment) -> Self {
        let mut columns = super::SignColumns::default();
        columns.push(key, sign, now);
        let text = |values: &[&str]| values.first().map(ToString::to_string).unwrap_or_default();
        let owned = |values: Vec<String>| values.into_iter().next().unwrap_or_default();
        let number = |values: &[i64]| values.first().copied().unwrap_or_default();
        let optional = |values: Vec<Option<String>>| values.into_iter().next().flatten();
        Self {
            broker_id: String::new(),
            instance: String::new(),
            flush: 0,
            user_id: text(&columns.user),
            session: text(&columns.session),
            teams: owned(columns.teams),
            status: text(&columns.status),
            viewing: optional(columns.viewing.records),
            viewing_audience: optional(columns.viewing.audiences),
            editing: optional(columns.editing.records),
            editing_audience: optional(columns.editing.audiences),
            streams: owned(columns.streams),
            said_in: number(&columns.said_in),
            active_in: number(&columns.active_in),
            ends_in: columns.ends_in.first().copied().flatten(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collab::presence::sign_of_life::{RecordInUse, Session};
    use crate::log::Audience;

    #[test]
    fn what_is_received_is_what_was_sent() {
        let (now, broker) = (Moment::at_ms(5_000), "b".parse::<BrokerId>().unwrap());
        let key = PresenceKey {
            broker: broker.clone(),
            user: "auth0|ann".parse().unwrap(),
            session: Session::Named("tab".parse().unwrap()),
        };
        let mut sign = SignOfLife::of_stream(["a".parse().unwrap()].into(), Moment::at_ms(4_000));
        sign.streams = [1, 2].into();
        sign.ends_at = Some(Moment::at_ms(9_000));
        sign.viewing = Some(Box::new(RecordInUse {
            record: "escrows/e-1".parse().unwrap(),
            audience: Audience::Team("a".parse().unwrap()),
            looked_up_at: now,
        }));
        let mut sent = PeerSigns::new("me", 7, Some(5));
        sent.add(&key, &sign, now);
        let received = PeerSigns::decode(&sent.encode()).unwrap();
        assert_eq!(
            (&*received.instance, received.flush, received.before),
            ("me", 7, Some(5))
        );
        let stored = received.stored(&broker, now);
        let [stored] = &stored[..] else {
            panic!("{stored:?}");
        };
        assert_eq!((&stored.key, &stored.sign), (&key, &sign));
        assert_eq!((&*stored.instance, stored.flush), ("me", 7));
        assert!(PeerSigns::decode("{}").is_none());
    }
}

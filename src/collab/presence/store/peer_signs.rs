//! Signs of life in a message to the other instances, which have them at once instead of with their next
//! read of the table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sign_row::SignRow;
use super::sign_text::{session_text, streams_text, teams_text};
use super::{KeyedSign, StoredSign};
use crate::collab::presence::moment::Moment;
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
    signs: Vec<PeerSign>,
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

    pub fn add(&mut self, sign: &KeyedSign, now: Moment) {
        self.signs.push(PeerSign::of(sign, now));
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
        let rows = self.signs.into_iter();
        let rows = rows.map(|sign| sign.row(broker, &instance, flush));
        rows.filter_map(|row| row.parse(now)).collect()
    }
}

/// A sign in a message. Its names have one letter; its times are milliseconds from when it is sent.
#[derive(Serialize, Deserialize)]
struct PeerSign {
    #[serde(rename = "u")]
    user: String,
    #[serde(rename = "n", default, skip_serializing_if = "String::is_empty")]
    session: String,
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    teams: String,
    #[serde(rename = "s")]
    status: String,
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    viewing: Option<String>,
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    viewing_audience: Option<String>,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    editing: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    editing_audience: Option<String>,
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    streams: String,
    #[serde(rename = "c")]
    said_in: i64,
    #[serde(rename = "a")]
    active_in: i64,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    ends_in: Option<i64>,
}

impl PeerSign {
    fn of(KeyedSign { key, sign }: &KeyedSign, now: Moment) -> Self {
        let (viewing, editing) = (sign.viewing.as_deref(), sign.editing.as_deref());
        Self {
            user: key.user.to_string(),
            session: session_text(&key.session).to_owned(),
            teams: teams_text(&sign.teams),
            status: sign.status.as_str().to_owned(),
            viewing: viewing.map(|in_use| in_use.record.to_string()),
            viewing_audience: viewing.map(|in_use| in_use.audience.to_string()),
            editing: editing.map(|in_use| in_use.record.to_string()),
            editing_audience: editing.map(|in_use| in_use.audience.to_string()),
            streams: streams_text(&sign.streams),
            said_in: sign.noticed_at.ms_after(now),
            active_in: sign.active_at.ms_after(now),
            ends_in: sign.ends_at.map(|end| end.ms_after(now)),
        }
    }

    /// The row that the table has of it.
    fn row(self, broker: &BrokerId, instance: &str, flush: i64) -> SignRow {
        SignRow {
            broker_id: broker.to_string(),
            user_id: self.user,
            session: self.session,
            instance: instance.to_owned(),
            flush,
            teams: self.teams,
            status: self.status,
            viewing: self.viewing,
            viewing_audience: self.viewing_audience,
            editing: self.editing,
            editing_audience: self.editing_audience,
            streams: self.streams,
            said_in: self.said_in,
            active_in: self.active_in,
            ends_in: self.ends_in,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collab::presence::sign_of_life::{RecordInUse, Session, SignOfLife};
    use crate::collab::presence::store::PresenceKey;
    use crate::log::Audience;
    use crate::platform::TeamId;

    fn now() -> Moment {
        Moment::at_ms(5_000)
    }

    fn broker() -> BrokerId {
        "b".parse().unwrap()
    }

    /// What a person shows who has a record open.
    fn signed() -> KeyedSign {
        let team: TeamId = "a".parse().unwrap();
        let mut sign = SignOfLife::of_stream([team.clone()].into(), Moment::at_ms(4_000));
        sign.streams = [1, 2].into();
        sign.ends_at = Some(Moment::at_ms(9_000));
        sign.viewing = Some(Box::new(RecordInUse {
            record: "escrows/e-1".parse().unwrap(),
            audience: Audience::Team(team),
            looked_up_at: now(),
        }));
        let key = PresenceKey {
            broker: broker(),
            user: "auth0|ann".parse().unwrap(),
            session: Session::Named("tab".parse().unwrap()),
        };
        KeyedSign { key, sign }
    }

    #[test]
    fn what_is_received_is_what_was_sent() {
        let (mut sent, signed) = (PeerSigns::new("me", 7, Some(5)), signed());
        sent.add(&signed, now());
        let received = PeerSigns::decode(&sent.encode()).unwrap();
        assert_eq!(
            (&*received.instance, received.flush, received.before),
            ("me", 7, Some(5))
        );
        let stored = received.stored(&broker(), now());
        let [stored] = &stored[..] else {
            panic!("{stored:?}");
        };
        assert_eq!((&stored.key, &stored.sign), (&signed.key, &signed.sign));
        assert_eq!((&*stored.instance, stored.flush), ("me", 7));
        assert!(PeerSigns::decode("{}").is_none());
    }

    /// Instances of another version read these names. What a sign does not have is left out.
    #[test]
    fn a_message_has_names_of_one_letter() {
        let mut sent = PeerSigns::new("me", 7, None);
        let mut signed = signed();
        sent.add(&signed, now());
        signed.key.session = Session::Streams;
        signed.sign = SignOfLife::of_stream([].into(), now());
        sent.add(&signed, now());
        assert_eq!(
            sent.encode(),
            r#"{"i":"me","f":7,"b":null,"s":["#.to_owned()
                + r#"{"u":"auth0|ann","n":"tab","t":"a","s":"online","v":"escrows/e-1","w":"team:a","#
                + r#""o":"1,2","c":-1000,"a":-1000,"x":4000},"#
                + r#"{"u":"auth0|ann","s":"online","c":0,"a":0}]}"#
        );
    }
}

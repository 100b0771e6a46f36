//! Signals between instances. Each is JSON on one line. Its names have one letter because a Postgres
//! notification is small.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::active_signal::{SIGNAL_TTL, SignalDetails, SignalOrigin, SignalStart, SignalState};
use super::active_signals::{About, SignalKey, SignalUpdate};
use super::name::SignalName;
use crate::log::Audience;
use crate::platform::{BrokerId, ModuleName, RecordId, RecordPath, SessionName, TeamId, UserId};

/// The user, the brokerage, and as many teams as a user can have.
const MOST_AUDIENCES: usize = 2 + crate::identity::MAX_TEAMS;

#[derive(Serialize, Deserialize)]
struct PeerSignal {
    #[serde(rename = "b")]
    broker: BrokerId,
    #[serde(rename = "u")]
    user: UserId,
    #[serde(rename = "n")]
    name: SignalName,
    #[serde(rename = "m", skip_serializing_if = "Option::is_none")]
    module: Option<ModuleName>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    record: Option<RecordId>,
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    team: Option<TeamId>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    session: Option<SessionName>,
    /// In how many milliseconds it ends. A stop has none.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    ends_in_ms: Option<u64>,
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    audiences: Vec<String>,
}

#[derive(Debug)]
pub enum PeerUpdate {
    /// A start or a renewal.
    Start(SignalStart),
    Stop(Option<SessionName>),
}

/// An update that another instance sent.
#[derive(Debug)]
pub struct ReceivedSignal {
    pub key: SignalKey,
    pub update: PeerUpdate,
}

#[must_use]
pub fn encode(update: &SignalUpdate) -> String {
    let (key, details) = (&*update.key, &update.change.details);
    let (record, team) = match &key.about {
        About::Record(record) => (Some(record.clone()), None),
        About::Team(team) => (None, Some(team.clone())),
    };
    let (module, record) = record.map(|record| (record.module, record.id)).unzip();
    let (ends_in_ms, audiences) = match update.change.state {
        SignalState::Active(ends_in) => (Some(millis(ends_in)), &*details.audiences),
        SignalState::Ended(_) => (None, &[][..]),
    };
    let signal = PeerSignal {
        broker: key.broker.clone(),
        user: key.user.clone(),
        name: key.name.clone(),
        module,
        record,
        team,
        session: details.session.clone(),
        ends_in_ms,
        audiences: audiences.iter().map(ToString::to_string).collect(),
    };
    serde_json::to_string(&signal).unwrap_or_default()
}

/// `None` if the text is not a valid signal.
#[must_use]
pub fn decode(text: &str, now: Instant) -> Option<ReceivedSignal> {
    let signal: PeerSignal = serde_json::from_str(text).ok()?;
    let about = match (signal.module, signal.record, signal.team) {
        (Some(module), Some(id), None) => About::Record(RecordPath { module, id }),
        (None, None, Some(team)) => About::Team(team),
        _ => return None,
    };
    let key = SignalKey {
        broker: signal.broker,
        user: signal.user,
        about,
        name: signal.name,
    };
    let Some(ends_in_ms) = signal.ends_in_ms else {
        let update = PeerUpdate::Stop(signal.session);
        return Some(ReceivedSignal { key, update });
    };
    let audiences = signal.audiences.iter().map(|text| text.parse().ok());
    let audiences = audiences.collect::<Option<Vec<Audience>>>()?;
    if audiences.len() > MOST_AUDIENCES {
        return None;
    }
    let age = SIGNAL_TTL.saturating_sub(Duration::from_millis(ends_in_ms));
    let update = PeerUpdate::Start(SignalStart {
        details: SignalDetails {
            session: signal.session,
            audiences: audiences.into(),
        },
        at: now.checked_sub(age).unwrap_or(now),
        origin: SignalOrigin::Peer,
    });
    Some(ReceivedSignal { key, update })
}

#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::collab::signals::active_signal::{SignalChange, SignalEnd};
    use crate::platform::USER_CHARS;
    use crate::platform::ids::tests::{any_name, any_user};

    /// A notification has 8,000 bytes, including the name of the instance.
    const MOST_BYTES: usize = 7_000;

    fn longest_update(state: SignalState, about: About) -> SignalUpdate {
        let longest = "x".repeat(64);
        let audiences =
            (0..MOST_AUDIENCES).map(|n| Audience::Team(format!("{n:0>64}").parse().unwrap()));
        let key = SignalKey {
            broker: longest.parse().unwrap(),
            // Each of these has two bytes in JSON.
            user: "\"".repeat(USER_CHARS).parse().unwrap(),
            about,
            name: "x".repeat(32).parse().unwrap(),
        };
        let details = SignalDetails {
            session: longest.parse().ok(),
            audiences: audiences.collect(),
        };
        SignalUpdate {
            key: Arc::new(key),
            change: SignalChange {
                state,
                details,
                for_peers: true,
            },
        }
    }

    fn any_update() -> impl Strategy<Value = SignalUpdate> {
        let record = (any_name(), any_name()).prop_map(|(module, id)| RecordPath { module, id });
        let about = prop_oneof![
            record.prop_map(About::Record),
            any_name().prop_map(About::Team)
        ];
        let session = prop::option::of(any_name());
        (any_name(), any_user(), about, session).prop_map(|(broker, user, about, session)| {
            let audiences = [Audience::User(user.clone()), Audience::Broker].into();
            let name = "typing".parse().unwrap();
            let key = SignalKey {
                broker,
                user,
                about,
                name,
            };
            let change = SignalChange {
                state: SignalState::Active(Duration::from_secs(1)),
                details: SignalDetails { session, audiences },
                for_peers: true,
            };
            let key = Arc::new(key);
            SignalUpdate { key, change }
        })
    }

    fn start_of(update: PeerUpdate) -> SignalStart {
        match update {
            PeerUpdate::Start(start) => start,
            PeerUpdate::Stop(_) => panic!("it is a stop"),
        }
    }

    proptest! {
        #[test]
        fn what_is_decoded_is_what_was_encoded(sent in any_update()) {
            let text = encode(&sent);
            prop_assert!(!text.contains('\n'));
            let ReceivedSignal { key, update } = decode(&text, Instant::now()).unwrap();
            prop_assert_eq!(&key, &*sent.key);
            prop_assert_eq!(start_of(update).details, sent.change.details);
        }
    }

    #[test]
    fn the_longest_signal_fits_into_a_notification() {
        let longest = "x".repeat(64);
        let record = RecordPath {
            module: longest.parse().unwrap(),
            id: longest.parse().unwrap(),
        };
        let (now, left) = (Instant::now(), Duration::from_millis(5_500));
        for about in [About::Record(record), About::Team("a".parse().unwrap())] {
            let sent = longest_update(SignalState::Active(left), about.clone());
            let text = encode(&sent);
            assert!(text.len() < MOST_BYTES && !text.contains('\n'));
            let ReceivedSignal { key, update } = decode(&text, now).unwrap();
            assert_eq!(key, *sent.key);
            let start = start_of(update);
            assert_eq!(
                (start.details, start.origin),
                (sent.change.details, SignalOrigin::Peer)
            );
            assert_eq!(start.at + SIGNAL_TTL, now + left);
            let sent = longest_update(SignalState::Ended(SignalEnd::Stopped), about);
            let ReceivedSignal { key, update } = decode(&encode(&sent), now).unwrap();
            assert_eq!(key, *sent.key);
            let session = sent.change.details.session;
            assert!(matches!(update, PeerUpdate::Stop(received) if received == session));
        }
    }

    #[test]
    fn invalid_texts_are_ignored_and_none_makes_a_signal_last_longer() {
        let now = Instant::now();
        for bad in [
            "",
            "{}",
            "b u typing",
            r#"{"b":"b","u":"u","n":"typing","e":6000,"l":["broker"]}"#,
            r#"{"b":"b","u":"u","n":"typing","t":"a","m":"m","r":"r","e":6000}"#,
            r#"{"b":"b","u":"u","n":"Typing","t":"a","e":6000,"l":["broker"]}"#,
            r#"{"b":"b","u":"u","n":"typing","t":"a","e":6000,"l":["all"]}"#,
            r#"{"b":"b","u":"u","n":"typing","t":"a","e":-1,"l":["broker"]}"#,
        ] {
            assert!(decode(bad, now).is_none(), "{bad}");
        }
        let long = r#"{"b":"b","u":"u","n":"typing","t":"a","e":999999999999,"l":["broker"]}"#;
        let received = decode(long, now).unwrap();
        assert_eq!(start_of(received.update).at, now);
    }
}

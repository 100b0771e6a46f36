//! Signals between instances: a line of JSON each, with names of one letter because a
//! notification is small.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::active_signal::{LASTS, Said, SignalOrigin, SignalStart, SignalState};
use super::active_signals::{About, SignalKey, SignalUpdate};
use super::name::SignalName;
use crate::log::Audience;
use crate::platform::{BrokerId, ModuleName, RecordId, RecordPath, SessionName, TeamId, UserId};

/// A user's own devices, the broker, and as many teams as one can be on.
const MOST_TOPICS: usize = 2 + crate::identity::MAX_TEAMS;

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
    /// In how many milliseconds it ends; of one that was stopped there is none.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    ends_in_ms: Option<u64>,
    #[serde(rename = "l", default, skip_serializing_if = "Vec::is_empty")]
    topics: Vec<String>,
}

/// What another instance says of a signal.
#[derive(Debug)]
pub enum PeerUpdate {
    /// It begins or goes on.
    SignalStart(SignalStart),
    Stop(Option<SessionName>),
}

/// What the other instances are told.
#[must_use]
pub fn spoken(pending: &SignalUpdate) -> String {
    let (key, said) = (&*pending.key, &pending.change.said);
    let (record, team) = match &key.about {
        About::Record(record) => (Some(record.clone()), None),
        About::Team(team) => (None, Some(team.clone())),
    };
    let (module, record) = record.map(|record| (record.module, record.id)).unzip();
    let (ends_in_ms, topics) = match pending.change.news {
        SignalState::Goes(ends_in) => (Some(millis(ends_in)), &*said.topics),
        SignalState::Over(_) => (None, &[][..]),
    };
    let line = PeerSignal {
        broker: key.broker.clone(),
        user: key.user.clone(),
        name: key.name.clone(),
        module,
        record,
        team,
        session: said.session.clone(),
        ends_in_ms,
        topics: topics.iter().map(ToString::to_string).collect(),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// What a line says, if it says anything.
#[must_use]
pub fn heard(line: &str, now: Instant) -> Option<(SignalKey, PeerUpdate)> {
    let line: PeerSignal = serde_json::from_str(line).ok()?;
    let about = match (line.module, line.record, line.team) {
        (Some(module), Some(id), None) => About::Record(RecordPath { module, id }),
        (None, None, Some(team)) => About::Team(team),
        _ => return None,
    };
    let key = SignalKey {
        broker: line.broker,
        user: line.user,
        about,
        name: line.name,
    };
    let Some(ends_in_ms) = line.ends_in_ms else {
        return Some((key, PeerUpdate::Stop(line.session)));
    };
    let topics = line.topics.iter().map(|topic| topic.parse().ok());
    let topics = topics.collect::<Option<Vec<Audience>>>()?;
    if topics.len() > MOST_TOPICS {
        return None;
    }
    let before = LASTS.saturating_sub(Duration::from_millis(ends_in_ms));
    let start = SignalStart {
        said: Said {
            session: line.session,
            topics: topics.into(),
        },
        at: now.checked_sub(before).unwrap_or(now),
        place: SignalOrigin::Elsewhere,
    };
    Some((key, PeerUpdate::SignalStart(start)))
}

/// A duration as events and lines have it.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::collab::signals::active_signal::{Reason, SignalChange};
    use crate::platform::USER_CHARS;
    use crate::platform::ids::tests::{any_name, any_user};

    /// Notifications take 8,000 bytes, the name of the instance included.
    const MOST_BYTES: usize = 7_000;

    fn pending(news: SignalState, about: About) -> SignalUpdate {
        let longest = "x".repeat(64);
        let topics = (0..MOST_TOPICS).map(|n| Audience::Team(format!("{n:0>64}").parse().unwrap()));
        let key = SignalKey {
            broker: longest.parse().unwrap(),
            // In JSON, each of these is two.
            user: "\"".repeat(USER_CHARS).parse().unwrap(),
            about,
            name: "x".repeat(32).parse().unwrap(),
        };
        let said = Said {
            session: longest.parse().ok(),
            topics: topics.collect(),
        };
        SignalUpdate {
            key: Arc::new(key),
            change: SignalChange {
                news,
                said,
                is_spoken: true,
            },
        }
    }

    fn any_telling() -> impl Strategy<Value = SignalUpdate> {
        let record = (any_name(), any_name()).prop_map(|(module, id)| RecordPath { module, id });
        let about = prop_oneof![
            record.prop_map(About::Record),
            any_name().prop_map(About::Team)
        ];
        let session = prop::option::of(any_name());
        (any_name(), any_user(), about, session).prop_map(|(broker, user, about, session)| {
            let topics = [Audience::User(user.clone()), Audience::Broker].into();
            let name = "typing".parse().unwrap();
            let key = SignalKey {
                broker,
                user,
                about,
                name,
            };
            let said = Said { session, topics };
            let news = SignalState::Goes(Duration::from_secs(1));
            let change = SignalChange {
                news,
                said,
                is_spoken: true,
            };
            let key = Arc::new(key);
            SignalUpdate { key, change }
        })
    }

    proptest! {
        #[test]
        fn a_line_reads_back_as_it_was_written(told in any_telling()) {
            let line = spoken(&told);
            prop_assert!(!line.contains('\n'));
            let (key, said) = heard(&line, Instant::now()).unwrap();
            prop_assert_eq!(&key, &*told.key);
            let PeerUpdate::SignalStart(start) = said else {
                panic!("it goes on");
            };
            prop_assert_eq!(start.said, told.change.said);
        }
    }

    #[test]
    fn what_is_spoken_is_heard_and_the_longest_fits_a_notification() {
        let longest = "x".repeat(64);
        let record = RecordPath {
            module: longest.parse().unwrap(),
            id: longest.parse().unwrap(),
        };
        let (now, left) = (Instant::now(), Duration::from_millis(5_500));
        for about in [About::Record(record), About::Team("a".parse().unwrap())] {
            let told = pending(SignalState::Goes(left), about.clone());
            let line = spoken(&told);
            assert!(line.len() < MOST_BYTES && !line.contains('\n'));
            let (key, said) = heard(&line, now).unwrap();
            assert_eq!(key, *told.key);
            let PeerUpdate::SignalStart(start) = said else {
                panic!("it goes on");
            };
            assert_eq!(
                (start.said, start.place),
                (told.change.said, SignalOrigin::Elsewhere)
            );
            assert_eq!(start.at + LASTS, now + left);
            let told = pending(SignalState::Over(Reason::Said), about);
            let (key, said) = heard(&spoken(&told), now).unwrap();
            assert_eq!(key, *told.key);
            assert!(
                matches!(said, PeerUpdate::Stop(session) if session == told.change.said.session)
            );
        }
    }

    #[test]
    fn rubbish_says_nothing_and_no_line_makes_a_signal_last() {
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
            assert!(heard(bad, now).is_none(), "{bad}");
        }
        let long = r#"{"b":"b","u":"u","n":"typing","t":"a","e":999999999999,"l":["broker"]}"#;
        let Some((_, PeerUpdate::SignalStart(start))) = heard(long, now) else {
            panic!("a line");
        };
        assert_eq!(start.at, now);
    }
}

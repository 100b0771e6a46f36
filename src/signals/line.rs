//! Signals between instances: a line of JSON each, with names of one letter because a
//! notification is small.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::active::{About, Key, Telling};
use super::going::{LASTS, News, Place, Said, Start};
use super::name::SignalName;
use crate::event::Audience;
use crate::ids::{BrokerId, ModuleName, RecordId, RecordPath, SessionName, TeamId, UserId};

/// A user's own devices, the broker, and as many teams as one can be on.
const MOST_LANES: usize = 2 + crate::identity::MAX_TEAMS;

#[derive(Serialize, Deserialize)]
struct Line {
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
    lanes: Vec<String>,
}

/// What another instance says of a signal.
#[derive(Debug)]
pub enum Heard {
    /// It begins or goes on.
    Start(Start),
    /// Its user stopped it.
    Stop(Option<SessionName>),
}

/// What the other instances are told.
#[must_use]
pub fn spoken(telling: &Telling) -> String {
    let (key, said) = (&*telling.key, &telling.change.said);
    let (record, team) = match &key.about {
        About::Record(record) => (Some(record.clone()), None),
        About::Team(team) => (None, Some(team.clone())),
    };
    let (module, record) = record.map(|record| (record.module, record.id)).unzip();
    let (ends_in_ms, lanes) = match telling.change.news {
        News::Goes(ends_in) => (Some(millis(ends_in)), &*said.lanes),
        News::Over(_) => (None, &[][..]),
    };
    let line = Line {
        broker: key.broker.clone(),
        user: key.user.clone(),
        name: key.name.clone(),
        module,
        record,
        team,
        session: said.session.clone(),
        ends_in_ms,
        lanes: lanes.iter().map(ToString::to_string).collect(),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// What a line says, if it says anything.
#[must_use]
pub fn heard(line: &str, now: Instant) -> Option<(Key, Heard)> {
    let line: Line = serde_json::from_str(line).ok()?;
    let about = match (line.module, line.record, line.team) {
        (Some(module), Some(id), None) => About::Record(RecordPath { module, id }),
        (None, None, Some(team)) => About::Team(team),
        _ => return None,
    };
    let key = Key {
        broker: line.broker,
        user: line.user,
        about,
        name: line.name,
    };
    let Some(ends_in_ms) = line.ends_in_ms else {
        return Some((key, Heard::Stop(line.session)));
    };
    let lanes = line.lanes.iter().map(|lane| lane.parse().ok());
    let lanes = lanes.collect::<Option<Vec<Audience>>>()?;
    if lanes.len() > MOST_LANES {
        return None;
    }
    let before = LASTS.saturating_sub(Duration::from_millis(ends_in_ms));
    let start = Start {
        said: Said {
            session: line.session,
            lanes: lanes.into(),
        },
        at: now.checked_sub(before).unwrap_or(now),
        place: Place::Elsewhere,
    };
    Some((key, Heard::Start(start)))
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
    use crate::ids::USER_CHARS;
    use crate::ids::tests::{any_name, any_user};
    use crate::signals::going::{Change, Reason};

    /// Notifications take 8,000 bytes, the name of the instance included.
    const MOST_BYTES: usize = 7_000;

    fn telling(news: News, about: About) -> Telling {
        let longest = "x".repeat(64);
        let lanes = (0..MOST_LANES).map(|n| Audience::Team(format!("{n:0>64}").parse().unwrap()));
        let key = Key {
            broker: longest.parse().unwrap(),
            // In JSON, each of these is two.
            user: "\"".repeat(USER_CHARS).parse().unwrap(),
            about,
            name: "x".repeat(32).parse().unwrap(),
        };
        let said = Said {
            session: longest.parse().ok(),
            lanes: lanes.collect(),
        };
        Telling {
            key: Arc::new(key),
            change: Change {
                news,
                said,
                is_spoken: true,
            },
        }
    }

    fn any_telling() -> impl Strategy<Value = Telling> {
        let record = (any_name(), any_name()).prop_map(|(module, id)| RecordPath { module, id });
        let about = prop_oneof![
            record.prop_map(About::Record),
            any_name().prop_map(About::Team)
        ];
        let session = prop::option::of(any_name());
        (any_name(), any_user(), about, session).prop_map(|(broker, user, about, session)| {
            let lanes = [Audience::User(user.clone()), Audience::Broker].into();
            let name = "typing".parse().unwrap();
            let key = Key {
                broker,
                user,
                about,
                name,
            };
            let said = Said { session, lanes };
            let news = News::Goes(Duration::from_secs(1));
            let change = Change {
                news,
                said,
                is_spoken: true,
            };
            let key = Arc::new(key);
            Telling { key, change }
        })
    }

    proptest! {
        #[test]
        fn a_line_reads_back_as_it_was_written(told in any_telling()) {
            let line = spoken(&told);
            prop_assert!(!line.contains('\n'));
            let (key, said) = heard(&line, Instant::now()).unwrap();
            prop_assert_eq!(&key, &*told.key);
            let Heard::Start(start) = said else {
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
            let told = telling(News::Goes(left), about.clone());
            let line = spoken(&told);
            assert!(line.len() < MOST_BYTES && !line.contains('\n'));
            let (key, said) = heard(&line, now).unwrap();
            assert_eq!(key, *told.key);
            let Heard::Start(start) = said else {
                panic!("it goes on");
            };
            assert_eq!(
                (start.said, start.place),
                (told.change.said, Place::Elsewhere)
            );
            assert_eq!(start.at + LASTS, now + left);
            let told = telling(News::Over(Reason::Said), about);
            let (key, said) = heard(&spoken(&told), now).unwrap();
            assert_eq!(key, *told.key);
            assert!(matches!(said, Heard::Stop(session) if session == told.change.said.session));
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
        let Some((_, Heard::Start(start))) = heard(long, now) else {
            panic!("a line");
        };
        assert_eq!(start.at, now);
    }
}

use std::time::Duration;

use super::*;
use crate::collab::signals::active_signal::{
    PEER_DELAY, SIGNAL_TTL, SignalDetails, SignalEnd, SignalState,
};
use crate::collab::signals::peer_signal::{self, PeerUpdate, ReceivedSignal};
use crate::log::Audience;

mod model;

const ENOUGH: usize = 1_000;

fn key(user: &str, record: &str) -> SignalKey {
    SignalKey {
        broker: "b".parse().unwrap(),
        user: user.parse().unwrap(),
        about: About::Record(format!("escrows/{record}").parse().unwrap()),
        name: "typing".parse().unwrap(),
    }
}

fn team(team: &str) -> Audience {
    Audience::Team(team.parse().unwrap())
}

/// An event for streams.
#[derive(Clone, Debug, PartialEq)]
struct Published {
    ms: u64,
    state: SignalState,
    audiences: Arc<[Audience]>,
}

/// An instance: its table, and what it has published and sent.
struct Instance {
    active: ActiveSignals,
    now: Instant,
    start: Instant,
    published: Vec<Published>,
    sent: Vec<String>,
}

impl Instance {
    fn new(start: Instant) -> Self {
        Self {
            active: ActiveSignals::default(),
            now: start,
            start,
            published: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Lets time pass up to `ms` after the start.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = self.start + Duration::from_millis(ms);
        let due = self.active.due_updates(self.now, ENOUGH);
        assert!(due.is_all);
        self.take(due.updates);
        self
    }

    fn start(&mut self, teams: &[&str]) {
        let start = SignalStart {
            details: SignalDetails {
                session: None,
                audiences: teams.iter().map(|name| team(name)).collect(),
            },
            at: self.now,
            origin: SignalOrigin::Here,
        };
        let updates = self.active.start(self.now, key("u", "1"), start);
        self.take(updates.unwrap());
    }

    fn stop(&mut self) {
        let key = key("u", "1");
        let updates = self.active.stop(self.now, key, None, SignalOrigin::Here);
        self.take(updates);
    }

    fn receive(&mut self, text: &str) {
        let ReceivedSignal { key, update } = peer_signal::decode(text, self.now).unwrap();
        let updates = match update {
            PeerUpdate::Start(start) => self.active.start(self.now, key, start).unwrap(),
            PeerUpdate::Stop(session) => {
                self.active.stop(self.now, key, session, SignalOrigin::Peer)
            }
        };
        self.take(updates);
    }

    fn take(&mut self, updates: Vec<SignalUpdate>) {
        let ms = u64::try_from((self.now - self.start).as_millis()).unwrap();
        for update in updates {
            if update.change.for_peers {
                self.sent.push(peer_signal::encode(&update));
            }
            let SignalChange { state, details, .. } = update.change;
            let audiences = details.audiences;
            if !audiences.is_empty() {
                self.published.push(Published {
                    ms,
                    state,
                    audiences,
                });
            }
        }
    }

    /// What was published since the last call, and when.
    fn published(&mut self) -> Vec<(u64, SignalState)> {
        let published = std::mem::take(&mut self.published).into_iter();
        published.map(|event| (event.ms, event.state)).collect()
    }

    /// What was sent to the other instances since the last call.
    fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }
}

fn active(ms: u64) -> SignalState {
    SignalState::Active(Duration::from_millis(ms))
}

const STOPPED: SignalState = SignalState::Ended(SignalEnd::Stopped);
const EXPIRED: SignalState = SignalState::Ended(SignalEnd::Expired);

#[test]
fn a_start_is_published_at_once_and_renewals_once_a_second_including_the_last() {
    let mut here = Instance::new(Instant::now());
    for ms in (0..=2_500).step_by(100) {
        here.at(ms).start(&["a"]);
    }
    assert_eq!(
        here.published(),
        [
            (0, active(6_000)),
            (1_000, active(5_900)),
            (2_000, active(5_900))
        ]
    );
    assert_eq!(here.sent().len(), 3);
    here.at(2_999);
    assert_eq!(here.published(), []);
    here.at(3_000);
    assert_eq!(here.published(), [(3_000, active(5_500))]);
    here.at(8_499);
    assert_eq!(here.published(), []);
    here.at(8_500);
    assert_eq!(here.published(), [(8_500, EXPIRED)]);
    // The other instances end it by themselves.
    assert_eq!(here.sent().len(), 1);
    assert!(
        here.active.is_empty() && here.active.due.is_empty() && here.active.per_user.is_empty()
    );
}

#[test]
fn renewals_once_a_second_are_published_at_once() {
    let mut here = Instance::new(Instant::now());
    let times = [0, 1_040, 1_960, 3_049, 3_951, 5_000];
    for ms in times {
        here.at(ms).start(&["a"]);
    }
    assert_eq!(here.published(), times.map(|ms| (ms, active(6_000))));
}

#[test]
fn a_stop_is_published_at_once_and_only_once() {
    let mut here = Instance::new(Instant::now());
    here.at(0).start(&["a"]);
    here.at(300).start(&["a"]);
    here.at(500).stop();
    here.at(510).stop();
    assert_eq!(here.published(), [(0, active(6_000)), (500, STOPPED)]);
    here.at(1_505);
    assert_eq!(here.active.len(), 1);
    here.at(20_000);
    assert_eq!(here.published(), []);
    assert!(here.active.is_empty());
}

#[test]
fn starting_and_stopping_in_turn_is_published_no_more_often() {
    let mut here = Instance::new(Instant::now());
    for ms in (0..3_000).step_by(100) {
        here.at(ms).start(&["a"]);
        here.at(ms + 50).stop();
    }
    // A start that was stopped before it could be published is not published.
    assert_eq!(
        here.published(),
        [
            (0, active(6_000)),
            (50, STOPPED),
            (1_000, active(6_000)),
            (1_050, STOPPED),
            (2_000, active(6_000)),
            (2_050, STOPPED)
        ]
    );
    here.at(3_020).start(&["a"]);
    here.at(3_030).stop();
    assert_eq!(here.published(), [(3_020, active(6_000)), (3_030, STOPPED)]);
}

#[test]
fn audiences_that_lose_a_signal_get_its_end() {
    let mut here = Instance::new(Instant::now());
    here.at(0).start(&["a", "b"]);
    here.at(2_000).start(&["b", "c"]);
    here.at(3_000).stop();
    let published = |ms, state, teams: &[&str]| Published {
        ms,
        state,
        audiences: teams.iter().map(|name| team(name)).collect(),
    };
    let expected = [
        published(0, active(6_000), &["a", "b"]),
        published(2_000, EXPIRED, &["a"]),
        published(2_000, active(6_000), &["b", "c"]),
        published(3_000, STOPPED, &["b", "c"]),
    ];
    assert_eq!(here.published, expected);
}

#[test]
fn other_instances_publish_the_same_and_end_it_by_themselves() {
    let start = Instant::now();
    let (mut here, mut there) = (Instance::new(start), Instance::new(start));
    here.at(0).start(&["a"]);
    there.at(20).receive(&here.sent()[0]);
    here.at(900).start(&["a"]);
    here.at(1_000);
    there.at(1_030).receive(&here.sent()[0]);
    assert_eq!(
        there.published(),
        [(20, active(6_000)), (1_030, active(6_000))]
    );
    assert_eq!(there.sent(), [""; 0]);
    let delay = u64::try_from(PEER_DELAY.as_millis()).unwrap();
    there.at(6_930 + delay - 1);
    assert_eq!(there.published(), []);
    there.at(6_930 + delay);
    assert_eq!(there.published(), [(6_930 + delay, EXPIRED)]);
    here.at(7_500).stop();
    there.at(7_520).receive(&here.sent()[0]);
    assert_eq!(there.published(), []);
}

#[test]
fn a_stop_at_another_instance_ends_it_everywhere_even_if_it_overtakes_the_start() {
    let start = Instant::now();
    let (mut here, mut there) = (Instance::new(start), Instance::new(start));
    here.at(0).start(&["a"]);
    there.at(10).stop();
    there.at(20).receive(&here.sent()[0]);
    here.at(30).receive(&there.sent()[0]);
    assert_eq!(there.published(), []);
    assert_eq!(here.published(), [(0, active(6_000)), (30, STOPPED)]);
    // A renewal that is delayed here is cancelled, too.
    here.at(1_100).start(&["a"]);
    here.at(1_500).start(&["a"]);
    there.at(1_600).receive(&here.sent()[0]);
    there.at(1_900).stop();
    here.at(1_910).receive(&there.sent()[0]);
    here.at(9_000);
    there.at(9_000);
    assert_eq!(here.published(), [(1_100, active(6_000)), (1_910, STOPPED)]);
    assert_eq!(
        there.published(),
        [(1_600, active(6_000)), (1_900, STOPPED)]
    );
}

#[test]
fn a_signal_that_stops_and_starts_again_does_so_everywhere() {
    let start = Instant::now();
    let (mut here, mut there) = (Instance::new(start), Instance::new(start));
    here.at(0).start(&["a"]);
    here.at(2_000).stop();
    here.at(2_005).start(&["a"]);
    for text in here.sent() {
        there.at(2_010).receive(&text);
    }
    // The first start came so late that the second one is delayed.
    there.at(3_010);
    let expected = [
        (2_010, active(6_000)),
        (2_010, STOPPED),
        (3_010, active(5_250)),
    ];
    assert_eq!(there.published(), expected);
    assert_eq!(here.published().len(), 3);
}

#[test]
fn a_renewal_sent_just_before_a_stop_arrives_does_not_restart_it() {
    let start = Instant::now();
    let (mut here, mut there) = (Instance::new(start), Instance::new(start));
    here.at(0).start(&["a"]);
    there.at(10).receive(&here.sent()[0]);
    here.at(500).start(&["a"]);
    there.at(995).stop();
    here.at(1_000);
    there.at(1_010).receive(&here.sent()[0]);
    here.at(1_010).receive(&there.sent()[0]);
    there.at(9_000);
    assert_eq!(there.published(), [(10, active(6_000)), (995, STOPPED)]);
}

#[test]
fn signals_of_a_user_and_of_an_instance_are_limited() {
    let (mut active, now) = (ActiveSignals::default(), Instant::now());
    let start = || SignalStart {
        details: SignalDetails::default(),
        at: now,
        origin: SignalOrigin::Here,
    };
    for n in 0..MOST_PER_USER {
        assert!(active.start(now, key("u", &n.to_string()), start()).is_ok());
    }
    assert_eq!(
        active.start(now, key("u", "x"), start()),
        Err(SignalError::TooMany)
    );
    assert_eq!(
        active.stop(now, key("u", "x"), None, SignalOrigin::Here),
        []
    );
    assert!(active.start(now, key("u", "0"), start()).is_ok());
    for n in MOST_PER_USER..MOST_ACTIVE {
        assert!(active.start(now, key(&n.to_string(), "1"), start()).is_ok());
    }
    assert_eq!(
        active.start(now, key("v", "1"), start()),
        Err(SignalError::Busy)
    );
    let due = active.due_updates(now + SIGNAL_TTL, MOST_ACTIVE - 1);
    assert!(!due.is_all && active.len() == 1);
    let due = active.due_updates(now + SIGNAL_TTL, 2);
    assert!(due.is_all && active.is_empty() && active.per_user.is_empty());
}

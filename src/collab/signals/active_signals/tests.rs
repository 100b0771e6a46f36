use std::time::Duration;

use super::*;
use crate::collab::signals::active_signal::{LASTS, Reason, SLACK, Said, SignalState};
use crate::collab::signals::peer_signal;
use crate::collab::signals::peer_signal::PeerUpdate;
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

fn topic(team: &str) -> Audience {
    Audience::Team(team.parse().unwrap())
}

/// An instance: its table, and what its streams and the other instances were told.
struct Instance {
    active: ActiveSignals,
    now: Instant,
    began: Instant,
    told: Vec<(u64, SignalState, Arc<[Audience]>)>,
    spoken: Vec<String>,
}

impl Instance {
    fn new(began: Instant) -> Self {
        Self {
            active: ActiveSignals::default(),
            now: began,
            began,
            told: Vec::new(),
            spoken: Vec::new(),
        }
    }

    /// Lets time pass up to `ms` after the beginning.
    fn at(&mut self, ms: u64) -> &mut Self {
        self.now = self.began + Duration::from_millis(ms);
        let (tellings, was_all) = self.active.tick(self.now, ENOUGH);
        assert!(was_all);
        self.take(tellings);
        self
    }

    fn start(&mut self, teams: &[&str]) {
        let topics = teams.iter().map(|team| topic(team)).collect();
        let start = SignalStart {
            said: Said {
                session: None,
                topics,
            },
            at: self.now,
            place: SignalOrigin::Here,
        };
        let tellings = self.active.start(self.now, key("u", "1"), start);
        self.take(tellings.unwrap());
    }

    fn stop(&mut self) {
        let tellings = self
            .active
            .stop(self.now, key("u", "1"), (None, SignalOrigin::Here));
        self.take(tellings);
    }

    fn hear(&mut self, line: &str) {
        let (key, heard) = peer_signal::heard(line, self.now).unwrap();
        let tellings = match heard {
            PeerUpdate::SignalStart(start) => self.active.start(self.now, key, start).unwrap(),
            PeerUpdate::Stop(session) => {
                self.active
                    .stop(self.now, key, (session, SignalOrigin::Elsewhere))
            }
        };
        self.take(tellings);
    }

    fn take(&mut self, tellings: Vec<SignalUpdate>) {
        let ms = u64::try_from((self.now - self.began).as_millis()).unwrap();
        for pending in tellings {
            if pending.change.is_spoken {
                self.spoken.push(peer_signal::spoken(&pending));
            }
            let topics = pending.change.said.topics;
            if !topics.is_empty() {
                self.told.push((ms, pending.change.news, topics));
            }
        }
    }

    /// What was told since the last look, and when.
    fn told(&mut self) -> Vec<(u64, SignalState)> {
        let told = std::mem::take(&mut self.told);
        told.into_iter().map(|(ms, news, _)| (ms, news)).collect()
    }

    fn spoken(&mut self) -> Vec<String> {
        std::mem::take(&mut self.spoken)
    }
}

fn goes(ms: u64) -> SignalState {
    SignalState::Goes(Duration::from_millis(ms))
}

const SAID: SignalState = SignalState::Over(Reason::Said);
const ENDED: SignalState = SignalState::Over(Reason::Ended);

#[test]
fn the_first_is_told_at_once_and_further_ones_once_a_second_the_last_included() {
    let mut here = Instance::new(Instant::now());
    for ms in (0..=2_500).step_by(100) {
        here.at(ms).start(&["a"]);
    }
    assert_eq!(
        here.told(),
        [(0, goes(6_000)), (1_000, goes(5_900)), (2_000, goes(5_900))]
    );
    assert_eq!(here.spoken().len(), 3);
    here.at(2_999);
    assert_eq!(here.told(), []);
    here.at(3_000);
    assert_eq!(here.told(), [(3_000, goes(5_500))]);
    here.at(8_499);
    assert_eq!(here.told(), []);
    here.at(8_500);
    assert_eq!(here.told(), [(8_500, ENDED)]);
    // The others know by themselves.
    assert_eq!(here.spoken().len(), 1);
    assert!(
        here.active.is_empty() && here.active.due.is_empty() && here.active.per_user.is_empty()
    );
}

#[test]
fn who_renews_once_a_second_is_told_at_once_each_time() {
    let mut here = Instance::new(Instant::now());
    let times = [0, 1_040, 1_960, 3_049, 3_951, 5_000];
    for ms in times {
        here.at(ms).start(&["a"]);
    }
    assert_eq!(here.told(), times.map(|ms| (ms, goes(6_000))));
}

#[test]
fn a_stop_is_told_at_once_and_only_once() {
    let mut here = Instance::new(Instant::now());
    here.at(0).start(&["a"]);
    here.at(300).start(&["a"]);
    here.at(500).stop();
    here.at(510).stop();
    assert_eq!(here.told(), [(0, goes(6_000)), (500, SAID)]);
    here.at(1_505);
    assert_eq!(here.active.len(), 1);
    here.at(20_000);
    assert_eq!(here.told(), []);
    assert!(here.active.is_empty());
}

#[test]
fn starting_and_stopping_in_turn_is_told_no_more_often() {
    let mut here = Instance::new(Instant::now());
    for ms in (0..3_000).step_by(100) {
        here.at(ms).start(&["a"]);
        here.at(ms + 50).stop();
    }
    // What is over by the time that it may be told is not told.
    assert_eq!(
        here.told(),
        [
            (0, goes(6_000)),
            (50, SAID),
            (1_000, goes(6_000)),
            (1_050, SAID),
            (2_000, goes(6_000)),
            (2_050, SAID)
        ]
    );
    here.at(3_020).start(&["a"]);
    here.at(3_030).stop();
    assert_eq!(here.told(), [(3_020, goes(6_000)), (3_030, SAID)]);
}

#[test]
fn those_who_may_not_hear_of_it_any_more_are_told_that_it_is_over() {
    let mut here = Instance::new(Instant::now());
    here.at(0).start(&["a", "b"]);
    here.at(2_000).start(&["b", "c"]);
    here.at(3_000).stop();
    let topics = |teams: &[&str]| teams.iter().map(|team| topic(team)).collect::<Arc<[_]>>();
    let told = [
        (0, goes(6_000), topics(&["a", "b"])),
        (2_000, ENDED, topics(&["a"])),
        (2_000, goes(6_000), topics(&["b", "c"])),
        (3_000, SAID, topics(&["b", "c"])),
    ];
    assert_eq!(here.told, told);
}

#[test]
fn the_others_tell_the_same_and_end_it_by_themselves() {
    let began = Instant::now();
    let (mut here, mut there) = (Instance::new(began), Instance::new(began));
    here.at(0).start(&["a"]);
    there.at(20).hear(&here.spoken()[0]);
    here.at(900).start(&["a"]);
    here.at(1_000);
    there.at(1_030).hear(&here.spoken()[0]);
    assert_eq!(there.told(), [(20, goes(6_000)), (1_030, goes(6_000))]);
    assert_eq!(there.spoken(), [""; 0]);
    let slack = u64::try_from(SLACK.as_millis()).unwrap();
    there.at(6_930 + slack - 1);
    assert_eq!(there.told(), []);
    there.at(6_930 + slack);
    assert_eq!(there.told(), [(6_930 + slack, ENDED)]);
    here.at(7_500).stop();
    there.at(7_520).hear(&here.spoken()[0]);
    assert_eq!(there.told(), []);
}

#[test]
fn a_stop_at_another_instance_ends_it_everywhere_even_if_it_overtakes_the_start() {
    let began = Instant::now();
    let (mut here, mut there) = (Instance::new(began), Instance::new(began));
    here.at(0).start(&["a"]);
    there.at(10).stop();
    there.at(20).hear(&here.spoken()[0]);
    here.at(30).hear(&there.spoken()[0]);
    assert_eq!(there.told(), []);
    assert_eq!(here.told(), [(0, goes(6_000)), (30, SAID)]);
    // A renewal that is held back here is cancelled, too.
    here.at(1_100).start(&["a"]);
    here.at(1_500).start(&["a"]);
    there.at(1_600).hear(&here.spoken()[0]);
    there.at(1_900).stop();
    here.at(1_910).hear(&there.spoken()[0]);
    here.at(9_000);
    there.at(9_000);
    assert_eq!(here.told(), [(1_100, goes(6_000)), (1_910, SAID)]);
    assert_eq!(there.told(), [(1_600, goes(6_000)), (1_900, SAID)]);
}

#[test]
fn who_stops_and_begins_again_is_seen_to_everywhere() {
    let began = Instant::now();
    let (mut here, mut there) = (Instance::new(began), Instance::new(began));
    here.at(0).start(&["a"]);
    here.at(2_000).stop();
    here.at(2_005).start(&["a"]);
    let lines = here.spoken();
    for line in &lines {
        there.at(2_010).hear(line);
    }
    // The first came so late that the second has to wait for its turn.
    there.at(3_010);
    let told = [(2_010, goes(6_000)), (2_010, SAID), (3_010, goes(5_250))];
    assert_eq!(there.told(), told);
    assert_eq!(here.told().len(), 3);
}

#[test]
fn a_renewal_told_just_before_a_stop_was_heard_does_not_bring_it_back() {
    let began = Instant::now();
    let (mut here, mut there) = (Instance::new(began), Instance::new(began));
    here.at(0).start(&["a"]);
    there.at(10).hear(&here.spoken()[0]);
    here.at(500).start(&["a"]);
    there.at(995).stop();
    here.at(1_000);
    there.at(1_010).hear(&here.spoken()[0]);
    here.at(1_010).hear(&there.spoken()[0]);
    there.at(9_000);
    assert_eq!(there.told(), [(10, goes(6_000)), (995, SAID)]);
}

#[test]
fn a_user_and_an_instance_have_so_many_signals_and_no_more() {
    let (mut active, now) = (ActiveSignals::default(), Instant::now());
    let start = || SignalStart {
        said: Said::default(),
        at: now,
        place: SignalOrigin::Here,
    };
    for n in 0..MOST_PER_USER {
        assert!(active.start(now, key("u", &n.to_string()), start()).is_ok());
    }
    assert_eq!(
        active.start(now, key("u", "x"), start()),
        Err(SignalError::TooMany)
    );
    assert_eq!(
        active.stop(now, key("u", "x"), (None, SignalOrigin::Here)),
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
    let (_, was_all) = active.tick(now + LASTS, MOST_ACTIVE - 1);
    assert!(!was_all && active.len() == 1);
    assert!(active.tick(now + LASTS, 2).1 && active.is_empty() && active.per_user.is_empty());
}

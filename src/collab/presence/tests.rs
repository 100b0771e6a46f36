//! Properties of rooms: whatever comes in which order, all instances see the same, nobody
//! flickers, and nobody stays.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::events::View;
use super::group::{Now, PresenceChange, PresenceGroup};
use super::moment::Moment;
use super::person::{Horizon, PresenceRules, Seen};
use super::sign::{Origin, Session, SignOfLife, Source, Status};
use crate::log::Audience;
use crate::platform::PageLimit;
use crate::platform::{TeamId, UserId};

const GRACE_MS: i64 = 1_000;
const TIMEOUT_MS: i64 = 3_000;
const AWAY_MS: i64 = 10_000;
const INSTANCES: usize = 3;

fn rules() -> PresenceRules {
    PresenceRules {
        grace: Duration::from_secs(1),
        timeout: Duration::from_secs(3),
        away: Duration::from_secs(10),
    }
}

fn now(ms: i64) -> Now {
    Now {
        moment: Moment::at_ms(ms),
        time: OffsetDateTime::UNIX_EPOCH,
    }
}

fn user() -> UserId {
    "u".parse().unwrap()
}

fn named(n: usize) -> Session {
    Session::Named(format!("s-{n}").parse().unwrap())
}

fn teams() -> Arc<[TeamId]> {
    ["t".parse().unwrap()].into()
}

fn heartbeat(at_ms: i64, status: Status) -> SignOfLife {
    SignOfLife {
        status,
        ends_at: Some(Moment::at_ms(at_ms + TIMEOUT_MS)),
        ..SignOfLife::of_stream(teams(), Moment::at_ms(at_ms))
    }
}

/// What somebody does at an instance, and how long after what was done before.
#[derive(Clone, Debug)]
enum Deed {
    Heartbeat(usize, Status),
    Leave(usize),
    Open,
    Close,
}

fn deeds() -> impl Strategy<Value = Vec<(i64, usize, Deed)>> {
    let status = prop_oneof![Just(Status::Online), Just(Status::Away)];
    let deed = prop_oneof![
        4 => (0..2_usize, status).prop_map(|(session, status)| Deed::Heartbeat(session, status)),
        1 => (0..2_usize).prop_map(Deed::Leave),
        2 => Just(Deed::Open),
        2 => Just(Deed::Close),
    ];
    vec((1..2_500_i64, 0..INSTANCES, deed), 1..40)
}

/// The sign that a deed leaves at an instance.
fn sign_of(deed: &Deed, at_ms: i64) -> (Session, SignOfLife) {
    let now = Moment::at_ms(at_ms);
    match deed {
        Deed::Heartbeat(session, status) => (named(*session), heartbeat(at_ms, *status)),
        Deed::Leave(session) => (named(*session), heartbeat(at_ms, Status::Online).over(now)),
        Deed::Open => (Session::Streams, SignOfLife::of_stream(teams(), now)),
        Deed::Close => (
            Session::Streams,
            SignOfLife::of_stream(teams(), now).over(now),
        ),
    }
}

fn seen(group: &PresenceGroup) -> Option<Seen> {
    group.find(&user()).map(|shown| shown.seen.clone())
}

struct Instances {
    rooms: Vec<PresenceGroup>,
    changes: Vec<Vec<(i64, PresenceChange)>>,
    horizon: Horizon,
}

impl Instances {
    fn new() -> Self {
        let rooms = (0..INSTANCES)
            .map(|_| PresenceGroup::new(rules(), 250))
            .collect();
        Self {
            rooms,
            changes: vec![Vec::new(); INSTANCES],
            horizon: Horizon::default(),
        }
    }

    fn put(&mut self, at: usize, (source, sign): (Source, SignOfLife), ms: i64) {
        self.rooms[at].put(&user(), source, sign);
        self.judge(at, ms);
    }

    fn judge(&mut self, at: usize, ms: i64) {
        let change = self.rooms[at].judge(&user(), now(ms), &self.horizon);
        self.changes[at].extend(change.map(|change| (ms, change)));
    }

    /// Lets time pass: whoever is due is judged, at the moment itself.
    fn wait(&mut self, from_ms: i64, to_ms: i64) {
        for ms in from_ms..to_ms {
            for at in 0..INSTANCES {
                if !self.rooms[at].take_due(Moment::at_ms(ms)).is_empty() {
                    self.judge(at, ms);
                }
            }
        }
    }
}

fn source(session: Session, by: usize, at: usize) -> Source {
    let origin = if by == at {
        Origin::Here
    } else {
        Origin::There(format!("i-{by}").into())
    };
    (session, origin)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each instance hears of the others late, but in their order; when all has been heard, all
    /// of them see the same. When everything has ended, nobody sees anything.
    #[test]
    fn all_instances_see_the_same_in_the_end(deeds in deeds(), delays in vec(0..1_500_i64, 40)) {
        let mut instances = Instances::new();
        let mut mail: Vec<(i64, usize, usize, Session, SignOfLife)> = Vec::new();
        let mut clock = 0;
        let mut heard_until = [[0_i64; INSTANCES]; INSTANCES];
        for ((pause, by, deed), delay) in deeds.iter().zip(&delays) {
            clock += pause;
            let (session, sign) = sign_of(deed, clock);
            for (at, heard_until) in heard_until[*by].iter_mut().enumerate() {
                let arrives = if at == *by { clock } else { clock + delay };
                let arrives = arrives.max(*heard_until);
                *heard_until = arrives;
                mail.push((arrives, *by, at, session.clone(), sign.clone()));
            }
        }
        mail.sort_by_key(|(arrives, ..)| *arrives);
        let mut ms = 0;
        for (arrives, by, at, session, sign) in mail {
            instances.wait(ms, arrives);
            ms = arrives;
            instances.put(at, (source(session, by, at), sign), ms);
        }
        instances.wait(ms, ms + GRACE_MS + 1);
        ms += GRACE_MS + 1;
        (0..INSTANCES).for_each(|at| instances.judge(at, ms));
        let first = seen(&instances.rooms[0]);
        for group in &instances.rooms {
            prop_assert_eq!(seen(group), first.clone());
        }
        // All instances die, and so do their streams.
        for by in 0..INSTANCES {
            instances.horizon.gone.insert(format!("i-{by}").into(), Moment::at_ms(ms));
            let over = SignOfLife::of_stream(teams(), Moment::at_ms(ms)).over(Moment::at_ms(ms));
            instances.put(by, (source(Session::Streams, by, by), over), ms);
        }
        instances.wait(ms, ms + TIMEOUT_MS + GRACE_MS + 1);
        for group in &instances.rooms {
            prop_assert_eq!(seen(group), None);
        }
    }

    /// Whoever shows a sign before the last one and the grace are over is never gone, and
    /// whoever does not is gone right then.
    #[test]
    fn nobody_flickers_and_nobody_stays(
        pauses in vec(1..TIMEOUT_MS + GRACE_MS, 1..20),
        at in vec(0..INSTANCES, 20),
    ) {
        let mut instances = Instances::new();
        let mut ms = 0;
        for (pause, by) in pauses.iter().zip(&at) {
            for to in 0..INSTANCES {
                instances.put(to, (source(named(0), *by, to), heartbeat(ms, Status::Online)), ms);
            }
            instances.wait(ms, ms + pause);
            ms += pause;
        }
        let last = ms - pauses.last().unwrap();
        instances.wait(ms, last + TIMEOUT_MS + GRACE_MS + 1);
        for changes in &instances.changes {
            let told: Vec<_> = changes
                .iter()
                .map(|(ms, change)| (*ms, change.after.is_some()))
                .collect();
            prop_assert_eq!(told, vec![(0, true), (last + TIMEOUT_MS + GRACE_MS, false)]);
        }
    }
}

#[test]
fn nobody_of_another_instance_is_gone_while_we_cannot_see() {
    let mut group = PresenceGroup::new(rules(), 250);
    let blind = Horizon {
        trusted_from: Moment::NEVER,
        ..Horizon::default()
    };
    group.put(
        &user(),
        source(named(0), 1, 0),
        heartbeat(0, Status::Online),
    );
    group.judge(&user(), now(0), &Horizon::default());
    group.judge(&user(), now(60_000), &blind);
    assert!(seen(&group).is_some());
    group.judge(&user(), now(60_001), &Horizon::default());
    assert_eq!(seen(&group), None);
}

#[test]
fn whoever_does_nothing_is_away_and_a_heartbeat_has_the_last_word() {
    let mut group = PresenceGroup::new(rules(), 250);
    let horizon = Horizon::default();
    let stream = SignOfLife::of_stream(teams(), Moment::at_ms(0));
    group.put(&user(), (Session::Streams, Origin::Here), stream);
    let status = |group: &mut PresenceGroup, ms| {
        group.judge(&user(), now(ms), &horizon);
        seen(group).unwrap().status
    };
    assert_eq!(status(&mut group, 0), Status::Online);
    assert_eq!(status(&mut group, AWAY_MS), Status::Away);
    let away = heartbeat(AWAY_MS + 1, Status::Away);
    let mut put = |ms, sign| {
        group.put(&user(), (named(0), Origin::Here), sign);
        status(&mut group, ms)
    };
    assert_eq!(
        put(AWAY_MS + 2, heartbeat(AWAY_MS + 2, Status::Online)),
        Status::Online
    );
    assert_eq!(put(AWAY_MS + 3, away), Status::Away);
}

#[test]
fn a_crowd_becomes_large_once_and_small_again_once() {
    let mut group = PresenceGroup::new(rules(), 10);
    let horizon = Horizon::default();
    let person = |n: usize| UserId::parse(&format!("u-{n}")).unwrap();
    let mut flips = Vec::new();
    for n in 0..20 {
        group.put(
            &person(n),
            (named(0), Origin::Here),
            heartbeat(0, Status::Online),
        );
        let change = group.judge(&person(n), now(0), &horizon).unwrap();
        flips.extend(change.flipped.iter().map(|_| n));
    }
    // The broker and the team: the eleventh person makes both large.
    assert_eq!(flips, [10, 10]);
    let mut flips = Vec::new();
    for n in 0..20 {
        let gone = heartbeat(1, Status::Online).over(Moment::at_ms(1));
        group.put(&person(n), (named(0), Origin::Here), gone);
        let change = group
            .judge(&person(n), now(1 + GRACE_MS), &horizon)
            .unwrap();
        flips.extend(change.flipped.iter().map(|_| 19 - n));
    }
    assert_eq!(flips, [8, 8]);
}

#[test]
fn a_page_of_a_large_crowd_looks_at_few_people_and_pages_join_to_all() {
    const CROWD: usize = 20_000;
    const PAGE: usize = 1_000;
    let mut group = PresenceGroup::new(rules(), 10);
    for n in 0..CROWD {
        let user = format!("u-{n}").parse().unwrap();
        group.put(
            &user,
            (named(0), Origin::Here),
            heartbeat(0, Status::Online),
        );
        group.judge(&user, now(0), &Horizon::default());
    }
    let (broker, team) = (Audience::Broker, Audience::Team("t".parse().unwrap()));
    let own = Audience::User("u-7".parse().unwrap());
    for audiences in [vec![broker], vec![team.clone()], vec![own, team]] {
        let (mut listed, mut after) = (Vec::new(), None::<UserId>);
        loop {
            let view = View {
                audiences: &audiences,
                records: None,
                by_number: false,
                after: after.as_ref(),
                limit: PageLimit::new(PAGE, 1 << 20),
            };
            assert!(view.people(&group).len() <= PAGE + 2, "{audiences:?}");
            let page = view.of(&group);
            assert_eq!(
                (&page["online"], &page["complete"]),
                (&json!(CROWD), &json!(false))
            );
            let users = page["users"].as_array().unwrap();
            assert!(users.len() <= PAGE);
            listed.extend(
                users
                    .iter()
                    .map(|user| user["userId"].as_str().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else {
                break;
            };
            after = Some(next.parse().unwrap());
        }
        let mut all: Vec<_> = (0..CROWD).map(|n| format!("u-{n}")).collect();
        all.sort_unstable();
        assert_eq!(listed, all, "{audiences:?}");
    }
}

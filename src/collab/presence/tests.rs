//! Properties of presence groups: whatever order signs arrive in, all instances compute the same
//! state, and people are present exactly as long as the rules say.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::group::{Now, PresenceChange, PresenceGroup};
use super::moment::Moment;
use super::person::{PeerLiveness, PresenceRules, PresenceState};
use super::sign_of_life::{Session, SignOfLife, SignOrigin, SignSource, Status};
use super::view::View;
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

#[derive(Clone, Debug)]
enum UserAction {
    Heartbeat(usize, Status),
    Leave(usize),
    Open,
    Close,
}

/// An action at an instance, and the time since the action before.
#[derive(Clone, Debug)]
struct PresenceStep {
    pause_ms: i64,
    by: usize,
    action: UserAction,
}

fn steps() -> impl Strategy<Value = Vec<PresenceStep>> {
    let status = prop_oneof![Just(Status::Online), Just(Status::Away)];
    let action = prop_oneof![
        4 => (0..2_usize, status).prop_map(|(session, status)| UserAction::Heartbeat(session, status)),
        1 => (0..2_usize).prop_map(UserAction::Leave),
        2 => Just(UserAction::Open),
        2 => Just(UserAction::Close),
    ];
    let step =
        (1..2_500_i64, 0..INSTANCES, action).prop_map(|(pause_ms, by, action)| PresenceStep {
            pause_ms,
            by,
            action,
        });
    vec(step, 1..40)
}

fn sign_of(action: &UserAction, at_ms: i64) -> (Session, SignOfLife) {
    let now = Moment::at_ms(at_ms);
    match action {
        UserAction::Heartbeat(session, status) => (named(*session), heartbeat(at_ms, *status)),
        UserAction::Leave(session) => {
            (named(*session), heartbeat(at_ms, Status::Online).ended(now))
        }
        UserAction::Open => (Session::Streams, SignOfLife::of_stream(teams(), now)),
        UserAction::Close => (
            Session::Streams,
            SignOfLife::of_stream(teams(), now).ended(now),
        ),
    }
}

fn state(group: &PresenceGroup) -> Option<PresenceState> {
    group.find(&user()).map(|present| present.state.clone())
}

/// A group of each instance, with one user.
struct Instances {
    groups: Vec<PresenceGroup>,
    /// The changes at each instance, and when they were.
    changes: Vec<Vec<(i64, PresenceChange)>>,
    peers: PeerLiveness,
}

impl Instances {
    fn new() -> Self {
        let groups = (0..INSTANCES)
            .map(|_| PresenceGroup::new(rules(), 250))
            .collect();
        Self {
            groups,
            changes: vec![Vec::new(); INSTANCES],
            peers: PeerLiveness::default(),
        }
    }

    fn put(&mut self, at: usize, source: SignSource, sign: SignOfLife, ms: i64) {
        self.groups[at].put(&user(), source, sign);
        self.evaluate(at, ms);
    }

    fn evaluate(&mut self, at: usize, ms: i64) {
        let change = self.groups[at].evaluate(&user(), now(ms), &self.peers);
        self.changes[at].extend(change.map(|change| (ms, change)));
    }

    /// Lets time pass, and evaluates exactly when it is due.
    fn wait(&mut self, from_ms: i64, to_ms: i64) {
        for ms in from_ms..to_ms {
            for at in 0..INSTANCES {
                if !self.groups[at].take_due(Moment::at_ms(ms)).is_empty() {
                    self.evaluate(at, ms);
                }
            }
        }
    }
}

/// The source, as instance `at` knows it, of a sign that instance `by` noticed.
fn source(session: Session, by: usize, at: usize) -> SignSource {
    let origin = if by == at {
        SignOrigin::Here
    } else {
        SignOrigin::Peer(format!("i-{by}").into())
    };
    SignSource { session, origin }
}

fn own(session: Session) -> SignSource {
    source(session, 0, 0)
}

/// A sign on its way to an instance.
struct Delivery {
    arrives_ms: i64,
    by: usize,
    at: usize,
    session: Session,
    sign: SignOfLife,
}

/// Signs of each instance arrive late at the others, but in order.
fn deliveries(steps: &[PresenceStep], delays: &[i64]) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    let mut clock = 0;
    let mut last_arrivals = [[0_i64; INSTANCES]; INSTANCES];
    for (
        PresenceStep {
            pause_ms,
            by,
            action,
        },
        delay,
    ) in steps.iter().zip(delays)
    {
        clock += pause_ms;
        let (session, sign) = sign_of(action, clock);
        for (at, last_arrival) in last_arrivals[*by].iter_mut().enumerate() {
            let arrives = if at == *by { clock } else { clock + delay };
            let arrives_ms = arrives.max(*last_arrival);
            *last_arrival = arrives_ms;
            deliveries.push(Delivery {
                arrives_ms,
                by: *by,
                at,
                session: session.clone(),
                sign: sign.clone(),
            });
        }
    }
    deliveries.sort_by_key(|delivery| delivery.arrives_ms);
    deliveries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// When all signs have arrived, all instances have the same state. When everything has ended,
    /// the user is present nowhere.
    #[test]
    fn all_instances_see_the_same_in_the_end(steps in steps(), delays in vec(0..1_500_i64, 40)) {
        let mut instances = Instances::new();
        let mut ms = 0;
        for Delivery { arrives_ms, by, at, session, sign } in deliveries(&steps, &delays) {
            instances.wait(ms, arrives_ms);
            ms = arrives_ms;
            instances.put(at, source(session, by, at), sign, ms);
        }
        instances.wait(ms, ms + GRACE_MS + 1);
        ms += GRACE_MS + 1;
        (0..INSTANCES).for_each(|at| instances.evaluate(at, ms));
        let first = state(&instances.groups[0]);
        for group in &instances.groups {
            prop_assert_eq!(state(group), first.clone());
        }
        // All instances die, and their streams end.
        for by in 0..INSTANCES {
            instances.peers.gone.insert(format!("i-{by}").into(), Moment::at_ms(ms));
            let ended = SignOfLife::of_stream(teams(), Moment::at_ms(ms)).ended(Moment::at_ms(ms));
            instances.put(by, source(Session::Streams, by, by), ended, ms);
        }
        instances.wait(ms, ms + TIMEOUT_MS + GRACE_MS + 1);
        for group in &instances.groups {
            prop_assert_eq!(state(group), None);
        }
    }

    /// A user with a new sign before the last one and the grace period end is present all the time.
    /// A user without one is not present from then on.
    #[test]
    fn nobody_flickers_and_nobody_stays(
        pauses in vec(1..TIMEOUT_MS + GRACE_MS, 1..20),
        at in vec(0..INSTANCES, 20),
    ) {
        let mut instances = Instances::new();
        let mut ms = 0;
        for (pause, by) in pauses.iter().zip(&at) {
            for to in 0..INSTANCES {
                let source = source(named(0), *by, to);
                instances.put(to, source, heartbeat(ms, Status::Online), ms);
            }
            instances.wait(ms, ms + pause);
            ms += pause;
        }
        let last = ms - pauses.last().unwrap();
        instances.wait(ms, last + TIMEOUT_MS + GRACE_MS + 1);
        for changes in &instances.changes {
            let changes: Vec<_> = changes
                .iter()
                .map(|(ms, change)| (*ms, change.after.is_some()))
                .collect();
            prop_assert_eq!(changes, vec![(0, true), (last + TIMEOUT_MS + GRACE_MS, false)]);
        }
    }
}

#[test]
fn nobody_of_another_instance_is_gone_while_the_table_cannot_be_read() {
    let mut group = PresenceGroup::new(rules(), 250);
    let untrusted = PeerLiveness {
        trusted_from: Moment::NEVER,
        ..PeerLiveness::default()
    };
    group.put(
        &user(),
        source(named(0), 1, 0),
        heartbeat(0, Status::Online),
    );
    group.evaluate(&user(), now(0), &PeerLiveness::default());
    group.evaluate(&user(), now(60_000), &untrusted);
    assert!(state(&group).is_some());
    group.evaluate(&user(), now(60_001), &PeerLiveness::default());
    assert_eq!(state(&group), None);
}

#[test]
fn the_grace_begins_when_an_instance_is_gone() {
    let mut group = PresenceGroup::new(rules(), 250);
    let stream = SignOfLife::of_stream(teams(), Moment::at_ms(0));
    group.put(&user(), source(Session::Streams, 1, 0), stream);
    group.evaluate(&user(), now(0), &PeerLiveness::default());
    let mut peers = PeerLiveness::default();
    peers.gone.insert("i-1".into(), Moment::at_ms(1_000));
    group.evaluate(&user(), now(1_000 + GRACE_MS - 1), &peers);
    assert!(state(&group).is_some());
    group.evaluate(&user(), now(1_000 + GRACE_MS), &peers);
    assert_eq!(state(&group), None);
}

#[test]
fn a_session_that_moves_to_another_instance_and_back_is_evaluated_anew() {
    let mut group = PresenceGroup::new(rules(), 250);
    for (by, ms, status) in [
        (0, 0, Status::Away),
        (1, 1_000, Status::Online),
        (0, 1_500, Status::Away),
    ] {
        let sign = heartbeat(ms, status);
        assert!(group.put(&user(), source(named(0), by, 0), sign), "{ms}");
        group.evaluate(&user(), now(ms), &PeerLiveness::default());
        assert_eq!(
            state(&group).map(|state| state.status),
            Some(status),
            "{ms}"
        );
    }
}

#[test]
fn a_user_without_activity_is_away_and_heartbeats_decide_over_streams() {
    let mut group = PresenceGroup::new(rules(), 250);
    let peers = PeerLiveness::default();
    let stream = SignOfLife::of_stream(teams(), Moment::at_ms(0));
    group.put(&user(), own(Session::Streams), stream);
    let status = |group: &mut PresenceGroup, ms| {
        group.evaluate(&user(), now(ms), &peers);
        state(group).unwrap().status
    };
    assert_eq!(status(&mut group, 0), Status::Online);
    assert_eq!(status(&mut group, AWAY_MS), Status::Away);
    let away = heartbeat(AWAY_MS + 1, Status::Away);
    let mut put = |ms, sign| {
        group.put(&user(), own(named(0)), sign);
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
    let peers = PeerLiveness::default();
    let person = |n: usize| UserId::parse(&format!("u-{n}")).unwrap();
    let mut resized = Vec::new();
    for n in 0..20 {
        group.put(&person(n), own(named(0)), heartbeat(0, Status::Online));
        let change = group.evaluate(&person(n), now(0), &peers).unwrap();
        resized.extend(change.resized.iter().map(|_| n));
    }
    // The brokerage and the team: the eleventh person makes both large.
    assert_eq!(resized, [10, 10]);
    let mut resized = Vec::new();
    for n in 0..20 {
        let gone = heartbeat(1, Status::Online).ended(Moment::at_ms(1));
        group.put(&person(n), own(named(0)), gone);
        let change = group
            .evaluate(&person(n), now(1 + GRACE_MS), &peers)
            .unwrap();
        resized.extend(change.resized.iter().map(|_| 19 - n));
    }
    assert_eq!(resized, [8, 8]);
}

#[test]
fn a_page_of_a_large_crowd_visits_few_people_and_pages_add_up_to_all() {
    const CROWD: usize = 20_000;
    const PAGE: usize = 1_000;
    let mut group = PresenceGroup::new(rules(), 10);
    for n in 0..CROWD {
        let user = format!("u-{n}").parse().unwrap();
        group.put(&user, own(named(0)), heartbeat(0, Status::Online));
        group.evaluate(&user, now(0), &PeerLiveness::default());
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

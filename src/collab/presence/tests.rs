//! Facts about single presence groups, and what the properties of many instances need.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;

use super::group::{Now, PresenceGroup};
use super::moment::Moment;
use super::person::{PeerLiveness, PresenceRules, PresenceState};
use super::sign_of_life::{Session, SignOfLife, SignOrigin, SignSource, Status};
use super::view::View;
use crate::log::Audience;
use crate::platform::PageLimit;
use crate::platform::{TeamId, UserId};

mod properties;

const GRACE_MS: i64 = 1_000;
const TIMEOUT_MS: i64 = 3_000;
const AWAY_MS: i64 = 10_000;

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

fn state(group: &PresenceGroup) -> Option<PresenceState> {
    group.find(&user()).map(|present| present.state.clone())
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
            let page = view.of(&group).json();
            let page: serde_json::Value = serde_json::from_str(&page).unwrap();
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

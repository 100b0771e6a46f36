//! Lookups and what is cached of them, without a database.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use sqlx::postgres::PgPoolOptions;

use super::*;
use crate::platform::ids::tests::{any_name, any_user};

fn member(user: &str, team: &str) -> Member {
    Member {
        user: user.parse().unwrap(),
        team: team.parse().ok(),
    }
}

/// Brokerages whose query nobody answers: tests say themselves what is found.
fn brokerages() -> Brokerages {
    let pool = PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/none");
    Brokerages::new(BrokerageParts {
        query: BrokerageQuery::unchecked(pool.unwrap().into()),
        ttl: Duration::from_mins(1),
        metrics: Metrics::new(),
    })
}

fn found(brokerages: &Brokerages, broker: &str) -> Found {
    Found {
        answer: Answer {
            broker: broker.parse().ok(),
            until: Instant::now() + Duration::from_mins(1),
        },
        forgotten: brokerages.state().forgotten,
    }
}

/// A lookup that gives `b` when it is let, and counts.
async fn lookup(brokerages: &Brokerages, asked: &AtomicUsize, go: &Notify) -> String {
    let flight = brokerages.board(&member("ann", "a")).unwrap();
    let outcome = flight.outcome(async || {
        let found = found(brokerages, "b");
        asked.fetch_add(1, Ordering::Relaxed);
        go.notified().await;
        Ok(found)
    });
    let outcome = outcome.await;
    flight.land(&outcome);
    outcome.unwrap().answer.broker.unwrap().to_string()
}

#[tokio::test]
async fn lookups_of_one_member_share_a_query() {
    let (brokerages, asked, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let all = futures_util::future::join_all((0..50).map(|_| lookup(&brokerages, &asked, &go)));
    let (answers, ()) = tokio::join!(all, async { go.notify_one() });
    assert!(answers.iter().all(|answer| answer == "b"));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let state = brokerages.state();
    assert_eq!((state.flights.len(), state.cache.len()), (0, 1));
}

#[tokio::test]
async fn a_request_that_goes_away_leaves_its_query_to_the_others() {
    let (brokerages, asked, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let mut first = Box::pin(lookup(&brokerages, &asked, &go));
    let second = lookup(&brokerages, &asked, &go);
    assert!(futures_util::poll!(&mut first).is_pending());
    let (answer, ()) = tokio::join!(second, async {
        drop(first);
        go.notify_one();
    });
    assert_eq!((answer.as_str(), asked.load(Ordering::Relaxed)), ("b", 2));
    // When all have gone, nothing is left.
    brokerages.forget(&Forget::everything());
    let mut lonely = Box::pin(lookup(&brokerages, &asked, &go));
    assert!(futures_util::poll!(&mut lonely).is_pending());
    assert_eq!(brokerages.state().flights.len(), 1);
    drop(lonely);
    assert_eq!(brokerages.state().flights.len(), 0);
}

#[tokio::test]
async fn what_was_forgotten_while_it_was_asked_is_not_cached() {
    let (brokerages, asked, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let mut first = Box::pin(lookup(&brokerages, &asked, &go));
    assert!(futures_util::poll!(&mut first).is_pending());
    brokerages.forget(&Forget::parse(r#"{"user":"ann","team":null}"#));
    // Whoever comes now asks anew.
    let mut second = Box::pin(lookup(&brokerages, &asked, &go));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    go.notify_one();
    assert_eq!(first.await, "b");
    assert_eq!(brokerages.known(&member("ann", "a")), None);
    go.notify_one();
    assert_eq!(second.await, "b");
    assert!(brokerages.known(&member("ann", "a")).is_some());
}

#[tokio::test]
async fn a_query_that_fails_is_asked_again_by_the_next_request() {
    let brokerages = brokerages();
    for _ in 0..2 {
        let found = brokerages.find(&member("ann", "a")).await;
        assert_eq!(found, Err(LookupError::Unavailable));
    }
    let state = brokerages.state();
    assert_eq!((state.flights.len(), state.cache.len()), (0, 0));
}

#[test]
fn answers_count_for_their_time_and_the_oldest_are_dropped() {
    let (now, mut cache) = (Instant::now(), AnswerCache::default());
    let until = now + Duration::from_mins(1);
    let answer = |broker: &str| Answer {
        broker: broker.parse().ok(),
        until,
    };
    cache.put(member("ann", ""), answer("b"));
    assert_eq!(cache.get(&member("ann", ""), now), Some(answer("b")));
    assert_eq!(cache.get(&member("ann", "a"), now), None);
    assert_eq!(cache.get(&member("ann", ""), until), None);
    cache.put(member("ann", ""), answer("b"));
    for n in 0..200_000 {
        cache.put(member(&format!("u-{n}"), ""), answer("b"));
        if n % 10_000 == 0 {
            assert!(cache.get(&member("ann", ""), now).is_some(), "{n}");
        }
    }
    assert!(cache.len() <= 65_536, "{}", cache.len());
}

#[test]
fn answers_are_forgotten_by_user_by_team_or_all() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut cache = AnswerCache::default();
    let all = [
        member("ann", "a"),
        member("ann", "b"),
        member("bob", "a"),
        member("bob", ""),
    ];
    for (payload, left) in [
        (r#"{"user":"ann","team":null}"#, vec![2, 3]),
        (r#"{"user":null,"team":"a"}"#, vec![1, 3]),
        (r#"{"user":"bob","team":"a"}"#, vec![0, 1, 3]),
        (r#"{"user":null,"team":null}"#, vec![]),
        ("rubbish", vec![]),
    ] {
        for one in &all {
            let answer = Answer {
                broker: "b".parse().ok(),
                until: now + second,
            };
            cache.put(one.clone(), answer);
        }
        cache.forget(&Forget::parse(payload));
        let kept = (0..all.len()).filter(|n| cache.get(&all[*n], now).is_some());
        assert_eq!(kept.collect::<Vec<_>>(), left, "{payload}");
    }
}

proptest! {
    #[test]
    fn what_is_forgotten_is_what_was_named(
        (one, other, team) in (any_user(), any_user(), prop::option::of(any_name::<TeamId>()))
    ) {
        // As Postgres writes it.
        let payload = serde_json::json!({"user": one.as_str(), "team": null}).to_string();
        let is_same = one == other;
        let forget = Forget::parse(&payload);
        let (one, other) = (Member { user: one, team: team.clone() }, Member { user: other, team });
        prop_assert!(forget.is_about(&one), "{:?}", one);
        prop_assert_eq!(forget.is_about(&other), is_same);
    }
}

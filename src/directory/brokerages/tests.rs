//! Lookups and the cache, without a database.

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

/// Without a database: the tests make the answers.
fn brokerages() -> Brokerages {
    let pool = PgPoolOptions::new().connect_lazy("postgres://127.0.0.1:1/none");
    Brokerages::new(BrokerageParts {
        query: BrokerageQuery::unchecked(pool.unwrap().into()),
        ttl: Duration::from_mins(1),
        metrics: Metrics::new(),
    })
}

fn found(brokerages: &Brokerages, broker: &str) -> BrokerageFound {
    BrokerageFound {
        answer: BrokerageAnswer {
            broker: broker.parse().ok(),
            until: Instant::now() + Duration::from_mins(1),
        },
        forget_count: brokerages.state().forget_count,
    }
}

/// A lookup that counts its queries and finds `b` after `go`.
async fn lookup(brokerages: &Brokerages, queries: &AtomicUsize, go: &Notify) -> String {
    let lookup = brokerages.join_lookup(&member("ann", "a")).unwrap();
    let result = lookup.run(async || {
        let found = found(brokerages, "b");
        queries.fetch_add(1, Ordering::Relaxed);
        go.notified().await;
        Ok(found)
    });
    let result = result.await;
    lookup.finish(&result);
    result.unwrap().answer.broker.unwrap().to_string()
}

#[tokio::test]
async fn lookups_of_one_member_share_a_query() {
    let (brokerages, queries, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let all = futures_util::future::join_all((0..50).map(|_| lookup(&brokerages, &queries, &go)));
    let (answers, ()) = tokio::join!(all, async { go.notify_one() });
    assert!(answers.iter().all(|answer| answer == "b"));
    assert_eq!(queries.load(Ordering::Relaxed), 1);
    let state = brokerages.state();
    assert_eq!((state.lookups.len(), state.cache.len()), (0, 1));
}

#[tokio::test]
async fn a_request_that_goes_away_leaves_its_query_to_the_others() {
    let (brokerages, queries, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let mut first = Box::pin(lookup(&brokerages, &queries, &go));
    let second = lookup(&brokerages, &queries, &go);
    assert!(futures_util::poll!(&mut first).is_pending());
    let (answer, ()) = tokio::join!(second, async {
        drop(first);
        go.notify_one();
    });
    assert_eq!((answer.as_str(), queries.load(Ordering::Relaxed)), ("b", 2));
    // A lookup that nobody waits for is removed.
    brokerages.forget(&ForgetRequest::everything());
    let mut lonely = Box::pin(lookup(&brokerages, &queries, &go));
    assert!(futures_util::poll!(&mut lonely).is_pending());
    assert_eq!(brokerages.state().lookups.len(), 1);
    drop(lonely);
    assert_eq!(brokerages.state().lookups.len(), 0);
}

#[tokio::test]
async fn what_was_forgotten_while_it_was_asked_is_not_cached() {
    let (brokerages, queries, go) = (brokerages(), AtomicUsize::new(0), Notify::new());
    let mut first = Box::pin(lookup(&brokerages, &queries, &go));
    assert!(futures_util::poll!(&mut first).is_pending());
    brokerages.forget(&ForgetRequest::parse(r#"{"user":"ann","team":null}"#));
    // Later requests start a new query.
    let mut second = Box::pin(lookup(&brokerages, &queries, &go));
    assert!(futures_util::poll!(&mut second).is_pending());
    assert_eq!(queries.load(Ordering::Relaxed), 2);
    go.notify_one();
    assert_eq!(first.await, "b");
    assert_eq!(brokerages.cached(&member("ann", "a")), None);
    go.notify_one();
    assert_eq!(second.await, "b");
    assert!(brokerages.cached(&member("ann", "a")).is_some());
}

#[tokio::test]
async fn a_query_that_fails_is_run_again_by_the_next_request() {
    let brokerages = brokerages();
    for _ in 0..2 {
        let found = brokerages.find(&member("ann", "a")).await;
        assert_eq!(found, Err(LookupError::Unavailable));
    }
    let state = brokerages.state();
    assert_eq!((state.lookups.len(), state.cache.len()), (0, 0));
}

#[test]
fn answers_count_for_their_time_and_the_oldest_are_dropped() {
    let (now, mut cache) = (Instant::now(), AnswerCache::default());
    let until = now + Duration::from_mins(1);
    let answer = |broker: &str| BrokerageAnswer {
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
            let answer = BrokerageAnswer {
                broker: "b".parse().ok(),
                until: now + second,
            };
            cache.put(one.clone(), answer);
        }
        cache.forget(&ForgetRequest::parse(payload));
        let cached = (0..all.len()).filter(|n| cache.get(&all[*n], now).is_some());
        assert_eq!(cached.collect::<Vec<_>>(), left, "{payload}");
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
        let forget = ForgetRequest::parse(&payload);
        let (one, other) = (Member { user: one, team: team.clone() }, Member { user: other, team });
        prop_assert!(forget.matches(&one), "{:?}", one);
        prop_assert_eq!(forget.matches(&other), is_same);
    }
}

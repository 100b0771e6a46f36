//! Long-polling: the answer waits until there are events.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{Service, Token, for_team, numbers_on};

#[tokio::test]
async fn a_long_poll_answers_at_once_where_there_is_something() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    for n in 0..3 {
        service.publish(&for_team("other", n)).await;
        service.publish(&for_team("a", n)).await;
    }
    for path in [
        "/events?wait=60",
        "/events?wait=60&after=0",
        "/events?wait=60&after=3",
    ] {
        assert!(
            !numbers_on(&service.list(path, &token).await).is_empty(),
            "{path}"
        );
    }
    let began = Instant::now();
    assert!(numbers_on(&service.list("/events?wait=0&after=6", &token).await).is_empty());
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_long_poll_waits_for_what_comes() {
    let service = Service::start().await;
    let (token, mut after) = (Token::user("u", &["a"]), "0".to_owned());
    for n in 0..8 {
        let path = format!("/events?wait=60&types=test:*&after={after}");
        let waiting = service.list(&path, &token);
        let publishing = async {
            // A few round trips later it has most likely begun to wait. It is answered either way.
            for _ in 0..n {
                service.list("/health/live", &token).await;
            }
            service
                .publish(&json!({"type": "x", "audience": {"team": "a"}}))
                .await;
            service.publish(&for_team("other", n)).await;
            service.publish(&for_team("a", n)).await;
        };
        let (page, ()) = tokio::join!(waiting, publishing);
        assert_eq!(numbers_on(&page), [n]);
        page["next"]
            .as_str()
            .expect("a position")
            .clone_into(&mut after);
    }
}

#[tokio::test]
async fn a_long_poll_is_not_answered_by_events_for_others() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let began = Instant::now();
    let waiting = service.list("/events?wait=2&types=test:*", &token);
    let publishing = async {
        for n in 0..20 {
            service.publish(&for_team("other", n)).await;
            service
                .publish(&json!({"type": "x", "audience": {"team": "a"}}))
                .await;
            service.post("c", &for_team("a", n)).await;
        }
    };
    let (page, ()) = tokio::join!(waiting, publishing);
    assert_eq!(page["events"], json!([]));
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    // Its position has moved on all the same.
    let next = page["next"].as_str().expect("a position").to_owned();
    let position: u64 = next.split('-').next().unwrap().parse().unwrap();
    assert!((1..=40).contains(&position), "{next}");
}

#[tokio::test]
async fn a_long_poll_does_not_outlast_its_token() {
    let service = Service::start().await;
    let user = Token::user("u", &["a"]);
    // A slow machine delays both requests.
    let longer = service.list("/events?wait=12", &user);
    let short = user.clone().lasting(3);
    let began = Instant::now();
    tokio::select! {
        biased;
        page = service.list("/events?wait=60", &short) => assert_eq!(page["events"], json!([])),
        _ = longer => panic!("a token of 3 seconds has lasted for 12"),
    }
    // A token ends at a whole second, so it lasts for two at least.
    assert!(began.elapsed() >= Duration::from_secs(1), "it waits, too");
}

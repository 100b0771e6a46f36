//! Long-polling: a page that is held back until there is something on it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{Service, Token, for_team};

fn numbers(page: &Value) -> Vec<u64> {
    let events = page["events"].as_array().expect("events").iter();
    events
        .map(|event| event["data"]["n"].as_u64().expect("a number"))
        .collect()
}

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
            !numbers(&service.list(path, &token).await).is_empty(),
            "{path}"
        );
    }
    let began = Instant::now();
    assert!(numbers(&service.list("/events?wait=0&after=6", &token).await).is_empty());
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_long_poll_waits_for_what_comes() {
    let service = Service::start().await;
    let (token, mut after) = (Token::user("u", &["a"]), "0".to_owned());
    for n in 0..8 {
        let path = format!("/events?wait=60&types=test:*&after={after}");
        let waiting = service.list(&path, &token);
        let telling = async {
            // A few round trips later it has most likely begun to wait; either way it is told.
            for _ in 0..n {
                service.list("/health/live", &token).await;
            }
            service
                .publish(&json!({"type": "x", "audience": {"team": "a"}}))
                .await;
            service.publish(&for_team("other", n)).await;
            service.publish(&for_team("a", n)).await;
        };
        let (page, ()) = tokio::join!(waiting, telling);
        assert_eq!(numbers(&page), [n]);
        page["next"]
            .as_str()
            .expect("a position")
            .clone_into(&mut after);
    }
}

#[tokio::test]
async fn a_long_poll_is_not_answered_by_what_is_told_to_others() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let began = Instant::now();
    let waiting = service.list("/events?wait=2&types=test:*", &token);
    let telling = async {
        for n in 0..20 {
            service.publish(&for_team("other", n)).await;
            service
                .publish(&json!({"type": "x", "audience": {"team": "a"}}))
                .await;
            service.post("c", &for_team("a", n)).await;
        }
    };
    let (page, ()) = tokio::join!(waiting, telling);
    assert_eq!(page["events"], json!([]));
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    // Its place has moved on all the same.
    let next = page["next"].as_str().expect("a position").to_owned();
    let position: u64 = next.split('-').next().unwrap().parse().unwrap();
    assert!((1..=40).contains(&position), "{next}");
}

#[tokio::test]
async fn a_long_poll_does_not_outlast_its_token() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]).lasting(2);
    let page = service.list("/events?wait=60", &token).await;
    assert_eq!(page["events"], json!([]));
}

//! A canary in the private field of a record of each module: whatever is asked of the records, and
//! whatever is refused, nobody without the right sees it, nor do the logs.

mod asked;
mod place;

use reqwest::{Client, Method};
use serde_json::json;

use self::asked::{check_locked, check_reading, check_rules, check_writing};
use self::place::{Place, check, eyes};
use super::{MODULES, agent};
use crate::support::own::OwnPostgres;
use crate::support::{Stream, Token};

/// The last that is told.
const LAST: &str = "the last";

/// Streams of everybody, plain and zipped.
async fn open(place: &Place, since: &str) -> Vec<(String, Token, bool, Stream)> {
    let mut streams = Vec::new();
    for (who, sees) in eyes() {
        for gzip in [false, true] {
            let client = Client::builder().gzip(gzip).no_proxy().build();
            let url = place.process.url(&format!("/stream?named=false&{since}"));
            let request = client.expect("a client").get(url).bearer_auth(who.signed());
            let what = format!("{} {since} gzip {gzip}", who.user);
            streams.push((what, who.clone(), sees, Stream::open(request).await));
        }
    }
    streams
}

async fn check_streams(streams: Vec<(String, Token, bool, Stream)>) {
    for (what, who, sees, mut stream) in streams {
        // Nothing is told to another brokerage, and nobody waits for that.
        while who.broker == "b" {
            let message = stream.next_of_all().await;
            if message.is_logged() && message.json()["data"]["address"] == LAST {
                break;
            }
        }
        check(&stream.text, sees, &what);
    }
}

async fn check_pages(place: &Place) {
    for (who, sees) in eyes() {
        for path in [
            "/events?limit=1000",
            "/events?after=0&limit=1000",
            "/events?scope=broker&limit=1000",
        ] {
            let answer = place.get(&who, path).await;
            check(&answer.text, sees, &format!("{} {path}", who.user));
        }
        for path in [
            "/records",
            "/records/boats",
            "/locks",
            "/presence",
            "/metrics",
            "/openapi.json",
        ] {
            let answer = place.get(&who, path).await;
            check(&answer.text, false, &format!("{} {path}", who.user));
        }
    }
}

#[tokio::test]
async fn nobody_without_the_right_is_shown_what_is_private_of_a_record() {
    let postgres = OwnPostgres::start().await;
    let place = Place::start(&postgres).await;
    let live = open(&place, "").await;
    place.plant().await;
    for (module, _, _) in MODULES {
        for (who, sees) in eyes() {
            check_reading(&place, (&who, sees), module).await;
            check_writing(&place, (&who, sees), module).await;
        }
        check_locked(&place, module).await;
    }
    check_rules(&place).await;
    let last = json!({"address": LAST, "teamId": null});
    let last = place
        .ask(
            &agent("bob"),
            (Method::POST, "/records/escrows", &last),
            "*",
        )
        .await;
    assert_eq!(last.status, 201, "{}", last.text);
    check_streams(live).await;
    check_streams(open(&place, "since=0").await).await;
    check_pages(&place).await;
    let other = Place::start(&postgres).await;
    check_streams(open(&other, "since=0").await).await;
    for (who, sees) in eyes() {
        check_reading(&other, (&who, sees), "leads").await;
    }
    let log_of = |place: &Place| place.process.log.lock().expect("a log").clone();
    for (log, of) in [
        (postgres.log(), "Postgres"),
        (log_of(&place), "a"),
        (log_of(&other), "b"),
    ] {
        assert!(!log.is_empty(), "{of}");
        check(&log, false, of);
    }
}

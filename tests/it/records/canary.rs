//! A canary in the private field of a record of each module: whatever is asked of the records, and
//! whatever is refused, nobody without the right sees it, nor do the logs.

mod asked;
mod setup;

use reqwest::Method;
use serde_json::json;

use self::asked::{check_locked, check_reading, check_rules, check_writing};
use self::setup::{Setup, check, readers};
use super::{MODULES, agent};
use crate::support::own::OwnPostgres;
use crate::support::requests::stream_at;
use crate::support::{Message, Stream, Token};

/// The address in the last event.
const LAST: &str = "the last";

/// Streams of everybody, plain and zipped.
async fn open(setup: &Setup, since: &str) -> Vec<(String, Token, bool, Stream)> {
    let mut streams = Vec::new();
    for (who, sees) in readers() {
        for gzip in [false, true] {
            let url = setup.process.url(&format!("/stream?named=false&{since}"));
            let what = format!("{} {since} gzip {gzip}", who.user);
            let stream = stream_at(&url, &who, gzip).await;
            streams.push((what, who.clone(), sees, stream));
        }
    }
    streams
}

async fn check_streams(streams: Vec<(String, Token, bool, Stream)>) {
    for (what, who, sees, mut stream) in streams {
        // Another brokerage receives nothing, so there is nothing to wait for.
        let is_told =
            |message: &Message| message.is_logged() && message.json()["data"]["address"] == LAST;
        if who.broker == "b" {
            while !is_told(&stream.next_of_all().await) {}
        }
        check(&stream.text, sees, &what);
    }
}

async fn check_pages(setup: &Setup) {
    for (who, sees) in readers() {
        for path in [
            "/events?limit=1000",
            "/events?after=0&limit=1000",
            "/events?scope=broker&limit=1000",
        ] {
            let answer = setup.get(&who, path).await;
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
            let answer = setup.get(&who, path).await;
            check(&answer.text, false, &format!("{} {path}", who.user));
        }
    }
}

#[tokio::test]
async fn nobody_without_the_right_is_shown_what_is_private_of_a_record() {
    let postgres = OwnPostgres::start().await;
    let setup = Setup::start(&postgres).await;
    let live = open(&setup, "").await;
    setup.plant().await;
    for (module, _, _) in MODULES {
        for (who, sees) in readers() {
            check_reading(&setup, &who, sees, module).await;
            check_writing(&setup, &who, sees, module).await;
        }
        check_locked(&setup, module).await;
    }
    check_rules(&setup).await;
    let last = json!({"address": LAST, "teamId": null});
    let last = setup
        .ask(&agent("bob"), Method::POST, "/records/escrows", &last, "*")
        .await;
    assert_eq!(last.status, 201, "{}", last.text);
    check_streams(live).await;
    check_streams(open(&setup, "since=0").await).await;
    check_pages(&setup).await;
    let other = Setup::start(&postgres).await;
    check_streams(open(&other, "since=0").await).await;
    for (who, sees) in readers() {
        check_reading(&other, &who, sees, "leads").await;
    }
    let log_of = |setup: &Setup| setup.process.log.lock().expect("a log").clone();
    for (log, of) in [
        (postgres.log(), "Postgres"),
        (log_of(&setup), "a"),
        (log_of(&other), "b"),
    ] {
        assert!(!log.is_empty(), "{of}");
        check(&log, false, of);
    }
}

//! The bytes of a stream.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::requests::{client, post, stream_at};
use crate::support::{Service, Stream, Token, for_team};

#[tokio::test]
async fn a_stream_begins_with_retry_and_ready_and_ids_come_last() {
    let service = Service::start().await;
    let mut stream = service
        .stream("/stream/team", &Token::user("u", &["a"]))
        .await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-cache, no-transform");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    let ready = stream.next().await;
    assert_eq!(ready.name, "stream:ready");
    assert_eq!(ready.json()["position"], ready.id);
    assert_eq!(
        ready.json()["scopes"],
        json!({"user": null, "teams": ["a"], "broker": null})
    );
    assert!((500..=3_000).contains(&stream.retry_ms.unwrap()));
    let positions = service.publish(&for_team("a", 1)).await;
    let event = stream.next().await;
    assert_eq!((&event.name[..], &event.id), ("test:tick", &positions[0]));
    let lines: Vec<_> = stream.text.lines().collect();
    assert!(
        lines[0].starts_with("retry: ") && lines[1] == ":ok",
        "{lines:?}"
    );
    // States have no ids.
    let blocks = stream.text.trim_end().split("\n\n");
    let blocks: Vec<_> = blocks.filter(|b| !b.contains(":snapshot")).collect();
    assert!(
        blocks
            .iter()
            .all(|b| b.lines().last().unwrap().starts_with("id: ")),
        "{blocks:?}"
    );
    assert!(!stream.text.contains('\r') && stream.text.is_ascii());
}

#[tokio::test]
async fn without_names_every_event_is_a_message() {
    let service = Service::start().await;
    let mut stream = service
        .stream("/stream?named=false", &Token::user("u", &["a"]))
        .await;
    service.publish(&for_team("a", 1)).await;
    let (ready, event) = (stream.next().await, stream.next().await);
    assert_eq!((&ready.name[..], &event.name[..]), ("", ""));
    assert_eq!(ready.json()["type"], "stream:ready");
    assert_eq!(event.json()["type"], "test:tick");
    assert!(!stream.text.contains("event:"));
}

#[tokio::test]
async fn an_idle_stream_sends_heartbeats_that_move_its_cursor_past_events_for_others() {
    let service = Service::with(&["--heartbeat-seconds=300", "--heartbeat-min-seconds=1"]).await;
    let token = Token::user("u", &["a"]);
    // A client gets as many as it asks for, within the limits of the service.
    for (query, seconds) in [("", 300), ("?heartbeat=8", 8)] {
        let mut stream = service.stream(&format!("/stream{query}"), &token).await;
        assert_eq!(stream.next().await.json()["heartbeatSeconds"], seconds);
    }
    let mut stream = service.stream("/stream/team?heartbeat=1", &token).await;
    stream.next().await;
    for n in 0..10 {
        service.publish(&for_team("other", n)).await;
    }
    let beat = stream.next().await;
    assert_eq!(
        (&beat.name[..], &beat.data[..], beat.position()),
        ("hb", "", 10)
    );
    assert!(stream.text.contains("\n:hb\n"), "{:?}", stream.text);
    assert!(!stream.text.contains(":hb\n\n"), "{:?}", stream.text);
}

#[tokio::test]
async fn what_has_no_id_does_not_postpone_the_heartbeat_that_has_one() {
    // A pause between two states that is half as long would be a reason for a heartbeat.
    let service = Service::with(&["--heartbeat-seconds=3", "--user-rate=0"]).await;
    let token = Token::user("u", &["a"]);
    let mut stream = service.stream("/stream", &token).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let last = service.publish(&for_team("other", 1)).await.pop();
    let done = CancellationToken::new();
    let typing = async {
        let ann = Token::user("ann", &["a"]);
        let mut rhythm = tokio::time::interval(Duration::from_millis(100));
        while !done.is_cancelled() {
            rhythm.tick().await;
            // Both are events for everybody on the team.
            for name in ["typing", "stopped_typing"] {
                let signal = json!({"name": name, "team": "a"});
                assert_eq!(post(&service, &ann, "/signals", &signal).await.status, 202);
            }
        }
    };
    let listening = async {
        let mut states = 0;
        loop {
            let message = stream.next_of_all().await;
            // More than come within two heartbeats, also on a slow machine.
            assert!(states < 250, "no heartbeat among {states} states");
            states += usize::from(message.is_state());
            if message.name == "hb" {
                done.cancel();
                return message.id;
            }
        }
    };
    let (id, ()) = tokio::join!(listening, typing);
    assert_eq!(Some(id), last);
}

#[tokio::test]
async fn a_compressed_stream_reads_the_same() {
    let service = Service::with(&["--heartbeat-seconds=1"]).await;
    let client = client(true);
    let token = Token::user("u", &["a"]);
    let request = client
        .get(service.url("/stream/team"))
        .bearer_auth(token.signed());
    let raw = service
        .get("/stream/team", &token)
        .header("accept-encoding", "gzip");
    let raw = Stream::open(raw).await;
    assert_eq!(raw.headers["content-encoding"], "gzip");
    assert!(
        raw.headers["vary"]
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("accept-encoding")
    );
    let mut zipped = Stream::open(request).await;
    let mut plain = service.stream("/stream/team", &token).await;
    zipped.next().await;
    plain.next().await;
    for n in 0..50 {
        service.publish(&for_team("a", n)).await;
    }
    assert_eq!(zipped.logged(50).await, plain.logged(50).await);
    assert_eq!(zipped.next().await.name, "hb");
}

#[tokio::test]
async fn a_stream_whose_filter_matches_nothing_still_gets_heartbeats() {
    let service = Service::with(&["--heartbeat-seconds=1"]).await;
    let token = Token::user("u", &["a"]);
    let mut stream = service.stream("/stream/team?types=nothing:*", &token).await;
    assert_eq!(stream.next().await.name, "stream:ready");
    let done = CancellationToken::new();
    let publishing = async {
        let mut rhythm = tokio::time::interval(Duration::from_millis(100));
        while !done.is_cancelled() {
            rhythm.tick().await;
            service.publish(&for_team("a", 1)).await;
        }
    };
    let listening = async {
        let beat = stream.next().await;
        done.cancel();
        beat
    };
    let (beat, ()) = tokio::join!(listening, publishing);
    assert_eq!(beat.name, "hb");
    assert!(beat.position() > 0, "{beat:?}");
}

#[tokio::test]
async fn compressed_streams_with_names_and_without_read_the_same() {
    let service = Service::start().await;
    let token = Token::user("u", &["a"]);
    let mut streams = Vec::new();
    for path in ["/stream/team", "/stream/team?named=false"] {
        let mut stream = stream_at(&service.url(path), &token, true).await;
        stream.next().await;
        streams.push(stream);
    }
    for n in 0..10 {
        service.publish(&for_team("a", n)).await;
    }
    let [named, unnamed] = &mut streams[..] else {
        panic!("two streams")
    };
    for (named, unnamed) in named.logged(10).await.iter().zip(unnamed.logged(10).await) {
        assert_eq!((&named.name[..], &unnamed.name[..]), ("test:tick", ""));
        assert_eq!((&named.data, &named.id), (&unnamed.data, &unnamed.id));
    }
}

//! Streams per user over all instances.

use porchlight::identity::Role;
use serde_json::json;

use super::{ann, get, open};
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::requests::posted;
use crate::support::{Stream, Token, eventually, for_team, number};

/// The `retry:` of a stream that gave way, in milliseconds.
const RETRY: std::ops::RangeInclusive<u64> = 120_000..=240_000;

#[tokio::test]
async fn the_oldest_stream_gives_way_at_whichever_instance_it_is() {
    let instances = two(&["--streams-per-user=3"]).await;
    let token = ann().signed();
    let mut streams = Vec::new();
    for n in 0..7_u64 {
        let instance = &instances[usize::from(n % 2 == 0)];
        streams.push(open(instance, "/stream/team", &token).await.0);
        if n >= 3 {
            let mut oldest = streams.remove(0);
            let closing = last_words(&mut oldest).await;
            assert_eq!(closing["reason"], "evicted", "{n}");
            let retry = closing["retryMs"].as_u64().expect("a time");
            assert!(RETRY.contains(&retry), "{retry}");
        }
    }
    instances[0].publish(&for_team("a", 1)).await;
    for stream in &mut streams {
        assert_eq!(number(&stream.next_logged().await), 1);
    }
}

/// What an `EventSource` does by itself: when its stream ends, it waits for the `retry:` that it was told, and opens
/// another one.
#[tokio::test]
async fn seven_tabs_of_one_user_make_seven_connects_in_half_a_minute() {
    let instances = two(&["--streams-per-user=5"]).await;
    let token = ann().signed();
    let mut tabs = Vec::new();
    for n in 0..7 {
        let path = format!("/stream/team?access_token={token}");
        let request = instances[n % 2].client.get(instances[n % 2].url(&path));
        let mut tab = Stream::open(request).await;
        assert_eq!(tab.next().await.name, "stream:ready");
        tabs.push(tab);
    }
    let mut connects = tabs.len();
    // Two of them are too many; the others stay, so that nobody makes room or takes a place.
    for mut evicted in tabs.drain(..2) {
        assert_eq!(last_words(&mut evicted).await["reason"], "evicted");
        let retry = evicted.retry_ms.expect("a time");
        connects += usize::from(retry <= 30_000);
    }
    instances[0].publish(&for_team("a", 1)).await;
    for tab in &mut tabs {
        assert_eq!(number(&tab.next_logged().await), 1);
    }
    assert_eq!(connects, 7);
}

#[tokio::test]
async fn streams_of_output_give_way_before_the_stream_of_the_page() {
    let instances = two(&["--streams-per-user=3"]).await;
    let mut page = open(&instances[0], "/stream", &ann().signed()).await.0;
    let mut outputs = Vec::new();
    for n in 0..6 {
        let instance = &instances[n % 2];
        let task = posted(instance, &ann(), "/tasks", &json!({"type": "x"})).await;
        let path = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
        let mut output = Stream::open(get(instance, &path, &ann().signed())).await;
        assert_eq!(output.next().await.name, "stream:ready", "{n}");
        outputs.push(output);
        if n >= 2 {
            let closing = last_words(&mut outputs.remove(0)).await;
            assert_eq!(closing["reason"], "evicted", "{n}");
        }
    }
    instances[1].publish(&for_team("a", 1)).await;
    while page.next_logged().await.name != "test:tick" {}
}

/// Streams that do not make their user present: of services, of workers, and of output.
#[tokio::test]
async fn streams_of_programs_and_of_output_count_over_all_instances_too() {
    let instances = two(&["--streams-per-user=2"]).await;
    let task = posted(&instances[0], &ann(), "/tasks", &json!({"type": "x"})).await;
    let output = format!("/tasks/{}/output", task["id"].as_str().expect("an id"));
    let service = Token::user("crm", &["a"]).in_role(Role::Service);
    let worker = Token::user("wes", &[]).in_role(Role::Worker);
    for (who, path) in [
        (service, "/stream/team"),
        (worker, "/stream/worker"),
        (ann(), &*output),
    ] {
        let mut streams = Vec::new();
        for n in 0..5 {
            let instance = &instances[n % 2];
            let mut stream = Stream::open(get(instance, path, &who.signed())).await;
            assert_eq!(stream.next().await.name, "stream:ready", "{path} {n}");
            streams.push(stream);
            if n >= 2 {
                let closing = last_words(&mut streams.remove(0)).await;
                assert_eq!(closing["reason"], "evicted", "{path} {n}");
            }
        }
        // Every instance tells all of them.
        for instance in &instances {
            eventually("both streams are counted", async || {
                let session = instance.list("/session", &who).await;
                let streams = &session["quotas"]["streams"]["user"];
                (*streams == json!({"used": 2, "most": 2})).then_some(())
            })
            .await;
        }
    }
    // Nobody of them is present.
    for instance in &instances {
        let present = instance.list("/presence", &ann()).await;
        assert_eq!(present["users"], json!([]), "{present}");
    }
}

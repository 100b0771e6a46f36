//! Streams per user over all instances.

use super::{ann, open};
use crate::support::ends::last_words;
use crate::support::instances::two;
use crate::support::{for_team, number};

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

//! A Redis cluster between the instances: a channel is on one node, and nodes die and come back.

use serde_json::json;

use super::{ann, origin, post_to, publish_at_both, two, until_backplane};
use crate::support::redis_cluster::RedisCluster;
use crate::support::{Service, Stream, Token, eventually, numbers};

/// Brokerages with streams besides the one that the test is about: some of their channels share a node.
const OTHERS: usize = 12;

/// Both instances have subscribed to a channel.
async fn until_subscribed(cluster: &RedisCluster, node: usize, channel: &str) {
    eventually("both have subscribed", async || {
        let ask = format!("PUBSUB SHARDNUMSUB {channel}");
        let answer = cluster.nodes[node].server.ask_all(&ask).await;
        answer.ends_with(":2\r\n").then_some(())
    })
    .await;
}

/// Streams of other brokerages, at both instances.
async fn others(instances: [&Service; 2]) -> Vec<Stream> {
    let mut streams = Vec::new();
    for n in 0..OTHERS {
        let user = ann().of(&format!("other-{n}"));
        for instance in instances {
            streams.push(instance.stream("/stream", &user).await);
        }
    }
    streams
}

/// A signal of this user crosses. Nothing but Redis carries signals.
async fn signal_crosses(from: &Service, to: &mut Stream, user: &str) {
    let typing =
        json!({"name": "typing", "module": "escrows", "recordId": "e-1", "session": "tab"});
    let token = Token::user(user, &["a"]);
    assert_eq!(post_to(from, &token, "/signals", &typing).await, 202);
    while to.next_state("user:typing").await["userId"] != user {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_carries_what_a_single_server_does_and_its_nodes_may_die() {
    let mut cluster = RedisCluster::start().await;
    let [a, b] = &two(&cluster.url(), &["--poll-ms=100"]).await;
    let record = json!({"type": "escrow:created", "audience": {"team": "a"}, "module": "escrows",
        "recordId": "e-1", "data": {"n": 0}});
    let mut streams = [
        a.stream("/stream?since=0", &ann()).await,
        b.stream("/stream?since=0", &ann()).await,
    ];
    a.publish(&record).await;
    for stream in &mut streams {
        assert_eq!(numbers(&stream.logged(1).await), [0]);
    }
    let origin = origin(b).await;
    let channel = format!("{origin}:b");
    let home = cluster.node_of(&channel).await;
    until_subscribed(&cluster, home, &channel).await;
    let _others = others([a, b]).await;
    let before = b.metric("porchlight_backplane_received_total").await;
    signal_crosses(a, &mut streams[1], "bob").await;
    let heartbeat = json!({"session": "tab", "status": "online"});
    let eve = Token::user("eve", &["a"]);
    assert_eq!(
        post_to(a, &eve, "/presence/heartbeat", &heartbeat).await,
        200
    );
    while streams[1].next_state("user:presence:online").await["userId"] != "eve" {}
    publish(a, b, &mut streams, 1).await;
    assert!(b.metric("porchlight_backplane_received_total").await >= before + 10.0);

    cluster.nodes[home].server.kill();
    until_backplane(b, "disconnected").await;
    publish(a, b, &mut streams, 31).await;
    cluster.nodes[home].server.come_back().await;
    for instance in [a, b] {
        until_backplane(instance, "connected").await;
    }
    until_subscribed(&cluster, home, &channel).await;
    // A node that the client meets while it subscribes gets one connection for all of its channels.
    let others = (0..OTHERS).map(|n| format!("{origin}:other-{n}"));
    for channel in others.chain([origin.clone()]) {
        let node = cluster.node_of(&channel).await;
        until_subscribed(&cluster, node, &channel).await;
    }
    signal_crosses(a, &mut streams[1], "dan").await;
    publish(a, b, &mut streams, 61).await;
}

/// Publishes events from this number on at both instances, which both streams receive once and in order.
async fn publish(a: &Service, b: &Service, streams: &mut [Stream; 2], first: u64) {
    publish_at_both(a, b, first..first + 30).await;
    let mut seen = Vec::new();
    for stream in streams.iter_mut() {
        let logged = stream.logged(30).await;
        seen.push(
            logged
                .iter()
                .map(|message| message.id.clone())
                .collect::<Vec<_>>(),
        );
        let mut all = numbers(&logged);
        all.sort_unstable();
        assert!(all.into_iter().eq(first..first + 30));
    }
    assert_eq!(seen[0], seen[1]);
}

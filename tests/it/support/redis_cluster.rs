//! A Redis cluster of three nodes that belongs to one test.

use std::net::TcpListener;

use super::eventually;
use super::redis::RedisServer;

const NODES: usize = 3;
const SLOTS: usize = 16_384;

pub struct RedisCluster {
    pub nodes: Vec<ClusterNode>,
}

pub struct ClusterNode {
    pub server: RedisServer,
    port: u16,
    first_slot: usize,
    last_slot: usize,
}

impl RedisCluster {
    /// Starts nodes that share the slots, as `redis-cli --cluster create` does, and lets them meet.
    pub async fn start() -> Self {
        let ports = free_ports(2 * NODES);
        let mut nodes = Vec::new();
        for n in 0..NODES {
            let node = ClusterNode::start(n, ports[n], ports[NODES + n]).await;
            nodes.push(node);
        }
        let cluster = Self { nodes };
        for n in 1..NODES {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", ports[n], ports[NODES + n]);
            assert_eq!(cluster.nodes[0].server.ask(&meet).await, "+OK");
        }
        for node in &cluster.nodes {
            eventually("the node knows all slots", async || {
                let info = node.server.ask_all("CLUSTER INFO").await;
                info.contains("cluster_slots_ok:16384").then_some(())
            })
            .await;
        }
        cluster
    }

    /// How a service reaches it.
    pub fn url(&self) -> String {
        let urls: Vec<_> = self.nodes.iter().map(ClusterNode::url).collect();
        urls.join(",")
    }

    /// The node that has a channel.
    pub async fn node_of(&self, channel: &str) -> usize {
        let ask = format!("CLUSTER KEYSLOT {channel}");
        let slot = self.nodes[0].server.ask(&ask).await;
        let slot: usize = slot[1..].parse().expect("a slot");
        let has = |node: &ClusterNode| (node.first_slot..=node.last_slot).contains(&slot);
        self.nodes.iter().position(has).expect("a node")
    }
}

impl ClusterNode {
    async fn start(n: usize, port: u16, bus_port: u16) -> Self {
        let (port_flag, bus_flag) = (port.to_string(), bus_port.to_string());
        let flags = [
            ["--port", &port_flag],
            ["--bind", "127.0.0.1"],
            ["--cluster-enabled", "yes"],
            ["--cluster-port", &bus_flag],
            ["--cluster-node-timeout", "2000"],
        ];
        let node = Self {
            server: RedisServer::with(flags.as_flattened()).await,
            port,
            first_slot: n * SLOTS / NODES,
            last_slot: (n + 1) * SLOTS / NODES - 1,
        };
        let slots = format!(
            "CLUSTER ADDSLOTSRANGE {} {}",
            node.first_slot, node.last_slot
        );
        assert_eq!(node.server.ask(&slots).await, "+OK");
        let epoch = format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1);
        assert_eq!(node.server.ask(&epoch).await, "+OK");
        node
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

/// Ports that nobody listened on a moment ago. A node and its clients must know its port beforehand.
fn free_ports(count: usize) -> Vec<u16> {
    let listener = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
    let listeners: Vec<_> = (0..count).map(listener).collect();
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    listeners.iter().map(port).collect()
}

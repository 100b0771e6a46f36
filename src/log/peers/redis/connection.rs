//! A connection to Redis: one server, or a cluster with sharded channels.

use std::time::Duration;

use futures_util::future::try_join_all;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ProtocolVersion, RedisResult, Value};

use super::target::RedisTarget;

/// How long Redis may take to answer. Then the connection is replaced.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// Channels of one command.
const MOST_CHANNELS: usize = 256;

pub(super) enum RedisConnection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// A message for one channel.
#[derive(Debug)]
pub(super) struct ChannelMessage {
    pub(super) channel: String,
    pub(super) payload: String,
}

impl RedisConnection {
    /// Connects. `pushes` takes what Redis sends without a request. A server with several addresses, or one that says so, is a cluster.
    pub(super) async fn open(
        target: &RedisTarget,
        pushes: impl AsyncPushSender + Clone,
    ) -> RedisResult<Self> {
        if let [only] = &target.0[..] {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(ANSWER_LIMIT))
                .set_response_timeout(Some(ANSWER_LIMIT))
                .set_push_sender(pushes.clone());
            let client = Client::open(only.clone())?;
            let connecting = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = connecting.await?;
            if !is_of_cluster(&mut connection).await {
                return Ok(Self::Single(connection));
            }
        }
        let cluster = ClusterClientBuilder::new(target.0.clone())
            .connection_timeout(ANSWER_LIMIT)
            .response_timeout(ANSWER_LIMIT)
            .use_protocol(ProtocolVersion::RESP3)
            .push_sender(pushes)
            .build()?;
        let connecting = tokio::time::timeout(2 * ANSWER_LIMIT, cluster.get_async_connection());
        Ok(Self::Cluster(connecting.await.map_err(timed_out)??))
    }

    /// Publishes with as few round trips as possible.
    pub(super) async fn publish(&mut self, messages: &[ChannelMessage]) -> RedisResult<()> {
        match self {
            Self::Single(connection) => {
                let mut pipeline = redis::pipe();
                for ChannelMessage { channel, payload } in messages {
                    pipeline.cmd("PUBLISH").arg(channel).arg(payload).ignore();
                }
                pipeline.query_async(connection).await
            }
            Self::Cluster(connection) => {
                let published = messages.iter().map(|message| {
                    let mut connection = connection.clone();
                    async move {
                        let mut publish = Cmd::new();
                        let publish = publish.arg("SPUBLISH").arg(&message.channel);
                        let publish = publish.arg(&message.payload);
                        publish.query_async::<()>(&mut connection).await
                    }
                });
                try_join_all(published).await.map(drop)
            }
        }
    }

    /// When this has returned, messages on the channels arrive.
    pub(super) async fn subscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        self.subscribe_once(channels).await?;
        // The client opens a connection to a node that was away for each of the requests that wait for it, keeps the
        // last one, and drops the others with their subscriptions. After this round it has one connection for each node.
        if matches!(self, Self::Cluster(_)) {
            self.subscribe_once(channels).await?;
        }
        Ok(())
    }

    async fn subscribe_once(&mut self, channels: &[String]) -> RedisResult<()> {
        for some in channels.chunks(MOST_CHANNELS) {
            match self {
                Self::Single(connection) => connection.subscribe(some).await?,
                // Channels of one command would have to be on the same node.
                Self::Cluster(connection) => {
                    let subscribed = some.iter().map(|channel| {
                        let mut connection = connection.clone();
                        async move { connection.ssubscribe(channel).await }
                    });
                    try_join_all(subscribed).await?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn unsubscribe(&mut self, channels: &[String]) -> RedisResult<()> {
        for some in channels.chunks(MOST_CHANNELS) {
            match self {
                Self::Single(connection) => connection.unsubscribe(some).await?,
                Self::Cluster(connection) => {
                    let unsubscribed = some.iter().map(|channel| {
                        let mut connection = connection.clone();
                        async move { connection.sunsubscribe(channel).await }
                    });
                    try_join_all(unsubscribed).await?;
                }
            }
        }
        Ok(())
    }

    /// Fails if the connection is silent.
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        let answer: RedisResult<Value> = match self {
            Self::Single(connection) => ping.query_async(connection).await,
            Self::Cluster(connection) => ping.query_async(connection).await,
        };
        answer.map(drop)
    }
}

/// A server that does not tell is none.
async fn is_of_cluster(connection: &mut MultiplexedConnection) -> bool {
    let info: RedisResult<String> = redis::cmd("INFO")
        .arg("cluster")
        .query_async(connection)
        .await;
    info.is_ok_and(|info| info.contains("cluster_enabled:1"))
}

fn timed_out(_: tokio::time::error::Elapsed) -> redis::RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use redis::PushInfo;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// The first byte of a TLS handshake.
    const HANDSHAKE: u8 = 22;

    #[tokio::test]
    async fn a_redis_that_is_reached_by_tls_gets_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let target = format!("rediss://ann:secret@{addr}").parse().unwrap();
        let server = async { listener.accept().await.unwrap().0.read_u8().await.unwrap() };
        let ignored = |_: PushInfo| Ok::<_, Infallible>(());
        tokio::select! {
            byte = server => assert_eq!(byte, HANDSHAKE),
            opened = RedisConnection::open(&target, ignored) => panic!("{:?}", opened.err()),
        }
    }
}

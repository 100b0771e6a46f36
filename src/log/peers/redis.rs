//! Notices by Redis: one channel for each brokerage, and one for what concerns all.
//!
//! A channel of a brokerage is subscribed only while this instance needs it. Redis keeps nothing, and it may
//! vanish at any time: the instances poll as if it was not there.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::{Mutex, OnceCell};

use super::subscriptions::BrokerSubscriptions;
use super::{Backplane, BackplaneError, PeerListener};
use crate::log::hints::PendingNotices;
use crate::log::origin;
use crate::platform::{BrokerId, Metrics, Pool};

mod connection;
mod message;
mod target;

use connection::{ChannelMessage, RedisConnection};
pub use target::{InvalidTarget, RedisTarget};

/// Messages that may wait to be passed on. When one more comes, everything counts as changed.
const WAITING_MESSAGES: usize = 16_384;
/// A connection without messages for so long is tested.
const QUIET: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct RedisParts {
    pub target: RedisTarget,
    /// Says which database this is: several may share a Redis.
    pub pool: Pool,
    /// This instance's name. It ignores the instance's own messages.
    pub instance: Arc<str>,
    pub subscriptions: BrokerSubscriptions,
    pub metrics: Arc<Metrics>,
}

pub struct RedisBackplane {
    parts: RedisParts,
    /// The beginning of all channels' names.
    prefix: OnceCell<String>,
    sender: Mutex<Option<RedisConnection>>,
    /// Whether the log says that Redis cannot be reached.
    is_lost: AtomicBool,
    /// Whether the log says that Redis takes no notices. A user without the right to publish still receives.
    is_refused: AtomicBool,
}

impl RedisBackplane {
    #[must_use]
    pub fn new(parts: RedisParts) -> Self {
        Self {
            parts,
            prefix: OnceCell::new(),
            sender: Mutex::default(),
            is_lost: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
        }
    }

    async fn prefix(&self) -> sqlx::Result<&str> {
        let prefix = self.prefix.get_or_try_init(async || {
            let name = origin::name(&self.parts.pool).await?;
            Ok::<_, sqlx::Error>(format!("porchlight:{name}"))
        });
        Ok(prefix.await?)
    }

    async fn try_send(&self, notices: &PendingNotices) -> Result<(), BackplaneError> {
        let prefix = self.prefix().await?;
        let messages = message::messages(&self.parts.instance, notices).into_iter();
        let messages = messages.map(|message| ChannelMessage {
            channel: channel(prefix, message.broker.as_ref()),
            payload: message.payload,
        });
        let messages: Vec<_> = messages.collect();
        let mut sender = self.sender.lock().await;
        let mut connection = if let Some(connection) = sender.take() {
            connection
        } else {
            // A connection that only sends receives nothing of interest.
            let ignored = |_: PushInfo| Ok::<_, Infallible>(());
            RedisConnection::open(&self.parts.target, ignored).await?
        };
        connection.publish(&messages).await?;
        *sender = Some(connection);
        let sent = u64::try_from(messages.len()).unwrap_or(u64::MAX);
        self.parts.metrics.backplane_sent.inc_by(sent);
        Ok(())
    }

    async fn try_receive(
        &self,
        peer_listener: &PeerListener,
    ) -> Result<Infallible, BackplaneError> {
        let prefix = self.prefix().await?;
        let queues = &self.parts.metrics.queues;
        let (queue, mut pushes) = queues.channel("redis", WAITING_MESSAGES);
        let has_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&has_lost);
        let sink = move |push: PushInfo| {
            let taken = queue.try_send(push);
            lost.fetch_or(taken.is_err(), Ordering::Relaxed);
            taken
        };
        let mut connection = RedisConnection::open(&self.parts.target, sink).await?;
        let wanted = self.parts.subscriptions.all();
        let brokers = wanted.iter().map(Some);
        let channels = brokers.chain([None]).map(|broker| channel(prefix, broker));
        connection.subscribe(&channels.collect::<Vec<_>>()).await?;
        if self.is_lost.swap(false, Ordering::Relaxed) {
            tracing::info!("the backplane is connected again");
        }
        peer_listener.missed_any();
        loop {
            tokio::select! {
                push = pushes.recv() => {
                    let push = push.ok_or(BackplaneError::Lost)?;
                    self.pass_on(&push, prefix, peer_listener)?;
                }
                () = self.parts.subscriptions.changed() => {
                    self.resubscribe(&mut connection, prefix, peer_listener).await?;
                }
                () = tokio::time::sleep(QUIET) => connection.ping().await?,
            }
            if has_lost.swap(false, Ordering::Relaxed) {
                peer_listener.missed_any();
            }
        }
    }

    async fn resubscribe(
        &self,
        connection: &mut RedisConnection,
        prefix: &str,
        peer_listener: &PeerListener,
    ) -> Result<(), BackplaneError> {
        let changes = self.parts.subscriptions.take_changes();
        let channels = |brokers: &[BrokerId]| -> Vec<String> {
            let brokers = brokers.iter();
            brokers
                .map(|broker| channel(prefix, Some(broker)))
                .collect()
        };
        connection.subscribe(&channels(&changes.wanted)).await?;
        connection.unsubscribe(&channels(&changes.unwanted)).await?;
        // What came before the subscription is lost.
        for broker in &changes.wanted {
            peer_listener.missed(broker);
        }
        Ok(())
    }

    fn pass_on(
        &self,
        push: &PushInfo,
        prefix: &str,
        peer_listener: &PeerListener,
    ) -> Result<(), BackplaneError> {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {}
            PushKind::Disconnection => return Err(BackplaneError::Lost),
            // The node no longer has the channel, because the cluster has moved it.
            PushKind::SUnsubscribe if self.is_wanted(push, prefix) => {
                return Err(BackplaneError::Lost);
            }
            _ => return Ok(()),
        }
        self.parts.metrics.backplane_received.inc();
        if let [channel, payload] = &push.data[..]
            && let (Some(channel), Some(payload)) = (text(channel), text(payload))
        {
            let broker = broker_of(channel, prefix);
            let instance = &self.parts.instance;
            message::pass_on(payload, instance, broker.as_ref(), peer_listener);
        }
        Ok(())
    }

    fn is_wanted(&self, push: &PushInfo, prefix: &str) -> bool {
        let channel = push.data.first().and_then(text);
        let broker = channel.map(|channel| broker_of(channel, prefix));
        broker.is_some_and(|broker| {
            broker.is_none_or(|broker| self.parts.subscriptions.is_wanted(&broker))
        })
    }

    /// Says once that Redis cannot be reached.
    fn report(&self, error: &BackplaneError) {
        self.parts.metrics.backplane_failures.inc();
        if !self.is_lost.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "the backplane cannot be reached: the instances find each other's events by polling"
            );
        }
    }
}

impl Backplane for RedisBackplane {
    const LONGEST_PAUSE: Duration = Duration::from_secs(2);
    const LONGEST_SEND_PAUSE: Duration = Duration::from_secs(1);

    async fn send(&self, notices: PendingNotices) -> Result<(), BackplaneError> {
        let sent = self.try_send(&notices).await;
        match &sent {
            Ok(()) if self.is_refused.swap(false, Ordering::Relaxed) => {
                tracing::info!("the backplane takes notices again");
            }
            Ok(()) => {}
            Err(error) => {
                self.parts.metrics.backplane_failures.inc();
                if !self.is_refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "the backplane takes no notices: the other instances find the events of this one by polling"
                    );
                }
            }
        }
        sent
    }

    async fn receive(&self, peer_listener: &PeerListener) -> Result<Infallible, BackplaneError> {
        let received = self.try_receive(peer_listener).await;
        if let Err(error) = &received {
            self.report(error);
        }
        received
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// `None`: the channel for all.
fn broker_of(channel: &str, prefix: &str) -> Option<BrokerId> {
    let name = channel.strip_prefix(prefix)?.strip_prefix(':')?;
    name.parse().ok()
}

fn channel(prefix: &str, broker: Option<&BrokerId>) -> String {
    match broker {
        Some(broker) => format!("{prefix}:{broker}"),
        None => prefix.to_owned(),
    }
}

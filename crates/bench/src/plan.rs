//! The options, checked and prepared.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::args::BenchArgs;
use crate::error::BenchError;
use crate::marker::{MARK_LEN, topic_names};
use crate::procfs::{self, Watched};
use crate::request::{Buffers, Requests, ServerUrl};
use crate::surroundings::{Progress, Surroundings, Tokens};
use crate::template::Values;
use crate::units::index;

/// The streams of one local address. Linux has about 28,000 ports for outgoing connections.
const STREAMS_PER_ADDRESS: u32 = 20_000;
/// Ports are chosen here: the kernel takes long to find a free one among thousands.
const FIRST_PORT: u16 = 10_000;
const DEFAULT_PORT: u16 = 80;

/// Everything a run needs to know.
pub(crate) struct Plan {
    pub args: BenchArgs,
    pub server: SocketAddr,
    pub publish_server: SocketAddr,
    pub watched: Watched,
    requests: Requests,
    topics: Vec<String>,
    tokens: Box<dyn Tokens>,
    pub progress: Progress,
    /// Empty when no template shows it.
    service_token: String,
    /// One for each topic, or none when no template shows them.
    publisher_tokens: Vec<String>,
}

impl Plan {
    pub(crate) async fn new(
        args: BenchArgs,
        surroundings: Surroundings,
    ) -> Result<Self, BenchError> {
        let Surroundings { tokens, progress } = surroundings;
        check(&args)?;
        let stream_at = ServerUrl::parse(&args.url)?;
        let publish_at = match &args.publish_url {
            Some(url) => ServerUrl::parse(url)?,
            None => stream_at,
        };
        let requests = Requests::new(&args, stream_at, publish_at)?;
        let topics = topic_names(&args.names, args.topics);
        let publisher_tokens = if requests.show_publisher_tokens() {
            publisher_tokens(tokens.as_ref(), &topics)?
        } else {
            Vec::new()
        };
        let service_token = if requests.show_service_token() {
            tokens.service().map_err(BenchError::Token)?
        } else {
            String::new()
        };
        Ok(Self {
            server: resolve(stream_at.authority).await?,
            publish_server: resolve(publish_at.authority).await?,
            watched: Watched {
                pids: args.pid.clone(),
                tree: args.pid_tree,
            },
            topics,
            service_token,
            publisher_tokens,
            requests,
            tokens,
            progress,
            args,
        })
    }

    pub(crate) fn topic_of(&self, subscriber: u32) -> u32 {
        subscriber % self.args.topics
    }

    /// The address and port that a subscriber connects from. One loopback address has too few
    /// ports for all, but there are many loopback addresses.
    pub(crate) fn source_of(&self, subscriber: u32) -> Option<SocketAddrV4> {
        let address = subscriber / STREAMS_PER_ADDRESS;
        if address == 0 || !self.server.is_ipv4() || !self.server.ip().is_loopback() {
            return None;
        }
        let port = FIRST_PORT + u16::try_from(subscriber % STREAMS_PER_ADDRESS).ok()?;
        let last = u8::try_from(1 + address).ok()?;
        Some(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), port))
    }

    /// The request that opens a subscriber's stream.
    pub(crate) fn stream_request(
        &self,
        number: u32,
        cursor: Option<&[u8]>,
    ) -> Result<Vec<u8>, BenchError> {
        let subscriber = format!("{}-user-{number}", self.args.names);
        let topic = &self.topics[index(self.topic_of(number))];
        let token = if self.requests.show_subscriber_tokens() {
            let signed = self.tokens.member(&subscriber, topic);
            signed.map_err(BenchError::Token)?
        } else {
            String::new()
        };
        let values = Values {
            topic,
            subscriber: &subscriber,
            token: &token,
            service_token: &self.service_token,
            ..Values::default()
        };
        Ok(self.requests.stream(&values, cursor))
    }

    /// A request of another path.
    pub(crate) fn get_request(&self, path: &str) -> Vec<u8> {
        let host = self.server;
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    }

    /// Adds the event with the payload in `buffers` to its events.
    pub(crate) fn add_event(&self, topic: u32, buffers: &mut Buffers) {
        self.requests
            .add_event(&self.publish_values(topic), buffers);
    }

    /// Writes the request that publishes the events in `buffers`.
    pub(crate) fn publish_request(&self, topic: u32, buffers: &mut Buffers) {
        self.requests.publish(&self.publish_values(topic), buffers);
    }

    fn publish_values(&self, topic: u32) -> Values<'_> {
        Values {
            topic: &self.topics[index(topic)],
            subscriber: "bench-publisher",
            token: self
                .publisher_tokens
                .get(index(topic))
                .map_or("", String::as_str),
            service_token: &self.service_token,
            ..Values::default()
        }
    }
}

fn publisher_tokens(tokens: &dyn Tokens, topics: &[String]) -> Result<Vec<String>, BenchError> {
    let token = |topic: &String| tokens.member(&format!("bench-publisher-of-{topic}"), topic);
    let signed: Result<_, _> = topics.iter().map(token).collect();
    signed.map_err(BenchError::Token)
}

fn check(args: &BenchArgs) -> Result<(), BenchError> {
    if args.payload < MARK_LEN {
        let problem = format!("must be at least {MARK_LEN}, the length of the mark in it");
        return Err(BenchError::option("payload", problem));
    }
    if !(args.rate.is_finite() && args.rate > 0.0) {
        return Err(BenchError::option("rate", "must be more than 0"));
    }
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds).is_ok();
    if !length(args.warmup) {
        return Err(BenchError::option("warmup", "is not a length of time"));
    }
    if !args
        .seconds
        .is_none_or(|seconds| length(seconds) && seconds > 0.0)
    {
        return Err(BenchError::option("seconds", "must be more than 0"));
    }
    if args.stall > args.subscribers {
        return Err(BenchError::option(
            "stall",
            "is more than there are subscribers",
        ));
    }
    match args.pid.iter().find(|pid| !procfs::exists(**pid)) {
        Some(pid) => Err(BenchError::NoProcess(*pid)),
        None => Ok(()),
    }
}

async fn resolve(authority: &str) -> Result<SocketAddr, BenchError> {
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{DEFAULT_PORT}")
    };
    let no_address = |cause: String| BenchError::NoAddress {
        host: host.clone(),
        cause,
    };
    let mut found = tokio::net::lookup_host(&host)
        .await
        .map_err(|e| no_address(e.to_string()))?;
    found
        .next()
        .ok_or_else(|| no_address("the name is empty".to_owned()))
}

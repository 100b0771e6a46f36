//! The options, checked and made ready to run.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::args::BenchArgs;
use super::error::BenchError;
use super::marker::{MARK_LEN, topic_names};
use super::procfs::{self, Watched};
use super::request::{Buffers, Requests};
use super::template::Values;
use super::token::Minter;
use super::units::index;

/// Streams from one local address; Linux has about 28,000 ports for outgoing connections.
const STREAMS_PER_ADDRESS: u32 = 20_000;
/// Named ports, since the kernel takes long to find a free one to bind among thousands.
const FIRST_PORT: u16 = 10_000;
const DEFAULT_PORT: u16 = 80;

/// Everything a run needs to know.
pub(super) struct Plan {
    pub args: BenchArgs,
    pub server: SocketAddr,
    /// Where to publish.
    pub publish_server: SocketAddr,
    pub watched: Watched,
    requests: Requests,
    topics: Vec<String>,
    minter: Option<Minter>,
    service_token: String,
    /// One for each topic, where they are shown.
    publisher_tokens: Vec<String>,
}

impl Plan {
    pub(super) async fn new(args: BenchArgs) -> Result<Self, BenchError> {
        check(&args)?;
        let at = parts(&args.url)?;
        let publish_at = args.publish_url.as_deref().map_or(Ok(at), parts)?;
        let requests = Requests::new(&args, at, publish_at)?;
        let minter = match &args.secret {
            Some(secret) => Some(Minter::new(secret, &args.broker)),
            None if requests.need_tokens() => return Err(BenchError::NoSecret),
            None => None,
        };
        let topics = topic_names(args.topics);
        let publisher_tokens = match &minter {
            Some(minter) if requests.need_publisher_tokens() => publisher_tokens(minter, &topics)?,
            _ => Vec::new(),
        };
        Ok(Self {
            server: resolve(at.0).await?,
            publish_server: resolve(publish_at.0).await?,
            watched: Watched {
                pids: args.pid.clone(),
                tree: args.pid_tree,
            },
            topics,
            service_token: minter.as_ref().map_or(Ok(String::new()), Minter::service)?,
            publisher_tokens,
            requests,
            minter,
            args,
        })
    }

    /// The topic that a subscriber listens to.
    pub(super) fn topic_of(&self, subscriber: u32) -> u32 {
        subscriber % self.args.topics
    }

    /// Where a subscriber connects from, when the kernel's choice would run out of ports:
    /// loopback has many addresses.
    pub(super) fn source_of(&self, subscriber: u32) -> Option<SocketAddrV4> {
        let address = subscriber / STREAMS_PER_ADDRESS;
        if address == 0 || !self.server.is_ipv4() || !self.server.ip().is_loopback() {
            return None;
        }
        let port = FIRST_PORT + u16::try_from(subscriber % STREAMS_PER_ADDRESS).ok()?;
        let last = u8::try_from(1 + address).ok()?;
        Some(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), port))
    }

    /// The request that opens a subscriber's stream.
    pub(super) fn stream_request(
        &self,
        number: u32,
        cursor: Option<&[u8]>,
    ) -> Result<Vec<u8>, BenchError> {
        let subscriber = format!("bench-user-{number}");
        let topic = &self.topics[index(self.topic_of(number))];
        let token = match &self.minter {
            Some(minter) if self.requests.need_subscriber_tokens() => {
                minter.agent(&subscriber, topic)?
            }
            _ => String::new(),
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

    /// Adds the event with the payload in `buffers` to its events.
    pub(super) fn add_event(&self, topic: u32, buffers: &mut Buffers) {
        self.requests
            .add_event(&self.publish_values(topic), buffers);
    }

    /// Puts together the request that publishes the events in `buffers`.
    pub(super) fn publish_request(&self, topic: u32, buffers: &mut Buffers) {
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

/// Of a member of each topic's team.
fn publisher_tokens(minter: &Minter, topics: &[String]) -> Result<Vec<String>, BenchError> {
    let token = |topic: &String| minter.agent(&format!("bench-publisher-of-{topic}"), topic);
    topics.iter().map(token).collect()
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

/// The authority and the path before every path.
fn parts(url: &str) -> Result<(&str, &str), BenchError> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        let problem = "must begin with http:// (TLS is the proxy's affair; load the server itself)";
        BenchError::option("url", problem)
    })?;
    let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Ok((authority, base.trim_end_matches('/')))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_an_authority_and_a_path_before_every_path() {
        assert_eq!(parts("http://a:1").unwrap(), ("a:1", ""));
        assert_eq!(parts("http://a:1/").unwrap(), ("a:1", ""));
        assert_eq!(parts("http://a/x/y/").unwrap(), ("a", "/x/y"));
        assert!(parts("https://a").is_err());
    }
}

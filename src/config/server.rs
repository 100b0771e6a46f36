//! The HTTP server and its logs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;

use clap::Args;

use crate::identity::Secret;
use crate::platform::LogFormat;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct ServerSettings {
    /// Address and port to listen on; port 0 chooses a free one. 127.0.0.1:8080 by default
    #[arg(long, env = "PORCHLIGHT_ADDR", value_name = "ADDR:PORT",
        value_parser = address)]
    addr: Option<SocketAddr>,

    /// Port to listen on, at all addresses. Hosting platforms set it. An address takes precedence
    #[arg(long, env = "PORT", value_name = "PORT")]
    port: Option<u16>,

    /// Threads that serve connections; 0: one per core. A single one does the background tasks too
    #[arg(long, env = "PORCHLIGHT_WORKERS", value_name = "N",
        default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    workers: u16,

    /// Further web origins that may call, comma separated: <https://crm.example.com>
    #[arg(long, env = "PORCHLIGHT_CORS_ORIGINS", value_name = "ORIGINS",
        value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<String>,

    /// Token that `/metrics` asks for as `Authorization: Bearer …`. Without one, `/metrics` is
    /// answered on a loopback address only
    #[arg(
        long,
        env = "PORCHLIGHT_METRICS_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub metrics_token: Option<Secret>,

    /// Most bytes of the body of a request
    #[arg(long, env = "PORCHLIGHT_BODY_BYTES", value_name = "BYTES",
        default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1_024..=67_108_864))]
    pub body_bytes: u32,

    /// Most seconds until the head of a request has arrived. A connection that waited for its next request has
    /// 75 seconds in all for the wait and the head
    #[arg(long, env = "PORCHLIGHT_HEAD_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub head_timeout_seconds: u16,

    /// Most seconds until the body of a request has arrived; uploads must keep a rate instead
    #[arg(long, env = "PORCHLIGHT_BODY_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub body_timeout_seconds: u16,

    /// Most bytes of an event
    #[arg(long, env = "PORCHLIGHT_EVENT_BYTES", value_name = "BYTES",
        default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(256..=1_048_576))]
    pub event_bytes: u32,

    /// Most bytes of a page of a list, unless it has one item only; `next` continues it
    #[arg(long, env = "PORCHLIGHT_PAGE_BYTES", value_name = "BYTES",
        default_value_t = 1_048_576, value_parser = clap::value_parser!(u32).range(1_024..=67_108_864))]
    pub page_bytes: u32,

    /// Most connections of one thread
    #[arg(long, env = "PORCHLIGHT_CONNECTIONS_PER_WORKER", value_name = "N",
        default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub connections_per_worker: u32,

    /// Format of the logs; by default `human` on a terminal, else `json`
    #[arg(long, env = "PORCHLIGHT_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Filter of the logs: a level, or levels by module as in `info,porchlight::fanout=debug`
    #[arg(
        long,
        env = "PORCHLIGHT_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,

    /// Most log lines of one kind in a second: of refusals by route and status, of streams that
    /// open or end. The others are counted and summed up every 10 seconds
    #[arg(long, env = "PORCHLIGHT_LOG_LINES_PER_SECOND", value_name = "N",
        default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub log_lines_per_second: u32,
}

const DEFAULT_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8_080);

impl ServerSettings {
    /// How many threads serve connections.
    #[must_use]
    pub fn workers(&self) -> usize {
        match self.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => usize::from(n),
        }
    }

    /// Where to listen.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        let everywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let chosen = self.addr.or_else(|| self.port.map(everywhere));
        chosen.unwrap_or(DEFAULT_ADDR)
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let expected =
        "must be an IP address and a port: 127.0.0.1:8080, or 0.0.0.0:8080 for all addresses";
    text.parse().map_err(|_| expected.to_owned())
}

fn origin(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_origin = |host: &str| {
        !host.is_empty() && !host.contains(['/', ' ', '?', '#', '*', '@']) && host.is_ascii()
    };
    if host.is_some_and(is_origin) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(
            "an origin is a scheme, a host and optionally a port: https://crm.example.com"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        server: ServerSettings,
    }

    #[test]
    fn a_port_alone_is_opened_at_all_addresses_and_an_address_takes_precedence() {
        for (flags, addr) in [
            (&[][..], "127.0.0.1:8080"),
            (&["--port=3000"], "0.0.0.0:3000"),
            (&["--port=3000", "--addr=127.0.0.1:9000"], "127.0.0.1:9000"),
        ] {
            let flags = ["porchlight"].iter().chain(flags);
            let found = Flags::parse_from(flags).server.addr();
            assert_eq!(found.to_string(), addr);
        }
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_an_example() {
        for wrong in ["localhost:8080", "8080", "127.0.0.1:80000"] {
            let flags = ["porchlight", "--addr", wrong];
            let error = Flags::try_parse_from(flags).err().unwrap().to_string();
            assert!(error.contains("127.0.0.1:8080"), "{error}");
        }
    }
}

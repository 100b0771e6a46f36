//! The options of the command line.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Load a running server with subscribers and publishes, and report what it did
#[derive(Debug, Clone, Args)]
#[command(after_help = TEMPLATES, group(clap::ArgGroup::new("mode").multiple(false)))]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct BenchArgs {
    /// Where the server listens; a path is put before every path
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    pub url: String,

    /// Where to publish, if it is another instance than the one that streams are opened at
    #[arg(long, value_name = "URL")]
    pub publish_url: Option<String>,

    /// Streams to open, spread evenly over the topics
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub subscribers: u32,

    /// Topics (for Porchlight: teams) to publish to, in turn
    #[arg(long, short = 't', default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=0xff_ffff))]
    pub topics: u32,

    /// Events published per second over all topics, sent when due whether or not the
    /// server keeps up; with --find-rate the rate to begin at
    #[arg(long, short = 'r', default_value_t = 50.0)]
    pub rate: f64,

    /// Seconds to measure [default: 20, or 5 a step with --find-rate]
    #[arg(long, short = 's')]
    pub seconds: Option<f64>,

    /// Seconds of the same load before the measurement
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,

    /// Bytes of payload in each event
    #[arg(long, short = 'p', default_value_t = 400)]
    pub payload: usize,

    /// Keep-alive connections that publish; while all wait for answers, latency still
    /// counts from when the event was due
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub publishers: u32,

    /// Events in one POST, all to one topic
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,

    /// One connection for each topic, which publishes one POST after the other, as a backend does.
    /// Without it, --publishers connections share the POSTs, so one that waits delays no other
    #[arg(long, conflicts_with = "publishers")]
    pub sequential: bool,

    /// The first part of the names of topics and subscribers: two runs beside each other need two
    #[arg(long, default_value = "bench", value_name = "NAME")]
    pub names: String,

    /// While measuring, GET this path 50 times a second, and report how long the answers take
    #[arg(long, value_name = "PATH")]
    pub get: Option<String>,

    /// While measuring, note latencies for each so many milliseconds (in the JSON report)
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub timeline: Option<u64>,

    /// Streams that may be connecting at the same time
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub connecting: u32,

    /// Of the subscribers, this many stop reading until the publishing is over
    #[arg(long, default_value_t = 0)]
    pub stall: u32,

    /// Only connect and hold the streams
    #[arg(long, group = "mode")]
    pub idle: bool,

    /// With --idle: afterwards publish one event to each topic, and report when all streams have it
    #[arg(long, requires = "idle")]
    pub announce: bool,

    /// Disconnect everyone, publish this many events to each topic, and let everyone
    /// reconnect at once with its Last-Event-ID
    #[arg(long, group = "mode", value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub storm: Option<u32>,

    /// Search the highest rate with nothing missing and a 99th percentile under --p99-limit
    #[arg(long, group = "mode")]
    pub find_rate: bool,

    /// Milliseconds from publish to receipt that --find-rate allows
    #[arg(long, default_value_t = 100.0)]
    pub p99_limit: f64,

    /// Server process whose CPU and memory to report (may be repeated; Linux)
    #[arg(long)]
    pub pid: Vec<u32>,

    /// Report the descendants of the --pid processes too (an embedded Postgres, workers)
    #[arg(long)]
    pub pid_tree: bool,

    /// Which server it is: sets the defaults of the templates
    #[arg(long, value_enum, default_value_t = Peer::Porchlight)]
    pub peer: Peer,

    /// Path of a stream
    #[arg(long, value_name = "TEMPLATE")]
    pub subscribe_path: Option<String>,

    /// Header of a stream request, `Name: value`; replaces the default ones (may be repeated)
    #[arg(long, value_name = "TEMPLATE")]
    pub subscribe_header: Vec<String>,

    /// Path to publish to
    #[arg(long, value_name = "TEMPLATE")]
    pub publish_path: Option<String>,

    /// Method to publish with
    #[arg(long, default_value = "POST")]
    pub publish_method: String,

    /// Header of a publish, `Name: value`; replaces the default ones (may be repeated)
    #[arg(long, value_name = "TEMPLATE")]
    pub publish_header: Vec<String>,

    /// Body of a publish, or of one event of it when --batch is over 1
    #[arg(long, value_name = "TEMPLATE")]
    pub publish_body: Option<String>,

    /// Body around the events when --batch is over 1; {events} are joined by commas
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = r#"{"events":[{events}]}"#
    )]
    pub batch_body: String,

    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

const TEMPLATES: &str = "\
Templates hold {topic} (NAME-team-N), {subscriber} (NAME-user-N), {token} (that subscriber's \
token, or in a publish that of a further member of the topic's team), {service_token} (a token of role service) and, in publishes, {payload}. \
Every payload carries a mark by which it is recognized, so the server must pass it on unchanged.

Example, a server of your own:
  porchlight bench --url http://127.0.0.1:3000 --subscribers 1000 --rate 50 \\
    --subscribe-path '/sse/{topic}' --subscribe-header 'X-User: {subscriber}' \\
    --publish-path '/emit/{topic}' --publish-header 'Content-Type: text/plain' \\
    --publish-body '{payload}' --pid $(pidof server)

Example, signals of 400 people from one instance to another (each is published once a second at most):
  porchlight bench --url http://127.0.0.1:8081 --publish-url http://127.0.0.1:8080 \\
    --subscribers 400 --topics 400 --rate 200 --payload 41 \\
    --subscribe-path '/stream/team?types=user:typing' --publish-path /signals \\
    --publish-header 'Authorization: Bearer {token}' --publish-header 'Content-Type: application/json' \\
    --publish-body '{\"name\":\"typing\",\"team\":\"{topic}\",\"session\":\"{payload}\"}'";

/// A server whose templates are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Porchlight, which this program is part of
    Porchlight,
    /// nginx with nchan, as `benches/peers` sets it up
    Nchan,
    /// The example `raw_write` of this crate: one `write()` a delivery
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Steady,
    Idle,
    Storm(u32),
    FindRate,
}

const STEADY: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_secs(5);

impl BenchArgs {
    pub(crate) fn mode(&self) -> Mode {
        match self.storm {
            Some(events) => Mode::Storm(events),
            None if self.idle => Mode::Idle,
            None if self.find_rate => Mode::FindRate,
            None => Mode::Steady,
        }
    }

    /// The connections that publish.
    pub(crate) fn publishing_connections(&self) -> u32 {
        if self.sequential {
            self.topics
        } else {
            self.publishers
        }
    }

    /// How long a measurement lasts.
    pub(crate) fn window(&self) -> Duration {
        let default = if self.find_rate { STEP } else { STEADY };
        self.seconds.map_or(default, Duration::from_secs_f64)
    }
}

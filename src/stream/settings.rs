//! The settings of streams.

use std::time::Duration;

use clap::Args;

use super::heartbeat::MOST_SECONDS;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Streams")]
pub struct StreamSettings {
    /// Streams that one user may have open; one more ends the oldest
    #[arg(long, env = "PORCHLIGHT_STREAMS_PER_USER", value_name = "N",
        default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams_per_user: u32,

    /// Streams that this instance holds; one more is refused and tried again later
    #[arg(long, env = "PORCHLIGHT_MAX_STREAMS", value_name = "N",
        default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_streams: u32,

    /// Seconds without an event after which a stream sends a heartbeat
    #[arg(long, env = "PORCHLIGHT_HEARTBEAT_SECONDS", value_name = "SECONDS",
        default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_SECONDS)))]
    pub heartbeat_seconds: u16,

    /// Seconds between heartbeats that a client may ask for (`heartbeat=`), at least
    #[arg(long, env = "PORCHLIGHT_HEARTBEAT_MIN_SECONDS", value_name = "SECONDS",
        default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_SECONDS)))]
    pub heartbeat_min_seconds: u16,

    /// Seconds before a token expires when its streams get a warning
    #[arg(long, env = "PORCHLIGHT_EXPIRING_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub expiring_seconds: u64,

    /// Seconds over which clients come back after this instance stops
    #[arg(long, env = "PORCHLIGHT_DRAIN_SPREAD_SECONDS", value_name = "SECONDS",
        default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub drain_spread_seconds: u64,

    /// Seconds without the database after which streams are ended, so that their clients reach
    /// an instance that has it
    #[arg(long, env = "PORCHLIGHT_UNAVAILABLE_SECONDS", value_name = "SECONDS",
        default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub unavailable_seconds: u64,

    /// Seconds without an acknowledgement after which a connection is closed
    #[arg(long, env = "PORCHLIGHT_WRITE_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub write_timeout_seconds: u64,

    /// Whether a stream leaves the HTTP server once its head is written, which costs a fifth of the
    /// memory; `false` if something between depends on the HTTP server
    #[arg(long, env = "PORCHLIGHT_PARK_STREAMS", value_name = "BOOL",
        default_value_t = true, action = clap::ArgAction::Set,
        value_parser = clap::builder::BoolishValueParser::new())]
    pub park_streams: bool,

    /// Megabytes of recent events that are kept in memory, over all brokers
    #[arg(long, env = "PORCHLIGHT_MEMORY_MB", value_name = "MB",
        default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub memory_mb: u32,
}

impl StreamSettings {
    /// This long before a token expires, its streams get a warning.
    #[must_use]
    pub fn expiring_notice(&self) -> Duration {
        Duration::from_secs(self.expiring_seconds)
    }

    /// The clients of an instance that stops come back spread over this window.
    #[must_use]
    pub fn drain_spread(&self) -> Duration {
        Duration::from_secs(self.drain_spread_seconds)
    }

    /// After this long without the database, streams are ended.
    #[must_use]
    pub fn unavailable_after(&self) -> Duration {
        Duration::from_secs(self.unavailable_seconds)
    }

    /// After this long without an acknowledgement, a connection is closed.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_seconds)
    }

    /// The memory limit of recent events.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        usize::try_from(self.memory_mb)
            .unwrap_or(usize::MAX)
            .saturating_mul(1 << 20)
    }
}

//! The rhythms and limits of streams.

use std::time::Duration;

use clap::Args;

/// The rhythms and limits of streams.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Streams")]
pub struct StreamSettings {
    /// Streams that one user may have open; a further one ends the oldest
    #[arg(long, env = "PORCHLIGHT_STREAMS_PER_USER", value_name = "N",
        default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub streams_per_user: u32,

    /// Streams that this instance holds; a further one is told to come back
    #[arg(long, env = "PORCHLIGHT_MAX_STREAMS", value_name = "N",
        default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub max_streams: u32,

    /// Seconds after which a quiet stream says that it is alive
    #[arg(long, env = "PORCHLIGHT_HEARTBEAT_SECONDS", value_name = "SECONDS",
        default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub heartbeat_seconds: u64,

    /// Seconds before the end of a token that its streams are warned
    #[arg(long, env = "PORCHLIGHT_EXPIRING_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub expiring_seconds: u64,

    /// Seconds over which clients come back after this instance has told them to go
    #[arg(long, env = "PORCHLIGHT_DRAIN_SPREAD_SECONDS", value_name = "SECONDS",
        default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub drain_spread_seconds: u64,

    /// Seconds without the database after which streams are ended, so that their clients reach
    /// an instance that has it
    #[arg(long, env = "PORCHLIGHT_UNAVAILABLE_SECONDS", value_name = "SECONDS",
        default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub unavailable_seconds: u64,

    /// Seconds that a client may leave what it is sent unacknowledged before it is let go
    #[arg(long, env = "PORCHLIGHT_WRITE_TIMEOUT_SECONDS", value_name = "SECONDS",
        default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub write_timeout_seconds: u64,

    /// Megabytes of recent events that are kept in memory, over all brokers
    #[arg(long, env = "PORCHLIGHT_MEMORY_MB", value_name = "MB",
        default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub memory_mb: u32,
}

impl StreamSettings {
    /// After this much silence, a stream says that it is alive.
    #[must_use]
    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_seconds)
    }

    /// This much before the end of a token, its streams are warned.
    #[must_use]
    pub fn expiring_notice(&self) -> Duration {
        Duration::from_secs(self.expiring_seconds)
    }

    /// Clients of a draining instance come back spread over this.
    #[must_use]
    pub fn drain_spread(&self) -> Duration {
        Duration::from_secs(self.drain_spread_seconds)
    }

    /// Without the database for this long, streams are ended.
    #[must_use]
    pub fn unavailable_after(&self) -> Duration {
        Duration::from_secs(self.unavailable_seconds)
    }

    /// A peer that acknowledges nothing for this long is gone.
    #[must_use]
    pub fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.write_timeout_seconds)
    }

    /// What recent events may take of memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        usize::try_from(self.memory_mb)
            .unwrap_or(usize::MAX)
            .saturating_mul(1 << 20)
    }
}

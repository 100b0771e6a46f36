//! The settings of retention.

use std::time::Duration;

use clap::Args;

#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the flags are named after them")]
#[command(next_help_heading = "Event log")]
pub struct RetentionSettings {
    /// Hours that an event is kept, up to a hundred years
    #[arg(long, env = "PORCHLIGHT_RETENTION_HOURS", value_name = "HOURS",
        default_value_t = 168, value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub retention_hours: u32,

    /// The most events that are kept per broker
    #[arg(long, env = "PORCHLIGHT_RETENTION_EVENTS", value_name = "N",
        default_value_t = 10_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub retention_events: i64,

    /// Seconds between two deletions of old events
    #[arg(long, env = "PORCHLIGHT_RETENTION_INTERVAL_SECONDS", value_name = "SECONDS",
        default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub retention_interval_seconds: u64,
}

impl RetentionSettings {
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_secs(u64::from(self.retention_hours) * 3_600)
    }

    /// When a log has more events, the oldest are deleted.
    #[must_use]
    pub fn max_events(&self) -> i64 {
        self.retention_events
    }

    #[must_use]
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.retention_interval_seconds)
    }
}

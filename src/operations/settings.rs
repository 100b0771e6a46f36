//! The thresholds of alerts.

use std::time::Duration;

use clap::Args;

use super::rules::RuleName;

/// 0 switches a rule off.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alerts")]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the flags"
)]
pub struct AlertSettings {
    /// Milliseconds between two evaluations of the rules
    #[arg(long, env = "PORCHLIGHT_ALERT_INTERVAL_MS", value_name = "MS",
        default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub alert_interval_ms: u64,

    /// Alert when the database was not read for so many seconds. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_DATABASE_SECONDS", value_name = "SECONDS",
        default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub alert_database_seconds: u32,

    /// Alert when an event came to memory so many milliseconds after its commit. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_LAG_MS", value_name = "MS",
        default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=3_600_000))]
    pub alert_lag_ms: u32,

    /// Alert when the process uses so many megabytes. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_MEMORY_MB", value_name = "MB",
        default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub alert_memory_mb: u32,

    /// Alert when so many percent of `PORCHLIGHT_MAX_STREAMS` are open. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_STREAMS_PERCENT", value_name = "PERCENT",
        default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub alert_streams_percent: u32,

    /// Alert when so many requests wait for a database connection. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_POOL_WAITING", value_name = "REQUESTS",
        default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub alert_pool_waiting: u32,

    /// Alert when a brokerage with open streams had no event for so many minutes. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_NO_EVENTS_MINUTES", value_name = "MINUTES",
        default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=10_080))]
    pub alert_no_events_minutes: u32,

    /// Alert when one of a hundred events took longer than this from commit to write. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_LATENCY_MS", value_name = "MS",
        default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub alert_latency_ms: u32,

    /// Alert when so many requests of a brokerage were refused in a minute. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_REFUSALS_PER_MINUTE", value_name = "REQUESTS",
        default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub alert_refusals_per_minute: u32,

    /// Alert when so many streams of a brokerage were reset in a minute. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_RESETS_PER_MINUTE", value_name = "RESETS",
        default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub alert_resets_per_minute: u32,

    /// Alert when a client whose connection broke is not back after so many seconds. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_DISCONNECTED_SECONDS", value_name = "SECONDS",
        default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    pub alert_disconnected_seconds: u32,

    /// Alert when a change of a watched table waits so many seconds for the log. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_RELAY_SECONDS", value_name = "SECONDS",
        default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub alert_relay_seconds: u32,

    /// Alert when so many changes of watched tables were set aside. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_POISON_ROWS", value_name = "ROWS",
        default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub alert_poison_rows: u32,

    /// Alert when a task waits so many seconds for a worker. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_TASK_WAIT_SECONDS", value_name = "SECONDS",
        default_value_t = 600, value_parser = clap::value_parser!(u32).range(0..=604_800))]
    pub alert_task_wait_seconds: u32,

    /// Alert when so many tasks of a brokerage failed in an hour. 0: never
    #[arg(long, env = "PORCHLIGHT_ALERT_TASK_FAILURES_PER_HOUR", value_name = "TASKS",
        default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub alert_task_failures_per_hour: u32,
}

impl AlertSettings {
    pub(super) fn interval(&self) -> Duration {
        Duration::from_millis(self.alert_interval_ms)
    }

    /// The threshold of a rule; 0 if it is switched off.
    #[must_use]
    pub fn threshold(&self, rule: RuleName) -> f64 {
        f64::from(match rule {
            RuleName::DatabaseUnreachable => self.alert_database_seconds,
            RuleName::FollowerLag => self.alert_lag_ms,
            RuleName::Memory => self.alert_memory_mb,
            RuleName::StreamsFull => self.alert_streams_percent,
            RuleName::PoolWaiting => self.alert_pool_waiting,
            RuleName::NoEvents => self.alert_no_events_minutes,
            RuleName::Latency => self.alert_latency_ms,
            RuleName::Refusals => self.alert_refusals_per_minute,
            RuleName::Resets => self.alert_resets_per_minute,
            RuleName::ClientDisconnected => self.alert_disconnected_seconds,
            RuleName::RelayLag => self.alert_relay_seconds,
            RuleName::Poison => self.alert_poison_rows,
            RuleName::TasksWaiting => self.alert_task_wait_seconds,
            RuleName::TasksFailing => self.alert_task_failures_per_hour,
        })
    }
}

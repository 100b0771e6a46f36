//! Leases, pauses and retention of tasks.

use std::time::Duration;

use clap::Args;

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tasks")]
#[expect(clippy::struct_field_names, reason = "they are the names of flags")]
pub struct TaskSettings {
    /// Seconds of the lease of a task, unless the worker asks for another length
    #[arg(long, env = "PORCHLIGHT_TASK_LEASE_SECONDS", value_name = "SECONDS",
        default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub task_lease_seconds: u32,

    /// Seconds of the shortest lease that a worker may ask for
    #[arg(long, env = "PORCHLIGHT_TASK_LEASE_MIN_SECONDS", value_name = "SECONDS",
        default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub task_lease_min_seconds: u32,

    /// Seconds of the longest lease that a worker may ask for
    #[arg(long, env = "PORCHLIGHT_TASK_LEASE_MAX_SECONDS", value_name = "SECONDS",
        default_value_t = 3_600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub task_lease_max_seconds: u32,

    /// Seconds that a worker has to acknowledge that its task is cancelled
    #[arg(long, env = "PORCHLIGHT_TASK_CANCEL_SECONDS", value_name = "SECONDS",
        default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub task_cancel_seconds: u32,

    /// Milliseconds before the second attempt of a task; they double with each attempt
    #[arg(long, env = "PORCHLIGHT_TASK_BACKOFF_MS", value_name = "MS",
        default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=300_000))]
    pub task_backoff_ms: u32,

    /// Days that a task is kept after its end
    #[arg(long, env = "PORCHLIGHT_TASK_RETENTION_DAYS", value_name = "DAYS",
        default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub task_retention_days: u32,
}

impl TaskSettings {
    #[must_use]
    pub fn rules(&self, event_bytes: usize) -> crate::tasks::TaskRules {
        let shortest = self.task_lease_min_seconds.min(self.task_lease_max_seconds);
        let lease_seconds = shortest..=self.task_lease_max_seconds;
        let usual = self.task_lease_seconds;
        crate::tasks::TaskRules {
            usual_lease_seconds: usual.clamp(shortest, self.task_lease_max_seconds),
            lease_seconds,
            cancel: Duration::from_secs(u64::from(self.task_cancel_seconds)),
            backoff: Duration::from_millis(u64::from(self.task_backoff_ms)),
            event_bytes,
        }
    }

    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_secs(u64::from(self.task_retention_days) * 24 * 3_600)
    }
}

//! The built-in worker and uploads.

use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;

use crate::platform::QuotaSettings;
use crate::tasks::{Pace, UploadRules};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Worker")]
pub struct WorkerSettings {
    /// Whether `serve` runs the built-in worker; by default with the embedded Postgres and in a demo
    #[arg(long, env = "PORCHLIGHT_WITH_WORKER", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub with_worker: Option<bool>,

    /// Most tasks that the worker does at the same time
    #[arg(long, env = "PORCHLIGHT_WORKER_TASKS", value_name = "N",
        default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub worker_tasks: u32,

    /// Most bytes of an uploaded file
    #[arg(long, env = "PORCHLIGHT_UPLOAD_BYTES", value_name = "BYTES",
        default_value_t = 16_777_216,
        value_parser = clap::value_parser!(u32).range(1_024..=134_217_728))]
    pub upload_bytes: u32,

    /// Memory for uploads in progress, in files of the largest size; a brokerage may use half of
    /// it, a user a quarter
    #[arg(long, env = "PORCHLIGHT_UPLOADS_AT_ONCE", value_name = "N",
        default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1_024))]
    pub uploads_at_once: u32,

    /// Least bytes a second of an upload
    #[arg(long, env = "PORCHLIGHT_UPLOAD_MIN_BYTES_PER_SECOND", value_name = "BYTES",
        default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub upload_min_bytes_per_second: u32,

    /// Seconds over which this rate is measured, and within which an upload must begin
    #[arg(long, env = "PORCHLIGHT_UPLOAD_WINDOW_SECONDS", value_name = "SECONDS",
        default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub upload_window_seconds: u32,
}

impl WorkerSettings {
    #[must_use]
    pub fn uploads(&self, quotas: &QuotaSettings) -> UploadRules {
        UploadRules {
            most_per_user: quotas.uploads_per_user,
            most_bytes: usize::try_from(self.upload_bytes).unwrap_or(usize::MAX),
            at_once: self.uploads_at_once,
            pace: Pace {
                bytes_per_second: self.upload_min_bytes_per_second,
                window: Duration::from_secs(u64::from(self.upload_window_seconds)),
            },
        }
    }
}

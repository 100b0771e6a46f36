//! The worker that is built in, and the files it is sent.

use clap::Args;

/// The worker that is built in, and the files it is sent.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Worker")]
pub struct WorkerSettings {
    /// Whether `serve` does built-in tasks itself; by default where it keeps a Postgres of its own, and in a demo
    #[arg(long, env = "PORCHLIGHT_WITH_WORKER", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true")]
    pub with_worker: Option<bool>,

    /// Tasks that the worker does at a time
    #[arg(long, env = "PORCHLIGHT_WORKER_TASKS", value_name = "N",
        default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub worker_tasks: u32,

    /// Bytes that an uploaded file may have
    #[arg(long, env = "PORCHLIGHT_UPLOAD_BYTES", value_name = "BYTES",
        default_value_t = 16_777_216,
        value_parser = clap::value_parser!(u32).range(1_024..=134_217_728))]
    pub upload_bytes: u32,
}

//! Logs: for people on a terminal, JSON for everyone else.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

mod limit;
pub mod progress;
mod span_fields;

use span_fields::SpanFields;

pub use limit::LineLimit;

/// actix logs an error for every connection that breaks or sends malformed bytes, and `api` logs
/// refusals. Notices of Postgres say that a table exists already. A filter that names these targets
/// turns them on again.
const QUIET: &str = "actix_http::h1::dispatcher=off,sqlx::postgres::notice=warn";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Logs the address. People and programs look for this line.
pub fn log_address(addr: std::net::SocketAddr) {
    tracing::info!("listening on http://{addr}");
}

/// Starts logging to standard error. A second call has no effect.
pub fn start(filter: &str, format: Option<LogFormat>) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .map_err(|error| format!("PORCHLIGHT_LOG (--log) is not a log filter: {error}"))?;
    let format = format.unwrap_or_else(|| {
        if std::io::stderr().is_terminal() {
            LogFormat::Human
        } else {
            LogFormat::Json
        }
    });
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| progress::LogOutput);
    let started = match format {
        LogFormat::Human => logs.with_target(false).compact().try_init(),
        LogFormat::Json => logs
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .fmt_fields(SpanFields)
            .try_init(),
    };
    drop(started);
    Ok(())
}

//! Logs: for people on a terminal, JSON for everyone else.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

mod limit;
pub mod log_context;
pub mod progress;

use log_context::LogLineFormat;

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
    let is_terminal = std::io::stderr().is_terminal();
    let of_surroundings = if is_terminal {
        LogFormat::Human
    } else {
        LogFormat::Json
    };
    let lines = match format.unwrap_or(of_surroundings) {
        LogFormat::Human => LogLineFormat::text(),
        LogFormat::Json => LogLineFormat::json(),
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| progress::LogOutput);
    // On a terminal, NO_COLOR decides.
    let logs = if is_terminal {
        logs
    } else {
        logs.with_ansi(false)
    };
    drop(logs.event_format(lines).try_init());
    Ok(())
}

//! Logs: for people on a terminal, JSON for everyone else.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

mod limit;
pub mod log_context;
pub mod progress;

use log_context::{ContextStyle, WithContext};

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
    let lines = tracing_subscriber::fmt::format();
    let started = match format {
        LogFormat::Human => logs
            .event_format(WithContext {
                format: lines.with_target(false).compact().with_ansi(has_colours()),
                style: ContextStyle::Text,
            })
            .try_init(),
        LogFormat::Json => logs
            .event_format(WithContext {
                format: lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
                style: ContextStyle::Json,
            })
            .try_init(),
    };
    drop(started);
    Ok(())
}

/// <https://no-color.org>
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

//! Logs: for people on a terminal, JSON for everyone else.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

mod limit;
pub mod log_context;
pub mod progress;

use log_context::LogLineFormat;

pub use limit::LineLimit;

/// actix logs an error for every connection that breaks or sends malformed bytes, and `api` logs
/// refusals. Notices of Postgres say that a table exists already. The pool of sqlx logs each connection that it
/// replaces, and each try to open one that fails: `platform::database` says why, once for all of them. A filter that
/// names these targets turns them on again.
const QUIET: &str =
    "actix_http::h1::dispatcher=off,sqlx::postgres::notice=warn,sqlx_core::pool::inner=off";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What a part of a filter may be that is not `module=level`. The filter itself would take any other word for the name
/// of a module that logs everything, and log nothing of the others.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The filter of the settings, if each part of it is understood as it was meant.
fn filter_of(setting: &str) -> Result<EnvFilter, String> {
    let parts = setting.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    let levels = LEVELS.join(", ");
    if let Some(wrong) = parts.iter().find(|part| !ends_with_level(part)) {
        return Err(format!(
            "PORCHLIGHT_LOG (--log) has {wrong:?}, which has no level. Levels are {levels}; a module has its own as in \
             info,porchlight::fanout=debug"
        ));
    }
    // The filter would have no line of most modules.
    let level = if parts.is_empty() { "info" } else { "" };
    EnvFilter::try_new(format!("{QUIET},{level}{}", parts.join(","))).map_err(|error| {
        format!("PORCHLIGHT_LOG (--log) is not a log filter: {error}. Levels are {levels}")
    })
}

fn ends_with_level(part: &str) -> bool {
    let word = part.split_once('=').map_or(part, |(_, level)| level);
    // Filters by spans and fields have further forms.
    LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level)) || part.contains(['[', ']', '{'])
}

/// Logs the address. People and programs look for this line.
pub fn log_address(addr: std::net::SocketAddr) {
    tracing::info!("listening on http://{addr}");
}

/// Starts logging to standard error. A second call has no effect.
pub fn start(filter: &str, format: Option<LogFormat>) -> Result<(), String> {
    let filter = filter_of(filter)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(setting: &str) -> String {
        filter_of(setting).expect("a filter").to_string()
    }

    #[test]
    fn an_empty_filter_is_info() {
        for empty in ["", " ", ","] {
            assert_eq!(shown(empty), shown("info"), "{empty:?}");
        }
        assert!(shown("").contains("info"), "{}", shown(""));
    }

    #[test]
    fn levels_and_levels_of_modules_are_accepted() {
        for (setting, part) in [
            ("WARN", "warn"),
            ("off", "off"),
            ("info, porchlight::fanout=debug", "porchlight::fanout=debug"),
            ("porchlight=trace", "porchlight=trace"),
        ] {
            assert!(shown(setting).contains(part), "{}", shown(setting));
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_levels() {
        for wrong in [
            "warning",
            "info,verbose",
            "porchlight",
            "porchlight=warning",
            "a=b=c",
        ] {
            let error = filter_of(wrong).unwrap_err();
            for word in ["PORCHLIGHT_LOG", "off, error, warn, info, debug, trace"] {
                assert!(error.contains(word), "{wrong}: {error}");
            }
        }
    }
}

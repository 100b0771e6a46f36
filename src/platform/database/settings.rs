//! The settings of the database.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use embedded_postgres::{EmbeddedError, Names, default_data_dir};

/// The names of the embedded Postgres.
pub const EMBEDDED_NAMES: Names = Names {
    application: "porchlight",
    database: "porchlight",
    data_dir_setting: "PORCHLIGHT_DATA_DIR",
    bin_dir_setting: "PG_BIN_DIR",
    url_setting: Some("DATABASE_URL"),
};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// Postgres 15 or newer; without it, Porchlight starts an embedded Postgres
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Directory of the embedded Postgres and the development secret; by default /var/lib/porchlight for root,
    /// else ~/.local/share/porchlight
    #[arg(long, env = "PORCHLIGHT_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Directory with the programs of the embedded Postgres; searched for when not set
    #[arg(long, env = "PG_BIN_DIR", value_name = "DIR")]
    pub pg_bin_dir: Option<PathBuf>,

    /// Connections to the database for requests; streams need none
    #[arg(long, env = "PORCHLIGHT_DATABASE_CONNECTIONS", value_name = "N",
        default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub database_connections: u32,

    /// Percent of these connections that one brokerage may use at a time. Requests of several
    /// brokerages that wait for a connection take turns
    #[arg(long, env = "PORCHLIGHT_BROKER_CONNECTIONS_PERCENT", value_name = "PERCENT",
        default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub broker_connections_percent: u32,

    /// Milliseconds between polls for events and output of other instances when no hint arrives
    #[arg(long, env = "PORCHLIGHT_POLL_MS", value_name = "MS",
        default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub poll_ms: u64,

    /// Milliseconds between polls of the outbox of watched tables while it is empty
    #[arg(long, env = "PORCHLIGHT_RELAY_POLL_MS", value_name = "MS",
        default_value_t = 25, value_parser = clap::value_parser!(u64).range(5..=60_000))]
    pub relay_poll_ms: u64,
}

impl DatabaseSettings {
    #[must_use]
    pub fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    #[must_use]
    pub fn relay_poll(&self) -> Duration {
        Duration::from_millis(self.relay_poll_ms)
    }

    /// The connections that one brokerage may use at a time.
    #[must_use]
    pub(super) fn broker_connections(&self) -> u32 {
        (self.database_connections * self.broker_connections_percent / 100).max(1)
    }

    /// The configured directory, or the default of this system.
    pub fn data_dir(&self) -> Result<PathBuf, EmbeddedError> {
        match &self.data_dir {
            Some(dir) => Ok(dir.clone()),
            None => default_data_dir(EMBEDDED_NAMES),
        }
    }
}

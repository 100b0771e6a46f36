//! How to connect to the server.

use std::ffi::OsString;
use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::EmbeddedConfig;
use crate::layout::{Layout, PORT};

/// The database that every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";

#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    socket_dir: PathBuf,
    superuser: String,
    pub(crate) database_name: &'static str,
}

impl Endpoint {
    pub(crate) fn new(config: &EmbeddedConfig, layout: &Layout) -> Self {
        Self {
            socket_dir: layout.socket_dir.clone(),
            superuser: config.superuser.clone(),
            database_name: config.names.database,
        }
    }

    /// The application's database.
    pub(crate) fn database(&self) -> PgConnectOptions {
        self.options(self.database_name)
    }

    /// The database that exists before the application's does.
    pub(crate) fn maintenance(&self) -> PgConnectOptions {
        self.options(MAINTENANCE_DATABASE)
    }

    /// The application's database, as variables that libpq reads.
    pub(crate) fn client_variables(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("PGHOST", self.socket_dir.clone().into()),
            ("PGPORT", PORT.to_string().into()),
            ("PGUSER", self.superuser.clone().into()),
            ("PGDATABASE", self.database_name.into()),
        ]
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket_dir)
            .port(PORT)
            .username(&self.superuser)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }
}

//! What the application asks for.

use std::path::PathBuf;

/// What the application and its settings are called. The names are used for directories, for
/// the database, and in error messages.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// The application, as part of directory names: `acme`.
    pub application: &'static str,
    /// The database that is created in the cluster.
    pub database: &'static str,
    /// The setting that names the data directory: `ACME_DATA_DIR`.
    pub data_dir_setting: &'static str,
    /// The setting that names the directory of the Postgres binaries: `PG_BIN_DIR`.
    pub bin_dir_setting: &'static str,
    /// The setting that names a database to use in place of an embedded one, if there is one.
    pub url_setting: Option<&'static str>,
}

/// What the embedded Postgres shall be.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// The names of the application.
    pub names: Names,
    /// The directory of the cluster, its lock and its log.
    pub data_dir: PathBuf,
    /// The directory of `postgres` and `initdb`; searched for when `None`.
    pub bin_dir: Option<PathBuf>,
    /// The oldest major version of Postgres to use.
    pub oldest_major: u32,
    /// Whether a commit survives a power cut. `false` is for test clusters.
    pub durable: bool,
    /// Settings of the server. They override the crate's own.
    pub settings: Vec<(String, String)>,
    /// The superuser of a new cluster, and the user that connects.
    pub superuser: String,
    /// The system users that Postgres runs as when this process is root. The first that
    /// exists is used.
    pub system_users: Vec<String>,
    /// Whether an instance that uses the server of another one runs the server itself when that one ends.
    /// `false` is for commands that end soon: another start need not wait for them then.
    pub takes_over: bool,
}

impl EmbeddedConfig {
    /// A durable cluster in `data_dir`, made with the binaries that are found.
    pub fn new(names: Names, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            names,
            data_dir: data_dir.into(),
            bin_dir: None,
            oldest_major: 15,
            durable: true,
            settings: Vec::new(),
            superuser: "postgres".to_owned(),
            system_users: ["postgres", "nobody"].map(str::to_owned).to_vec(),
            takes_over: true,
        }
    }
}

//! Loads a backup into a new cluster beside the one of the data directory.

use std::io::Read;
use std::path::PathBuf;

use embedded_postgres::{EmbeddedPostgres, Replacement, cluster_major, has_cluster};
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncWriteExt;

use super::file::CHUNK_BYTES;
use super::program::{PostgresProgram, RunningProgram};
use super::{Backup, BackupError, DATABASE, data_dir, roles};
use crate::platform::database::{DatabaseSettings, embedded_config, schema};

/// For a cluster that only a restore uses: the contents of tables need not be in the log of Postgres, too.
const SETTINGS: [(&str, &str); 4] = [
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("synchronous_commit", "off"),
    ("autovacuum", "off"),
];
/// The new cluster has other owners and is empty. All or nothing is loaded.
const ARGUMENTS: [&str; 4] = [
    "--exit-on-error",
    "--single-transaction",
    "--no-owner",
    "--no-password",
];

/// A new cluster that runs. Whoever drops it without [`finish`](Self::finish) leaves the data directory as it was.
#[derive(Debug)]
pub struct Restore {
    settings: DatabaseSettings,
    server: EmbeddedPostgres,
    replacement: Replacement,
}

impl Restore {
    /// Locks the data directory, and starts an empty database beside its own. Without `is_forced`, the data
    /// directory must have none.
    pub async fn begin(settings: &DatabaseSettings, is_forced: bool) -> Result<Self, BackupError> {
        let data_dir = data_dir(settings)?;
        if !is_forced && has_cluster(&data_dir) {
            return Err(BackupError::HasData(data_dir));
        }
        let replacement = Replacement::begin(embedded_config(settings)?).await?;
        let mut config = replacement.config().clone();
        let new = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        config.settings.extend(new);
        let settings = DatabaseSettings {
            data_dir: Some(config.data_dir.clone()),
            ..settings.clone()
        };
        let server = EmbeddedPostgres::start(config).await?;
        Ok(Self {
            settings,
            server,
            replacement,
        })
    }

    /// The settings with which to open the new database.
    #[must_use]
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// Loads the backup, which was checked. Tells how far it is. Returns the roles that were created for it.
    pub async fn load(
        &self,
        backup: &mut Backup,
        at_percent: impl FnMut(u64),
    ) -> Result<Vec<String>, BackupError> {
        backup.must_be_known(schema::newest_migration())?;
        let data_dir = data_dir(&self.settings)?;
        let major = cluster_major(&data_dir).unwrap_or_default();
        let bin_dir = self.settings.pg_bin_dir.as_deref();
        let major = major.max(backup.summary.postgres);
        let program = PostgresProgram::find("pg_restore", bin_dir, major)?;
        let created = roles::create_missing(&self.server, &backup.summary.roles).await?;
        let database = format!("--dbname={DATABASE}");
        let arguments = ARGUMENTS.into_iter().chain([&*database]);
        let program = program.start(&self.server, &arguments.collect::<Vec<_>>())?;
        feed(program, backup, at_percent).await?;
        // Without statistics, the first queries would be slow.
        let mut connection = PgConnection::connect_with(&self.server.connect_options()).await?;
        sqlx::raw_sql("analyze").execute(&mut connection).await?;
        connection.close().await?;
        Ok(created)
    }

    /// Puts the new database in the place of the old one. Returns the directory where the old one is kept.
    pub async fn finish(self, tag: &str) -> Result<Option<PathBuf>, BackupError> {
        self.server.stop().await;
        Ok(self.replacement.finish(tag)?)
    }

    /// Removes the new database.
    pub async fn cancel(self) {
        self.server.stop().await;
    }
}

async fn feed(
    mut program: RunningProgram,
    backup: &mut Backup,
    mut at_percent: impl FnMut(u64),
) -> Result<(), BackupError> {
    let errors = program.errors();
    let input = program.child.stdin.take();
    drop(program.child.stdout.take());
    let (path, total) = (backup.path.clone(), backup.summary.bytes.max(1));
    let copy = async {
        let read_error = BackupError::file;
        let mut content = backup.content().map_err(read_error("read", &path))?;
        let (mut chunk, mut fed) = (vec![0; CHUNK_BYTES], 0);
        if let Some(mut input) = input {
            loop {
                let bytes = content.read(&mut chunk);
                let bytes = bytes.map_err(read_error("read", &path))?;
                // A program that has failed reads no more, and says why.
                if bytes == 0 || input.write_all(&chunk[..bytes]).await.is_err() {
                    break;
                }
                fed += bytes as u64;
                at_percent(fed * 100 / total);
            }
        }
        Ok::<_, BackupError>(())
    };
    let (copied, errors) = tokio::join!(copy, errors);
    copied?;
    program.end(errors).await
}

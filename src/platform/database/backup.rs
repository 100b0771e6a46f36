//! Backups of the embedded database. A backup is one file: what `pg_dump` wrote, and a last line with its
//! checksum. A restore loads it into a new cluster, which takes the place of the old one when it is complete.

use std::path::{Path, PathBuf};

use embedded_postgres::EmbeddedError;

use super::{DatabaseSettings, EMBEDDED_NAMES};

mod dump;
mod file;
mod program;
mod restore;
mod roles;
mod unfinished;

pub use dump::back_up;
pub use file::{Backup, BackupSummary};
pub use restore::Restore;

/// Why a database was not backed up or not restored. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(
        "DATABASE_URL names a database of your own, and this command is for the embedded one. Use pg_dump and \
         pg_restore, then `porchlight new-epochs`: docs/OPERATING.md says how"
    )]
    OwnDatabase,
    #[error("there is no database in {}", .0.display())]
    NoDatabase(PathBuf),
    #[error(
        "there is a database in {} already. With --force the backup takes its place; the database is kept beside it",
        .0.display()
    )]
    HasData(PathBuf),
    #[error("{} exists and is no backup, so it is not overwritten", .0.display())]
    Exists(PathBuf),
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} is no whole backup: its last line is not that of `porchlight backup`. It is cut off, or something \
         else wrote it", .0.display()
    )]
    NotWhole(PathBuf),
    #[error("{} is damaged: its content does not have the checksum of its last line", .0.display())]
    Damaged(PathBuf),
    #[error(
        "{} was made by Porchlight {by}, which is newer than this one ({}). Restore it with that version or a \
         newer one", path.display(), env!("CARGO_PKG_VERSION")
    )]
    NewerVersion { path: PathBuf, by: String },
    #[error(
        "{name} of Postgres {major} or newer was not found. Install it (Debian: apt-get install \
         postgresql-client; macOS: brew install libpq), or set PG_BIN_DIR to the directory that has it"
    )]
    NoProgram { name: &'static str, major: u32 },
    #[error("{name} failed: {output}")]
    Program { name: &'static str, output: String },
    #[error(
        "the role {role:?} of the backup could not be created: {source}. Restore it as a user that may create roles"
    )]
    Role { role: String, source: sqlx::Error },
    #[error(
        "{0} roles have rights in this database, more than a backup can tell. Give the rights to roles that stand \
         for groups"
    )]
    TooManyRoles(usize),
    #[error("the database could not be read: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
}

impl BackupError {
    /// For `map_err`: what was tried on which path.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

/// The data directory of the embedded database.
fn data_dir(settings: &DatabaseSettings) -> Result<PathBuf, BackupError> {
    if settings.database_url.is_some() {
        return Err(BackupError::OwnDatabase);
    }
    Ok(settings.data_dir()?)
}

const DATABASE: &str = EMBEDDED_NAMES.database;

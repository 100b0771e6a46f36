//! Makes a backup, while the service runs or not.

use std::path::Path;

use embedded_postgres::{EmbeddedPostgres, cluster_major, has_cluster};
use sqlx::{Connection, PgConnection};
use tokio::io::AsyncReadExt;

use super::file::CHUNK_BYTES;
use super::program::{PostgresProgram, RunningProgram};
use super::unfinished::{BackupSource, UnfinishedBackup};
use super::{BackupError, BackupSummary, data_dir, roles};
use crate::platform::database::{DatabaseSettings, schema, visit_embedded};

/// A dump is of one moment. Little compression, because the service may need the processor.
const ARGUMENTS: [&str; 3] = ["--format=custom", "--compress=1", "--no-password"];

/// Writes the embedded database to a file, which has its name only when it is whole. If the database does
/// not run, it is started for this time. Tells how many bytes are written.
pub async fn back_up(
    settings: &DatabaseSettings,
    target: &Path,
    created_at: String,
    at_bytes: impl FnMut(u64),
) -> Result<BackupSummary, BackupError> {
    let data_dir = data_dir(settings)?;
    if !has_cluster(&data_dir) {
        return Err(BackupError::NoDatabase(data_dir));
    }
    let file = UnfinishedBackup::create(target)?;
    let postgres = cluster_major(&data_dir).unwrap_or_default();
    let dump = PostgresProgram::find("pg_dump", settings.pg_bin_dir.as_deref(), postgres)?;
    let server = visit_embedded(settings).await?;
    let made = async {
        let migration = newest_migration(&server).await?;
        // The moment of the dump is between the two looks.
        let mut roles = roles::of_database(&server).await?;
        let dump = dump.start(&server, &ARGUMENTS)?;
        let file = write(dump, file, at_bytes).await?;
        roles.extend(roles::of_database(&server).await?);
        file.finish(BackupSource {
            postgres,
            migration,
            created_at,
            roles: roles.into_iter().collect(),
        })
    };
    let made = made.await;
    server.stop().await;
    made
}

async fn newest_migration(server: &EmbeddedPostgres) -> sqlx::Result<i64> {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await?;
    let newest = schema::newest_applied(&mut connection).await?;
    connection.close().await?;
    Ok(newest)
}

async fn write(
    mut dump: RunningProgram,
    mut file: UnfinishedBackup,
    mut at_bytes: impl FnMut(u64),
) -> Result<UnfinishedBackup, BackupError> {
    let errors = dump.errors();
    let output = dump.child.stdout.take();
    let copy = async {
        let mut chunk = vec![0; CHUNK_BYTES];
        if let Some(mut output) = output {
            loop {
                let bytes = output.read(&mut chunk).await.unwrap_or(0);
                if bytes == 0 {
                    break;
                }
                file.write(&chunk[..bytes])?;
                at_bytes(file.bytes());
            }
        }
        Ok::<_, BackupError>(())
    };
    let (copied, errors) = tokio::join!(copy, errors);
    copied?;
    dump.end(errors).await?;
    Ok(file)
}

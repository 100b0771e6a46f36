//! Prepares the database: migrates it, and renews the epochs of a copy.

use super::AppError;
use crate::log::origin;
use crate::platform::{Database, DatabaseError, DatabaseSettings, QuotaSettings};
use crate::sessions;

/// Brings the schema up to date, and renews the log's epochs when the database is a copy.
pub async fn prepare(database: &Database) -> Result<(), AppError> {
    database.migrate().await?;
    origin::renew_epochs_at_start(&database.core)
        .await
        .map_err(DatabaseError::Prepare)?;
    Ok(())
}

/// What was renewed in a restored database.
#[derive(Clone, Copy, Debug)]
pub struct NewEpochs {
    /// The number of logs with a new epoch.
    pub logs: i64,
    /// The number of brokerages whose tokens were revoked.
    pub revoked: u64,
}

/// Gives every log of this database a new epoch, and on request revokes all tokens.
pub async fn renew_epochs(
    settings: &DatabaseSettings,
    revokes_tokens: bool,
) -> Result<NewEpochs, AppError> {
    let database = Database::open(settings, &QuotaSettings::default()).await?;
    let renewed = renew(&database, revokes_tokens).await;
    database.close().await;
    renewed
}

async fn renew(database: &Database, revokes_tokens: bool) -> Result<NewEpochs, AppError> {
    database.migrate().await?;
    let renewed = async {
        let mut connection = database.core.acquire().await?;
        let logs = origin::renew_epochs(&mut connection).await?;
        let revoked = if revokes_tokens {
            sessions::revoke_everywhere(&mut connection).await?
        } else {
            0
        };
        Ok(NewEpochs { logs, revoked })
    };
    let renewed = renewed.await.map_err(DatabaseError::Prepare);
    Ok(renewed?)
}

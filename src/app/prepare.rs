//! Prepares the database: migrates it, and renews the epochs of a copy.

use super::AppError;
use crate::log::origin;
use crate::platform::{Database, DatabaseError};

/// Brings the schema up to date, and renews the log's epochs when the database is a copy.
pub async fn prepare(database: &Database) -> Result<(), AppError> {
    database.migrate().await?;
    origin::renew_epochs_of_copy(&database.core)
        .await
        .map_err(DatabaseError::Prepare)?;
    Ok(())
}

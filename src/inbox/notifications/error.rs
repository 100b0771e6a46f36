//! Why a notification is not made, listed or read.

use sqlx::error::DatabaseError;

/// Lock timeout and deadlock: others were quicker, and are still at it.
const BUSY: [&str; 2] = ["55P03", "40P01"];

/// Why a notification is not made, listed or read.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// It is none of the caller's, or there is none: the same to them.
    #[error("there is no notification {0} of yours")]
    Unknown(i64),
    /// Agents tell themselves and their teams.
    #[error("this audience is not yours to tell")]
    NotYourAudience,
    /// Those who run the brokerage give such notices.
    #[error("such notices are not yours to give")]
    NotYourNotice,
    /// The key stands for another request.
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// Others are at it; nothing was changed.
    #[error("others are changing these notifications")]
    Busy,
    /// The database did not answer.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for NotificationError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(DatabaseError::code);
        if code.is_some_and(|code| BUSY.contains(&&*code)) {
            Self::Busy
        } else {
            Self::Database(error)
        }
    }
}

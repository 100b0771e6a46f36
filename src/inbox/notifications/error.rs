//! Why a notification is not created, listed or read.

use crate::log::KeyError;
use crate::platform::QuotaExceeded;
use crate::platform::database::is_contended;

#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// It does not exist, or the caller may not see it.
    #[error("there is no notification {0} of yours")]
    Unknown(i64),
    #[error("you may not notify this audience")]
    NotYourAudience,
    #[error("you may not send such notices")]
    NotYourNotice,
    #[error(transparent)]
    Quota(QuotaExceeded),
    #[error("this idempotency key was used with another body")]
    KeyReused,
    /// Nothing was changed.
    #[error("others are changing these notifications")]
    Busy,
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<KeyError> for NotificationError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Reused => Self::KeyReused,
            KeyError::Database(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for NotificationError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(quota) = QuotaExceeded::of(&error) {
            return Self::Quota(quota);
        }
        if is_contended(&error) {
            Self::Busy
        } else {
            Self::Database(error)
        }
    }
}

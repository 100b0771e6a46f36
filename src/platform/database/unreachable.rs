//! Why no connection to the database can be opened, in words for the person who configured it.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Error, Executor};

/// How long another try may take, which only finds out the cause.
const CAUSE_LIMIT: Duration = Duration::from_secs(2);

/// A pool tries again until its time is over, and then says only that. One more try says what is wrong. Each session
/// begins with the statements `session`.
pub(super) async fn cause(target: &PgConnectOptions, session: &str, error: Error) -> Error {
    if !matches!(error, Error::PoolTimedOut) {
        return error;
    }
    match tokio::time::timeout(CAUSE_LIMIT, open(target, session)).await {
        Ok(Err(cause)) => cause,
        _ => error,
    }
}

async fn open(target: &PgConnectOptions, session: &str) -> sqlx::Result<()> {
    let mut connection = target.connect().await?;
    connection.execute(AssertSqlSafe(session)).await?;
    connection.close().await
}

/// What the server or the system said, without the words of the library around it.
pub(super) fn text(error: &Error) -> String {
    match error {
        Error::Database(error) => error.message().to_owned(),
        Error::Io(error) => error.to_string(),
        Error::Configuration(error) => error.to_string(),
        Error::PoolTimedOut => "no connection could be opened in time".to_owned(),
        other => other.to_string(),
    }
}

/// The address in a URL. The library takes URLs of other databases too.
pub(super) fn target(url: &str) -> Result<PgConnectOptions, Error> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "postgres" | "postgresql") {
        let wrong = format!("it begins with {scheme:?} instead of postgres://");
        return Err(Error::Configuration(wrong.into()));
    }
    url.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_another_database_is_refused() {
        assert!(target("postgres://ann@localhost/crm").is_ok());
        assert!(target("postgresql:///crm?host=/run/postgresql").is_ok());
        for (url, scheme) in [("mysql://localhost/crm", "\"mysql\""), ("crm", "\"\"")] {
            let error = text(&target(url).unwrap_err());
            assert!(error.contains(scheme), "{error}");
        }
    }
}

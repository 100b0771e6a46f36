//! The moment from which the server can be used.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, query};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use super::layout::Layout;
use super::supervisor::Status;
use super::{DATABASE, EmbeddedError, POLL, START_LIMIT, socket};

/// How long one attempt may take, so that one that hangs does not use up the whole time.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// The database that every cluster has.
const MAINTENANCE_DATABASE: &str = "postgres";
/// The backends of a killed server are still ending; a restart will succeed.
const PASSING_TROUBLE: &str = "shared memory block";

/// Waits until the server answers and has our database.
pub(super) async fn wait(
    layout: &Layout,
    status: &mut watch::Receiver<Status>,
) -> Result<(), EmbeddedError> {
    let options = socket::connect_options(&layout.socket_dir, MAINTENANCE_DATABASE);
    let mut last = String::from("no answer yet");
    let answer = tokio::select! {
        answer = timeout(START_LIMIT, connection(&options, &mut last)) => answer,
        said = failure(status) => {
            return Err(EmbeddedError::Ended { said, log: layout.log.clone() });
        }
    };
    match answer {
        Ok(connection) => create_database(connection).await,
        Err(_) => Err(EmbeddedError::NotReady {
            last,
            log: layout.log.clone(),
        }),
    }
}

/// Whether there is a server that lets us in.
pub(super) async fn answers(options: &PgConnectOptions) -> bool {
    match attempt(options).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

async fn connection(options: &PgConnectOptions, last: &mut String) -> PgConnection {
    let mut ticks = interval(POLL);
    loop {
        ticks.tick().await;
        match attempt(options).await {
            Ok(connection) => return connection,
            Err(refusal) => *last = refusal,
        }
    }
}

async fn attempt(options: &PgConnectOptions) -> Result<PgConnection, String> {
    match timeout(ATTEMPT_LIMIT, PgConnection::connect_with(options)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("a connection hangs".to_owned()),
    }
}

/// The last words of a server that ended for a reason that will not pass.
async fn failure(status: &mut watch::Receiver<Status>) -> String {
    let is_failure = |status: &Status| match status {
        Status::Running | Status::Stopped => false,
        Status::Restarting(said) => !said.contains(PASSING_TROUBLE),
        Status::GaveUp(_) => true,
    };
    match status.wait_for(is_failure).await.as_deref() {
        Ok(Status::Restarting(said) | Status::GaveUp(said)) => said.clone(),
        _ => "the thread that watches it has ended".to_owned(),
    }
}

async fn create_database(mut connection: PgConnection) -> Result<(), EmbeddedError> {
    let existing = query("SELECT FROM pg_database WHERE datname = $1")
        .bind(DATABASE)
        .fetch_optional(&mut connection)
        .await?;
    if existing.is_none() {
        query("CREATE DATABASE porchlight")
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(())
}

//! Waiting for the server's first answer.

use std::time::Duration;

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, query};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::endpoint::Endpoint;
use crate::error::Problem;
use crate::limits::{POLL, START_LIMIT};
use crate::supervisor::Status;

/// The limit of one attempt, so that a connection that hangs does not use up all the time.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(5);
/// Postgres says this while backends of a killed server are still ending. A restart succeeds.
const PASSING_TROUBLE: &str = "shared memory block";

/// Waits until the server answers, and creates the application's database if there is none.
pub(crate) async fn wait(
    endpoint: &Endpoint,
    log: &Path,
    status: &mut watch::Receiver<Status>,
) -> Result<(), Problem> {
    let options = endpoint.maintenance();
    let mut last = String::from("no answer yet");
    let log = log.to_owned();
    let answer = tokio::select! {
        answer = timeout(START_LIMIT, connection(&options, &mut last)) => answer,
        log_end = failure(status) => return Err(Problem::Ended { log_end, log }),
    };
    match answer {
        Ok(connection) => create_database(connection, endpoint.database_name).await,
        Err(_) => Err(Problem::NotReady { last, log }),
    }
}

/// Whether a server answers.
pub(crate) async fn answers(options: &PgConnectOptions) -> bool {
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

/// Completes with the end of the log when the server ended for a reason that will not pass.
async fn failure(status: &mut watch::Receiver<Status>) -> String {
    let is_failure = |status: &Status| match status {
        Status::Running | Status::Stopped => false,
        Status::Restarting(log_end) => !log_end.contains(PASSING_TROUBLE),
        Status::GaveUp(_) => true,
    };
    match status.wait_for(is_failure).await.as_deref() {
        Ok(Status::Restarting(log_end) | Status::GaveUp(log_end)) => log_end.clone(),
        _ => "its supervisor thread has ended".to_owned(),
    }
}

async fn create_database(mut connection: PgConnection, name: &str) -> Result<(), Problem> {
    let existing = query("SELECT FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await?;
    if existing.is_none() {
        let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        // The name is quoted and comes from the application, not from a user.
        query(AssertSqlSafe(create))
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(())
}

//! The database: the configured Postgres or an embedded one, migrated, with connection pools.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

mod backup;
mod client;
mod dedicated;
mod figures;
mod limit;
mod listener;
mod pool;
mod pooler;
mod room;
mod schema;
mod settings;
mod shortage;
mod silence;
mod spare;
mod sqlstate;
mod transaction;
mod turns;
mod unreachable;

pub use backup::{Backup, BackupError, BackupSummary, Restore, back_up};
pub use client::{ClientError, run_psql};
pub use dedicated::DedicatedConnection;
pub use figures::{DatabaseFigures, PoolFigures};
pub use limit::{Limit, limited};
pub use listener::Listener;
pub use pool::Pool;
pub use schema::{FUNCTIONS, SqlFunction};
pub use settings::{DatabaseSettings, EMBEDDED_NAMES};
pub use sqlstate::{
    is_cancelled, is_contended, is_refusal, is_transient, lacks_resources, may_succeed_later,
};
pub use transaction::Transaction;
pub use turns::{count_for, counted};

use super::quotas::QuotaSettings;
use pool::ACQUIRE_TIMEOUT;
use shortage::Shortage;
use silence::Silence;
use turns::Turns;

/// Connections of the background tasks: writer (2), follower, listener, peer notifier, replay (4), presence,
/// locks (2), relay (2), notifier, names of people, tasks (2), output, sessions (2), questions to other
/// instances, figures, alerts.
const CORE_CONNECTIONS: u32 = 24;
/// The settings of every session. Statements, waits for locks and idle transactions have limits: one
/// blocked log, or an instance that hangs in a transaction, must not block the others. The defaults of
/// the CRM's database for transactions do not apply to ours.
///
/// The session of a standby is refused: after a failover, the former primary may come back as one behind the same
/// address, where every write would fail. A later try finds the new primary.
///
/// The server probes idle connections, so that no router drops them, and ends the session of an
/// instance that acknowledges nothing for 20 s. Where the system allows it, it also checks while a
/// statement runs.
const SESSION: &str = "do $$ begin
                           if pg_catalog.pg_is_in_recovery() then
                               raise 'the server is a standby or in recovery, and accepts no writes' using errcode = '57P03';
                           end if;
                       end $$; \
                       set statement_timeout = '20s'; set lock_timeout = '2s'; \
                       set idle_in_transaction_session_timeout = '5s'; \
                       set default_transaction_isolation = 'read committed'; \
                       set default_transaction_read_only = off; \
                       set tcp_keepalives_idle = '20s'; set tcp_keepalives_interval = '5s'; \
                       set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'; \
                       do $$ begin
                           perform set_config('client_connection_check_interval', '5s', false);
                       exception when others then null; end $$";
/// The oldest version of Postgres that works.
const OLDEST_MAJOR: u32 = 15;
/// The same as `server_version_num`.
const OLDEST_VERSION: i32 = 150_000;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(
        "DATABASE_URL is not a Postgres URL like postgres://user:password@host/name: {}",
        unreachable::text(.0)
    )]
    Url(sqlx::Error),
    #[error(
        "cannot connect to the database: {}. If DATABASE_URL is set, check its host, port, user, password \
         and name, and that this Postgres runs and accepts connections from here.",
        unreachable::text(.0)
    )]
    Connect(sqlx::Error),
    #[error("the database is Postgres {0}; Porchlight needs 15 or newer")]
    TooOld(String),
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the SQL functions could not be applied to the database: {0}")]
    Functions(sqlx::Error),
    #[error(
        "an unreleased build of Porchlight made this database (its migration {0} is not that of this \
         version), and it cannot be migrated. Remove the data directory, or drop the schema with \
         `drop schema porchlight cascade`, or run the build that made it. From 0.2.0 on, migrations are \
         permanent."
    )]
    UnreleasedBuild(i64),
    #[error(
        "a newer version of Porchlight has migrated this database (it has the unknown migration {0}). \
         Run that version or a newer one."
    )]
    NewerVersion(i64),
    #[error("the database could not be prepared: {0}")]
    Prepare(sqlx::Error),
}

#[derive(Debug)]
pub struct Database {
    pub pool: Pool,
    /// For the background tasks, which must not wait behind requests.
    pub core: Pool,
    is_pooled: bool,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Connects to the configured Postgres, or starts the embedded one. Its sessions know the quotas.
    pub async fn open(
        settings: &DatabaseSettings,
        quotas: &QuotaSettings,
    ) -> Result<Self, DatabaseError> {
        let (options, embedded) = if let Some(url) = &settings.database_url {
            (unreachable::target(url).map_err(DatabaseError::Url)?, None)
        } else {
            let embedded = EmbeddedPostgres::start(embedded_config(settings)?).await?;
            tracing::info!(
                socket_dir = %embedded.socket_dir().display(),
                "Postgres runs for this service alone; connect with `porchlight psql`"
            );
            (embedded.connect_options(), Some(embedded))
        };
        let options = options
            .application_name("porchlight")
            // A pooler refuses a parameter that it does not know. Values come in binary anyway.
            .extra_float_digits(None)
            .disable_statement_logging();
        // Both pools connect to the same server.
        let silence = Silence::default();
        let core = PgPoolOptions::new().max_connections(CORE_CONNECTIONS);
        let core = pool(options.clone(), core, String::new(), &silence, None).await?;
        let connections = settings.database_connections;
        let turns = Turns::new(connections, settings.broker_connections());
        let pooled = PgPoolOptions::new().max_connections(connections);
        let pool = pool(options, pooled, quotas.session(), &silence, Some(turns)).await?;
        refuse_old(&pool).await?;
        let is_pooled = embedded.is_none() && is_pooled(&core).await?;
        if !is_pooled {
            warn_if_small(&core, &pool).await?;
        }
        Ok(Self {
            pool,
            core,
            is_pooled,
            embedded,
        })
    }

    /// Whether a pooler in transaction mode is in front of the database: then LISTEN does not work.
    #[must_use]
    pub fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// Migrates the schema. Instances that start together take turns.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        self.migrate_with(FUNCTIONS).await
    }

    /// Like `migrate`, with the functions of another version.
    pub async fn migrate_with(&self, functions: &[SqlFunction]) -> Result<(), DatabaseError> {
        let mut connection = self.core.acquire().await.map_err(DatabaseError::Connect)?;
        if schema::is_current(&mut connection, functions).await {
            return Ok(());
        }
        schema::update(&mut connection, functions).await
    }

    /// Ends when the embedded Postgres cannot be restarted, or not be taken over from the instance that ran it.
    pub fn gave_up(&self) -> impl Future<Output = ()> + use<> {
        let crashed = self.embedded.as_ref().map(EmbeddedPostgres::crashed);
        async {
            match crashed {
                Some(crashed) => {
                    let error = crashed.await;
                    tracing::error!(%error, "the embedded database cannot be kept alive");
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Closes all connections, and stops the embedded Postgres.
    pub async fn close(self) {
        let close = async { tokio::join!(self.pool.close(), self.core.close()) };
        // A connection that hangs must not block the stop.
        let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// For a program that runs beside the service. If the service is stopped meanwhile, it must be able to start
/// again, and a restore too.
async fn visit_embedded(settings: &DatabaseSettings) -> Result<EmbeddedPostgres, EmbeddedError> {
    let mut config = embedded_config(settings)?;
    config.takes_over = false;
    EmbeddedPostgres::start(config).await
}

fn embedded_config(settings: &DatabaseSettings) -> Result<EmbeddedConfig, EmbeddedError> {
    let mut config = EmbeddedConfig::new(EMBEDDED_NAMES, settings.data_dir()?);
    config.oldest_major = OLDEST_MAJOR;
    config.bin_dir.clone_from(&settings.pg_bin_dir);
    Ok(config)
}

/// The sessions of the pool begin with the usual settings and with `quotas`.
async fn pool(
    target: PgConnectOptions,
    options: PgPoolOptions,
    quotas: String,
    silence: &Silence,
    turns: Option<Arc<Turns>>,
) -> Result<Pool, DatabaseError> {
    let session: Arc<str> = (quotas + SESSION).into();
    let shortage = Shortage::default();
    let (begins, noted) = (Arc::clone(&session), shortage.clone());
    let options = options
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            let session = AssertSqlSafe(begins.to_string());
            let noted = noted.clone();
            Box::pin(async move {
                let set = connection.execute(session).await;
                set.map(|_| noted.opened())
                    .inspect_err(|error| noted.refused(error))
            })
        });
    let pool = Pool::connect(options, target.clone(), silence.clone(), turns, shortage).await;
    match pool {
        Ok(pool) => Ok(pool),
        Err(error) => Err(DatabaseError::Connect(
            unreachable::cause(&target, &session, error).await,
        )),
    }
}

async fn is_pooled(core: &Pool) -> Result<bool, DatabaseError> {
    let mut first = core.acquire().await.map_err(DatabaseError::Connect)?;
    let mut second = core.acquire().await.map_err(DatabaseError::Connect)?;
    let is_pooled = pooler::is_between(&mut first, &mut second).await;
    let is_pooled = is_pooled.map_err(DatabaseError::Prepare)?;
    if is_pooled {
        pooler::warn(&mut first).await;
    }
    Ok(is_pooled)
}

/// Behind a pooler, the connections of the server are those of the pooler.
async fn warn_if_small(core: &Pool, pool: &Pool) -> Result<(), DatabaseError> {
    let mut connection = core.acquire().await.map_err(DatabaseError::Connect)?;
    let open = core.plain().size() + pool.plain().size();
    let most = core.max_connections() + pool.max_connections();
    room::warn_if_small(&mut connection, most.saturating_sub(open)).await;
    Ok(())
}

async fn refuse_old(pool: &Pool) -> Result<(), DatabaseError> {
    let version = sqlx::query!(
        r#"select current_setting('server_version_num')::int as "number!",
               current_setting('server_version') as "name!""#
    );
    let mut connection = pool.acquire().await.map_err(DatabaseError::Connect)?;
    let version = version.fetch_one(&mut *connection).await;
    let version = version.map_err(DatabaseError::Connect)?;
    if version.number < OLDEST_VERSION {
        Err(DatabaseError::TooOld(version.name))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        database: DatabaseSettings,
    }

    /// The length and the code of the message that asks a server for TLS.
    const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    /// The first byte of a TLS handshake.
    const HANDSHAKE: u8 = 22;

    /// Agrees to TLS, and returns the first byte that the client sends then.
    async fn first_byte_of_tls(mut client: TcpStream) -> u8 {
        let mut request = [0; TLS_REQUEST.len()];
        client.read_exact(&mut request).await.unwrap();
        assert_eq!(request, TLS_REQUEST);
        client.write_all(b"S").await.unwrap();
        client.read_u8().await.unwrap()
    }

    #[tokio::test]
    async fn a_database_that_requires_tls_gets_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let url = format!("postgres://ann:secret@{addr}/crm?sslmode=require");
        let flags = Flags::parse_from(["porchlight", "--database-url", &url]);
        let quotas = QuotaSettings::default();
        let server = async { first_byte_of_tls(listener.accept().await.unwrap().0).await };
        tokio::select! {
            byte = server => assert_eq!(byte, HANDSHAKE),
            opened = Database::open(&flags.database, &quotas) => panic!("{:?}", opened.err()),
        }
    }
}

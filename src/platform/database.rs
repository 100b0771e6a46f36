//! The database: somebody's Postgres, or one of our own, migrated and pooled.

use std::future::Future;
use std::time::Duration;

use embedded_postgres::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Executor};

mod dedicated;
mod limit;
mod listener;
mod pool;
mod settings;
mod silence;

pub use dedicated::{DedicatedConnection, is_for_later, is_refusal};
pub use limit::{Limit, limited};
pub use listener::Listener;
pub use pool::Pool;
pub use settings::{DatabaseSettings, EMBEDDED_NAMES};

use silence::Silence;

/// The migrations, with their own book-keeping inside our schema.
fn migrations() -> Migrator {
    let mut migrations = sqlx::migrate!();
    migrations.create_schema("porchlight");
    migrations.dangerous_set_table_name("porchlight.migrations");
    migrations
}

/// Connections of the service's own tasks: writer, follower, listener, announcer, replay (4),
/// presence, locks (2), relay, notifier, names of people, tasks (2), output.
const CORE_CONNECTIONS: u32 = 18;
/// How long one waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// No statement runs longer, and none waits longer for a lock: a log that somebody holds
/// must not hold up the others. Nor must an instance that stands still in a transaction.
/// What the CRM prefers for its own transactions in this database is not for ours.
///
/// The server probes an idle connection, so that no router forgets it, and ends the session of
/// an instance that acknowledges nothing for 20 s. It looks for that also while a statement
/// runs, where it can: not every system lets it.
const SESSION: &str = "set statement_timeout = '20s'; set lock_timeout = '2s'; \
                       set idle_in_transaction_session_timeout = '5s'; \
                       set default_transaction_isolation = 'read committed'; \
                       set default_transaction_read_only = off; \
                       set tcp_keepalives_idle = '20s'; set tcp_keepalives_interval = '5s'; \
                       set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'; \
                       do $$ begin
                           perform set_config('client_connection_check_interval', '5s', false);
                       exception when others then null; end $$";
/// The oldest Postgres that will do.
const OLDEST_MAJOR: u32 = 15;
/// The same, as the server counts.
const OLDEST_VERSION: i32 = 150_000;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// `DATABASE_URL` makes no sense.
    #[error("DATABASE_URL is not a Postgres URL like postgres://user:password@host/name: {0}")]
    Url(sqlx::Error),
    /// It does not answer.
    #[error("the database does not answer: {0}")]
    Connect(sqlx::Error),
    #[error("the database is Postgres {0}; Porchlight needs 15 or newer")]
    TooOld(String),
    /// It could not be migrated.
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// It could not be read after migrating.
    #[error("the database could not be prepared: {0}")]
    Prepare(sqlx::Error),
}

#[derive(Debug)]
pub struct Database {
    pub pool: Pool,
    /// For the service's own tasks, which must not stand in line behind requests.
    pub core: Pool,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Connects to the configured Postgres, or starts the own one.
    pub async fn open(settings: &DatabaseSettings) -> Result<Self, DatabaseError> {
        let (options, embedded) = if let Some(url) = &settings.database_url {
            (
                url.parse::<PgConnectOptions>()
                    .map_err(DatabaseError::Url)?,
                None,
            )
        } else {
            let mut config = EmbeddedConfig::new(EMBEDDED_NAMES, settings.data_dir()?);
            config.oldest_major = OLDEST_MAJOR;
            config.bin_dir.clone_from(&settings.pg_bin_dir);
            let embedded = EmbeddedPostgres::start(config).await?;
            (embedded.connect_options(), Some(embedded))
        };
        let options = options
            .application_name("porchlight")
            .disable_statement_logging();
        // What is silent for one is silent for the other.
        let silence = Silence::default();
        let core = pool(options.clone(), CORE_CONNECTIONS, &silence).await?;
        let pool = pool(options, settings.database_connections, &silence).await?;
        refuse_old(&pool).await?;
        Ok(Self {
            pool,
            core,
            embedded,
        })
    }

    /// Brings the schema up to date; instances that start together take turns.
    pub async fn migrate(&self) -> Result<(), DatabaseError> {
        let mut connection = self.core.acquire().await.map_err(DatabaseError::Connect)?;
        // A migration may take its time, and waits for another instance's.
        let patient = "set statement_timeout = 0; set lock_timeout = 0";
        connection
            .execute(patient)
            .await
            .map_err(DatabaseError::Prepare)?;
        migrations().run(&mut *connection).await?;
        connection
            .execute(SESSION)
            .await
            .map_err(DatabaseError::Prepare)?;
        Ok(())
    }

    /// Ends when the own Postgres cannot be kept alive.
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

    /// Lets go of every connection, and stops the own Postgres.
    pub async fn close(self) {
        let close = async { tokio::join!(self.pool.close(), self.core.close()) };
        // A connection that hangs must not hang the end.
        let _ = tokio::time::timeout(Duration::from_secs(1), close).await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

async fn pool(
    target: PgConnectOptions,
    connections: u32,
    silence: &Silence,
) -> Result<Pool, DatabaseError> {
    let options = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(SESSION).await.map(drop) })
        });
    let pool = Pool::connect(options, target, silence.clone()).await;
    pool.map_err(DatabaseError::Connect)
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
        let server = async { first_byte_of_tls(listener.accept().await.unwrap().0).await };
        tokio::select! {
            byte = server => assert_eq!(byte, HANDSHAKE),
            opened = Database::open(&flags.database) => panic!("{:?}", opened.err()),
        }
    }
}

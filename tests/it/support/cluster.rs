//! One throw-away Postgres for the whole run, one database for each test.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres};
use porchlight::config::database::EMBEDDED_NAMES;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

static CLUSTER: OnceLock<PathBuf> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory that a Postgres of another user can enter.
pub fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).expect("permissions");
    dir
}

/// Where the run's Postgres listens. It lives in a thread of its own and dies with the run.
fn socket_dir() -> &'static PathBuf {
    CLUSTER.get_or_init(|| {
        let (told, socket_dir) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                let dir = open_dir();
                let mut config = EmbeddedConfig::new(EMBEDDED_NAMES, dir.path());
                config.durable = false;
                config
                    .settings
                    .push(("max_connections".into(), "800".into()));
                // Each line names its database, so that a test finds its own statements.
                let prefix = "%m [%p] %d ";
                config
                    .settings
                    .push(("log_line_prefix".into(), prefix.into()));
                let postgres = EmbeddedPostgres::start(config).await.expect("a Postgres");
                told.send(postgres.socket_dir().to_owned())
                    .expect("the run waits");
                std::future::pending::<()>().await;
                drop(dir);
            });
        });
        socket_dir.recv().expect("a Postgres")
    })
}

/// A database that goes away with the test.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
}

/// The socket that the run's Postgres listens on.
pub fn socket() -> PathBuf {
    socket_dir().join(".s.PGSQL.5432")
}

impl TestDatabase {
    /// A new, empty database.
    pub async fn create() -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}_{n}", std::process::id());
        let mut admin = admin().await;
        let create = format!("create database {name}");
        admin
            .execute(sqlx::AssertSqlSafe(create))
            .await
            .expect("a database");
        Self { name }
    }

    /// A name that is nobody else's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new()
            .socket(socket_dir())
            .username("postgres")
            .database(&self.name)
            .disable_statement_logging()
    }

    /// The same as text.
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@localhost/{}?host={}",
            self.name,
            socket_dir().display()
        )
    }

    /// Logs every statement of connections that are made from now on.
    pub async fn log_statements(&self) {
        let mut admin = admin().await;
        let set = format!("alter database {} set log_statement = 'all'", self.name);
        let set = admin.execute(sqlx::AssertSqlSafe(set)).await;
        set.expect("a setting");
    }

    /// The statements that were logged so far.
    pub fn statements(&self) -> Vec<String> {
        let dir = socket_dir().parent().expect("a directory");
        let log = std::fs::read_to_string(dir.join("postgres.log")).expect("a log");
        let ours = format!("] {} LOG:  ", self.name);
        let (mut statements, mut is_ours) = (Vec::<String>::new(), false);
        for line in log.lines() {
            match (line.strip_prefix('\t'), statements.last_mut()) {
                (Some(rest), Some(last)) if is_ours => last.push_str(rest),
                (Some(_), _) => {}
                (None, _) => {
                    is_ours = line.contains(&ours);
                    statements.extend(is_ours.then(|| line.to_owned()));
                }
            }
        }
        statements
    }

    /// Whether anybody may connect from now on; connections that exist stay.
    pub async fn allow_connections(&self, allow: bool) {
        let mut admin = admin().await;
        let set = format!("alter database {} allow_connections {allow}", self.name);
        let set = admin.execute(sqlx::AssertSqlSafe(set)).await;
        set.expect("a setting");
    }

    /// A connection beside the service.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options())
            .await
            .expect("a connection")
    }
}

async fn admin() -> PgConnection {
    let options = PgConnectOptions::new()
        .socket(socket_dir())
        .username("postgres");
    PgConnection::connect_with(&options.database("postgres"))
        .await
        .expect("a connection")
}

//! One throw-away Postgres for the whole run, one database for each test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres};
use porchlight::platform::database::{DatabaseSettings, EMBEDDED_NAMES};
use porchlight::platform::{Database, QuotaSettings};
use sqlx::postgres::{PgConnectOptions, PgQueryResult};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::wait::soon;

/// A migrated database without content, which new ones are copied from.
const TEMPLATE: &str = "template_porchlight";

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static NEXT: AtomicU32 = AtomicU32::new(0);

struct Cluster {
    socket_dir: PathBuf,
    /// Names of databases that no test uses any more.
    unused: UnboundedSender<String>,
}

/// A directory that a Postgres of another user can enter.
pub fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).expect("permissions");
    dir
}

/// The run's Postgres. It lives in its own thread and ends with the run.
fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| {
        let (started, cluster) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, run(&started));
        });
        cluster.recv().expect("a Postgres")
    })
}

async fn run(started: &mpsc::Sender<Cluster>) {
    let dir = open_dir();
    let mut config = EmbeddedConfig::new(EMBEDDED_NAMES, dir.path());
    config.durable = false;
    config.settings.extend(
        [
            ("max_connections", "800"),
            // Each line names its database, so that a test finds its own statements.
            ("log_line_prefix", "%m [%p] %d "),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let postgres = EmbeddedPostgres::start(config).await.expect("a Postgres");
    let socket_dir = postgres.socket_dir().to_owned();
    create_template(&socket_dir).await;
    let (unused, names) = unbounded_channel();
    let cluster = Cluster {
        socket_dir: socket_dir.clone(),
        unused,
    };
    started.send(cluster).expect("the run waits");
    drop_unused(&socket_dir, names).await;
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    database: DatabaseSettings,
}

async fn create_template(socket_dir: &Path) {
    create_database(socket_dir, TEMPLATE, "template1").await;
    let database = open(&url(socket_dir, TEMPLATE)).await;
    database.migrate().await.expect("migrated");
    database.close().await;
}

/// Opens a database as the service does.
async fn open(url: &str) -> Database {
    let flags = Flags::parse_from(["porchlight", "--database-url", url]);
    Database::open(&flags.database, &QuotaSettings::default())
        .await
        .expect("a database")
}

/// The socket that the run's Postgres listens on.
pub fn socket() -> PathBuf {
    cluster().socket_dir.join(".s.PGSQL.5432")
}

async fn create_database(socket_dir: &Path, name: &str, template: &str) {
    let create = format!("create database {name} template {template} strategy file_copy");
    execute(socket_dir, create).await.expect("a database");
}

/// Drops each database, all of them side by side.
async fn drop_unused(socket_dir: &Path, mut names: UnboundedReceiver<String>) {
    while let Some(name) = names.recv().await {
        tokio::task::spawn_local(drop_database(socket_dir.to_owned(), name));
    }
}

/// Drops a database. Postgres waits five seconds for services that are about to leave it. Whoever
/// is still connected then is disconnected.
#[expect(clippy::print_stderr, reason = "no test is left that could fail")]
async fn drop_database(socket_dir: PathBuf, name: String) {
    let drop = format!("drop database if exists {name}");
    if execute(&socket_dir, drop.clone()).await.is_err()
        && let Err(error) = execute(&socket_dir, format!("{drop} with (force)")).await
    {
        eprintln!("the test database {name} stays: {error}");
    }
}

async fn execute(socket_dir: &Path, statement: String) -> sqlx::Result<PgQueryResult> {
    let mut admin = admin(socket_dir).await?;
    admin.execute(AssertSqlSafe(statement)).await
}

/// A database of one test. It is dropped when the test ends, also by a panic.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// A new database with the schema, and without content.
    pub async fn create() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// A new database that has not been migrated.
    pub async fn empty() -> Self {
        Self::copy_of("template1").await
    }

    async fn copy_of(template: &str) -> Self {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}_{n}", std::process::id());
        create_database(&cluster().socket_dir, &name, template).await;
        Self { name }
    }

    /// Waits until there is no database of this name.
    pub async fn gone(name: &str) {
        let admin = admin(&cluster().socket_dir).await;
        let mut admin = admin.expect("a connection");
        let exists = "select exists (select from pg_database where datname = $1)";
        let gone = async {
            let mut looks = tokio::time::interval(Duration::from_millis(50));
            loop {
                looks.tick().await;
                let exists = sqlx::query_scalar::<_, bool>(exists).bind(name);
                if !exists.fetch_one(&mut admin).await.expect("an answer") {
                    return;
                }
            }
        };
        soon("the database is dropped", gone).await;
    }

    /// A name that no other test has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it.
    pub fn options(&self) -> PgConnectOptions {
        options(&cluster().socket_dir, &self.name)
    }

    pub fn url(&self) -> String {
        url(&cluster().socket_dir, &self.name)
    }

    /// Logs every statement of connections that are made from now on.
    pub async fn log_statements(&self) {
        self.alter("set log_statement = 'all'").await;
    }

    /// The statements that were logged so far.
    pub fn statements(&self) -> Vec<String> {
        let dir = cluster().socket_dir.parent().expect("a directory");
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
        self.alter(&format!("allow_connections {allow}")).await;
    }

    async fn alter(&self, change: &str) {
        let alter = format!("alter database {} {change}", self.name);
        let altered = execute(&cluster().socket_dir, alter).await;
        altered.expect("a setting");
    }

    /// The database as the service opens it.
    pub async fn open(&self) -> Database {
        open(&self.url()).await
    }

    /// A connection beside the service.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect_with(&self.options())
            .await
            .expect("a connection")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // An error means that the cluster has gone, and the database with it.
        let _ = cluster().unused.send(std::mem::take(&mut self.name));
    }
}

fn url(socket_dir: &Path, name: &str) -> String {
    let host = socket_dir.display();
    format!("postgres://postgres@localhost/{name}?host={host}")
}

fn options(socket_dir: &Path, name: &str) -> PgConnectOptions {
    PgConnectOptions::new()
        .socket(socket_dir)
        .username("postgres")
        .database(name)
        .disable_statement_logging()
}

async fn admin(socket_dir: &Path) -> sqlx::Result<PgConnection> {
    PgConnection::connect_with(&options(socket_dir, "postgres")).await
}

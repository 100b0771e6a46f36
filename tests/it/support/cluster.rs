//! One throw-away Postgres for the whole run, one database for each test.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use clap::Parser;
use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres};
use porchlight::platform::Database;
use porchlight::platform::database::{DatabaseSettings, EMBEDDED_NAMES};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A migrated database without content, which new ones are copied from.
const TEMPLATE: &str = "template_porchlight";
/// How often a database that is still in use is tried to be dropped, and how many times.
const DROP_EVERY: Duration = Duration::from_millis(250);
const DROP_ATTEMPTS: usize = 120;

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
    let url = url(socket_dir, TEMPLATE);
    let flags = Flags::parse_from(["porchlight", "--database-url", &url]);
    let database = Database::open(&flags.database).await.expect("a database");
    database.migrate().await.expect("migrated");
    database.close().await;
}

/// The socket that the run's Postgres listens on.
pub fn socket() -> PathBuf {
    cluster().socket_dir.join(".s.PGSQL.5432")
}

async fn create_database(socket_dir: &Path, name: &str, template: &str) {
    let create = format!("create database {name} template {template} strategy file_copy");
    let mut admin = admin(socket_dir).await;
    let created = admin.execute(sqlx::AssertSqlSafe(create)).await;
    created.expect("a database");
}

/// Drops each database once its service has left it.
async fn drop_unused(socket_dir: &Path, mut names: UnboundedReceiver<String>) {
    while let Some(name) = names.recv().await {
        let socket_dir = socket_dir.to_owned();
        tokio::task::spawn_local(async move {
            let drop = format!("drop database if exists {name}");
            for _ in 0..DROP_ATTEMPTS {
                let mut admin = admin(&socket_dir).await;
                let dropped = admin.execute(sqlx::AssertSqlSafe(drop.clone())).await;
                if dropped.is_ok() {
                    return;
                }
                tokio::time::sleep(DROP_EVERY).await;
            }
        });
    }
}

/// A database that goes away with the test.
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
        let mut admin = admin(&cluster().socket_dir).await;
        let altered = admin.execute(sqlx::AssertSqlSafe(alter)).await;
        altered.expect("a setting");
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

async fn admin(socket_dir: &Path) -> PgConnection {
    PgConnection::connect_with(&options(socket_dir, "postgres"))
        .await
        .expect("a connection")
}

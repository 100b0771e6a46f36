//! A `PgBouncer` in transaction mode in front of the tests' Postgres, for one test.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::ChildProcess;
use super::cluster::{self, TestDatabase, open_dir};
use super::eventually;

/// The oldest version that passes named prepared statements on.
const OLDEST: (u32, u32) = (1, 21);
/// Names the socket; nobody listens on a port.
const PORT: u16 = 6432;

pub struct PgBouncer {
    dir: TempDir,
    _running: ChildProcess,
}

impl PgBouncer {
    /// Starts one with so many connections to each database, or says why it cannot.
    pub async fn start(connections: u32) -> Result<Self, String> {
        let program = program()?;
        let dir = open_dir();
        std::fs::write(
            dir.path().join("pgbouncer.ini"),
            config(dir.path(), connections),
        )
        .expect("a configuration");
        let mut command = Command::new(program);
        // It refuses to run as root. Only the account of Postgres may use its socket.
        if nix::unistd::geteuid().is_root() {
            let socket = std::fs::metadata(cluster::socket()).expect("a socket");
            chown(dir.path(), Some(socket.uid()), None).expect("an owner");
            command.uid(socket.uid()).gid(socket.gid());
        }
        command.arg("pgbouncer.ini").current_dir(dir.path());
        let running = ChildProcess::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let pooler = Self {
            _running: running.expect("PgBouncer runs"),
            dir,
        };
        let socket = pooler.dir.path().join(format!(".s.PGSQL.{PORT}"));
        eventually("PgBouncer listens", async || socket.exists().then_some(())).await;
        Ok(pooler)
    }

    /// How a service reaches a database through it.
    pub fn url(&self, database: &TestDatabase) -> String {
        let (name, host) = (database.name(), self.dir.path().display());
        format!("postgres://postgres@localhost/{name}?host={host}&port={PORT}")
    }
}

fn config(dir: &Path, connections: u32) -> String {
    let postgres = cluster::socket();
    let postgres = postgres.parent().expect("a directory").display();
    let dir = dir.display();
    format!(
        "[databases]\n* = host={postgres} port=5432 user=postgres\n[pgbouncer]\npool_mode = transaction\n\
         max_prepared_statements = 200\ndefault_pool_size = {connections}\nmax_client_conn = 400\n\
         unix_socket_dir = {dir}\nlisten_port = {PORT}\nauth_type = any\nlogfile = {dir}/log\n"
    )
}

/// `PGBOUNCER_BIN`, or the one on the `PATH`, if it is new enough.
fn program() -> Result<String, String> {
    let program = std::env::var("PGBOUNCER_BIN").unwrap_or_else(|_| "pgbouncer".to_owned());
    let output = Command::new(&program).arg("--version").output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST {
        return Err(format!("{program} is older than 1.21: {}", text.trim()));
    }
    Ok(program)
}

//! Directories, queries and conditions for the tests.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres, Names};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// The limit of waiting for a condition, on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_mins(1);

const NAMES: Names = Names {
    application: "acme",
    database: "acme \"crm\"",
    data_dir_setting: "ACME_DATA_DIR",
    bin_dir_setting: "PG_BIN_DIR",
    url_setting: Some("ACME_DATABASE_URL"),
};

/// A temporary directory that every user may enter, so that Postgres can.
pub(crate) struct TestDir(TempDir);

impl TestDir {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("embedded-postgres-")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.data().join("postgres")
    }

    /// A cluster that is created quickly.
    pub(crate) fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig {
            durable: false,
            ..self.durable()
        }
    }

    fn durable(&self) -> EmbeddedConfig {
        config(self.data())
    }

    /// A durable cluster, for tests that kill.
    pub(crate) async fn start_durable(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(self.durable()).await.unwrap()
    }

    pub(crate) async fn start(&self) -> EmbeddedPostgres {
        EmbeddedPostgres::start(self.config()).await.unwrap()
    }

    pub(crate) async fn refusal(&self) -> String {
        refusal(self.config()).await
    }
}

/// A durable cluster, made with the Postgres that `PG_BIN_DIR` names or that is found.
pub(crate) fn config(data_dir: impl Into<PathBuf>) -> EmbeddedConfig {
    EmbeddedConfig {
        bin_dir: env::var_os("PG_BIN_DIR").map(PathBuf::from),
        ..EmbeddedConfig::new(NAMES, data_dir)
    }
}

pub(crate) async fn refusal(config: EmbeddedConfig) -> String {
    EmbeddedPostgres::start(config)
        .await
        .unwrap_err()
        .to_string()
}

pub(crate) async fn connect(postgres: &EmbeddedPostgres) -> PgConnection {
    PgConnection::connect_with(&postgres.connect_options())
        .await
        .unwrap()
}

/// Writes a row for [`read`] to find.
pub(crate) async fn write(postgres: &EmbeddedPostgres, words: &str) {
    let mut connection = connect(postgres).await;
    sqlx::query("CREATE TABLE IF NOT EXISTS kept (words text)")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::query("INSERT INTO kept VALUES ($1)")
        .bind(words)
        .execute(&mut connection)
        .await
        .unwrap();
}

pub(crate) async fn read(postgres: &EmbeddedPostgres) -> Vec<String> {
    sqlx::query_scalar("SELECT words FROM kept")
        .fetch_all(&mut connect(postgres).await)
        .await
        .unwrap()
}

pub(crate) async fn setting(postgres: &EmbeddedPostgres, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(&mut connect(postgres).await)
        .await
        .unwrap()
}

pub(crate) async fn answers(postgres: &EmbeddedPostgres) -> bool {
    PgConnection::connect_with(&postgres.connect_options())
        .await
        .is_ok()
}

/// Waits for a condition, and fails when it does not come true.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !holds().await {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(WAIT_LIMIT, waiting).await;
    assert!(waited.is_ok(), "this never came true: {what}");
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill(as_pid(pid), signal).unwrap();
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: u32) -> bool {
    let is_zombie = fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" Z"));
    kill(as_pid(pid), None).is_ok() && !is_zombie
}

pub(crate) fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap())
}

pub(crate) fn am_root() -> bool {
    geteuid().is_root()
}

pub(crate) fn user(name: &str) -> User {
    User::from_name(name).unwrap().unwrap()
}

pub(crate) fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

pub(crate) fn give(path: &Path, user: &User) {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Writes a script that can be run at once. Another process writes it: if this one did, a test
/// that forks at the same time would keep the file busy, and it could not be executed.
pub(crate) fn write_script(path: &Path, script: &str) {
    let written = Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\" && chmod 755 \"$0\"",
        ])
        .arg(path)
        .arg(script)
        .status();
    assert!(written.unwrap().success());
}

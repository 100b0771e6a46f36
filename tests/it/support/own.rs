//! A Postgres that belongs to one test alone, because it will be stopped or killed.

use std::path::{Path, PathBuf};

use embedded_postgres::{EmbeddedConfig, EmbeddedPostgres};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use porchlight::platform::database::EMBEDDED_NAMES;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::cluster::open_dir;
use super::eventually;
use super::psql::run_program;

/// The Postgres and its files.
pub struct OwnPostgres {
    dir: PathBuf,
    settings: Vec<(String, String)>,
    running: Option<EmbeddedPostgres>,
    /// The directory, if it goes away with this.
    _temporary: Option<TempDir>,
}

impl OwnPostgres {
    /// Starts one that loses nothing when it is killed.
    pub async fn start() -> Self {
        let temporary = open_dir();
        let own = Self::start_in(temporary.path(), &[]).await;
        Self {
            _temporary: Some(temporary),
            ..own
        }
    }

    /// A standby of it, in a directory that exists: a copy that follows it.
    pub async fn standby_in(&self, dir: &Path) -> Self {
        let cluster = dir.join("postgres");
        let cluster = cluster.to_str().expect("text");
        let arguments = ["-d", &self.url(), "-D", cluster, "-c", "fast", "-R"];
        run_program("pg_basebackup", &arguments);
        Self::start_in(dir, &[]).await
    }

    /// The same in a directory that exists, with these settings.
    pub async fn start_in(dir: &Path, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter();
        let mut own = Self {
            dir: dir.to_owned(),
            settings: settings
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            running: None,
            _temporary: None,
        };
        own.come_back().await;
        own
    }

    /// How a service reaches it.
    pub fn url(&self) -> String {
        let socket = self.dir.join("socket");
        let host = socket.display();
        format!("postgres://postgres@localhost/porchlight?host={host}")
    }

    /// The socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("socket/.s.PGSQL.5432")
    }

    /// Kills it. It restarts by itself.
    pub async fn kill(&self) {
        let pid = eventually("the database runs", async || {
            self.running.as_ref()?.postmaster_pid()
        });
        let pid = i32::try_from(pid.await).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    }

    /// Stops it until it is to come back.
    pub async fn go_away(&mut self) {
        let running = self.running.take().expect("it runs");
        running.stop().await;
    }

    /// Starts it again, with what it had.
    pub async fn come_back(&mut self) {
        let mut config = EmbeddedConfig::new(EMBEDDED_NAMES, &self.dir);
        // Recovery begins with a sync of every file; one call does it faster.
        let sync = ("recovery_init_sync_method".into(), "syncfs".into());
        config.settings.push(sync);
        config.settings.extend(self.settings.iter().cloned());
        let running = EmbeddedPostgres::start(config).await.expect("a Postgres");
        self.running = Some(running);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("postgres.log")).expect("a log")
    }

    /// A connection beside the service.
    pub async fn connect(&self) -> PgConnection {
        let options = self.url().parse().expect("a URL");
        let connect = async || PgConnection::connect_with(&options).await.ok();
        eventually("the database answers", connect).await
    }
}

//! A Postgres of our own, for when nobody gave us one.
//!
//! Whoever holds the lock of a data directory owns its server: makes the cluster, starts
//! `postgres` as a child on a unix socket only, restarts it when it dies, and stops it at
//! the end. Everybody else attaches to that server and never stops it.
//!
//! `layout` says where things lie, `account` whom Postgres runs as, `binaries` which
//! Postgres; `cluster` makes the files, `leftover` clears away what a killed service
//! left behind, `server` is the command, `supervisor` the thread that keeps it alive.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, interval};

mod account;
mod binaries;
mod cluster;
mod command;
mod error;
mod layout;
mod leftover;
mod lock;
mod log;
mod ready;
mod server;
mod socket;
mod supervisor;

pub use error::EmbeddedError;
pub use layout::default_data_dir;

use account::Account;
use layout::Layout;
use lock::DataDirLock;
use server::Server;
use supervisor::Supervisor;

/// How long an owner's server, its crash recovery included, may take to answer.
pub const START_LIMIT: Duration = Duration::from_mins(1);
/// How often a condition outside this process is looked at.
const POLL: Duration = Duration::from_millis(10);
/// The name of the database.
const DATABASE: &str = "porchlight";

/// What the embedded Postgres is to be.
#[derive(Clone, Debug)]
pub struct EmbeddedConfig {
    /// Where the cluster, its lock and its log live.
    pub data_dir: PathBuf,
    /// The directory of `postgres` and `initdb`; searched for when absent.
    pub bin_dir: Option<PathBuf>,
    /// Whether a commit survives a power cut; `false` is for throw-away test clusters.
    pub durable: bool,
    /// Further settings of the server; they win over ours.
    pub settings: Vec<(String, String)>,
}

impl EmbeddedConfig {
    /// A durable cluster in `data_dir`, with the binaries that are found.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: None,
            durable: true,
            settings: Vec::new(),
        }
    }
}

/// A running Postgres, ours or that of another instance on the same data directory.
///
/// Dropping it asks an owned server to stop without waiting for it; [`Self::stop`] waits.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    layout: Layout,
    supervisor: Option<Supervisor>,
}

impl EmbeddedPostgres {
    /// Starts a server on the data directory, or attaches to the one that runs there.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let layout = Layout::open(&config.data_dir)?;
        let deadline = Instant::now() + START_LIMIT;
        let mut ticks = interval(POLL);
        loop {
            ticks.tick().await;
            if let Some(lock) = DataDirLock::try_take(&layout.lock)? {
                return Self::own(config, layout, lock).await;
            }
            if Self::owner_answers(&layout).await? {
                tracing::info!(data_dir = %layout.root.display(),
                    "another instance runs Postgres on this data directory: using that one");
                return Ok(Self::attached(layout));
            }
            if Instant::now() >= deadline {
                return Err(EmbeddedError::owner_silent(&layout));
            }
        }
    }

    /// How to connect to the database.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        socket::connect_options(&self.layout.socket_dir, DATABASE)
    }

    /// Whether this instance started the server, and so will stop it.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.supervisor.is_some()
    }

    /// The directory of the server's unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.layout.socket_dir
    }

    /// The process id of the server; none while it is being restarted.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        match &self.supervisor {
            Some(supervisor) => supervisor.pid(),
            None => leftover::recorded_pid(&self.layout.cluster),
        }
    }

    /// Ends when an owned server has died so often that it is no longer restarted; never
    /// for an attached one.
    pub fn crashed(&self) -> impl Future<Output = EmbeddedError> + Send + use<> {
        let crash = self.supervisor.as_ref().map(Supervisor::crashed);
        let log = self.layout.log.clone();
        async move {
            match crash {
                Some(crash) => EmbeddedError::gave_up(crash.await, &log),
                None => std::future::pending().await,
            }
        }
    }

    /// Stops the server and waits until it is gone; one that is not ours is left alone.
    pub async fn stop(self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.stop().await;
            socket::remove_short_dir(&self.layout);
        }
    }

    fn attached(layout: Layout) -> Self {
        Self {
            layout,
            supervisor: None,
        }
    }

    async fn owner_answers(layout: &Layout) -> Result<bool, EmbeddedError> {
        Ok(socket::is_there(layout)?
            && ready::answers(&socket::connect_options(&layout.socket_dir, DATABASE)).await)
    }

    async fn own(
        config: EmbeddedConfig,
        layout: Layout,
        lock: DataDirLock,
    ) -> Result<Self, EmbeddedError> {
        let account = Account::choose(&layout.cluster)?;
        leftover::settle(&layout).await?;
        let prepared = aside(move || {
            let server = prepare(&config, &layout, account)?;
            Ok((server, layout, lock))
        });
        let (server, layout, lock) = prepared.await?;
        let supervisor = Supervisor::start(server, lock)?;
        if let Err(error) = ready::wait(&layout, &mut supervisor.status()).await {
            supervisor.stop().await;
            return Err(error);
        }
        Ok(Self {
            layout,
            supervisor: Some(supervisor),
        })
    }
}

/// Works on a blocking thread. The lock goes along, so that a caller who stops waiting does
/// not free it under a running `initdb`.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => Err(EmbeddedError::Interrupted(failed)),
    }
}

/// Everything up to the moment `postgres` can be run.
fn prepare(
    config: &EmbeddedConfig,
    layout: &Layout,
    account: Account,
) -> Result<Server, EmbeddedError> {
    account.let_into(&layout.root)?;
    let existing = cluster::major(&layout.cluster)?;
    let binaries = binaries::find(config.bin_dir.as_deref(), existing, &account)?;
    match existing {
        Some(major) => cluster::adopt(layout, major, &binaries, &account)?,
        None => cluster::create(layout, &binaries, &account, config.durable)?,
    }
    socket::prepare_dir(&layout.socket_dir, &account)?;
    Ok(Server::new(config, layout, &binaries, account))
}

//! A Postgres server that an application runs as its own child process.
//!
//! [`EmbeddedPostgres::start`] takes a data directory. The first instance that locks the
//! directory owns the server: it creates the cluster, starts `postgres` on a unix socket,
//! restarts it after a crash, and stops it at the end. Other instances on the same data
//! directory connect to that server and never stop it.
//!
//! The Postgres binaries are not part of this crate: they are searched for on the machine.
//! Everything that is specific to an application (its name, its database, the names of its
//! settings in error messages) comes in an [`EmbeddedConfig`].
//!
//! The modules, from the outside in: `config` is the input and `error` the output; `layout`
//! has the paths, `owner_lock` the lock of the data directory, `account` the user that
//! Postgres runs as, `binaries` the search for Postgres; `cluster` creates the files,
//! `wal_segments` those of the log of Postgres, `leftovers` cleans up after a killed owner,
//! `socket` and `endpoint` are the way to connect; `server` is the command, `supervisor` the
//! thread that keeps it running, and `ready` waits for its first answer. `replacement` puts a
//! restored cluster in the place of another one.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, interval};

mod account;
mod binaries;
mod cluster;
mod command;
mod config;
mod endpoint;
mod error;
mod layout;
mod leftovers;
mod limits;
mod owner_lock;
mod ready;
mod replacement;
mod server;
mod server_log;
mod socket;
mod supervisor;
mod wal_segments;

pub use config::{EmbeddedConfig, Names};
pub use error::{EmbeddedError, Problem};
pub use replacement::Replacement;

use account::Account;
use endpoint::Endpoint;
use layout::Layout;
use limits::{POLL, START_LIMIT};
use owner_lock::OwnerLock;
use server::Server;
use supervisor::Supervisor;

/// The data directory of an application without a setting for it: `/var/lib/<application>`
/// for root, otherwise `<application>` below `$XDG_DATA_HOME` or `~/.local/share`.
pub fn default_data_dir(names: Names) -> Result<PathBuf, EmbeddedError> {
    let dir = layout::default_data_dir(names.application);
    dir.map_err(|problem| EmbeddedError::new(problem, names))
}

/// A program that comes with Postgres, like `psql`: from the configured directory, from where the search for
/// Postgres looks, or from the `PATH`.
#[must_use]
pub fn find_program(name: &str, bin_dir: Option<&Path>) -> Option<PathBuf> {
    binaries::find_program(name, bin_dir)
}

/// The same for a server of this major version: the first program of this version, or else the first newer one.
#[must_use]
pub fn find_program_for(name: &str, bin_dir: Option<&Path>, major: u32) -> Option<PathBuf> {
    binaries::find_program_for(name, bin_dir, major)
}

/// The major version of Postgres that made the cluster of a data directory.
#[must_use]
pub fn cluster_major(data_dir: &Path) -> Option<u32> {
    cluster::major(&data_dir.join(layout::CLUSTER_DIR))
        .ok()
        .flatten()
}

/// Whether a server was started on this data directory before.
#[must_use]
pub fn has_cluster(data_dir: &Path) -> bool {
    cluster::is_in(data_dir)
}

/// A running Postgres: either owned, or the server of another instance on the same data
/// directory.
///
/// Dropping an owner asks its server to stop and does not wait; [`Self::stop`] waits.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    layout: Layout,
    endpoint: Endpoint,
    names: Names,
    supervisor: Option<Supervisor>,
}

impl EmbeddedPostgres {
    /// Starts a server on the data directory, or connects to the one that runs there.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        let names = config.names;
        let started = Self::own_or_attach(config).await;
        started.map_err(|problem| EmbeddedError::new(problem, names))
    }

    /// How to connect to the application's database.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.endpoint.database()
    }

    /// What `psql` and other programs with libpq need to connect to the application's database, as
    /// variables of their environment.
    #[must_use]
    pub fn client_variables(&self) -> Vec<(&'static str, OsString)> {
        self.endpoint.client_variables()
    }

    /// A command that runs such a program. Variables that could lead it to another database are not passed on.
    #[must_use]
    pub fn client_command(&self, program: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command.env_clear().envs(command::kept_variables());
        command.envs(self.client_variables()).env("LC_ALL", "C");
        command
    }

    /// Whether this instance started the server and will stop it.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.supervisor.is_some()
    }

    /// The directory of the server's unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.layout.socket_dir
    }

    /// The process id of the server; `None` while it is being restarted.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        match &self.supervisor {
            Some(supervisor) => supervisor.pid(),
            None => leftovers::recorded_pid(&self.layout.cluster),
        }
    }

    /// Completes when an owned server has crashed so often that it is no longer restarted.
    /// Never completes for a server of another instance.
    pub fn crashed(&self) -> impl Future<Output = EmbeddedError> + Send + use<> {
        let crash = self.supervisor.as_ref().map(Supervisor::crashed);
        let (log, names) = (self.layout.log.clone(), self.names);
        async move {
            match crash {
                Some(crash) => {
                    let log_end = crash.await;
                    EmbeddedError::new(Problem::GaveUp { log_end, log }, names)
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Stops an owned server and waits for its end. A server of another instance goes on.
    pub async fn stop(self) {
        if let Some(supervisor) = &self.supervisor {
            supervisor.stop().await;
            socket::remove_short_dir(&self.layout);
        }
    }

    async fn own_or_attach(config: EmbeddedConfig) -> Result<Self, Problem> {
        let layout = Layout::open(&config.data_dir, config.names.application)?;
        let endpoint = Endpoint::new(&config, &layout);
        let deadline = Instant::now() + START_LIMIT;
        let mut ticks = interval(POLL);
        loop {
            ticks.tick().await;
            if let Some(lock) = OwnerLock::try_take(&layout.lock)? {
                let supervisor = own(&config, &layout, lock, &endpoint).await?;
                return Ok(Self {
                    layout,
                    endpoint,
                    names: config.names,
                    supervisor: Some(supervisor),
                });
            }
            if socket::is_there(&layout)? && ready::answers(&endpoint.database()).await {
                tracing::info!(data_dir = %layout.root.display(),
                    "another instance runs Postgres on this data directory: using that server");
                return Ok(Self {
                    layout,
                    endpoint,
                    names: config.names,
                    supervisor: None,
                });
            }
            if Instant::now() >= deadline {
                return Err(silent_owner(&layout));
            }
        }
    }
}

async fn own(
    config: &EmbeddedConfig,
    layout: &Layout,
    lock: OwnerLock,
    endpoint: &Endpoint,
) -> Result<Supervisor, Problem> {
    let account = Account::choose(&layout.cluster, &config.system_users)?;
    leftovers::clean_up(layout).await?;
    let (config, place) = (config.clone(), layout.clone());
    // The lock goes along: a caller that stops waiting must not free it while `initdb` runs.
    let prepared = tokio::task::spawn_blocking(move || {
        let server = prepare(&config, &place, account)?;
        Ok::<_, Problem>((server, lock))
    });
    let (server, lock) = prepared.await.map_err(Problem::Interrupted)??;
    let supervisor = Supervisor::start(server, lock)?;
    if let Err(problem) = ready::wait(endpoint, &layout.log, &mut supervisor.status()).await {
        supervisor.stop().await;
        return Err(problem);
    }
    Ok(supervisor)
}

/// Does everything that comes before running `postgres`.
fn prepare(config: &EmbeddedConfig, layout: &Layout, account: Account) -> Result<Server, Problem> {
    account.open_data_dir(&layout.root)?;
    let existing = cluster::major(&layout.cluster)?;
    let wanted = binaries::Wanted {
        dir: config.bin_dir.as_deref(),
        oldest_major: config.oldest_major,
        cluster_major: existing,
    };
    let binaries = binaries::find(&wanted, &account)?;
    match existing {
        Some(major) => cluster::adopt(layout, major, &binaries, &account)?,
        None => cluster::create(config, layout, &binaries, &account)?,
    }
    socket::prepare_dir(&layout.socket_dir, &account)?;
    Ok(Server::new(config, layout, &binaries, account))
}

fn silent_owner(layout: &Layout) -> Problem {
    let holder = std::fs::read_to_string(&layout.lock).unwrap_or_default();
    Problem::OwnerSilent {
        dir: layout.root.clone(),
        holder: holder.trim().to_owned(),
    }
}

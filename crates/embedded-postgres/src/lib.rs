//! A Postgres server that an application runs as its own child process.
//!
//! [`EmbeddedPostgres::start`] takes a data directory. The first instance that locks the
//! directory owns the server: it creates the cluster, starts `postgres` on a unix socket,
//! restarts it after a crash, and stops it at the end. Other instances on the same data
//! directory connect to that server and never stop it. When its owner ends, one of them takes over.
//!
//! The Postgres binaries are not part of this crate: they are searched for on the machine.
//! Everything that is specific to an application (its name, its database, the names of its
//! settings in error messages) comes in an [`EmbeddedConfig`].
//!
//! The modules, from the outside in: `config` is the input and `error` the output; `layout`
//! has the paths, `owner_lock` the lock of the data directory, `account` the user that
//! Postgres runs as, `binaries` the search for Postgres; `cluster` creates the files,
//! `wal_segments` those of the log of Postgres, `leftovers` cleans up after a killed owner,
//! `socket` and `endpoint` are the way to connect; `owner` starts the server, `server` is the
//! command, `supervisor` the thread that keeps it running, and `ready` waits for its first answer.
//! `role` is that of an instance, owner or not, and `takeover` changes it. `replacement` puts a
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
mod owner;
mod owner_lock;
mod ready;
mod replacement;
mod role;
mod server;
mod server_log;
mod socket;
mod supervisor;
mod takeover;
mod wal_segments;

pub use config::{EmbeddedConfig, Names};
pub use error::{EmbeddedError, Problem};
pub use replacement::Replacement;

use endpoint::Endpoint;
use layout::Layout;
use limits::{POLL, START_LIMIT};
use owner_lock::OwnerLock;
use role::ServerRole;

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
/// directory. If that instance ends, this one becomes the owner within seconds, unless the configuration
/// forbids it; connections end, and new ones are refused for this time.
///
/// Dropping an owner asks its server to stop and does not wait; [`Self::stop`] waits.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    layout: Layout,
    endpoint: Endpoint,
    names: Names,
    role: ServerRole,
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

    /// Whether this instance runs the server and will stop it. It may begin to.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.role.supervisor().is_some()
    }

    /// The directory of the server's unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.layout.socket_dir
    }

    /// The process id of the server; `None` while it is being restarted.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        match self.role.supervisor() {
            Some(supervisor) => supervisor.pid(),
            None => leftovers::recorded_pid(&self.layout.cluster),
        }
    }

    /// Completes when an owned server has crashed so often that it is no longer restarted, and when the server of
    /// another instance has ended and this instance could not run it.
    pub fn crashed(&self) -> impl Future<Output = EmbeddedError> + Send + use<> {
        let (crashed, names) = (self.role.crashed(&self.layout), self.names);
        async move { EmbeddedError::new(crashed.await, names) }
    }

    /// Stops an owned server and waits for its end. A server of another instance goes on.
    pub async fn stop(self) {
        if self.role.stop().await {
            socket::remove_short_dir(&self.layout);
        }
    }

    async fn own_or_attach(config: EmbeddedConfig) -> Result<Self, Problem> {
        let layout = Layout::open(&config.data_dir, config.names.application)?;
        let endpoint = Endpoint::new(&config, &layout);
        let names = config.names;
        let role = find_role(config, &layout, &endpoint).await?;
        Ok(Self {
            layout,
            endpoint,
            names,
            role,
        })
    }
}

async fn find_role(
    config: EmbeddedConfig,
    layout: &Layout,
    endpoint: &Endpoint,
) -> Result<ServerRole, Problem> {
    let deadline = Instant::now() + START_LIMIT;
    let mut ticks = interval(POLL);
    loop {
        ticks.tick().await;
        if let Some(lock) = OwnerLock::try_take(&layout.lock)? {
            let supervisor = owner::launch(&config, layout, lock).await?;
            owner::wait_until_ready(&supervisor, layout, endpoint).await?;
            return Ok(ServerRole::owner(supervisor));
        }
        if socket::is_there(layout)? && ready::answers(&endpoint.database()).await {
            return Ok(attach(config, layout, endpoint));
        }
        if Instant::now() >= deadline {
            return Err(silent_owner(layout));
        }
    }
}

fn attach(config: EmbeddedConfig, layout: &Layout, endpoint: &Endpoint) -> ServerRole {
    tracing::info!(data_dir = %layout.root.display(),
        "another instance runs Postgres on this data directory: using that server");
    if config.takes_over {
        takeover::begin(config, layout, endpoint)
    } else {
        ServerRole::visitor()
    }
}

fn silent_owner(layout: &Layout) -> Problem {
    let holder = std::fs::read_to_string(&layout.lock).unwrap_or_default();
    Problem::OwnerSilent {
        dir: layout.root.clone(),
        holder: holder.trim().to_owned(),
    }
}

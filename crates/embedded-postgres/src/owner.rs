//! What the owner of a data directory does: it prepares the cluster and runs the server.

use crate::account::Account;
use crate::config::EmbeddedConfig;
use crate::endpoint::Endpoint;
use crate::error::Problem;
use crate::layout::Layout;
use crate::owner_lock::OwnerLock;
use crate::server::Server;
use crate::supervisor::Supervisor;
use crate::{binaries, cluster, leftovers, ready, socket};

/// Starts the server. It does not answer yet.
pub(crate) async fn launch(
    config: &EmbeddedConfig,
    layout: &Layout,
    lock: OwnerLock,
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
    Supervisor::start(server, lock)
}

/// Waits until the server answers. One that does not is stopped.
pub(crate) async fn wait_until_ready(
    supervisor: &Supervisor,
    layout: &Layout,
    endpoint: &Endpoint,
) -> Result<(), Problem> {
    let waited = ready::wait(endpoint, &layout.log, &mut supervisor.status()).await;
    if waited.is_err() {
        supervisor.stop().await;
    }
    waited
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

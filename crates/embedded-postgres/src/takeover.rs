//! An instance that uses the server of another one runs the server itself once that one has ended, whether it was
//! stopped or killed. The lock of the data directory says so, and only one instance gets it.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::interval;

use crate::cluster::{self, ClusterId};
use crate::config::EmbeddedConfig;
use crate::endpoint::Endpoint;
use crate::error::{EmbeddedError, Problem};
use crate::layout::Layout;
use crate::limits::TAKEOVER_POLL;
use crate::owner;
use crate::owner_lock::OwnerLock;
use crate::role::{RoleState, ServerRole};
use crate::supervisor::{Status, Supervisor};

struct Takeover {
    config: EmbeddedConfig,
    layout: Layout,
    endpoint: Endpoint,
    /// The cluster of the server that this instance uses.
    cluster: Option<ClusterId>,
    supervisor: Arc<OnceLock<Supervisor>>,
}

/// Begins to wait for the end of the owner.
pub(crate) fn begin(config: EmbeddedConfig, layout: &Layout, endpoint: &Endpoint) -> ServerRole {
    let supervisor = Arc::default();
    let (sender, state) = watch::channel(RoleState::Attached);
    let takeover = Takeover {
        config,
        layout: layout.clone(),
        endpoint: endpoint.clone(),
        cluster: cluster::id(&layout.cluster),
        supervisor: Arc::clone(&supervisor),
    };
    let task = tokio::spawn(async move {
        sender.send_replace(takeover.run().await);
    });
    ServerRole::heir(supervisor, state, task)
}

impl Takeover {
    async fn run(self) -> RoleState {
        let lock = lock_of_ended_owner(&self.layout).await;
        match self.own(lock).await {
            Ok(status) => RoleState::Owner(status),
            Err(problem) => {
                RoleState::Failed(EmbeddedError::new(problem, self.config.names).to_string())
            }
        }
    }

    async fn own(&self, lock: OwnerLock) -> Result<watch::Receiver<Status>, Problem> {
        // The application knows the former content, and has to begin anew with another one.
        if cluster::id(&self.layout.cluster) != self.cluster {
            return Err(Problem::OtherCluster(self.layout.cluster.clone()));
        }
        tracing::warn!(data_dir = %self.layout.root.display(),
            "the instance that ran Postgres on this data directory has ended: running it here");
        let supervisor = owner::launch(&self.config, &self.layout, lock).await?;
        let supervisor = self.supervisor.get_or_init(|| supervisor);
        owner::wait_until_ready(supervisor, &self.layout, &self.endpoint).await?;
        tracing::info!("Postgres answers again");
        Ok(supervisor.status())
    }
}

async fn lock_of_ended_owner(layout: &Layout) -> OwnerLock {
    let mut ticks = interval(TAKEOVER_POLL);
    let mut has_warned = false;
    loop {
        ticks.tick().await;
        match OwnerLock::try_take(&layout.lock) {
            Ok(Some(lock)) => return lock,
            Ok(None) => has_warned = false,
            // This may pass, like a lack of open files.
            Err(problem) if !has_warned => {
                tracing::warn!(%problem, "cannot see whether the owner of Postgres has ended");
                has_warned = true;
            }
            Err(_) => {}
        }
    }
}

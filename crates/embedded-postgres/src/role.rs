//! Whether an instance owns the server or uses the one of another instance. The second can become the first.

use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Problem;
use crate::layout::Layout;
use crate::supervisor::{Status, Supervisor, crash};

/// The role of one instance, and the task that may change it.
#[derive(Debug)]
pub(crate) struct ServerRole {
    supervisor: Arc<OnceLock<Supervisor>>,
    state: watch::Receiver<RoleState>,
    takeover: Option<JoinHandle<()>>,
}

#[derive(Clone, Debug)]
pub(crate) enum RoleState {
    /// The server is that of another instance.
    Attached,
    /// The server is this instance's own.
    Owner(watch::Receiver<Status>),
    /// The other instance has ended, and this one could not run the server. The text says why.
    Failed(String),
}

impl ServerRole {
    pub(crate) fn owner(supervisor: Supervisor) -> Self {
        let (_, state) = watch::channel(RoleState::Owner(supervisor.status()));
        Self {
            supervisor: Arc::new(supervisor.into()),
            state,
            takeover: None,
        }
    }

    /// Uses the server of another instance, also if that ends.
    pub(crate) fn visitor() -> Self {
        let (_, state) = watch::channel(RoleState::Attached);
        Self {
            supervisor: Arc::default(),
            state,
            takeover: None,
        }
    }

    /// Uses the server of another instance until `takeover` has started one.
    pub(crate) fn heir(
        supervisor: Arc<OnceLock<Supervisor>>,
        state: watch::Receiver<RoleState>,
        takeover: JoinHandle<()>,
    ) -> Self {
        Self {
            supervisor,
            state,
            takeover: Some(takeover),
        }
    }

    /// The supervisor of an own server.
    pub(crate) fn supervisor(&self) -> Option<&Supervisor> {
        self.supervisor.get()
    }

    /// Completes when the server has gone for good. Never completes when this instance is stopped.
    pub(crate) fn crashed(&self, layout: &Layout) -> impl Future<Output = Problem> + Send + use<> {
        let (mut state, log) = (self.state.clone(), layout.log.clone());
        async move {
            let known = state.wait_for(|state| !matches!(state, RoleState::Attached));
            let known = known.await.ok().map(|state| state.clone());
            match known {
                Some(RoleState::Owner(status)) => Problem::GaveUp {
                    log_end: crash(status).await,
                    log,
                },
                Some(RoleState::Failed(why)) => Problem::NotTakenOver(why),
                Some(RoleState::Attached) | None => std::future::pending().await,
            }
        }
    }

    /// Stops an own server and waits for its end. Returns whether there was one.
    pub(crate) async fn stop(mut self) -> bool {
        if let Some(takeover) = self.takeover.take() {
            takeover.abort();
            // Afterwards it starts no server.
            let _ = takeover.await;
        }
        if let Some(supervisor) = self.supervisor() {
            supervisor.stop().await;
        }
        self.supervisor().is_some()
    }
}

impl Drop for ServerRole {
    fn drop(&mut self) {
        if let Some(takeover) = &self.takeover {
            takeover.abort();
        }
    }
}

//! The parts of presence, and what knows who may see a record.

use std::sync::Arc;

use tokio::sync::Notify;

use super::wire::Ground;
use crate::collab::PresenceSyncParts;
use crate::collab::{Presence, PresenceParts, PresenceSync, PresenceTimers};
use crate::directory::RecordAudiences;
use crate::fanout::Fanout;
use crate::log::PeerNotifier;
use crate::platform::{DedicatedConnection, Metrics};

impl Ground<'_> {
    pub(super) fn record_audiences(&self) -> RecordAudiences {
        let (records, answering) =
            RecordAudiences::new(self.database.pool.clone(), self.tasks.stop_last());
        self.tasks.spawn("the record book", answering);
        records
    }

    pub(super) fn presence_parts(
        &self,
        (fanout, metrics): (&Arc<Fanout>, &Arc<Metrics>),
        records: &RecordAudiences,
    ) -> PresenceParts {
        let settings = &self.config.presence;
        PresenceParts {
            fanout: Arc::clone(fanout),
            modules: self.config.modules.modules(),
            records: records.clone(),
            rules: settings.rules(),
            crowd_limit: settings.crowd(),
            clock: self.environment.clock.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    pub(super) fn presence_sync(
        &self,
        instance: &str,
        heard: &Arc<Notify>,
        elsewhere: &PeerNotifier,
    ) -> PresenceSyncParts {
        PresenceSyncParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            instance: instance.to_owned(),
            peer_changes: Arc::clone(heard),
            peer_notifier: elsewhere.clone(),
            stop: self.tasks.stop_last(),
        }
    }

    pub(super) fn presence(&self, presence: PresenceParts, keeper: PresenceSyncParts) -> Presence {
        let (presence, keeper) = PresenceSync::new(presence, keeper);
        self.tasks.spawn("the keeper of presence", keeper.run());
        let rounds = PresenceTimers::new(presence.clone()).run(self.tasks.stop_last());
        self.tasks.spawn("the rounds of presence", rounds);
        let asking = presence.clone().run_verification(self.tasks.stop_last());
        self.tasks.spawn("the rights of presence", asking);
        presence
    }
}

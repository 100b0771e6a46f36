//! Who may see a record, and what people do together: presence, signals, locks.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::backplane::{Notices, PresencePeers};
use super::sessions::{OldestStreams, TeamChanges};
use super::{Wiring, size};
use crate::api::{CollabServices, DirectoryServices};
use crate::collab::{
    LockSweeper, Locks, Presence, PresenceParts, PresenceSyncParts, SignalParts, Signals,
};
use crate::directory::{BrokerageParts, BrokerageQuery, Brokerages, RecordAudiences};
use crate::fanout::Fanout;
use crate::log::EventCommitter;
use crate::sessions::Sessions;

impl Wiring<'_> {
    /// Brokerages of users whose tokens name none.
    pub(super) fn brokerages(&self, query: BrokerageQuery) -> Brokerages {
        let parts = BrokerageParts {
            query,
            ttl: self.config.identity.broker_ttl(),
            metrics: Arc::clone(&self.metrics),
        };
        let (brokerages, task) = Brokerages::start(parts, self.stop());
        self.tasks.spawn(task);
        brokerages
    }

    pub(super) fn directory(&self, record_audiences: RecordAudiences) -> DirectoryServices {
        DirectoryServices {
            modules: self.modules(),
            record_audiences,
        }
    }

    pub(super) fn record_audiences(&self) -> RecordAudiences {
        let pool = self.database.pool.clone();
        let (audiences, task) = RecordAudiences::start(pool, &self.metrics.queues, self.stop());
        self.tasks.spawn(task);
        audiences
    }

    pub(super) fn presence(
        &self,
        fanout: &Arc<Fanout>,
        records: &RecordAudiences,
        peers: PresencePeers,
        notices: &Notices,
        sessions: &Sessions,
    ) -> Presence {
        let settings = &self.config.presence;
        let parts = PresenceParts {
            fanout: Arc::clone(fanout),
            modules: self.modules(),
            records: records.clone(),
            rules: settings.rules(),
            crowd_limit: settings.crowd(),
            most_streams_per_user: size(self.config.streams.streams_per_user),
            evictor: Arc::new(OldestStreams(sessions.clone())),
            verifier: sessions.verifier().clone(),
            clock: self.clock(),
            metrics: Arc::clone(&self.metrics),
        };
        let sync = PresenceSyncParts {
            database: self.connection("presence_sync"),
            instance: self.tasks.instance().to_string(),
            instances: self.instances.clone(),
            peer_changes: peers.changes,
            peer_signs: peers.signs,
            peer_notifier: notices.peers.clone(),
            stop: self.stop(),
        };
        let (presence, tasks) = Presence::start(parts, sync);
        for task in tasks {
            self.tasks.spawn(task);
        }
        sessions.observe(Arc::new(TeamChanges(presence.clone())));
        presence
    }

    pub(super) fn signals(
        &self,
        fanout: &Arc<Fanout>,
        notices: &Notices,
        received: mpsc::Receiver<String>,
    ) -> Signals {
        let parts = SignalParts {
            fanout: Arc::clone(fanout),
            peer_notifier: notices.peers.clone(),
            clock: self.clock(),
            metrics: Arc::clone(&self.metrics),
        };
        let (signals, task) = Signals::start(parts, received, self.stop());
        self.tasks.spawn(task);
        signals
    }

    /// The locks, beside the presence and the signals that have been built before.
    pub(super) fn collab(
        &self,
        presence: Presence,
        signals: Signals,
        committer: EventCommitter,
    ) -> CollabServices {
        CollabServices {
            presence,
            signals,
            signal_names: self.config.signals.signals.clone(),
            locks: self.locks(committer),
        }
    }

    fn locks(&self, committer: EventCommitter) -> Locks {
        let sweeper = LockSweeper {
            database: self.connection("lock_expiry"),
            modules: self.modules(),
            committer,
            instances: self.instances.clone(),
            dice: self.dice(),
            stop: self.stop(),
        };
        let (locks, task) = Locks::start(self.database.pool.clone(), sweeper);
        self.tasks.spawn(task);
        locks
    }
}

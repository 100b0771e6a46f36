//! The parts, in the order of an event's way: writer, follower, hub, streams.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::Environment;
use super::moves::Moves;
use super::tasks_service::TaskTelling;
use crate::api::{RefusalKind, RequestLimits, Services};
use crate::collab::LockSnapshotLoader;
use crate::collab::LockSweeper;
use crate::collab::Locks;
use crate::collab::Presence;
use crate::collab::{SignalParts, Signals};
use crate::config::Config;
use crate::directory::{BrokerageParts, BrokerageQuery, Brokerages};
use crate::directory::{PeopleWriter, people};
use crate::fanout::ConnectionLimits;
use crate::fanout::ReplayLoader;
use crate::fanout::{Fanout, LogHealth};
use crate::fanout::{Follower, FollowerParts, LogHandle};
use crate::identity::Verifier;
use crate::inbox::Activity;
use crate::inbox::Notifier;
use crate::inbox::notifications::Notifications;
use crate::inbox::notifications::notifier;
use crate::log::WriterParts;
use crate::log::peers::{listen, notify};
use crate::log::{
    ChangeHints, CommitNotifier, CommitObserver, CommittedBatch, LogObserver, PeerNotifier,
    TaskNotices,
};
use crate::log::{EventCommitter, Writer};
use crate::log::{MembershipListener, PeerListener};
use crate::log::{Relay, RelayRules, RelayWaker};
use crate::platform::BackgroundTasks;
use crate::platform::Metrics;
use crate::platform::{Database, DedicatedConnection};
use crate::records::Records;
use crate::stream::StreamLine;
use crate::stream::StreamServices;

/// Letters of an instance's name, which it has in notices to other instances and in the log.
pub(super) const INSTANCE_LEN: usize = 12;
/// Signals of other instances that may wait to be passed on.
const WAITING_SIGNALS: usize = 4_096;

/// What the service is built on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) environment: &'a Environment,
    pub(super) database: &'a Database,
    pub(super) tasks: &'a BackgroundTasks,
}

impl Ground<'_> {
    /// Makes the parts and starts their tasks.
    pub(super) fn wire(
        &self,
        verifier: Verifier,
        broker_query: Option<BrokerageQuery>,
    ) -> Services {
        let (config, metrics, dice) = (self.config, Metrics::new(), &self.environment.dice);
        let fanout = Arc::new(Fanout::new(config.streams.memory_bytes()));
        let (here, notable, elsewhere) = <(ChangeHints, ChangeHints, PeerNotifier)>::default();
        let notices = TaskNotices::with(&elsewhere);
        let brokerages = broker_query.map(|query| self.brokerages(query, &metrics));
        let (peer_listener, signals_heard) = peer_listener(&here, &notices, brokerages.clone());
        let instance = self.tasks.instance();
        let record_audiences = self.record_audiences();
        let presence = self.presence(
            self.presence_parts((&fanout, &metrics), &record_audiences),
            self.presence_sync(instance, &peer_listener.presence, &elsewhere),
        );
        let signals = self.signals((&fanout, &elsewhere, &metrics), signals_heard);
        let observer: Arc<dyn LogObserver> = Arc::new(Moves {
            records: record_audiences.clone(),
            presence: presence.clone(),
            signals: signals.clone(),
        });
        let (notifier, batches) = committed((&here, &elsewhere), &notable, &observer);
        let committer = EventCommitter::new(dice.clone(), notifier);
        self.people(&verifier);
        let waker = self.relay(committer.clone(), &metrics);
        let pending = TaskTelling::new(committer.clone(), notices, &metrics);
        let (tasks, records, uploads) = self.work_place(pending, waker);
        let writer = self.writer(committer.clone());
        let log_handle = self.follower(FollowerParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            fanout: Arc::clone(&fanout),
            committed: batches,
            hints: here,
            observer,
            poll: config.database.poll(),
            metrics: Arc::clone(&metrics),
            dice: self.environment.dice.clone(),
            health: self.log_health(),
            stop: self.tasks.stop_last(),
        });
        self.exchange_hints(instance, peer_listener, elsewhere);
        self.keep_house(&metrics);
        let streams = self.streams(
            log_handle,
            presence.clone(),
            (&metrics, brokerages.as_ref()),
        );
        Services {
            instance: Arc::clone(instance),
            pool: self.database.pool.clone(),
            verifier,
            brokerages,
            token_cookie: config.identity.token_cookie.clone(),
            writer,
            fanout,
            modules: config.modules.modules(),
            record_audiences,
            streams: Arc::new(streams),
            presence,
            signals,
            signal_names: config.signals.signals.clone(),
            locks: self.locks(committer.clone()),
            tasks,
            notifications: self.notifications(committer, notable),
            activity: self.activity(),
            metrics,
            refusals: self.line_limit("the log of refusals", RefusalKind::sum_up),
            limits: self.limits(),
            records,
            uploads,
        }
    }

    pub(super) fn records(&self, waker: RelayWaker) -> Records {
        let modules = self.config.modules.modules();
        let dice = self.environment.dice.clone();
        Records::new(self.database.pool.clone(), modules, dice, waker)
            .with_ids(self.config.records.record_ids)
    }

    fn writer(&self, committer: EventCommitter) -> Writer {
        let (writer, writing) = Writer::new(WriterParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            committer,
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the writer", writing);
        writer
    }

    /// The bell is for those who write to tables that are watched.
    fn relay(&self, committer: EventCommitter, metrics: &Arc<Metrics>) -> RelayWaker {
        let waker = RelayWaker::default();
        let relay = Relay {
            database: DedicatedConnection::new(self.database.core.clone()),
            committer,
            waker: waker.clone(),
            metrics: Arc::clone(metrics),
            poll: self.config.database.relay_poll(),
            rules: RelayRules {
                event_bytes: self.limits().event_bytes,
                private_fields: Arc::new(self.config.modules.modules()),
                signal_types: Arc::new(self.config.signals.signals.clone()),
            },
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the relay", relay.run());
        waker
    }

    fn signals(
        &self,
        (fanout, elsewhere, metrics): (&Arc<Fanout>, &PeerNotifier, &Arc<Metrics>),
        heard: mpsc::Receiver<String>,
    ) -> Signals {
        let signals = Signals::new(SignalParts {
            fanout: Arc::clone(fanout),
            peer_notifier: elsewhere.clone(),
            clock: self.environment.clock.clone(),
            metrics: Arc::clone(metrics),
        });
        let running = signals.clone().run(heard, self.tasks.stop_last());
        self.tasks.spawn("signals", running);
        signals
    }

    /// Requests change locks, and a task ends those that nobody renews.
    fn locks(&self, committer: EventCommitter) -> Locks {
        let modules = self.config.modules.modules();
        let sweeper = LockSweeper {
            database: DedicatedConnection::new(self.database.core.clone()),
            modules: modules.clone(),
            committer: committer.clone(),
            dice: self.environment.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the sweeper of locks", sweeper.run());
        Locks::new(self.database.pool.clone(), modules, committer)
    }

    /// Requests post and read notifications, and a task makes those that nobody posts.
    fn notifications(&self, committer: EventCommitter, hints: ChangeHints) -> Notifications {
        let notifier = Notifier {
            database: DedicatedConnection::new(self.database.core.clone()),
            modules: self.config.modules.modules(),
            committer: committer.clone(),
            hints,
            dice: self.environment.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the notifier", notifier.run());
        Notifications::new(self.database.pool.clone(), committer)
    }

    fn activity(&self) -> Activity {
        let modules = self.config.modules.modules();
        Activity::new(
            self.database.pool.clone(),
            modules,
            self.environment.dice.clone(),
        )
    }

    /// Requests look brokerages up, and a task checks the streams that rely on them.
    fn brokerages(&self, query: BrokerageQuery, metrics: &Arc<Metrics>) -> Brokerages {
        let brokerages = Brokerages::new(BrokerageParts {
            query,
            ttl: self.config.identity.broker_ttl(),
            metrics: Arc::clone(metrics),
        });
        let checking = brokerages.clone().run_checks(self.tasks.stop_last());
        self.tasks.spawn("the check of brokerages", checking);
        brokerages
    }

    /// Tokens say what people are called, and a task keeps it.
    fn people(&self, verifier: &Verifier) {
        let (sender, profiles) = mpsc::channel(people::WAITING);
        verifier.send_profiles_to(sender);
        let writer = PeopleWriter {
            database: DedicatedConnection::new(self.database.core.clone()),
            profiles,
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the writer of names", writer.run());
    }

    fn lock_snapshot_loader(&self) -> LockSnapshotLoader {
        let database = DedicatedConnection::new(self.database.core.clone());
        let (desk, reading) = LockSnapshotLoader::new(database, self.tasks.stop_last());
        self.tasks.spawn("the desk of locks", reading);
        desk
    }

    /// A follower with a long poll interval may miss one poll.
    fn log_health(&self) -> Arc<LogHealth> {
        let patience = self.config.streams.unavailable_after();
        Arc::new(LogHealth::new(
            patience.max(3 * self.config.database.poll()),
        ))
    }

    fn follower(&self, parts: FollowerParts) -> LogHandle {
        let (log_handle, follower) = Follower::new(parts);
        self.tasks.spawn("the follower", follower.run());
        log_handle
    }

    /// What happens here is announced, what is announced elsewhere is heard.
    fn exchange_hints(&self, instance: &str, peer_listener: PeerListener, elsewhere: PeerNotifier) {
        let (core, stop) = (&self.database.core, self.tasks.stop_last());
        let database = DedicatedConnection::new(core.clone());
        let announcing = notify::run(database, elsewhere, instance.to_owned(), stop.clone());
        self.tasks.spawn("the announcer", announcing);
        let parts = listen::ListenerParts {
            pool: core.clone(),
            peer_listener,
            instance: instance.to_owned(),
            dice: self.environment.dice.clone(),
            stop,
        };
        self.tasks.spawn("the listener", listen::run(parts));
    }

    fn streams(
        &self,
        log_handle: LogHandle,
        presence: Presence,
        (metrics, brokerages): (&Arc<Metrics>, Option<&Brokerages>),
    ) -> StreamServices {
        let core = self.database.core.clone();
        let (replay_loader, replaying) =
            ReplayLoader::new(core, Arc::clone(metrics), self.tasks.stop_last());
        self.tasks.spawn("the replay loader", replaying);
        let settings = self.config.streams.clone();
        let most = (size(settings.max_streams), size(settings.streams_per_user));
        StreamServices {
            log_handle,
            brokerages: brokerages.cloned(),
            presence,
            replay_loader,
            locks: self.lock_snapshot_loader(),
            pool: self.database.pool.clone(),
            connection_limits: ConnectionLimits::new(most.0, most.1),
            metrics: Arc::clone(metrics),
            dice: self.environment.dice.clone(),
            clock: self.environment.clock.clone(),
            line_limit: self
                .line_limit("the log of streams", |line: &StreamLine, n| line.sum_up(n)),
            settings,
        }
    }

    pub(super) fn limits(&self) -> RequestLimits {
        RequestLimits {
            body_bytes: size(self.config.server.body_bytes),
            event_bytes: size(self.config.server.event_bytes),
            page_bytes: size(self.config.server.page_bytes),
        }
    }
}

/// Own commits are told to the follower, the other instances, the notifier and the observer.
fn committed(
    (here, elsewhere): (&ChangeHints, &PeerNotifier),
    notable: &ChangeHints,
    log_observer: &Arc<dyn LogObserver>,
) -> (CommitNotifier, mpsc::Receiver<CommittedBatch>) {
    let (notifier, batches) = CommitNotifier::new(here.clone(), elsewhere.clone());
    let observed = CommitObserver {
        hints: notable.clone(),
        matters: notifier::may_notify,
    };
    let notifier = notifier
        .with_commit_observer(observed)
        .with_log_observer(Arc::clone(log_observer));
    (notifier, batches)
}

/// Where the listener leaves what it hears, and the signals among it.
fn peer_listener(
    here: &ChangeHints,
    notices: &TaskNotices,
    brokerages: Option<Brokerages>,
) -> (PeerListener, mpsc::Receiver<String>) {
    let (signals, heard) = mpsc::channel(WAITING_SIGNALS);
    let peer_listener = PeerListener {
        logs: here.clone(),
        presence: Arc::default(),
        tasks: notices.here.clone(),
        signals,
        memberships: brokerages.map(|known| Arc::new(known) as Arc<dyn MembershipListener>),
    };
    (peer_listener, heard)
}

pub(super) fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

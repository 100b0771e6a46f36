//! The parts, in the order of an event's way: writer, follower, hub, streams.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::moves::Moves;
use super::task_book::TaskTelling;
use super::{App, Limits, Surroundings};
use crate::activity::Activity;
use crate::brokerages::{BrokerageParts, BrokerageQuery, Brokerages};
use crate::config::Config;
use crate::crm::Crm;
use crate::database::{Database, DedicatedConnection};
use crate::event_log::writer::WriterParts;
use crate::event_log::{Teller, Writer};
use crate::follower::{Follower, FollowerParts, Porch};
use crate::hints::{
    Bystander, Committed, CommittedBatch, HintBoard, LogObserver, Megaphone, TaskNotices,
};
use crate::http::access::RefusalKind;
use crate::hub::desk::Desk;
use crate::hub::tickets::TicketOffice;
use crate::hub::{Contact, Hub};
use crate::identity::Verifier;
use crate::instances::listen::Ears;
use crate::instances::{announce, listen};
use crate::lifecycle::Tasks;
use crate::locks::Locks;
use crate::locks::desk::LockDesk;
use crate::locks::expiry::Sweeper;
use crate::metrics::Metrics;
use crate::notifications::Notifications;
use crate::notifications::notifier::{self, Notifier};
use crate::people::{self, PeopleKeeper};
use crate::presence::keeper::KeeperParts;
use crate::presence::{Keeper, Presence, PresenceParts, Rounds};
use crate::records::RecordBook;
use crate::relay::{Bell, Relay, Rules};
use crate::signals::{SignalParts, Signals};
use crate::stream::log::StreamLine;
use crate::stream::open::Services;

/// Letters of an instance's name in hints.
pub(super) const INSTANCE_LEN: usize = 12;
/// Signals of other instances that may wait to be passed on.
const WAITING_SIGNALS: usize = 4_096;

/// What the service is built on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) around: &'a Surroundings,
    pub(super) database: &'a Database,
    pub(super) tasks: &'a Tasks,
}

impl Ground<'_> {
    /// Makes the parts and starts their tasks.
    pub(super) fn wire(&self, verifier: Verifier, broker_query: Option<BrokerageQuery>) -> App {
        let (config, metrics, dice) = (self.config, Metrics::new(), &self.around.dice);
        let hub = Arc::new(Hub::new(config.streams.memory_bytes()));
        let (here, notable, elsewhere) = <(HintBoard, HintBoard, Megaphone)>::default();
        let notices = TaskNotices::with(&elsewhere);
        let brokerages = broker_query.map(|query| self.brokerages(query, &metrics));
        let (ears, signals_heard) = ears(&here, &notices, brokerages.clone());
        let instance = dice.tag(INSTANCE_LEN);
        let records = self.records();
        let presence = self.presence(
            self.presence_parts((&hub, &metrics), &records),
            KeeperParts {
                database: DedicatedConnection::new(self.database.core.clone()),
                instance: instance.clone(),
                heard: Arc::clone(&ears.presence),
                megaphone: elsewhere.clone(),
                stop: self.tasks.stop_last(),
            },
        );
        let signals = self.signals((&hub, &elsewhere, &metrics), signals_heard);
        let observer: Arc<dyn LogObserver> = Arc::new(Moves {
            records: records.clone(),
            presence: presence.clone(),
            signals: signals.clone(),
        });
        let (committed, batches) = committed((&here, &elsewhere), &notable, &observer);
        let teller = Teller::new(dice.clone(), committed.clone());
        self.people(&verifier);
        let bell = self.relay(committed.clone(), &metrics);
        let telling = TaskTelling::new(teller.clone(), notices, &metrics);
        let (tasks, crm, uploads) = self.work_place(telling, bell);
        let writer = self.writer(committed);
        let porch = self.follower(FollowerParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            hub: Arc::clone(&hub),
            committed: batches,
            hints: here,
            observer,
            poll: config.database.poll(),
            metrics: Arc::clone(&metrics),
            dice: self.around.dice.clone(),
            contact: self.contact(),
            stop: self.tasks.stop_last(),
        });
        self.exchange_hints(&instance, ears, elsewhere);
        self.keep_house(&metrics);
        let streams = self.streams(porch, presence.clone(), (&metrics, brokerages.as_ref()));
        App {
            pool: self.database.pool.clone(),
            verifier,
            brokerages,
            token_cookie: config.identity.token_cookie.clone(),
            writer,
            hub,
            modules: config.modules.modules(),
            records,
            streams: Arc::new(streams),
            presence,
            signals,
            signal_names: config.signals.signals.clone(),
            locks: self.locks(teller.clone()),
            tasks,
            notifications: self.notifications(teller, notable),
            activity: self.activity(),
            metrics,
            refusals: self.line_limit("the log of refusals", RefusalKind::sum_up),
            limits: self.limits(),
            crm,
            uploads,
        }
    }

    pub(super) fn crm(&self, bell: Bell) -> Crm {
        let modules = self.config.modules.modules();
        let dice = self.around.dice.clone();
        Crm::new(self.database.pool.clone(), modules, (dice, bell))
            .with_ids(self.config.records.record_ids)
    }

    fn writer(&self, committed: Committed) -> Writer {
        let (writer, writing) = Writer::new(WriterParts {
            database: DedicatedConnection::new(self.database.core.clone()),
            dice: self.around.dice.clone(),
            committed,
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the writer", writing);
        writer
    }

    /// The bell is for those who write to tables that are watched.
    fn relay(&self, committed: Committed, metrics: &Arc<Metrics>) -> Bell {
        let bell = Bell::default();
        let relay = Relay {
            database: DedicatedConnection::new(self.database.core.clone()),
            dice: self.around.dice.clone(),
            committed,
            bell: bell.clone(),
            metrics: Arc::clone(metrics),
            poll: self.config.database.relay_poll(),
            rules: Rules {
                event_bytes: self.limits().event_bytes,
                modules: self.config.modules.modules(),
                signals: self.config.signals.signals.clone(),
            },
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the relay", relay.run());
        bell
    }

    fn signals(
        &self,
        (hub, elsewhere, metrics): (&Arc<Hub>, &Megaphone, &Arc<Metrics>),
        heard: mpsc::Receiver<String>,
    ) -> Signals {
        let signals = Signals::new(SignalParts {
            hub: Arc::clone(hub),
            elsewhere: elsewhere.clone(),
            clock: self.around.clock.clone(),
            metrics: Arc::clone(metrics),
        });
        let running = signals.clone().run(heard, self.tasks.stop_last());
        self.tasks.spawn("signals", running);
        signals
    }

    /// Requests change locks, and a task ends those that nobody renews.
    fn locks(&self, teller: Teller) -> Locks {
        let modules = self.config.modules.modules();
        let sweeper = Sweeper {
            database: DedicatedConnection::new(self.database.core.clone()),
            modules: modules.clone(),
            teller: teller.clone(),
            dice: self.around.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the sweeper of locks", sweeper.run());
        Locks::new(self.database.pool.clone(), modules, teller)
    }

    /// Requests post and read notifications, and a task makes those that nobody posts.
    fn notifications(&self, teller: Teller, hints: HintBoard) -> Notifications {
        let notifier = Notifier {
            database: DedicatedConnection::new(self.database.core.clone()),
            modules: self.config.modules.modules(),
            teller: teller.clone(),
            hints,
            dice: self.around.dice.clone(),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the notifier", notifier.run());
        Notifications::new(self.database.pool.clone(), teller)
    }

    fn activity(&self) -> Activity {
        let modules = self.config.modules.modules();
        Activity::new(
            self.database.pool.clone(),
            modules,
            self.around.dice.clone(),
        )
    }

    /// Requests look brokerages up, and a task checks the streams that rely on them.
    fn brokerages(&self, query: BrokerageQuery, metrics: &Arc<Metrics>) -> Brokerages {
        let brokerages = Brokerages::new(BrokerageParts {
            query,
            ttl: self.config.identity.broker_ttl(),
            metrics: Arc::clone(metrics),
        });
        let checking = brokerages.clone().run(self.tasks.stop_last());
        self.tasks.spawn("the check of brokerages", checking);
        brokerages
    }

    /// Tokens say what people are called, and a task keeps it.
    fn people(&self, verifier: &Verifier) {
        let (introducing, introductions) = mpsc::channel(people::WAITING);
        verifier.introduce(introducing);
        let keeper = PeopleKeeper {
            database: DedicatedConnection::new(self.database.core.clone()),
            introductions,
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("the keeper of names", keeper.run());
    }

    fn lock_desk(&self) -> LockDesk {
        let database = DedicatedConnection::new(self.database.core.clone());
        let (desk, reading) = LockDesk::new(database, self.tasks.stop_last());
        self.tasks.spawn("the desk of locks", reading);
        desk
    }

    /// A follower that looks seldom is not out of touch when it has missed a look.
    fn contact(&self) -> Arc<Contact> {
        let patience = self.config.streams.unavailable_after();
        Arc::new(Contact::new(patience.max(3 * self.config.database.poll())))
    }

    fn follower(&self, parts: FollowerParts) -> Porch {
        let (porch, follower) = Follower::new(parts);
        self.tasks.spawn("the follower", follower.run());
        porch
    }

    /// What happens here is announced, what is announced elsewhere is heard.
    fn exchange_hints(&self, instance: &str, ears: Ears, elsewhere: Megaphone) {
        let (core, stop) = (&self.database.core, self.tasks.stop_last());
        let database = DedicatedConnection::new(core.clone());
        let announcing = announce::run(database, elsewhere, instance.to_owned(), stop.clone());
        self.tasks.spawn("the announcer", announcing);
        let parts = listen::ListenerParts {
            pool: core.clone(),
            ears,
            instance: instance.to_owned(),
            dice: self.around.dice.clone(),
            stop,
        };
        self.tasks.spawn("the listener", listen::run(parts));
    }

    fn records(&self) -> RecordBook {
        let (records, answering) =
            RecordBook::new(self.database.pool.clone(), self.tasks.stop_last());
        self.tasks.spawn("the record book", answering);
        records
    }

    fn presence_parts(
        &self,
        (hub, metrics): (&Arc<Hub>, &Arc<Metrics>),
        records: &RecordBook,
    ) -> PresenceParts {
        let settings = &self.config.presence;
        PresenceParts {
            hub: Arc::clone(hub),
            modules: self.config.modules.modules(),
            records: records.clone(),
            rules: settings.rules(),
            most_told: settings.crowd(),
            clock: self.around.clock.clone(),
            metrics: Arc::clone(metrics),
        }
    }

    fn presence(&self, presence: PresenceParts, keeper: KeeperParts) -> Presence {
        let (presence, keeper) = Keeper::new(presence, keeper);
        self.tasks.spawn("the keeper of presence", keeper.run());
        let rounds = Rounds::new(presence.clone()).run(self.tasks.stop_last());
        self.tasks.spawn("the rounds of presence", rounds);
        let asking = presence.clone().ask_again(self.tasks.stop_last());
        self.tasks.spawn("the rights of presence", asking);
        presence
    }

    fn streams(
        &self,
        porch: Porch,
        presence: Presence,
        (metrics, brokerages): (&Arc<Metrics>, Option<&Brokerages>),
    ) -> Services {
        let core = self.database.core.clone();
        let (desk, replaying) = Desk::new(core, Arc::clone(metrics), self.tasks.stop_last());
        self.tasks.spawn("the replay desk", replaying);
        let settings = self.config.streams.clone();
        let most = (size(settings.max_streams), size(settings.streams_per_user));
        Services {
            porch,
            brokerages: brokerages.cloned(),
            presence,
            desk,
            locks: self.lock_desk(),
            pool: self.database.pool.clone(),
            tickets: TicketOffice::new(most.0, most.1),
            metrics: Arc::clone(metrics),
            dice: self.around.dice.clone(),
            clock: self.around.clock.clone(),
            lines: self.line_limit("the log of streams", |line: &StreamLine, n| line.sum_up(n)),
            settings,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        Limits {
            body_bytes: size(self.config.server.body_bytes),
            event_bytes: size(self.config.server.event_bytes),
            page_bytes: size(self.config.server.page_bytes),
        }
    }
}

/// Own commits are told to the follower, the other instances, the notifier and the observer.
fn committed(
    (here, elsewhere): (&HintBoard, &Megaphone),
    notable: &HintBoard,
    observer: &Arc<dyn LogObserver>,
) -> (Committed, mpsc::Receiver<CommittedBatch>) {
    let (committed, batches) = Committed::new(here.clone(), elsewhere.clone());
    let notifier = Bystander {
        board: notable.clone(),
        minds: notifier::may_matter,
    };
    let committed = committed.beside(notifier).observed_by(Arc::clone(observer));
    (committed, batches)
}

/// Where the listener leaves what it hears, and the signals among it.
fn ears(
    here: &HintBoard,
    notices: &TaskNotices,
    brokerages: Option<Brokerages>,
) -> (Ears, mpsc::Receiver<String>) {
    let (signals, heard) = mpsc::channel(WAITING_SIGNALS);
    let ears = Ears {
        logs: here.clone(),
        presence: Arc::default(),
        tasks: notices.here.clone(),
        signals,
        brokerages,
    };
    (ears, heard)
}

pub(super) fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

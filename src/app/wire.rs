//! The parts, in the order of an event's way: writer, follower, hub, streams.

use std::sync::Arc;
use std::time::Duration;

use super::{App, Limits, Surroundings, housekeeping};
use crate::config::Config;
use crate::database::{Database, Kept};
use crate::event_log::Writer;
use crate::event_log::writer::WriterParts;
use crate::follower::{Follower, FollowerParts, Porch, announce, listen};
use crate::hints::{Committed, HintBoard};
use crate::hub::Hub;
use crate::hub::desk::Desk;
use crate::hub::tickets::TicketOffice;
use crate::identity::Verifier;
use crate::lifecycle::Tasks;
use crate::metrics::Metrics;
use crate::stream::open::Services;

/// A follower that has not seen the database for so long is not alive.
const FOLLOWER_SILENCE: Duration = Duration::from_secs(10);
/// Letters of an instance's name in hints.
const INSTANCE_LEN: usize = 12;

/// What the service is built on.
pub(super) struct Ground<'a> {
    pub(super) config: &'a Config,
    pub(super) around: &'a Surroundings,
    pub(super) database: &'a Database,
    pub(super) tasks: &'a Tasks,
}

impl Ground<'_> {
    /// Makes the parts and starts their tasks.
    pub(super) fn wire(&self, verifier: Verifier) -> App {
        let (config, metrics) = (self.config, Metrics::new());
        let hub = Arc::new(Hub::new(config.streams.memory_bytes()));
        let (here, elsewhere) = (HintBoard::default(), HintBoard::default());
        let (committed, batches) = Committed::new(here.clone(), elsewhere.clone());
        let writer = self.writer(committed);
        let porch = self.follower(FollowerParts {
            database: Kept::new(self.database.core.clone()),
            hub: Arc::clone(&hub),
            committed: batches,
            hints: here.clone(),
            poll: config.database.poll(),
            metrics: Arc::clone(&metrics),
            dice: self.around.dice.clone(),
            clock: self.around.clock.clone(),
            stop: self.tasks.stop_last(),
        });
        self.exchange_hints(here, elsewhere);
        self.keep_house(&metrics);
        App {
            pool: self.database.pool.clone(),
            verifier,
            token_cookie: config.identity.token_cookie.clone(),
            writer,
            hub,
            streams: Arc::new(self.streams(porch, &metrics)),
            metrics,
            limits: self.limits(),
        }
    }

    fn writer(&self, committed: Committed) -> Writer {
        let (writer, writing) = Writer::new(WriterParts {
            database: Kept::new(self.database.core.clone()),
            dice: self.around.dice.clone(),
            committed,
            stop: self.tasks.stop_last(),
        });
        self.tasks.spawn("the writer", writing);
        writer
    }

    fn follower(&self, parts: FollowerParts) -> Porch {
        let (porch, follower) = Follower::new(parts);
        self.tasks.spawn("the follower", follower.run());
        porch
    }

    /// What happens here is announced, what is announced elsewhere is heard.
    fn exchange_hints(&self, here: HintBoard, elsewhere: HintBoard) {
        let (core, dice) = (&self.database.core, &self.around.dice);
        let instance = dice.tag(INSTANCE_LEN);
        let stop = self.tasks.stop_last();
        let announcing = announce::run(
            Kept::new(core.clone()),
            elsewhere,
            instance.clone(),
            stop.clone(),
        );
        self.tasks.spawn("the announcer", announcing);
        let parts = listen::ListenerParts {
            pool: core.clone(),
            hints: here,
            instance,
            dice: dice.clone(),
            stop,
        };
        self.tasks.spawn("the listener", listen::run(parts));
    }

    fn keep_house(&self, metrics: &Arc<Metrics>) {
        let parts = housekeeping::Parts {
            pool: self.database.pool.clone(),
            settings: self.config.retention.clone(),
            metrics: Arc::clone(metrics),
            stop: self.tasks.stop_last(),
        };
        self.tasks.spawn("housekeeping", housekeeping::run(parts));
    }

    fn streams(&self, porch: Porch, metrics: &Arc<Metrics>) -> Services {
        let core = self.database.core.clone();
        let (desk, replaying) = Desk::new(core, Arc::clone(metrics), self.tasks.stop_last());
        self.tasks.spawn("the replay desk", replaying);
        let settings = self.config.streams.clone();
        let most = (size(settings.max_streams), size(settings.streams_per_user));
        Services {
            porch,
            desk,
            pool: self.database.pool.clone(),
            tickets: TicketOffice::new(most.0, most.1),
            metrics: Arc::clone(metrics),
            dice: self.around.dice.clone(),
            clock: self.around.clock.clone(),
            settings,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            body_bytes: size(self.config.server.body_bytes),
            event_bytes: size(self.config.server.event_bytes),
            follower_silence: FOLLOWER_SILENCE.max(3 * self.config.database.poll()),
        }
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

//! Records whose audience changes while somebody has them open.
//!
//! The log has each such change, and every instance that reads the log applies it. An instance
//! without streams of the brokerage reads it later, and until then its signs have the old audience.
//! Other instances correct these signs.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;

use super::heartbeat::AUDIENCE_TTL_MS;
use super::moment::Moment;
use super::sign_of_life::{Session, SignOfLife, SignOrigin};
use super::store::PresenceKey;
use super::{BrokeragePresence, LockedGroup, Presence, locked};
use crate::log::RecordAudience;
use crate::platform::{BrokerId, RecordPath, UserId};

/// Moves that are remembered of one brokerage. When there are more, all of them are forgotten.
const MOST_MOVES: usize = 1_024;
/// The time between two checks of the audiences of records in use.
const PAUSE: Duration = Duration::from_millis(500);
/// Records that one check looks up.
const MOST_RECORDS: usize = 4_096;

#[derive(Debug)]
struct RecordMove {
    shown: RecordAudience,
    at: Moment,
}

#[derive(Debug, Default)]
pub(super) struct RecordMoves(FxHashMap<RecordPath, RecordMove>);

impl RecordMoves {
    /// Adds the new audience of a record, and returns whether it is the newest one. Removes moves
    /// that are older than any audience which a sign may still have.
    pub(super) fn add(&mut self, record: &RecordPath, shown: &RecordAudience, now: Moment) -> bool {
        let known = self.0.get(record);
        if known.is_some_and(|known| known.shown.position > shown.position) {
            return false;
        }
        self.0
            .retain(|_, known| now.ms_after(known.at) < AUDIENCE_TTL_MS);
        if self.0.len() >= MOST_MOVES {
            self.0.clear();
        }
        let shown = shown.clone();
        self.0.insert(record.clone(), RecordMove { shown, at: now });
        true
    }

    /// The sign, with the newest audiences of its records.
    pub(super) fn applied_to(&self, mut sign: SignOfLife) -> SignOfLife {
        if !self.0.is_empty() {
            let records: Vec<_> = sign
                .records_in_use()
                .map(|in_use| in_use.record.clone())
                .collect();
            for record in records {
                if let Some(known) = self.0.get(&record) {
                    sign.update_audience(&record, &known.shown.audience);
                }
            }
        }
        sign
    }
}

impl Presence {
    /// Applies new audiences of a brokerage's records.
    pub fn update_audiences(
        &self,
        broker: &BrokerId,
        shown: &FxHashMap<RecordPath, RecordAudience>,
    ) {
        let brokerage = self.brokerages().get(broker).cloned();
        let Some(brokerage) = brokerage else { return };
        let now = self.now().moment;
        let mut locked = brokerage.lock();
        for (record, shown) in shown {
            for changed in locked.group.update_audience(record, shown, now) {
                let sources = changed.sources.into_iter();
                for own in sources.filter(|source| source.origin == SignOrigin::Here) {
                    self.write_again(&locked, &changed.user, own.session);
                }
                self.evaluate(&mut locked, &changed.user);
            }
        }
    }

    /// Other instances read the changed sign from the table.
    pub(super) fn write_again(&self, locked: &LockedGroup<'_>, user: &UserId, session: Session) {
        let person = locked.group.person(user);
        let Some(sign) = person.and_then(|person| person.own(&session)) else {
            return;
        };
        let key = PresenceKey {
            broker: locked.brokerage.broker.clone(),
            user: user.clone(),
            session,
        };
        let mut outbox = self.outbox();
        outbox.put(key, sign.clone());
        outbox.is_urgent = true;
    }

    /// This instance did not read some events of a brokerage's log.
    pub fn verify_audiences(&self, broker: &BrokerId) {
        let brokerage = self.brokerages().get(broker).cloned();
        if let Some(brokerage) = brokerage {
            self.request_verification(&brokerage);
        }
    }

    /// This instance may have missed events of any log.
    pub fn verify_all_audiences(&self) {
        for brokerage in self.all_brokerages() {
            self.request_verification(&brokerage);
        }
    }

    fn request_verification(&self, brokerage: &BrokeragePresence) {
        let mut group = brokerage.lock().group;
        group.forget_moves();
        if group.records_in_use().next().is_some() {
            self.add_unverified(&brokerage.broker);
        }
    }

    fn add_unverified(&self, broker: &BrokerId) {
        locked(&self.0.unverified).insert(broker.clone());
        self.0.verify.notify_one();
    }

    /// Looks up the audiences of records in use again, where this instance may have missed a change.
    pub(super) async fn run_verification(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.verify.notified() => {}
            }
            let unverified = std::mem::take(&mut *locked(&self.0.unverified));
            for broker in unverified {
                self.verify(&broker).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn verify(&self, broker: &BrokerId) {
        let brokerage = self.brokerages().get(broker).cloned();
        let Some(brokerage) = brokerage else { return };
        let records = {
            let group = brokerage.lock().group;
            let records = group.records_in_use().take(MOST_RECORDS);
            records.cloned().collect::<Vec<_>>()
        };
        let count = records.len();
        let shown = self.0.parts.records.audiences(broker, records).await;
        if shown.len() < count {
            // The database did not answer for all of them.
            self.add_unverified(broker);
        }
        self.update_audiences(broker, &shown);
    }
}

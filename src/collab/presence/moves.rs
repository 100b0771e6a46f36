//! Records that moved from one audience to another while somebody had them open.
//!
//! Everybody hears of it at once from the log. Another instance that has no stream of the broker
//! hears of it later, and may say until then what was true before: that is corrected.

use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio_util::sync::CancellationToken;

use super::heartbeat::PLACE_MS;
use super::moment::Moment;
use super::sign::{Origin, Session, SignOfLife};
use super::store::PresenceKey;
use super::{BrokeragePresence, Presence, PresenceSession, locked};
use crate::log::Shown;
use crate::platform::{BrokerId, RecordPath, UserId};

/// Moves that are remembered of one broker; then all of them are forgotten.
const MOST_MOVES: usize = 1_024;
/// Between two looks at who may see the records that somebody has open.
const PAUSE: Duration = Duration::from_millis(500);
/// Records that one look asks for.
const MOST_RECORDS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Moves(FxHashMap<RecordPath, (Shown, Moment)>);

impl Moves {
    /// A record that somebody has open is shown like this; says whether that is news. What is older
    /// than any belief in a place is forgotten.
    pub(super) fn add(&mut self, record: &RecordPath, shown: &Shown, now: Moment) -> bool {
        let known = self.0.get(record);
        if known.is_some_and(|(known, _)| known.position > shown.position) {
            return false;
        }
        self.0.retain(|_, (_, at)| now.ms_after(*at) < PLACE_MS);
        if self.0.len() >= MOST_MOVES {
            self.0.clear();
        }
        self.0.insert(record.clone(), (shown.clone(), now));
        true
    }

    /// The sign, with the audiences that the records in it have by now.
    pub(super) fn corrected(&self, mut sign: SignOfLife) -> SignOfLife {
        if !self.0.is_empty() {
            let records: Vec<_> = sign.places().map(|place| place.record.clone()).collect();
            for record in records {
                if let Some((shown, _)) = self.0.get(&record) {
                    sign.show(&record, &shown.audience);
                }
            }
        }
        sign
    }
}

impl Presence {
    /// These records of a broker are shown like this from now on.
    pub fn show(&self, broker: &BrokerId, shown: &FxHashMap<RecordPath, Shown>) {
        let brokerage = self.brokerages().get(broker).cloned();
        let Some(brokerage) = brokerage else { return };
        let now = self.now().moment;
        let mut visit = brokerage.enter();
        for (record, shown) in shown {
            for (user, sources) in visit.group.show(record, shown, now) {
                let own = sources.into_iter().filter(|(_, o)| *o == Origin::Here);
                for (session, _) in own {
                    self.write_again(&visit, &user, session);
                }
                self.judge(&mut visit, &user);
            }
        }
    }

    /// The other instances, and those that start, read it from the table.
    fn write_again(&self, visit: &PresenceSession<'_>, user: &UserId, session: Session) {
        let person = visit.group.person(user);
        let Some(sign) = person.and_then(|person| person.own(&session)) else {
            return;
        };
        let key = PresenceKey {
            broker: visit.brokerage.broker.clone(),
            user: user.clone(),
            session,
        };
        let mut outbox = self.outbox();
        outbox.signs.insert(key, sign.clone());
        outbox.is_urgent = true;
    }

    /// A broker's log went on by events that are not read here.
    pub fn missed(&self, broker: &BrokerId) {
        let brokerage = self.brokerages().get(broker).cloned();
        if let Some(brokerage) = brokerage {
            self.doubt(&brokerage);
        }
    }

    /// The same may be true of any log.
    pub fn missed_any(&self) {
        for brokerage in self.all_brokerages() {
            self.doubt(&brokerage);
        }
    }

    fn doubt(&self, brokerage: &BrokeragePresence) {
        let mut visit = brokerage.enter();
        visit.group.forget_moves();
        if visit.group.visited().next().is_some() {
            locked(&self.0.doubted).insert(brokerage.broker.clone());
            self.0.doubts.notify_one();
        }
    }

    /// Asks who sees the records that somebody has open, where that may have changed unheard.
    pub async fn ask_again(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.doubts.notified() => {}
            }
            let doubted = std::mem::take(&mut *locked(&self.0.doubted));
            for broker in doubted {
                self.ask_of(&broker).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn ask_of(&self, broker: &BrokerId) {
        let brokerage = self.brokerages().get(broker).cloned();
        let Some(brokerage) = brokerage else { return };
        let records = {
            let visit = brokerage.enter();
            let visited = visit.group.visited().take(MOST_RECORDS);
            visited.cloned().collect::<Vec<_>>()
        };
        let count = records.len();
        let shown = self.0.parts.records.all_shown(broker, records).await;
        if shown.len() < count {
            // The database did not answer.
            locked(&self.0.doubted).insert(broker.clone());
            self.0.doubts.notify_one();
        }
        self.show(broker, &shown);
    }
}

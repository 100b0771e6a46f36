//! To and from the table: this instance's signs, the others', and who of them is alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::PresenceSync;
use crate::collab::presence::group::PresenceGroup;
use crate::collab::presence::moment::Moment;
use crate::collab::presence::person::Horizon;
use crate::collab::presence::sign::{Origin, Session, SignOfLife};
use crate::collab::presence::store;
use crate::collab::presence::store::{PresenceKey, StoredSign};
use crate::collab::presence::{BrokeragePresence, Join, locked};
use crate::platform::BrokerId;

/// Signs that one statement writes.
const MOST_WRITTEN: usize = 2_000;
/// After so long nobody asks about an instance that is gone.
const FORGOTTEN_MS: i64 = 24 * 3_600_000;

impl PresenceSync {
    pub(super) async fn live(&mut self) -> sqlx::Result<()> {
        let (lease, me) = (self.lease(), &self.parts.instance);
        let live = async |c: &mut PgConnection| store::live(c, me, lease).await;
        let was_gone = self.parts.database.run(live).await?;
        self.last.live = Some(Instant::now());
        if was_gone {
            self.return_own_streams();
        }
        Ok(())
    }

    /// The others have forgotten, or will, whose streams are here: they are told again.
    fn return_own_streams(&self) {
        let signs = self.own_streams();
        let mut waiting = self.presence.outbox();
        waiting.is_urgent |= !signs.is_empty();
        for (key, sign) in signs {
            waiting.signs.entry(key).or_insert(sign);
        }
    }

    /// Writes what the table does not have yet. What could not be written is kept, unless
    /// something newer has come.
    pub(super) async fn write(&mut self) -> sqlx::Result<()> {
        self.last.write = Instant::now();
        let outbox = std::mem::take(&mut *self.presence.outbox());
        let signs: Vec<_> = outbox.signs.into_iter().collect();
        for (done, part) in signs.chunks(MOST_WRITTEN).enumerate() {
            self.flush += 1;
            let me = (self.parts.instance.as_str(), self.flush);
            let presence = &self.presence;
            let write = async |connection: &mut PgConnection| {
                // Only now: a connection may have been long in coming.
                let now = presence.now().moment;
                store::write(connection, me, part, now).await
            };
            if let Err(error) = self.parts.database.run(write).await {
                let left = &signs[done * MOST_WRITTEN..];
                let mut newer = self.presence.outbox();
                for (key, sign) in left {
                    newer.signs.entry(key.clone()).or_insert(sign.clone());
                }
                newer.is_urgent |= outbox.is_urgent;
                return Err(error);
            }
        }
        if outbox.is_urgent {
            self.parts.peer_notifier.presence();
        }
        Ok(())
    }

    /// Reads what others have written, and which of them are alive.
    pub(super) async fn read(&mut self) -> sqlx::Result<()> {
        self.last.read = Instant::now();
        let others = self.read_others().await?;
        self.take_leases(&others);
        self.presence
            .0
            .read_at
            .store(self.presence.now_ms(), Ordering::Relaxed);
        let brokers: Vec<_> = self.presence.brokerages().keys().cloned().collect();
        if others.is_empty() || brokers.is_empty() {
            return Ok(());
        }
        let seen = |instance: &Arc<str>| self.seen.get(instance).copied().unwrap_or(0);
        let seen: Vec<_> = others
            .iter()
            .map(|(i, _)| (Arc::clone(i), seen(i)))
            .collect();
        let presence = &self.presence;
        let read = async |connection: &mut PgConnection| {
            let now = presence.now().moment;
            store::read_on(connection, &seen, &brokers, now).await
        };
        let read = self.parts.database.run(read).await?;
        for sign in &read {
            let seen = self.seen.entry(Arc::clone(&sign.instance)).or_default();
            *seen = sign.flush.max(*seen);
        }
        self.take_signs(read);
        Ok(())
    }

    async fn read_others(&mut self) -> sqlx::Result<Vec<(Arc<str>, i64)>> {
        let me = &self.parts.instance;
        let others = async |c: &mut PgConnection| store::others(c, me).await;
        self.parts.database.run(others).await
    }

    /// Who is gone. When the table was out of sight, everybody gets a lease to be seen again.
    pub(super) fn take_leases(&mut self, others: &[(Arc<str>, i64)]) {
        let now = self.presence.now().moment;
        let before = self.presence.horizon();
        let gone = others.iter().filter(|(_, ms_left)| *ms_left <= 0);
        let known = |instance: &Arc<str>| before.gone.get(instance).copied();
        let mut gone: FxHashMap<_, _> = gone
            .map(|(i, ms_left)| (Arc::clone(i), known(i).unwrap_or(now.plus_ms(*ms_left))))
            .collect();
        let is_listed = |instance: &Arc<str>| others.iter().any(|(i, _)| i == instance);
        for instance in self.seen.keys().filter(|instance| !is_listed(instance)) {
            gone.insert(Arc::clone(instance), known(instance).unwrap_or(now));
        }
        let trusted_from = match before.trusted_from {
            Moment::NEVER => now.plus(self.lease()),
            known => known,
        };
        // What is known of those that nobody remembers is not needed any more.
        let is_old = |at: &Moment| now.ms_after(*at) > FORGOTTEN_MS;
        gone.retain(|instance, at| is_listed(instance) || !is_old(at));
        self.seen
            .retain(|instance, _| is_listed(instance) || gone.contains_key(instance));
        let horizon = Horizon { gone, trusted_from };
        if horizon.gone != before.gone || horizon.trusted_from != before.trusted_from {
            *locked(&self.presence.0.horizon) = Arc::new(horizon);
            self.presence.settle_everybody();
        }
    }

    pub(super) fn take_signs(&self, signs: Vec<StoredSign>) {
        for read in signs {
            let brokerage = self.presence.brokerages().get(&read.key.broker).cloned();
            if let Some(brokerage) = brokerage {
                self.put(&brokerage, read);
            }
        }
    }

    pub(super) fn put(&self, brokerage: &BrokeragePresence, read: StoredSign) {
        let mut visit = brokerage.enter();
        let PresenceKey { user, session, .. } = read.key;
        let source = (session, Origin::There(read.instance));
        if visit.group.put(&user, source, read.sign) {
            self.presence.judge(&mut visit, &user);
        }
    }

    /// Fills rooms that are entered for the first time.
    pub(super) async fn fill(&mut self, joins: Vec<Join>) -> sqlx::Result<()> {
        let brokers: FxHashSet<_> = joins.iter().map(|join| join.broker.clone()).collect();
        let mut brokers: Vec<_> = brokers.into_iter().collect();
        brokers.retain(|broker| !self.presence.brokerages().contains_key(broker));
        if !brokers.is_empty() {
            let brokerages = self.filled(brokers).await?;
            self.presence.brokerages().extend(brokerages);
        }
        for join in joins {
            if let Some(brokerage) = self.presence.filled(&join.broker) {
                // Nobody may be waiting any more.
                let _ = join.answer.send(brokerage);
            }
        }
        Ok(())
    }

    pub(super) async fn filled(
        &mut self,
        brokers: Vec<BrokerId>,
    ) -> sqlx::Result<FxHashMap<BrokerId, Arc<BrokeragePresence>>> {
        let others = self.read_others().await?;
        let (presence, me) = (&self.presence, &self.parts.instance);
        let read = async |connection: &mut PgConnection| {
            let now = presence.now().moment;
            store::read_all(connection, me, &brokers, now).await
        };
        let read = self.parts.database.run(read).await?;
        for sign in &read {
            self.seen.entry(Arc::clone(&sign.instance)).or_default();
        }
        self.take_leases(&others);
        let brokerages = brokers.into_iter();
        let brokerages =
            brokerages.map(|broker| (broker.clone(), Arc::new(self.empty_hall(broker))));
        let brokerages: FxHashMap<_, _> = brokerages.collect();
        for sign in read {
            if let Some(brokerage) = brokerages.get(&sign.key.broker) {
                self.put(brokerage, sign);
            }
        }
        Ok(brokerages)
    }

    pub(super) fn empty_hall(&self, broker: BrokerId) -> BrokeragePresence {
        let parts = &self.presence.0.parts;
        BrokeragePresence {
            broker,
            group: PresenceGroup::new(parts.rules, parts.most_told).into(),
            used_at: AtomicI64::new(self.presence.now_ms()),
            unheard: AtomicU64::new(0),
        }
    }

    pub(super) fn end_own_streams(&self) {
        let now = self.presence.now().moment;
        let signs = self.own_streams().into_iter();
        let mut waiting = self.presence.outbox();
        waiting
            .signs
            .extend(signs.map(|(key, sign)| (key, sign.over(now))));
        // Nobody is left to announce it.
        waiting.is_urgent = false;
    }

    fn own_streams(&self) -> Vec<(PresenceKey, SignOfLife)> {
        let mut signs = Vec::new();
        for brokerage in self.presence.all_brokerages() {
            for (user, sign) in brokerage.enter().group.own_streams() {
                let key = PresenceKey {
                    broker: brokerage.broker.clone(),
                    user: user.clone(),
                    session: Session::Streams,
                };
                signs.push((key, sign.clone()));
            }
        }
        signs
    }
}

//! What is exchanged with the table: this instance's signs, the others' signs, and the leases.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::PgConnection;
use tokio::time::Instant;

use super::PresenceSync;
use crate::collab::presence::group::PresenceGroup;
use crate::collab::presence::moment::Moment;
use crate::collab::presence::person::PeerLiveness;
use crate::collab::presence::sign_of_life::{Session, SignOrigin, SignSource};
use crate::collab::presence::store::{
    self, KeyedSign, LastRead, PeerLease, PresenceKey, StoredSign,
};
use crate::collab::presence::{BrokeragePresence, PendingLoad, locked};
use crate::platform::BrokerId;

/// Signs that one statement writes.
const MOST_WRITTEN: usize = 2_000;
/// Signs that one statement writes while no other instance waits for them, unless very many wait.
const FEW_WRITTEN: usize = 256;
/// Of very many signs, one statement writes such a part.
const PART_WRITTEN: usize = 8;
/// After each sign that was written, the next write waits so long: when thousands arrive at once, Postgres must
/// not take the CPU that they need.
const PAUSE_PER_SIGN: Duration = Duration::from_micros(200);
/// The same while no other instance waits for them. Only one that starts later reads them.
const PAUSE_PER_SIGN_ALONE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE_ALONE: Duration = Duration::from_millis(500);
/// How long an instance that died is remembered.
const REMEMBERED_MS: i64 = 24 * 3_600_000;

/// What a read finds. The leases are read before the signs.
struct PeerNews {
    leases: Vec<PeerLease>,
    signs: Vec<StoredSign>,
}

impl PresenceSync {
    pub(super) async fn renew_lease(&mut self) -> sqlx::Result<()> {
        let (lease, instance) = (self.lease(), &self.parts.instance);
        let renew = async |c: &mut PgConnection| store::renew_lease(c, instance, lease).await;
        let had_expired = self.parts.database.run(renew).await?;
        self.last.lease = Some(Instant::now());
        if had_expired {
            self.write_own_streams_again();
        }
        Ok(())
    }

    pub(super) async fn end_lease(&mut self) -> sqlx::Result<()> {
        let instance = &self.parts.instance;
        let end = async |c: &mut PgConnection| store::end_lease(c, instance).await;
        self.parts.database.run(end).await
    }

    /// The other instances may have removed the streams of this one.
    fn write_own_streams_again(&self) {
        let signs = self.own_streams();
        let mut outbox = self.presence.outbox();
        outbox.is_urgent |= !signs.is_empty();
        for sign in signs {
            outbox.put_older(sign);
        }
    }

    /// Writes the outbox, or as much as one statement may. Signs that could not be written stay there, unless
    /// it has newer ones.
    pub(super) async fn write(&mut self) -> sqlx::Result<()> {
        let is_alone = !self.parts.instances.has_others();
        let (signs, is_urgent) = {
            let mut outbox = self.presence.outbox();
            let most = at_once(outbox.len(), is_alone);
            let signs = outbox.take(most);
            let is_urgent = outbox.is_urgent;
            outbox.is_urgent &= !outbox.is_empty();
            (signs, is_urgent)
        };
        self.last.write = Instant::now();
        self.pause = pause_after(signs.len(), is_alone);
        self.flush += 1;
        let (instance, flush, presence) = (&*self.parts.instance, self.flush, &self.presence);
        let write = async |connection: &mut PgConnection| {
            // Read here: the wait for a connection may have been long.
            let now = presence.now().moment;
            store::write(connection, instance, flush, &signs, now).await
        };
        if let Err(error) = self.parts.database.run(write).await {
            self.keep_for_later(signs, is_urgent);
            return Err(error);
        }
        if is_urgent {
            self.tell_peers(&signs);
        }
        Ok(())
    }

    /// Writes everything.
    pub(super) async fn write_all(&mut self) -> sqlx::Result<()> {
        while !self.presence.outbox().is_empty() {
            self.write().await?;
        }
        Ok(())
    }

    fn keep_for_later(&self, signs: Vec<KeyedSign>, is_urgent: bool) {
        let mut outbox = self.presence.outbox();
        outbox.is_urgent |= is_urgent && !signs.is_empty();
        for sign in signs {
            outbox.put_older(sign);
        }
    }

    /// Reads the leases and the new signs of the other instances.
    pub(super) async fn read(&mut self) -> sqlx::Result<()> {
        self.last.read = Instant::now();
        let PeerNews { leases, signs } = self.peer_news().await?;
        self.apply_leases(&leases);
        let now_ms = self.presence.now_ms();
        self.presence.0.read_at.store(now_ms, Ordering::Relaxed);
        for sign in &signs {
            let flushes = &mut self.read_flushes;
            let flush = flushes.entry(Arc::clone(&sign.instance)).or_default();
            *flush = sign.flush.max(*flush);
        }
        self.apply_signs(signs);
        Ok(())
    }

    async fn peer_news(&mut self) -> sqlx::Result<PeerNews> {
        let (instance, presence) = (&self.parts.instance, &self.presence);
        let flushes = &self.read_flushes;
        let brokers: Vec<_> = presence.brokerages().keys().cloned().collect();
        let read = async |connection: &mut PgConnection| {
            let last_read = flushes.iter().map(|(instance, flush)| LastRead {
                instance: Arc::clone(instance),
                flush: *flush,
            });
            let last_read: Vec<_> = last_read.collect();
            let leases = store::peer_leases(connection, instance, &last_read).await?;
            let with_signs = leases.iter().filter(|lease| lease.has_signs);
            let last_read = with_signs.map(|lease| LastRead {
                flush: flushes.get(&lease.instance).copied().unwrap_or(0),
                instance: Arc::clone(&lease.instance),
            });
            let last_read: Vec<_> = last_read.collect();
            let signs = if last_read.is_empty() || brokers.is_empty() {
                Vec::new()
            } else {
                let now = presence.now().moment;
                store::read_new(connection, &last_read, &brokers, now).await?
            };
            Ok(PeerNews { leases, signs })
        };
        self.parts.database.run(read).await
    }

    /// Computes which instances are dead. After a time without reads, signs of the others end only
    /// after one more lease: each instance has that long to write them again.
    pub(super) fn apply_leases(&mut self, leases: &[PeerLease]) {
        let now = self.presence.now().moment;
        let before = self.presence.peers();
        let known = |instance: &Arc<str>| before.gone.get(instance).copied();
        let alive = leases.iter().filter(|lease| lease.ms_left > 0);
        self.parts.instances.set_others(alive.count());
        let expired = leases.iter().filter(|lease| lease.ms_left <= 0);
        let expired = expired.map(|lease| {
            let gone_at = known(&lease.instance).unwrap_or(now.plus_ms(lease.ms_left));
            (Arc::clone(&lease.instance), gone_at)
        });
        let mut gone: FxHashMap<_, _> = expired.collect();
        let has_lease =
            |instance: &Arc<str>| leases.iter().any(|lease| lease.instance == *instance);
        for instance in self.read_flushes.keys().filter(|known| !has_lease(known)) {
            gone.insert(Arc::clone(instance), known(instance).unwrap_or(now));
        }
        let trusted_from = match before.trusted_from {
            Moment::NEVER => now.plus(self.lease()),
            known => known,
        };
        let is_old = |at: &Moment| now.ms_after(*at) > REMEMBERED_MS;
        gone.retain(|instance, at| has_lease(instance) || !is_old(at));
        self.read_flushes
            .retain(|instance, _| has_lease(instance) || gone.contains_key(instance));
        let known = &self.read_flushes;
        self.heard_flushes
            .retain(|instance| known.contains_key(instance));
        let peers = PeerLiveness { gone, trusted_from };
        if peers.gone != before.gone || peers.trusted_from != before.trusted_from {
            *locked(&self.presence.0.peers) = Arc::new(peers);
            self.presence.evaluate_everybody();
        }
    }

    pub(super) fn apply_signs(&self, signs: Vec<StoredSign>) {
        for stored in signs {
            let broker = &stored.key.broker;
            let brokerage = self.presence.brokerages().get(broker).cloned();
            if let Some(brokerage) = brokerage {
                self.apply_sign(&brokerage, stored);
            }
        }
    }

    fn apply_sign(&self, brokerage: &BrokeragePresence, stored: StoredSign) {
        let mut locked = brokerage.lock();
        let PresenceKey { user, session, .. } = stored.key;
        let origin = SignOrigin::Peer(stored.instance);
        let is_of_streams = session.is_of_streams();
        let source = SignSource { session, origin };
        if locked.group.put(&user, source, stored.sign) {
            self.presence.evaluate(&mut locked, &user);
        }
        if is_of_streams {
            self.presence.limit_streams(&locked, &user);
        }
    }

    /// Loads brokerages that are not in memory, and answers the requests for them.
    pub(super) async fn load(&mut self, requests: Vec<PendingLoad>) -> sqlx::Result<()> {
        let brokers: FxHashSet<_> = requests.iter().map(|load| load.request.clone()).collect();
        let mut brokers: Vec<_> = brokers.into_iter().collect();
        brokers.retain(|broker| !self.presence.brokerages().contains_key(broker));
        if !brokers.is_empty() {
            let brokerages = self.read_brokerages(brokers).await?;
            self.presence.brokerages().extend(brokerages);
        }
        for load in requests {
            if let Some(brokerage) = self.presence.loaded(&load.request) {
                load.answer(brokerage);
            }
        }
        Ok(())
    }

    async fn read_brokerages(
        &mut self,
        brokers: Vec<BrokerId>,
    ) -> sqlx::Result<FxHashMap<BrokerId, Arc<BrokeragePresence>>> {
        let (presence, instance) = (&self.presence, &self.parts.instance);
        let read = async |connection: &mut PgConnection| {
            let leases = store::peer_leases(connection, instance, &[]).await?;
            let now = presence.now().moment;
            let signs = store::read_all(connection, instance, &brokers, now).await?;
            Ok(PeerNews { leases, signs })
        };
        let PeerNews { leases, signs } = self.parts.database.run(read).await?;
        for sign in &signs {
            let instance = Arc::clone(&sign.instance);
            self.read_flushes.entry(instance).or_default();
        }
        self.apply_leases(&leases);
        let brokerages = brokers.into_iter();
        let brokerages = brokerages.map(|broker| (broker.clone(), Arc::new(self.empty(broker))));
        let brokerages: FxHashMap<_, _> = brokerages.collect();
        for sign in signs {
            if let Some(brokerage) = brokerages.get(&sign.key.broker) {
                self.apply_sign(brokerage, sign);
            }
        }
        Ok(brokerages)
    }

    fn empty(&self, broker: BrokerId) -> BrokeragePresence {
        let parts = &self.presence.0.parts;
        BrokeragePresence {
            broker,
            group: PresenceGroup::new(parts.rules, parts.crowd_limit).into(),
            used_at: AtomicI64::new(self.presence.now_ms()),
            silent_events: AtomicU64::new(0),
            release_at: AtomicI64::new(i64::MIN),
            changed: Mutex::default(),
        }
    }

    pub(super) fn end_own_streams(&self) {
        let now = self.presence.now().moment;
        let signs = self.own_streams();
        let mut outbox = self.presence.outbox();
        for KeyedSign { key, sign } in signs {
            outbox.put(key, sign.ended(now));
        }
        // The task that notifies the other instances has stopped by now.
        outbox.is_urgent = false;
    }

    fn own_streams(&self) -> Vec<KeyedSign> {
        let mut signs = Vec::new();
        for brokerage in self.presence.all_brokerages() {
            let locked = brokerage.lock();
            for session in [Session::Streams, Session::Unseen] {
                for (user, sign) in locked.group.own_streams(&session) {
                    let key = PresenceKey {
                        broker: brokerage.broker.clone(),
                        user: user.clone(),
                        session: session.clone(),
                    };
                    let sign = sign.clone();
                    signs.push(KeyedSign { key, sign });
                }
            }
        }
        signs
    }
}

/// How many of the signs that wait are written by one statement.
fn at_once(waiting: usize, is_alone: bool) -> usize {
    let most = if is_alone {
        FEW_WRITTEN.max(waiting / PART_WRITTEN).min(MOST_WRITTEN)
    } else {
        MOST_WRITTEN
    };
    most.min(waiting)
}

/// The least time between a write of so many signs and the next.
fn pause_after(written: usize, is_alone: bool) -> Duration {
    let written = u32::try_from(written).unwrap_or(u32::MAX);
    if is_alone {
        PAUSE_PER_SIGN_ALONE
            .saturating_mul(written)
            .min(LONGEST_PAUSE_ALONE)
    } else {
        PAUSE_PER_SIGN.saturating_mul(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_is_alone_writes_the_signs_of_a_burst_in_smaller_parts() {
        assert_eq!(at_once(10_000, false), MOST_WRITTEN);
        assert_eq!(at_once(10_000, true), 1_250);
        assert_eq!(at_once(300, true), FEW_WRITTEN);
        assert_eq!(at_once(1_000_000, true), MOST_WRITTEN);
        assert_eq!((at_once(7, true), at_once(7, false)), (7, 7));
        assert_eq!(pause_after(7, true), Duration::from_millis(7));
        assert_eq!(pause_after(1_250, true), LONGEST_PAUSE_ALONE);
        assert_eq!(pause_after(2_000, false), Duration::from_millis(400));
    }
}

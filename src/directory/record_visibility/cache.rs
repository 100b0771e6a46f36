//! The audiences of records that this instance knows.
//!
//! An audience comes from the newest event about its record. Committed events update it at once.
//! Besides, it expires, for the case that this instance misses an event.

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::AUDIENCE_TTL;
use crate::log::{Event, RecordAudience};
use crate::platform::{BrokerId, RecordPath};

/// When there are more, all of them are forgotten.
const MOST_CACHED: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AudienceKey {
    pub(super) broker: BrokerId,
    pub(super) record: RecordPath,
}

#[derive(Debug)]
struct CachedAudience {
    shown: RecordAudience,
    at: Instant,
}

/// What happened to a record while a query looks it up.
#[derive(Debug, Default)]
struct RunningLookup {
    newer: Option<RecordAudience>,
    /// This instance has missed events.
    is_uncertain: bool,
}

#[derive(Debug, Default)]
pub(super) struct AudienceCache {
    known: FxHashMap<BrokerId, FxHashMap<RecordPath, CachedAudience>>,
    count: usize,
    /// The records of the query that runs.
    lookups: FxHashMap<AudienceKey, RunningLookup>,
}

impl AudienceCache {
    pub(super) fn get(&self, key: &AudienceKey, now: Instant) -> Option<RecordAudience> {
        let cached = self.known.get(&key.broker)?.get(&key.record)?;
        (now - cached.at < AUDIENCE_TTL).then(|| cached.shown.clone())
    }

    pub(super) fn begin_query(&mut self, keys: impl IntoIterator<Item = AudienceKey>) {
        let lookups = keys.into_iter().map(|key| (key, RunningLookup::default()));
        self.lookups = lookups.collect();
    }

    pub(super) fn end_query(&mut self) {
        self.lookups.clear();
    }

    /// Adds what the query found for a record. Returns the newest audience that is known.
    pub(super) fn add_found(
        &mut self,
        key: AudienceKey,
        found: RecordAudience,
        now: Instant,
    ) -> RecordAudience {
        let lookup = self.lookups.get(&key);
        let is_uncertain = lookup.is_some_and(|lookup| lookup.is_uncertain);
        let newer = lookup.and_then(|lookup| lookup.newer.clone());
        let newer = newer.filter(|newer| newer.position > found.position);
        let shown = newer.unwrap_or(found);
        if !is_uncertain {
            let shown = shown.clone();
            self.insert(key, CachedAudience { shown, at: now });
        }
        shown
    }

    fn insert(&mut self, key: AudienceKey, cached: CachedAudience) {
        if self.count >= MOST_CACHED {
            self.known.clear();
            self.count = 0;
        }
        let of_brokerage = self.known.entry(key.broker).or_default();
        self.count += usize::from(of_brokerage.insert(key.record, cached).is_none());
    }

    /// Applies committed events of a brokerage, which may come late and more than once. Returns the
    /// newest known audiences of their records.
    pub(super) fn apply_events(
        &mut self,
        broker: &BrokerId,
        events: &[Event],
        now: Instant,
    ) -> FxHashMap<RecordPath, RecordAudience> {
        let mut shown: FxHashMap<_, _> = events.iter().filter_map(Event::record_audience).collect();
        for (record, shown) in &mut shown {
            let key = AudienceKey {
                broker: broker.clone(),
                record: record.clone(),
            };
            self.apply_audience(&key, shown, now);
        }
        shown
    }

    /// Updates what is known of a record. Replaces `shown` if something newer is known.
    fn apply_audience(&mut self, key: &AudienceKey, shown: &mut RecordAudience, now: Instant) {
        let known = self.known.get_mut(&key.broker);
        if let Some(cached) = known.and_then(|known| known.get_mut(&key.record)) {
            if cached.shown.position > shown.position {
                shown.clone_from(&cached.shown);
            } else {
                let shown = shown.clone();
                *cached = CachedAudience { shown, at: now };
            }
        }
        if let Some(lookup) = self.lookups.get_mut(key) {
            let newer = lookup.newer.take();
            let newer = newer.filter(|newer| newer.position > shown.position);
            lookup.newer = newer.or_else(|| Some(shown.clone()));
        }
    }

    /// This instance did not read some events of a brokerage's log.
    pub(super) fn forget_brokerage(&mut self, broker: &BrokerId) {
        let forgotten = self.known.remove(broker).map_or(0, |known| known.len());
        self.count -= forgotten;
        for (key, lookup) in &mut self.lookups {
            lookup.is_uncertain |= key.broker == *broker;
        }
    }

    /// This instance may have missed events of any log.
    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.count = 0;
        for lookup in self.lookups.values_mut() {
            lookup.is_uncertain = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::log::NewEvent;

    fn key(record: &str) -> AudienceKey {
        AudienceKey {
            broker: "b".parse().unwrap(),
            record: record.parse().unwrap(),
        }
    }

    fn event(position: i64, event_type: &str, audience: &str) -> Event {
        let event = NewEvent::new(audience.parse().unwrap(), event_type.parse().unwrap());
        Event {
            position,
            created_at: OffsetDateTime::UNIX_EPOCH,
            body: event.about(&key("escrows/e-1").record),
        }
    }

    fn at(position: i64, audience: &str) -> RecordAudience {
        RecordAudience {
            audience: audience.parse().unwrap(),
            position,
        }
    }

    fn known(cache: &AudienceCache, now: Instant) -> Option<String> {
        let audience = cache.get(&key("escrows/e-1"), now);
        audience.map(|shown| shown.audience.to_string())
    }

    #[test]
    fn the_newest_event_of_a_record_decides_in_whatever_order_events_come() {
        let (mut cache, now) = (AudienceCache::default(), Instant::now());
        let record = key("escrows/e-1");
        let broker = record.broker.clone();
        cache.begin_query([record.clone()]);
        cache.add_found(record.clone(), at(3, "team:a"), now);
        cache.apply_events(&broker, &[event(5, "escrow:created", "team:c")], now);
        // Commits of this instance do not come in the order of positions.
        let shown = cache.apply_events(&broker, &[event(4, "escrow:created", "team:b")], now);
        assert_eq!(shown[&record.record], at(5, "team:c"));
        assert_eq!(known(&cache, now).as_deref(), Some("team:c"));
        // These do not change who may see the record.
        cache.apply_events(&broker, &[event(6, "escrow:unlocked", "team:a")], now);
        cache.apply_events(&broker, &[event(7, "escrow:lock_available", "user:u")], now);
        assert_eq!(known(&cache, now).as_deref(), Some("team:c"));
        assert_eq!(known(&cache, now + AUDIENCE_TTL), None);
        cache.forget_brokerage(&broker);
        assert_eq!((known(&cache, now), cache.count), (None, 0));
    }

    #[test]
    fn an_event_during_a_query_is_newer_than_its_result() {
        let (mut cache, now) = (AudienceCache::default(), Instant::now());
        let record = key("escrows/e-1");
        let broker = record.broker.clone();
        cache.begin_query([record.clone()]);
        cache.apply_events(&broker, &[event(9, "escrow:created", "team:b")], now);
        let found = cache.add_found(record.clone(), at(8, "team:a"), now);
        assert_eq!(found, at(9, "team:b"));
        // Another request is for the same record.
        cache.add_found(record.clone(), at(8, "team:a"), now);
        cache.end_query();
        assert_eq!(known(&cache, now).as_deref(), Some("team:b"));
        // The query was later than the event.
        cache.begin_query([record.clone()]);
        cache.apply_events(&broker, &[event(10, "escrow:created", "team:c")], now);
        cache.add_found(record.clone(), at(11, "team:d"), now);
        assert_eq!(known(&cache, now).as_deref(), Some("team:d"));
        // It is not known whether it was: the result is returned and not cached.
        cache.begin_query([record.clone()]);
        cache.forget_brokerage(&broker);
        assert_eq!(
            cache.add_found(record, at(11, "team:d"), now),
            at(11, "team:d")
        );
        assert_eq!(known(&cache, now), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let (mut cache, now) = (AudienceCache::default(), Instant::now());
        for n in 0..=MOST_CACHED {
            cache.add_found(key(&format!("m/r-{n}")), at(1, "broker"), now);
        }
        assert_eq!(cache.count, 1);
        cache.forget_all();
        assert_eq!((cache.count, cache.known.len()), (0, 0));
    }
}

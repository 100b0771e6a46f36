//! Signs of life that other instances sent: which of them follow each other without a gap.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::platform::BrokerId;

/// Brokerages of one instance that are remembered. When there are more, all of them are forgotten, and the
/// next message of each causes a read of the table.
const MOST_BROKERAGES: usize = 8_192;

/// For each brokerage, the number of the last write that was sent or received.
#[derive(Debug, Default)]
pub(super) struct LastFlushes {
    flushes: FxHashMap<BrokerId, i64>,
    has_forgotten: bool,
}

impl LastFlushes {
    /// Stores the number of a write, and returns the one before it: 0 if there was none, `None` if it is unknown.
    pub(super) fn replace(&mut self, broker: &BrokerId, flush: i64) -> Option<i64> {
        if self.flushes.len() >= MOST_BROKERAGES {
            self.flushes.clear();
            self.has_forgotten = true;
        }
        let before = self.flushes.insert(broker.clone(), flush);
        before.or_else(|| (!self.has_forgotten).then_some(0))
    }

    pub(super) fn get(&self, broker: &BrokerId) -> i64 {
        self.flushes.get(broker).copied().unwrap_or_default()
    }
}

/// What to do with signs that were received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeardSigns {
    /// They are known already.
    Old,
    /// They follow what is known.
    Next,
    /// Signs in front of them are missing.
    Gap,
}

/// The last writes that were received, of each other instance.
#[derive(Debug, Default)]
pub(super) struct HeardFlushes(FxHashMap<Arc<str>, LastFlushes>);

impl HeardFlushes {
    /// `read` is the number of the last write of the instance that was read from the table.
    pub(super) fn hear(
        &mut self,
        instance: &Arc<str>,
        broker: &BrokerId,
        flush: i64,
        before: Option<i64>,
        read: i64,
    ) -> HeardSigns {
        let heard = self.0.entry(Arc::clone(instance)).or_default();
        let known = heard.get(broker).max(read);
        if flush <= known {
            return HeardSigns::Old;
        }
        heard.replace(broker, flush);
        match before {
            Some(before) if before <= known => HeardSigns::Next,
            _ => HeardSigns::Gap,
        }
    }

    pub(super) fn retain(&mut self, mut is_alive: impl FnMut(&Arc<str>) -> bool) {
        self.0.retain(|instance, _| is_alive(instance));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_does_not_follow_the_last_one_is_a_gap() {
        let (mut heard, mut sent) = (HeardFlushes::default(), LastFlushes::default());
        let (instance, broker) = (Arc::from("i"), "b".parse().unwrap());
        let mut hear = |flush, before, read| heard.hear(&instance, &broker, flush, before, read);
        assert_eq!(hear(3, sent.replace(&broker, 3), 0), HeardSigns::Next);
        assert_eq!(hear(3, Some(0), 0), HeardSigns::Old);
        let _lost = sent.replace(&broker, 5);
        assert_eq!(hear(6, sent.replace(&broker, 6), 0), HeardSigns::Gap);
        assert_eq!(hear(8, sent.replace(&broker, 8), 0), HeardSigns::Next);
        assert_eq!(hear(9, sent.replace(&broker, 9), 9), HeardSigns::Old);
        // The table was read meanwhile.
        assert_eq!(hear(12, Some(10), 11), HeardSigns::Next);
        assert_eq!(hear(14, None, 11), HeardSigns::Gap);
    }
}

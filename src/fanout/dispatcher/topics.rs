//! Which slots subscribe to which topics.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::rounds::TopicRound;
use crate::log::Audience;
use crate::platform::BrokerId;

type TopicsOfBrokerage = FxHashMap<Audience, Rc<TopicRound>>;

#[derive(Debug, Default)]
pub(super) struct Topics(RefCell<FxHashMap<BrokerId, TopicsOfBrokerage>>);

impl Topics {
    /// Returns the list of the topic if there is only one: its streams share it.
    pub(super) fn add(
        &self,
        slot: usize,
        broker: &BrokerId,
        audiences: Arc<[Audience]>,
    ) -> Arc<[Audience]> {
        if audiences.is_empty() {
            return audiences;
        }
        let mut topics = self.0.borrow_mut();
        let topics = topics.entry(broker.clone()).or_default();
        for audience in audiences.iter() {
            topics.entry(audience.clone()).or_default().add(slot);
        }
        match &*audiences {
            [only] => topics.get(only).map(|topic| topic.own_list(&audiences)),
            _ => None,
        }
        .unwrap_or(audiences)
    }

    /// Calls `moved` with each slot that a round would miss, because it took the place of this one.
    pub(super) fn remove(
        &self,
        slot: usize,
        broker: &BrokerId,
        audiences: &[Audience],
        moved: impl Fn(usize),
    ) {
        let mut topics = self.0.borrow_mut();
        let Some(of_broker) = topics.get_mut(broker) else {
            return;
        };
        for audience in audiences {
            let Some(topic) = of_broker.get(audience) else {
                continue;
            };
            if let Some(other) = topic.remove(slot) {
                moved(other);
            }
            if topic.is_empty() {
                of_broker.remove(audience);
            }
        }
        if of_broker.is_empty() {
            topics.remove(broker);
        }
    }

    /// Calls `start` with each of these topics that has a slot.
    pub(super) fn changed(
        &self,
        by_broker: &FxHashMap<BrokerId, FxHashSet<Audience>>,
        start: impl Fn(&Rc<TopicRound>),
    ) {
        let topics = self.0.borrow();
        for (broker, audiences) in by_broker {
            let Some(topics) = topics.get(broker) else {
                continue;
            };
            let changed = audiences.iter().filter_map(|audience| topics.get(audience));
            changed.for_each(&start);
        }
    }
}

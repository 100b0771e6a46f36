//! The order in which streams are served: in slices, so that the worker thread answers requests
//! between them, and so that topics with many streams do not delay those with few.
//!
//! A change of a topic starts a round over its streams. A change during the round extends it to all of
//! them again, from where it is: streams that it has not reached yet get both events at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::log::Audience;

/// The streams that are served before the worker thread does something else.
pub(super) const SLICE: usize = 64;
/// The same while events are being committed: a publisher may wait for each step of it.
pub(super) const SLICE_BESIDE_COMMITS: usize = 8;
/// Small topics and single streams leave one in this many of a slice to a large topic that waits.
const LARGE_SHARE: usize = 4;

/// The streams of one topic, and its round.
#[derive(Debug, Default)]
pub(super) struct TopicRound {
    slots: RefCell<Vec<usize>>,
    /// The next stream of the round.
    next: Cell<usize>,
    /// How many streams the round has still to serve.
    left: Cell<usize>,
    /// The list of this topic alone.
    list: RefCell<Option<Arc<[Audience]>>>,
}

impl TopicRound {
    pub(super) fn add(&self, slot: usize) {
        // A stream that has just subscribed reads the rings before it waits.
        self.slots.borrow_mut().push(slot);
    }

    /// One list for all streams of this topic alone. `list` is another one.
    pub(super) fn own_list(&self, list: &Arc<[Audience]>) -> Arc<[Audience]> {
        let mut own = self.list.borrow_mut();
        Arc::clone(own.get_or_insert_with(|| Arc::clone(list)))
    }

    /// Removes a slot. Returns another one that took its place, if the round might miss that.
    pub(super) fn remove(&self, slot: usize) -> Option<usize> {
        let mut slots = self.slots.borrow_mut();
        let at = slots.iter().position(|other| *other == slot)?;
        slots.swap_remove(at);
        let moved = slots.get(at).copied();
        moved.filter(|_| self.left.get() > 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.borrow().is_empty()
    }

    fn is_large(&self) -> bool {
        self.slots.borrow().len() > SLICE
    }

    /// The next slot of the round.
    fn next(&self) -> Option<usize> {
        let left = self.left.get().checked_sub(1)?;
        let slots = self.slots.borrow();
        let at = if self.next.get() < slots.len() {
            self.next.get()
        } else {
            0
        };
        let slot = slots.get(at).copied();
        self.next.set(at + 1);
        self.left.set(if slot.is_some() { left } else { 0 });
        slot
    }
}

/// What is still to be served.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    single: RefCell<VecDeque<usize>>,
    small: RefCell<VecDeque<Rc<TopicRound>>>,
    large: RefCell<VecDeque<Rc<TopicRound>>>,
}

impl Rounds {
    pub(super) fn is_empty(&self) -> bool {
        let topics = [&self.small, &self.large];
        self.single.borrow().is_empty() && topics.iter().all(|topics| topics.borrow().is_empty())
    }

    pub(super) fn add_single(&self, slot: usize) {
        self.single.borrow_mut().push_back(slot);
    }

    pub(super) fn start(&self, topic: &Rc<TopicRound>) {
        let is_new = topic.left.replace(topic.slots.borrow().len()) == 0;
        if is_new && topic.left.get() > 0 {
            let topics = if topic.is_large() {
                &self.large
            } else {
                &self.small
            };
            topics.borrow_mut().push_back(Rc::clone(topic));
        }
    }

    /// Serves one slice, of at most this many streams.
    pub(super) fn serve(&self, slice: usize, mut serve: impl FnMut(usize)) {
        let for_small = if self.large.borrow().is_empty() {
            slice
        } else {
            slice - slice / LARGE_SHARE
        };
        let mut served = 0;
        // Both get half, unless the other needs less.
        while served < for_small / 2 && self.serve_single(&mut serve) {
            served += 1;
        }
        while served < for_small && serve_topic(&self.small, &mut serve) {
            served += 1;
        }
        while served < for_small && self.serve_single(&mut serve) {
            served += 1;
        }
        while served < slice && serve_topic(&self.large, &mut serve) {
            served += 1;
        }
        // The next slice begins with the next topics.
        for topics in [&self.small, &self.large] {
            let mut topics = topics.borrow_mut();
            if let Some(first) = topics.pop_front() {
                topics.push_back(first);
            }
        }
    }

    fn serve_single(&self, serve: &mut impl FnMut(usize)) -> bool {
        let slot = self.single.borrow_mut().pop_front();
        slot.map(serve).is_some()
    }
}

fn serve_topic(topics: &RefCell<VecDeque<Rc<TopicRound>>>, serve: &mut impl FnMut(usize)) -> bool {
    loop {
        let Some(topic) = topics.borrow().front().cloned() else {
            return false;
        };
        let next = topic.next();
        if topic.left.get() == 0 {
            topics.borrow_mut().pop_front();
        }
        if let Some(slot) = next {
            serve(slot);
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(slots: std::ops::Range<usize>) -> Rc<TopicRound> {
        let topic = TopicRound::default();
        slots.for_each(|slot| topic.add(slot));
        Rc::new(topic)
    }

    fn slice(rounds: &Rounds) -> Vec<usize> {
        let mut served = Vec::new();
        rounds.serve(SLICE, |slot| served.push(slot));
        served
    }

    #[test]
    fn a_round_is_served_in_slices_and_a_change_during_it_reaches_everyone_again() {
        let (rounds, all) = (Rounds::default(), topic(0..150));
        rounds.start(&all);
        assert_eq!(slice(&rounds), (0..64).collect::<Vec<_>>());
        rounds.start(&all);
        let mut again = Vec::new();
        while !rounds.is_empty() {
            again.extend(slice(&rounds));
        }
        assert_eq!(again, (64..150).chain(0..64).collect::<Vec<_>>());
        assert!(slice(&rounds).is_empty());
    }

    #[test]
    fn small_topics_and_single_streams_are_served_beside_large_ones() {
        let rounds = Rounds::default();
        let (large, small) = (topic(0..1_000), topic(1_000..1_005));
        rounds.start(&large);
        rounds.start(&small);
        rounds.add_single(2_000);
        let first = slice(&rounds);
        assert_eq!(first.len(), SLICE);
        assert_eq!(first[..6], [2_000, 1_000, 1_001, 1_002, 1_003, 1_004]);
        for n in 0..1_000 {
            rounds.add_single(n);
        }
        rounds.start(&topic(5_000..5_060));
        let of_large = slice(&rounds)
            .into_iter()
            .filter(|slot| (58..1_000).contains(slot));
        assert!(of_large.count() >= SLICE / LARGE_SHARE);
        let mut of_large = 0;
        rounds.serve(SLICE_BESIDE_COMMITS, |slot| {
            of_large += usize::from((58..1_000).contains(&slot));
        });
        assert!(of_large >= SLICE_BESIDE_COMMITS / LARGE_SHARE);
    }

    #[test]
    fn large_topics_take_turns() {
        let rounds = Rounds::default();
        rounds.start(&topic(0..200));
        rounds.start(&topic(1_000..1_200));
        assert!(slice(&rounds).iter().all(|slot| *slot < 200));
        assert!(slice(&rounds).iter().all(|slot| *slot >= 1_000));
        assert_eq!(slice(&rounds)[0], 64);
    }

    #[test]
    fn a_stream_that_takes_the_place_of_another_is_not_missed() {
        let (rounds, all) = (Rounds::default(), topic(0..100));
        assert_eq!(all.remove(7), None, "no round is going on");
        rounds.start(&all);
        slice(&rounds);
        assert_eq!(all.remove(3), Some(98));
        assert_eq!(all.remove(96), Some(97));
        assert_eq!(all.remove(97), None, "it was the last");
        let mut rest = Vec::new();
        while !rounds.is_empty() {
            rest.extend(slice(&rounds));
        }
        // Those that were moved are served by themselves too. No harm is done by serving one twice.
        assert!((65..96).all(|slot| rest.contains(&slot)), "{rest:?}");
    }

    #[test]
    fn a_topic_whose_streams_all_left_ends_its_round() {
        let (rounds, all) = (Rounds::default(), topic(0..2));
        rounds.start(&all);
        all.remove(0);
        all.remove(1);
        assert!(slice(&rounds).is_empty());
        assert!(rounds.is_empty());
    }
}

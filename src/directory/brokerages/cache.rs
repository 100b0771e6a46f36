//! Cached answers. The cache has no clock.

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{BrokerageAnswer, ForgetRequest, Member};

/// Answers of one generation. When the young generation is full, it becomes the old one. The former
/// old generation is dropped, with the answers that nobody has used since.
const MOST_OF_A_GENERATION: usize = 32_768;

/// Answers by member, at most twice [`MOST_OF_A_GENERATION`].
#[derive(Default)]
pub(super) struct AnswerCache {
    young: FxHashMap<Member, BrokerageAnswer>,
    old: FxHashMap<Member, BrokerageAnswer>,
}

impl AnswerCache {
    /// The answer, unless it has expired.
    pub(super) fn get(&mut self, member: &Member, now: Instant) -> Option<BrokerageAnswer> {
        if let Some((member, answer)) = self.old.remove_entry(member) {
            self.put(member, answer);
        }
        let answer = self.young.get(member)?;
        if answer.until <= now {
            self.young.remove(member);
            return None;
        }
        Some(answer.clone())
    }

    pub(super) fn put(&mut self, member: Member, answer: BrokerageAnswer) {
        self.old.remove(&member);
        if self.young.len() >= MOST_OF_A_GENERATION && !self.young.contains_key(&member) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(member, answer);
    }

    pub(super) fn forget(&mut self, what: &ForgetRequest) {
        for answers in [&mut self.young, &mut self.old] {
            answers.retain(|member, _| !what.matches(member));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

//! Answers of a moment ago. It knows no clock.

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::{Answer, Forget, Member};

/// Answers of each generation. When the young ones are so many, they become the old ones, and those
/// that nobody has asked for since are dropped.
const MOST_OF_A_GENERATION: usize = 32_768;

/// Answers by member, at most twice [`MOST_OF_A_GENERATION`].
#[derive(Default)]
pub(super) struct AnswerCache {
    young: FxHashMap<Member, Answer>,
    old: FxHashMap<Member, Answer>,
}

impl AnswerCache {
    /// An answer that still counts.
    pub(super) fn get(&mut self, member: &Member, now: Instant) -> Option<Answer> {
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

    pub(super) fn put(&mut self, member: Member, answer: Answer) {
        self.old.remove(&member);
        if self.young.len() >= MOST_OF_A_GENERATION && !self.young.contains_key(&member) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(member, answer);
    }

    pub(super) fn forget(&mut self, what: &Forget) {
        for answers in [&mut self.young, &mut self.old] {
            answers.retain(|member, _| !what.is_about(member));
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

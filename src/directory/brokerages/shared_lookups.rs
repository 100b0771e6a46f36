//! Lookups that run: requests for the same member share one.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::{BrokerageFound, Brokerages, ForgetRequest, LookupError, Member};

/// Members that can be looked up at a time.
const MOST_LOOKUPS: usize = 1_024;

type LookupResult = Result<BrokerageFound, LookupError>;
type SharedResult = Arc<OnceCell<LookupResult>>;

#[derive(Default)]
pub(super) struct SharedLookups(FxHashMap<Member, SharedResult>);

impl SharedLookups {
    /// Later requests for these members start a new lookup.
    pub(super) fn forget(&mut self, what: &ForgetRequest) {
        self.0.retain(|member, _| !what.matches(member));
    }

    fn is_current(&self, member: &Member, result: &SharedResult) -> bool {
        let current = self.0.get(member);
        current.is_some_and(|current| Arc::ptr_eq(current, result))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Brokerages {
    /// Joins the lookup of a member, or starts one. `None` if too many run.
    pub(super) fn join_lookup(&self, member: &Member) -> Option<SharedLookup<'_>> {
        let mut state = self.state();
        let lookups = &mut state.lookups.0;
        if lookups.len() >= MOST_LOOKUPS && !lookups.contains_key(member) {
            return None;
        }
        let result = Arc::clone(lookups.entry(member.clone()).or_default());
        drop(state);
        Some(SharedLookup {
            brokerages: self,
            member: member.clone(),
            result: Some(result),
        })
    }
}

/// The part of one request in a lookup. One request runs the query. If its client disconnects,
/// another one that waits runs it.
pub(super) struct SharedLookup<'a> {
    brokerages: &'a Brokerages,
    member: Member,
    /// `None` only while this is dropped.
    result: Option<SharedResult>,
}

impl SharedLookup<'_> {
    /// The result for all requests that share this lookup. `query` runs once.
    pub(super) async fn run<F: Future<Output = LookupResult>>(
        &self,
        query: impl FnOnce() -> F,
    ) -> LookupResult {
        match &self.result {
            Some(result) => result.get_or_init(query).await.clone(),
            None => Err(LookupError::Unavailable),
        }
    }

    /// Ends the lookup. Its answer is cached unless something was forgotten in the meantime.
    pub(super) fn finish(&self, result: &LookupResult) {
        let mut state = self.brokerages.state();
        let Some(own) = &self.result else { return };
        if !state.lookups.is_current(&self.member, own) {
            return;
        }
        state.lookups.0.remove(&self.member);
        if let Ok(found) = result
            && found.forget_count == state.forget_count
        {
            state.cache.put(self.member.clone(), found.answer.clone());
        }
    }
}

impl Drop for SharedLookup<'_> {
    fn drop(&mut self) {
        let mut state = self.brokerages.state();
        drop(self.result.take());
        // A lookup that nobody waits for is removed.
        let lookups = &mut state.lookups.0;
        if lookups
            .get(&self.member)
            .is_some_and(|result| Arc::strong_count(result) == 1)
        {
            lookups.remove(&self.member);
        }
    }
}

//! Lookups that are under way: those who ask the same share one.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use super::{Brokerages, Forget, Found, LookupError, Member};

/// Members that may be looked up at a time; one more is told to come back.
const MOST_FLIGHTS: usize = 1_024;

type Outcome = Result<Found, LookupError>;
type Cell = Arc<OnceCell<Outcome>>;

#[derive(Default)]
pub(super) struct Flights(FxHashMap<Member, Cell>);

impl Flights {
    /// Those who ask from now on ask anew.
    pub(super) fn forget(&mut self, what: &Forget) {
        self.0.retain(|member, _| !what.is_about(member));
    }

    fn is_current(&self, member: &Member, cell: &Cell) -> bool {
        self.0
            .get(member)
            .is_some_and(|known| Arc::ptr_eq(known, cell))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Brokerages {
    /// Joins the lookup of a member, or begins it. None: too many are under way.
    pub(super) fn board(&self, member: &Member) -> Option<Flight<'_>> {
        let mut state = self.state();
        let flights = &mut state.flights.0;
        if flights.len() >= MOST_FLIGHTS && !flights.contains_key(member) {
            return None;
        }
        let cell = Arc::clone(flights.entry(member.clone()).or_default());
        drop(state);
        Some(Flight {
            brokerages: self,
            member: member.clone(),
            cell: Some(cell),
        })
    }
}

/// One request's part in a lookup. When the request that runs the query goes away, another one
/// that waits runs it.
pub(super) struct Flight<'a> {
    brokerages: &'a Brokerages,
    member: Member,
    /// Taken when it is dropped.
    cell: Option<Cell>,
}

impl Flight<'_> {
    /// What all who share this lookup are told; `ask` runs once.
    pub(super) async fn outcome<F: Future<Output = Outcome>>(
        &self,
        ask: impl FnOnce() -> F,
    ) -> Outcome {
        match &self.cell {
            Some(cell) => cell.get_or_init(ask).await.clone(),
            None => Err(LookupError::Unavailable),
        }
    }

    /// The lookup is over: its answer is cached, unless something was forgotten meanwhile.
    pub(super) fn land(&self, outcome: &Outcome) {
        let mut state = self.brokerages.state();
        let Some(cell) = &self.cell else { return };
        if !state.flights.is_current(&self.member, cell) {
            return;
        }
        state.flights.0.remove(&self.member);
        if let Ok(found) = outcome
            && found.forgotten == state.forgotten
        {
            state.cache.put(self.member.clone(), found.answer.clone());
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut state = self.brokerages.state();
        drop(self.cell.take());
        // A lookup that nobody waits for is no longer one.
        let flights = &mut state.flights.0;
        if flights
            .get(&self.member)
            .is_some_and(|cell| Arc::strong_count(cell) == 1)
        {
            flights.remove(&self.member);
        }
    }
}

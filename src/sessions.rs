//! Sessions: what is open with a token, and when the token counts no more.
//!
//! A revocation is a row that every instance reads within a second. From then on an instance refuses
//! the tokens and ends what is open with them. A fresh token can be given to an open stream, at
//! whichever instance it is. A ticket stands for a token in the address of a stream.

use std::sync::{Arc, OnceLock};

use tokio::sync::mpsc;

use crate::fanout::{LogHealth, Subscription};
use crate::identity::{Caller, Verifier};
use crate::log::PeerNotifier;
use crate::platform::{Clock, Pool};

mod memberships;
mod open;
mod renew;
mod revoke;
mod store;
mod sync;
mod tickets;

pub use memberships::MembershipParts;
pub use open::{RenewalOutcome, SessionGuard, SessionKind, SessionUser};
pub use renew::RenewalError;
pub use revoke::{NewRevocation, RevocationError, RevocationTarget};
pub use sync::{SessionHead, SessionObserver, SessionSync, SessionSyncParts, load};
pub use tickets::{NewTicket, TICKET_SECONDS, TicketCaller, TicketError, TicketHolder, TicketUse};

use memberships::SeenTeams;
use open::OpenSessions;
use tickets::KnownTickets;

pub struct SessionParts {
    pub pool: Pool,
    pub verifier: Verifier,
    pub clock: Clock,
    /// This instance's name.
    pub instance: Arc<str>,
    pub peers: PeerNotifier,
    pub most_streams_per_user: usize,
    /// When the revocations were last read.
    pub health: LogHealth,
}

struct SessionsShared {
    parts: SessionParts,
    open: OpenSessions,
    known_tickets: KnownTickets,
    observer: OnceLock<Arc<dyn SessionObserver>>,
    seen_teams: OnceLock<mpsc::Sender<SeenTeams>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<SessionsShared>);

impl Sessions {
    #[must_use]
    pub fn new(parts: SessionParts) -> Self {
        let (verifier, clock) = (parts.verifier.clone(), parts.clock.clone());
        let open = OpenSessions::new(verifier, clock, parts.most_streams_per_user);
        Self(Arc::new(SessionsShared {
            parts,
            open,
            known_tickets: KnownTickets::default(),
            observer: OnceLock::new(),
            seen_teams: OnceLock::new(),
        }))
    }

    /// Tells `observer` of users who leave teams, from now on.
    pub fn observe(&self, observer: Arc<dyn SessionObserver>) {
        // Only the first observer is told.
        let _ = self.0.observer.set(observer);
    }

    /// A stream or a long poll has been opened. It ends when its token is revoked. When a user has too
    /// many streams, the oldest ends.
    #[must_use]
    pub fn opened(
        &self,
        caller: &Caller,
        kind: SessionKind,
        subscription: &Subscription,
    ) -> SessionGuard {
        self.0.open.add(caller, kind, subscription)
    }

    /// Ends so many streams of a person at this instance, the oldest first: the person has too many over
    /// all instances.
    pub fn evict_oldest(&self, user: &SessionUser, count: usize) {
        self.0.open.evict_oldest(user, count);
    }

    /// Whether the revocations could not be read for too long. Then nobody knows which tokens were
    /// revoked.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.0.parts.health.is_unavailable()
    }
}

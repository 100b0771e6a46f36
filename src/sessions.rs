//! Sessions: what is open with a token, and when the token counts no more.
//!
//! A revocation is a row that every instance reads within a second. From then on an instance refuses
//! the tokens and ends what is open with them. A fresh token can be given to an open stream, at
//! whichever instance it is. A ticket stands for a token in the address of a stream.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::fanout::{LogHealth, Subscription};
use crate::identity::Verifier;
use crate::log::PeerNotifier;
use crate::platform::{BrokerId, ChannelSender, Clock, DedicatedConnection, Pool, Queues};

pub mod connections;
mod guard;
mod lost;
mod memberships;
mod open;
mod questions;
mod renew;
mod revoke;
mod store;
mod sync;
mod table;
mod tickets;

pub use guard::SessionGuard;
pub use lost::LostClient;
pub use memberships::MembershipParts;
pub use open::{NewSession, RenewalOutcome, SessionKind, SessionUser};
pub use questions::{PeerAnswer, PeerAnswers, PeerQuestion, PeerQuestions};
pub use renew::RenewalError;
pub use revoke::{NewRevocation, RevocationError, RevocationTarget};
pub use store::revoke_everywhere;
pub use sync::{SessionHead, SessionObserver, SessionSync, SessionSyncParts, load};
pub use table::{OpenSessionLimits, SessionCounts, SessionRefusal};
pub use tickets::{NewTicket, TICKET_SECONDS, TicketCaller, TicketError, TicketHolder, TicketUse};

use memberships::SeenTeams;
use open::OpenSessions;
use tickets::KnownTickets;

pub struct SessionParts {
    pub pool: Pool,
    /// For questions to other instances, which must not wait behind requests.
    pub asks: Mutex<DedicatedConnection>,
    pub verifier: Verifier,
    pub clock: Clock,
    /// This instance's name.
    pub instance: Arc<str>,
    pub queues: Queues,
    pub peers: PeerNotifier,
    pub limits: OpenSessionLimits,
    /// When the revocations were last read.
    pub health: LogHealth,
}

struct SessionsShared {
    parts: SessionParts,
    open: OpenSessions,
    known_tickets: KnownTickets,
    observer: OnceLock<Arc<dyn SessionObserver>>,
    seen_teams: OnceLock<ChannelSender<SeenTeams>>,
    /// Questions of other instances.
    questions: OnceLock<ChannelSender<PeerQuestion>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<SessionsShared>);

impl Sessions {
    #[must_use]
    pub fn new(parts: SessionParts) -> Self {
        let (verifier, clock) = (parts.verifier.clone(), parts.clock.clone());
        let open = OpenSessions::new(verifier, clock, parts.limits);
        Self(Arc::new(SessionsShared {
            parts,
            open,
            known_tickets: KnownTickets::default(),
            observer: OnceLock::new(),
            seen_teams: OnceLock::new(),
            questions: OnceLock::new(),
        }))
    }

    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.0.parts.verifier
    }

    /// Tells `observer` of users who leave teams, from now on.
    pub fn observe(&self, observer: Arc<dyn SessionObserver>) {
        // Only the first observer is told.
        let _ = self.0.observer.set(observer);
    }

    /// A stream or a long poll has been opened. It ends when its token is revoked. When a user has too
    /// many streams, the oldest ends. What would be too many is refused.
    pub fn opened(
        &self,
        new: NewSession<'_>,
        subscription: &Subscription,
    ) -> Result<SessionGuard, SessionRefusal> {
        self.0.open.add(new, subscription)
    }

    /// Users whose connection to this instance has been away for longer than `age` although nobody wanted
    /// it.
    #[must_use]
    pub fn lost_clients(&self, age: Duration) -> Vec<LostClient> {
        self.0.open.lost().longer_than(age)
    }

    /// The user is at another instance.
    pub fn found_client(&self, user: &SessionUser) {
        self.0.open.lost().is_back(user);
    }

    /// Ends the streams of a person at this instance but for the newest: the person has too many over all
    /// instances.
    pub fn keep_newest(&self, user: &SessionUser, most: usize) {
        self.0.open.keep_newest(user, most);
    }

    /// What a user has open at this instance.
    #[must_use]
    pub fn open_of_user(&self, user: &SessionUser) -> SessionCounts {
        self.0.open.table().of_user(user)
    }

    /// What the users of a brokerage have open at this instance.
    #[must_use]
    pub fn open_of_brokerage(&self, broker: &BrokerId) -> SessionCounts {
        self.0.open.table().of_brokerage(broker)
    }

    /// Whether the revocations could not be read for too long. Then nobody knows which tokens were
    /// revoked.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.0.parts.health.is_unavailable()
    }
}

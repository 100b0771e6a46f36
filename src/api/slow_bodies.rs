//! How many JSON bodies of one person, or of one network of strangers, may be on their way at a time.
//!
//! A body is in memory until it is whole, and may take `PORCHLIGHT_BODY_TIMEOUT_SECONDS`. Most bodies come at once,
//! with their end: they are not counted.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::StatusCode;
use rustc_hash::FxHashMap;

use super::problem::{Code, Problem};
use crate::identity::Caller;
use crate::platform::Principal;
use crate::sessions::SessionUser;

/// With the largest bodies these are 8 MiB.
const MOST_PER_SENDER: usize = 32;
const RETRY_AFTER_SECONDS: u32 = 1;

/// Whose bodies are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum BodySender {
    User(SessionUser),
    /// Strangers, where everybody may send bodies.
    Network(IpAddr),
}

/// The bodies that have not arrived whole, by sender.
#[derive(Clone, Debug, Default)]
pub struct SlowBodies(Arc<Mutex<FxHashMap<BodySender, usize>>>);

/// Counts a body until it is dropped.
#[derive(Debug)]
pub(super) struct SlowBody {
    bodies: SlowBodies,
    sender: BodySender,
}

impl SlowBodies {
    /// One more body of a caller. Those of services and workers are not limited.
    pub(super) fn begin(&self, caller: &Caller) -> Result<Option<SlowBody>, Problem> {
        if caller.role.principal() != Principal::Person {
            return Ok(None);
        }
        let user = SessionUser::of(caller);
        self.count(BodySender::User(user)).map(Some)
    }

    /// One more body of a stranger.
    pub(super) fn begin_public(&self, network: IpAddr) -> Result<SlowBody, Problem> {
        self.count(BodySender::Network(network))
    }

    fn count(&self, sender: BodySender) -> Result<SlowBody, Problem> {
        let mut counts = self.counts();
        let count = counts.entry(sender.clone()).or_default();
        if *count >= MOST_PER_SENDER {
            return Err(too_many());
        }
        *count += 1;
        drop(counts);
        let bodies = self.clone();
        Ok(SlowBody { bodies, sender })
    }

    fn counts(&self) -> MutexGuard<'_, FxHashMap<BodySender, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SlowBody {
    fn drop(&mut self) {
        let mut counts = self.bodies.counts();
        if let Some(count) = counts.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.sender);
            }
        }
    }
}

fn too_many() -> Problem {
    let detail = format!(
        "{MOST_PER_SENDER} of your requests have bodies that have not arrived. Send this one again when others have."
    );
    Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, detail)
        .retry_after(RETRY_AFTER_SECONDS)
        .closing()
}

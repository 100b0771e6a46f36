//! Tokens that were verified before. Clients send the same token with each request, and verifying it
//! costs more than most requests.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::bearer::Bearer;
use super::keys::VerificationKey;
use crate::platform::{BrokerId, TeamId};

/// When there are more, all of them are forgotten.
const MOST_KNOWN: usize = 16_384;
/// After this time, a token is verified again.
const TTL: Duration = Duration::minutes(10);
/// A token is always verified when it expires so soon.
const NEAR_EXPIRY: Duration = Duration::seconds(2);

/// The keys of the JWKS file. When the file changes, all tokens are verified again.
pub(super) type KeySet = Option<Arc<[VerificationKey]>>;

struct KnownToken {
    bearer: Bearer,
    keys: KeySet,
    at: OffsetDateTime,
}

#[derive(Default)]
struct KnownTable {
    /// Bearers by the fingerprint of their token. The tokens themselves are not stored. Boxed, because a map
    /// keeps room for almost as many entries again.
    tokens: FxHashMap<Fingerprint, Box<KnownToken>>,
    /// Colleagues have the same brokerage and often the same teams. All that is kept of their tokens, streams and
    /// sessions shares one copy of each.
    brokerages: FxHashSet<BrokerId>,
    teams: FxHashSet<Arc<[TeamId]>>,
}

#[derive(Default)]
pub(super) struct KnownTokens(Mutex<KnownTable>);

type Fingerprint = [u8; 32];

pub(super) fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token).into()
}

impl KnownTokens {
    /// The bearer of a token that was verified with these keys.
    pub(super) fn find(
        &self,
        fingerprint: &Fingerprint,
        keys: &KeySet,
        now: OffsetDateTime,
    ) -> Option<Bearer> {
        let known = self.known();
        let known = known.tokens.get(fingerprint)?;
        let is_fresh = known.at <= now && now - known.at < TTL;
        let is_valid = now + NEAR_EXPIRY < known.bearer.expires_at;
        (is_fresh && is_valid && are_same(&known.keys, keys)).then(|| known.bearer.clone())
    }

    /// Adds a token that was verified with these keys. Returns its bearer, which shares its brokerage and its teams
    /// with others from now on.
    pub(super) fn insert(
        &self,
        fingerprint: Fingerprint,
        keys: KeySet,
        at: OffsetDateTime,
        bearer: Bearer,
    ) -> Bearer {
        let mut known = self.known();
        if known.tokens.len() >= MOST_KNOWN {
            *known = KnownTable::default();
        }
        let bearer = Bearer {
            broker: bearer
                .broker
                .map(|broker| shared(&mut known.brokerages, broker)),
            teams: shared(&mut known.teams, bearer.teams),
            ..bearer
        };
        let token = KnownToken {
            bearer: bearer.clone(),
            keys,
            at,
        };
        known.tokens.insert(fingerprint, Box::new(token));
        bearer
    }

    fn known(&self) -> MutexGuard<'_, KnownTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The equal value that is known, or this one, which is known from now on.
fn shared<T: Clone + Eq + Hash>(known: &mut FxHashSet<T>, value: T) -> T {
    if let Some(known) = known.get(&value) {
        return known.clone();
    }
    known.insert(value.clone());
    value
}

/// Whether both are the same reading of the file.
pub(super) fn are_same(one: &KeySet, other: &KeySet) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

//! Tokens that were verified before. Clients send the same token with each request, and verifying it
//! costs more than most requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::bearer::Bearer;
use super::keys::VerificationKey;

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

/// Bearers by the fingerprint of their token. The tokens themselves are not stored. Boxed, because a map
/// keeps room for almost as many entries again.
type TokensByFingerprint = FxHashMap<Fingerprint, Box<KnownToken>>;

#[derive(Default)]
pub(super) struct KnownTokens(Mutex<TokensByFingerprint>);

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
        let known = known.get(fingerprint)?;
        let is_fresh = known.at <= now && now - known.at < TTL;
        let is_valid = now + NEAR_EXPIRY < known.bearer.expires_at;
        (is_fresh && is_valid && are_same(&known.keys, keys)).then(|| known.bearer.clone())
    }

    /// Adds a token that was verified with these keys.
    pub(super) fn insert(
        &self,
        fingerprint: Fingerprint,
        keys: KeySet,
        at: OffsetDateTime,
        bearer: &Bearer,
    ) {
        let bearer = bearer.clone();
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        let token = KnownToken { bearer, keys, at };
        known.insert(fingerprint, Box::new(token));
    }

    fn known(&self) -> MutexGuard<'_, TokensByFingerprint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether both are the same reading of the file.
pub(super) fn are_same(one: &KeySet, other: &KeySet) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

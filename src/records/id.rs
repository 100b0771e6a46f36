//! Which ids clients may choose for new records.
//!
//! An id is unique in a brokerage, so a second record with it is refused. The refusal shows that the
//! id exists, maybe of a record that the caller may not see. This is safe only if nobody can guess an
//! id. Therefore users who see only the records of their teams must choose random UUIDs.

use std::str::FromStr;

use uuid::{Uuid, Version};

use crate::identity::{Caller, Role};

/// The usual form of a UUID has so many characters.
const UUID_CHARS: usize = 36;

/// Which ids agents may choose for new records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdRule {
    /// Random UUIDs.
    #[default]
    Uuid,
    /// Any ids: for brokerages whose agents may know which records exist.
    Any,
}

impl IdRule {
    pub(super) fn allows(self, caller: &Caller, id: &str) -> bool {
        let is_trusted = matches!(caller.role, Role::Admin | Role::Service);
        self == Self::Any || is_trusted || is_random_uuid(id)
    }
}

/// Version 4 is random. Version 7 has a time and a random part.
fn is_random_uuid(id: &str) -> bool {
    let uuid = Uuid::try_parse(id).ok();
    let version = uuid.and_then(|uuid| uuid.get_version());
    id.len() == UUID_CHARS && matches!(version, Some(Version::Random | Version::SortRand))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be uuid or any")]
pub struct UnknownIdRule;

impl FromStr for IdRule {
    type Err = UnknownIdRule;
    fn from_str(name: &str) -> Result<Self, UnknownIdRule> {
        match name {
            "uuid" => Ok(Self::Uuid),
            "any" => Ok(Self::Any),
            _ => Err(UnknownIdRule),
        }
    }
}

impl std::fmt::Display for IdRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uuid => "uuid",
            Self::Any => "any",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_that_nobody_can_guess_count() {
        for (id, is_random) in [
            ("6f1c2b7e-9d4a-4c55-a1f6-f3a0f8f9a001", true),
            ("6F1C2B7E-9D4A-4C55-A1F6-F3A0F8F9A001", true),
            ("018f3a0f-8f9a-7001-a1f6-f3a0f8f9a001", true),
            // Version 1 (a time and a machine) and version 5 (a hash of a name).
            ("6f1c2b7e-9d4a-1c55-a1f6-f3a0f8f9a001", false),
            ("6f1c2b7e-9d4a-5c55-a1f6-f3a0f8f9a001", false),
            ("00000000-0000-0000-0000-000000000000", false),
            ("6f1c2b7e9d4a4c55a1f6f3a0f8f9a001", false),
            ("e-1", false),
            ("", false),
        ] {
            assert_eq!(is_random_uuid(id), is_random, "{id}");
        }
    }
}

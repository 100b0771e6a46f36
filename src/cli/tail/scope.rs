//! What `porchlight tail` follows.

use std::str::FromStr;

use crate::platform::RecordPath;

/// The path of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TailScope(String);

impl TailScope {
    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("is none of all, user, team, broker, worker and records/MODULE/ID")]
pub(super) struct UnknownTailScope;

impl FromStr for TailScope {
    type Err = UnknownTailScope;

    fn from_str(text: &str) -> Result<Self, UnknownTailScope> {
        match text {
            "all" => Ok(Self("/stream".to_owned())),
            "user" | "team" | "broker" | "worker" => Ok(Self(format!("/stream/{text}"))),
            _ => {
                let record = text.strip_prefix("records/").ok_or(UnknownTailScope)?;
                let record: RecordPath = record.parse().map_err(|_| UnknownTailScope)?;
                Ok(Self(format!("/stream/records/{record}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_path_of_a_stream() {
        for (text, path) in [
            ("all", "/stream"),
            ("team", "/stream/team"),
            ("records/escrows/e-1", "/stream/records/escrows/e-1"),
        ] {
            assert_eq!(text.parse::<TailScope>().unwrap().path(), path);
        }
        for bad in [
            "",
            "teams",
            "records/escrows",
            "records/a/b/c",
            "escrows/e-1",
        ] {
            assert!(bad.parse::<TailScope>().is_err(), "{bad}");
        }
    }
}

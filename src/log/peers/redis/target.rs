//! The addresses of Redis, as the setting has them.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// One server, or some nodes of a cluster.
#[derive(Clone)]
pub struct RedisTarget(pub(super) Vec<ConnectionInfo>);

/// Why a text is not an address of Redis.
#[derive(Debug, thiserror::Error)]
#[error(
    "is not an address like redis://user:password@host:6379 or rediss://host:6379; a comma stands \
     between several nodes of a cluster ({0})"
)]
pub struct InvalidTarget(String);

impl FromStr for RedisTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let nodes = text.split(',').map(|url| {
            let info = url.trim().into_connection_info();
            // The error of redis does not repeat the address, which may have a password.
            let info = info.map_err(|error| InvalidTarget(error.to_string()))?;
            // Subscriptions and commands share a connection.
            let settings = info.redis_settings().clone();
            Ok(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)))
        });
        Ok(Self(nodes.collect::<Result<_, _>>()?))
    }
}

/// Without credentials.
impl fmt::Debug for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.0.iter().map(|node| node.addr().to_string());
        f.debug_list().entries(addresses).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_passwords_are_not_shown() {
        let target: RedisTarget = "rediss://ann:secret@a:1, redis://b:2".parse().unwrap();
        let shown = format!("{target:?}");
        assert!(shown.contains("a:1") && shown.contains("b:2"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
        for bad in ["", "a:1", "http://ann:secret@a", "redis://a,"] {
            let error = bad.parse::<RedisTarget>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

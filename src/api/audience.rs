//! The audience of an event or a notification, as a body has it.

use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::log::Audience;
use crate::platform::{TeamId, UserId};

/// Exactly one of `{"user":id}`, `{"team":id}` and `{"broker":true}`.
pub(super) enum AudienceBody {
    User(UserId),
    Team(TeamId),
    Broker,
}

impl From<AudienceBody> for Audience {
    fn from(body: AudienceBody) -> Self {
        match body {
            AudienceBody::User(user) => Self::User(user),
            AudienceBody::Team(team) => Self::Team(team),
            AudienceBody::Broker => Self::Broker,
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum AudienceKind {
    User,
    Team,
    Broker,
    #[serde(other)]
    Other,
}

struct OnlyTrue;

impl<'de> Deserialize<'de> for OnlyTrue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            Ok(Self)
        } else {
            let only = r#"the audience of the whole broker is {"broker":true}"#;
            Err(D::Error::custom(only))
        }
    }
}

/// An enum of serde would do, but its message about a second audience does not say what is wrong.
impl<'de> Deserialize<'de> for AudienceBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AudienceVisitor)
    }
}

struct AudienceVisitor;

impl<'de> Visitor<'de> for AudienceVisitor {
    type Value = AudienceBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"one of {"user":id}, {"team":id} and {"broker":true}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AudienceBody, A::Error> {
        let wrong = |what: &str| {
            let expected = r#"an audience is one of {"user":id}, {"team":id} and {"broker":true}"#;
            A::Error::custom(format_args!("{expected}, not {what}"))
        };
        let audience = match map.next_key()?.ok_or_else(|| wrong("none"))? {
            AudienceKind::User => AudienceBody::User(map.next_value()?),
            AudienceKind::Team => AudienceBody::Team(map.next_value()?),
            AudienceKind::Broker => {
                let OnlyTrue = map.next_value()?;
                AudienceBody::Broker
            }
            AudienceKind::Other => return Err(wrong("something else")),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(audience),
            Some(_) => Err(wrong("several")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_exactly_one() {
        let refusal = |json: &str| {
            let parsed = serde_json::from_str::<AudienceBody>(json);
            parsed.err().map(|error| error.to_string())
        };
        for json in [r#"{"user":"ann"}"#, r#"{"team":"a"}"#, r#"{"broker":true}"#] {
            assert_eq!(refusal(json), None, "{json}");
        }
        for (json, reason) in [
            ("{}", "not none"),
            (r#"{"team":"a","broker":true}"#, "not several"),
            (r#"{"team":"a","team":"a"}"#, "not several"),
            (r#"{"broker":false}"#, r#"is {"broker":true}"#),
            (r#"{"office":"a"}"#, "not something else"),
            (r#""broker""#, r#"expected one of {"user":id}"#),
        ] {
            let refused = refusal(json).unwrap();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}

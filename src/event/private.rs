//! Private fields: what most readers of an event see `"[REDACTED]"` instead of.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::ids::UserId;

/// The real values of an event's private fields: an object of them, by field.
#[derive(Clone)]
pub struct Private(pub Arc<RawValue>);

/// Without the values: what is private is in no log.
impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}

/// What a reader may see, at the moment of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Who reads.
    pub user: UserId,
    /// Whether they see what is private to others.
    pub sees_private: bool,
}

impl Rights {
    /// Whether they reach what is private to this owner of a record.
    #[must_use]
    pub fn reach(&self, owner: Option<&UserId>) -> bool {
        self.sees_private || owner == Some(&self.user)
    }
}

impl Private {
    /// An object with the values in place of what stands for them.
    pub(super) fn put_into(&self, object: &RawValue) -> Option<Arc<RawValue>> {
        let values = fields(&self.0)?;
        let real = |name: &str| values.iter().find(|(private, _)| *private == name);
        let shown: Vec<_> = fields(object)?
            .into_iter()
            .map(|(name, value)| {
                let value = real(&name).map_or(value, |(_, value)| *value);
                let name = serde_json::Value::from(name);
                format!("{name}:{value}")
            })
            .collect();
        RawValue::from_string(format!("{{{}}}", shown.join(",")))
            .ok()
            .map(Arc::from)
    }
}

/// The fields of an object as they are written, in order.
fn fields(object: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }
    let mut json = serde_json::Deserializer::from_str(object.get());
    json.deserialize_map(Fields).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Arc<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap().into()
    }

    #[test]
    fn values_go_where_they_were_to_the_letter() {
        let private = Private(raw(r#"{"fee":1.50,"a\"b":{"x":[null]}}"#));
        let masked = raw(r#"{"z":1.0,"fee":"[REDACTED]","a\"b":"[REDACTED]","b":"fee"}"#);
        let shown = private.put_into(&masked).unwrap();
        assert_eq!(
            shown.get(),
            r#"{"z":1.0,"fee":1.50,"a\"b":{"x":[null]},"b":"fee"}"#
        );
    }

    #[test]
    fn only_the_owner_and_those_who_see_everything_see_it() {
        let ann = UserId::parse("ann").unwrap();
        for (user, sees_private, sees) in [
            ("ann", false, true),
            ("bob", false, false),
            ("bob", true, true),
        ] {
            let user = UserId::parse(user).unwrap();
            let rights = Rights { user, sees_private };
            assert_eq!(rights.reach(Some(&ann)), sees);
            assert_eq!(rights.reach(None), sees_private);
        }
    }

    #[test]
    fn nothing_that_prints_an_event_prints_what_is_private() {
        let private = Private(raw(r#"{"fee":"CANARY"}"#));
        assert!(!format!("{private:?} {private:#?}").contains("CANARY"));
    }
}

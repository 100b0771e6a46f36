//! Private fields: what most readers of an event see `"[REDACTED]"` instead of.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::ids::UserId;

/// The real values of an event's private fields, and whose they are.
#[derive(Clone)]
pub struct Private {
    /// The owner of the record, who may see them.
    pub owner: Option<UserId>,
    /// An object of them, by field.
    pub values: Arc<RawValue>,
}

/// Without the values: what is private is in no log.
impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Private")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
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

impl Private {
    /// Whether this reader sees the values.
    #[must_use]
    pub fn is_for(&self, reader: &Rights) -> bool {
        reader.sees_private || self.owner.as_ref() == Some(&reader.user)
    }

    /// An object with the values in place of what stands for them.
    #[must_use]
    pub fn put_into(&self, object: &RawValue) -> Option<Arc<RawValue>> {
        let values = fields(&self.values)?;
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

/// The fields of an object as they are written, in order; `None` where it is none.
#[must_use]
pub fn fields(object: &RawValue) -> Option<Vec<(String, &RawValue)>> {
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

    fn of_ann(values: &str) -> Private {
        Private {
            owner: Some(UserId::parse("ann").unwrap()),
            values: raw(values),
        }
    }

    #[test]
    fn values_go_where_they_were_to_the_letter() {
        let private = of_ann(r#"{"fee":1.50,"a\"b":{"x":[null]}}"#);
        let masked = raw(r#"{"z":1.0,"fee":"[REDACTED]","a\"b":"[REDACTED]","b":"fee"}"#);
        let shown = private.put_into(&masked).unwrap();
        assert_eq!(
            shown.get(),
            r#"{"z":1.0,"fee":1.50,"a\"b":{"x":[null]},"b":"fee"}"#
        );
    }

    #[test]
    fn only_the_owner_and_those_who_see_everything_see_it() {
        let private = of_ann(r#"{"fee":1}"#);
        for (user, sees_private, sees) in [
            ("ann", false, true),
            ("bob", false, false),
            ("bob", true, true),
        ] {
            let user = UserId::parse(user).unwrap();
            assert_eq!(private.is_for(&Rights { user, sees_private }), sees);
        }
        let orphan = Private {
            owner: None,
            ..private
        };
        let user = UserId::parse("ann").unwrap();
        let sees_private = false;
        assert!(!orphan.is_for(&Rights { user, sees_private }));
    }

    #[test]
    fn nothing_that_prints_an_event_prints_what_is_private() {
        let private = of_ann(r#"{"fee":"CANARY"}"#);
        assert!(!format!("{private:?} {private:#?}").contains("CANARY"));
    }
}

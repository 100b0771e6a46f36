//! Private fields. Most readers of an event see `"[REDACTED]"` in place of their values.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::NewEvent;
use crate::platform::UserId;

/// What a reader without the right gets instead of a private value.
pub const REDACTED: &str = "[REDACTED]";
pub const REDACTED_JSON: &str = "\"[REDACTED]\"";
/// The field with the id of a record's owner.
const OWNER: &str = "ownerId";

/// An object with the values of an event's private fields.
#[derive(Clone)]
pub struct Private(pub Arc<RawValue>);

/// Without the values, so that they do not get into log lines.
impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private")
    }
}

/// The rights of a reader at the time of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub user: UserId,
    /// Whether they see the private fields of other owners.
    pub sees_private: bool,
}

impl Rights {
    /// Whether they see the private fields of this owner's records.
    #[must_use]
    pub fn allow(&self, owner: Option<&UserId>) -> bool {
        self.sees_private || owner == Some(&self.user)
    }
}

impl Private {
    /// The object with the private values in place of `"[REDACTED]"`.
    #[must_use]
    pub fn put_into(&self, object: &RawValue) -> Option<Arc<RawValue>> {
        let values = fields(&self.0)?;
        let real = |name: &str| values.iter().find(|(private, _)| *private == name);
        let shown: Vec<_> = fields(object)?
            .into_iter()
            .map(|(name, value)| {
                let value = real(&name).map_or(value, |(_, value)| *value);
                (name, value.get())
            })
            .collect();
        written(shown.iter().map(|(name, raw)| (&**name, *raw)))
    }

    /// The JSON of an event with the private values in its `data` and `changes`.
    #[must_use]
    pub fn put_into_event(&self, json: &str) -> Option<String> {
        let event: &RawValue = serde_json::from_str(json).ok()?;
        let parts = fields(event)?;
        let shown: Vec<_> = parts
            .into_iter()
            .map(|(name, part)| match &*name {
                "data" | "changes" => {
                    let shown = self.put_into(part);
                    let text = shown.map_or_else(|| part.get().to_owned(), |s| s.get().to_owned());
                    (name, Cow::Owned(text))
                }
                _ => (name, Cow::Borrowed(part.get())),
            })
            .collect();
        let shown = written(shown.iter().map(|(name, raw)| (&**name, &**raw)))?;
        Some(shown.get().to_owned())
    }
}

/// Moves the values of these fields to `private`, if they are at the top of `data` or `changes`.
/// When the event has no owner, its `ownerId` field becomes the owner.
pub fn set_aside(event: &mut NewEvent, names: &BTreeSet<String>) {
    let earlier = event.private.clone();
    // The trigger of a watched table may have moved some of them already.
    let earlier = earlier.as_ref().and_then(|private| fields(&private.0));
    let earlier = earlier.unwrap_or_default();
    let is_moved = |name: &String| earlier.iter().any(|(known, _)| known == name);
    let (mut values, mut owner) = (Vec::new(), None);
    for part in [&mut event.data, &mut event.changes] {
        let Some(object) = part.clone() else {
            continue;
        };
        let Some(fields) = fields(&object) else {
            // An object that cannot be read, for example with "\ud800", may have private fields.
            if object.get().starts_with('{') && !names.is_empty() {
                *part = None;
                event.is_truncated = true;
            }
            continue;
        };
        owner = owner.or_else(|| owner_in(&fields));
        let is_private = |name: &String| names.contains(name) && !is_moved(name);
        if !fields.iter().any(|(name, _)| is_private(name)) {
            continue;
        }
        let mut shown = Vec::new();
        for (name, value) in fields {
            if is_private(&name) {
                values.push((name.clone(), value.get().to_owned()));
                shown.push((name, REDACTED_JSON));
            } else {
                shown.push((name, value.get()));
            }
        }
        *part = written(shown.iter().map(|(name, value)| (&**name, *value)));
    }
    if !values.is_empty() {
        let earlier = earlier.iter().map(|(name, value)| (&**name, value.get()));
        let values = values.iter().map(|(name, value)| (&**name, &**value));
        event.private = written(earlier.chain(values)).map(Private);
        event.owner = event.owner.take().or(owner);
    }
}

fn owner_in(fields: &[(String, &RawValue)]) -> Option<UserId> {
    let (_, id) = fields.iter().find(|(name, _)| name == OWNER)?;
    serde_json::from_str(id.get()).ok()
}

fn written<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Arc<RawValue>> {
    let fields = fields.map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name)));
    let fields: Vec<_> = fields.collect();
    let object = RawValue::from_string(format!("{{{}}}", fields.join(",")));
    object.ok().map(Arc::from)
}

/// The fields of an object in order, with the text of their values. `None` if it is no object.
#[must_use]
pub fn fields(object: &RawValue) -> Option<Vec<(String, &RawValue)>> {
    struct FieldVisitor;
    impl<'de> Visitor<'de> for FieldVisitor {
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
    json.deserialize_map(FieldVisitor).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Arc<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap().into()
    }

    #[test]
    fn both_forms_say_the_same() {
        assert_eq!(serde_json::to_string(REDACTED).unwrap(), REDACTED_JSON);
    }

    #[test]
    fn values_are_put_back_without_a_change() {
        let private = Private(raw(r#"{"fee":1.50,"a\"b":{"x":[null]}}"#));
        let masked = raw(r#"{"z":1.0,"fee":"[REDACTED]","a\"b":"[REDACTED]","b":"fee"}"#);
        let shown = private.put_into(&masked).unwrap();
        assert_eq!(
            shown.get(),
            r#"{"z":1.0,"fee":1.50,"a\"b":{"x":[null]},"b":"fee"}"#
        );
    }

    #[test]
    fn private_fields_are_set_aside_in_data_and_in_changes() {
        let names = BTreeSet::from(["fee".to_owned(), "split".to_owned()]);
        let event = |data: &str, changes: &str| {
            let event_type = crate::platform::EventType::parse("boat:sold").unwrap();
            let mut event = NewEvent::new(crate::log::event::Audience::Broker, event_type);
            (event.data, event.changes) = (Some(raw(data)), Some(raw(changes)));
            event
        };
        let text = |raw: &Option<Arc<RawValue>>| raw.as_ref().map(|raw| raw.get().to_owned());
        let mut sold = event(
            r#"{"a":1.0,"f\u0065e":{"x":2},"ownerId":"ann"}"#,
            r#"{"split":0.50,"b":{"fee":1}}"#,
        );
        let before = sold.clone();
        set_aside(&mut sold, &names);
        let masked = r#"{"a":1.0,"fee":"[REDACTED]","ownerId":"ann"}"#;
        assert_eq!(text(&sold.data).unwrap(), masked);
        let masked = r#"{"split":"[REDACTED]","b":{"fee":1}}"#;
        assert_eq!(text(&sold.changes).unwrap(), masked);
        assert_eq!(
            sold.private.as_ref().unwrap().0.get(),
            r#"{"fee":{"x":2},"split":0.50}"#
        );
        assert_eq!(sold.owner.as_ref().unwrap().as_str(), "ann");
        // A second time, it changes nothing. Without private fields, it changes nothing either.
        let mut again = sold.clone();
        set_aside(&mut again, &names);
        assert_eq!(text(&again.data), text(&sold.data));
        assert_eq!(
            again.private.unwrap().0.get(),
            sold.private.unwrap().0.get()
        );
        let mut plain = before;
        set_aside(&mut plain, &BTreeSet::new());
        assert!(plain.private.is_none() && plain.owner.is_none());
        for other in ["[1]", "\"fee\"", "null", "{}"] {
            let mut event = event(other, other);
            set_aside(&mut event, &names);
            assert!(event.private.is_none());
            assert_eq!(text(&event.data).unwrap(), other);
        }
    }

    #[test]
    fn an_object_that_cannot_be_read_is_removed_when_it_may_have_private_fields() {
        let unreadable = r#"{"fee":1,"\ud800":2}"#;
        for (names, is_published) in [(&["fee"][..], false), (&[], true)] {
            let names = names.iter().map(ToString::to_string).collect();
            let event_type = crate::platform::EventType::parse("boat:sold").unwrap();
            let mut event = NewEvent::new(crate::log::event::Audience::Broker, event_type);
            event.changes = Some(raw(unreadable));
            set_aside(&mut event, &names);
            assert_eq!(event.changes.is_some(), is_published);
            assert_eq!(event.is_truncated, !is_published);
        }
    }

    #[test]
    fn only_the_owner_and_users_with_the_right_see_private_fields() {
        let ann = UserId::parse("ann").unwrap();
        for (user, sees_private, sees) in [
            ("ann", false, true),
            ("bob", false, false),
            ("bob", true, true),
        ] {
            let user = UserId::parse(user).unwrap();
            let rights = Rights { user, sees_private };
            assert_eq!(rights.allow(Some(&ann)), sees);
            assert_eq!(rights.allow(None), sees_private);
        }
    }

    #[test]
    fn debug_output_has_no_private_values() {
        let private = Private(raw(r#"{"fee":"CANARY"}"#));
        assert!(!format!("{private:?} {private:#?}").contains("CANARY"));
    }
}

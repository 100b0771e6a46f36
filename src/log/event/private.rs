//! Private fields: what most readers of an event see `"[REDACTED]"` instead of.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::NewEvent;
use crate::platform::UserId;

/// What stands in the place of a private value.
const REDACTED: &str = "\"[REDACTED]\"";
/// The field that says who owns a record.
const OWNER: &str = "ownerId";

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
}

/// Sets the values of these fields aside, wherever an event tells them at the top: the owner of
/// the record may see them, by the event's own word where nobody else has said who that is.
pub fn set_aside(event: &mut NewEvent, names: &BTreeSet<String>) {
    let kept = event.private.clone();
    // What a watched table has set aside is told as that already.
    let kept = kept.as_ref().and_then(|kept| fields(&kept.0));
    let kept = kept.unwrap_or_default();
    let is_kept = |name: &String| kept.iter().any(|(known, _)| known == name);
    let (mut values, mut owner) = (Vec::new(), None);
    for told in [&mut event.data, &mut event.changes] {
        let Some(object) = told.clone() else {
            continue;
        };
        let Some(fields) = fields(&object) else {
            // Fields that cannot be read, like "\ud800", may stand beside private ones.
            if object.get().starts_with('{') && !names.is_empty() {
                *told = None;
                event.is_truncated = true;
            }
            continue;
        };
        owner = owner.or_else(|| owner_in(&fields));
        let is_private = |name: &String| names.contains(name) && !is_kept(name);
        if !fields.iter().any(|(name, _)| is_private(name)) {
            continue;
        }
        let mut shown = Vec::new();
        for (name, value) in fields {
            if is_private(&name) {
                values.push((name.clone(), value.get().to_owned()));
                shown.push((name, REDACTED));
            } else {
                shown.push((name, value.get()));
            }
        }
        *told = written(shown.iter().map(|(name, value)| (&**name, *value)));
    }
    if !values.is_empty() {
        let kept = kept.iter().map(|(name, value)| (&**name, value.get()));
        let values = values.iter().map(|(name, value)| (&**name, &**value));
        event.private = written(kept.chain(values)).map(Private);
        event.owner = event.owner.take().or(owner);
    }
}

fn owner_in(fields: &[(String, &RawValue)]) -> Option<UserId> {
    let (_, id) = fields.iter().find(|(name, _)| name == OWNER)?;
    serde_json::from_str(id.get()).ok()
}

/// An object of these fields.
fn written<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Arc<RawValue>> {
    let fields = fields.map(|(name, raw)| format!("{}:{raw}", serde_json::Value::from(name)));
    let fields: Vec<_> = fields.collect();
    let object = RawValue::from_string(format!("{{{}}}", fields.join(",")));
    object.ok().map(Arc::from)
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
    fn fields_that_are_private_by_name_are_set_aside_wherever_they_are_told() {
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
        // Again, it changes nothing; and nothing is done where nothing is private.
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
        for rubbish in ["[1]", "\"fee\"", "null", "{}"] {
            let mut event = event(rubbish, rubbish);
            set_aside(&mut event, &names);
            assert!(event.private.is_none());
            assert_eq!(text(&event.data).unwrap(), rubbish);
        }
    }

    #[test]
    fn of_fields_that_cannot_be_read_nothing_is_told_where_some_are_private() {
        let unreadable = r#"{"fee":1,"\ud800":2}"#;
        for (names, is_told) in [(&["fee"][..], false), (&[], true)] {
            let names = names.iter().map(ToString::to_string).collect();
            let event_type = crate::platform::EventType::parse("boat:sold").unwrap();
            let mut event = NewEvent::new(crate::log::event::Audience::Broker, event_type);
            event.changes = Some(raw(unreadable));
            set_aside(&mut event, &names);
            assert_eq!(event.changes.is_some(), is_told);
            assert_eq!(event.is_truncated, !is_told);
        }
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

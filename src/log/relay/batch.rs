//! The rows of one transaction: each becomes an event or is set aside as poison.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::outbox::{OutboxRow, RowPlace};
use crate::log::event::json::{DEEPEST, depth, on_one_line};
use crate::log::event::{Audience, NewEvent, Private, set_aside};
use crate::platform::{
    BrokerId, EventType, InvalidId, ModuleName, RecordId, ReservedFor, Tracer, UserId,
};

/// The fields that the configuration of modules makes private.
pub trait PrivateFields: std::fmt::Debug + Send + Sync {
    fn of(&self, module: Option<&ModuleName>, event_type: &EventType) -> Option<&BTreeSet<String>>;
}

/// The types of events that only signals have.
pub trait SignalTypes: std::fmt::Debug + Send + Sync {
    fn contains(&self, event_type: &EventType) -> bool;
}

/// What the relay checks, and what it changes in events.
#[derive(Debug)]
pub struct RelayRules {
    /// An event with more bytes is published without its data.
    pub event_bytes: usize,
    /// Private fields besides those that the watch of a table names.
    pub private_fields: Arc<dyn PrivateFields>,
    pub signal_types: Arc<dyn SignalTypes>,
    /// Without traces, events do not keep the request that they come from.
    pub tracer: Tracer,
}

/// A row that cannot become an event, and why.
#[derive(Debug)]
pub(super) struct Poison {
    pub(super) id: i64,
    pub(super) module: Option<String>,
    pub(super) row: String,
    pub(super) reason: String,
}

/// Why the log refused a row.
#[derive(Debug)]
pub(super) struct RowRefusal {
    pub(super) row: RowPlace,
    pub(super) reason: String,
}

/// The rows that one transaction moves: their events, and those that are set aside.
#[derive(Debug, Default)]
pub(super) struct RelayBatch {
    pub(super) rows: i64,
    pub(super) event_count: u64,
    pub(super) events: BTreeMap<BrokerId, Vec<NewEvent>>,
    pub(super) poison: Vec<Poison>,
}

impl RelayBatch {
    /// The row of `refusal` is set aside. Another one may have come before it since it was refused.
    pub(super) fn of(
        rows: Vec<OutboxRow>,
        rules: &RelayRules,
        refusal: Option<&RowRefusal>,
    ) -> Self {
        let mut batch = Self {
            rows: i64::try_from(rows.len()).unwrap_or(i64::MAX),
            ..Self::default()
        };
        for row in rows {
            let event = match refusal {
                Some(refusal) if refusal.row == row.place() => Err(refusal.reason.clone()),
                _ => event(&row, rules),
            };
            match event {
                Ok((broker, event)) => {
                    batch.event_count += 1;
                    batch.events.entry(broker).or_default().push(event);
                }
                Err(reason) => batch.poison.push(Poison {
                    id: row.id,
                    row: serde_json::to_string(&row).unwrap_or_else(|_| "null".to_owned()),
                    module: row.module,
                    reason,
                }),
            }
        }
        batch
    }
}

/// The event of a row, or why the row cannot become one. The reason contains no value of the row.
fn event(row: &OutboxRow, rules: &RelayRules) -> Result<(BrokerId, NewEvent), String> {
    if let Some(failure) = &row.failure {
        return Err(failure.clone());
    }
    let broker = needed("broker", row.broker_id.as_deref())?;
    let broker = BrokerId::parse(broker).map_err(wrong("broker"))?;
    let audience: Audience = needed("audience", row.audience.as_deref())?
        .parse()
        .map_err(|_| "its audience is not valid: expected a user, a team or the broker")?;
    let event_type = EventType::parse(needed("type", row.r#type.as_deref())?);
    let event_type = event_type.map_err(wrong("type"))?;
    if let Some(owner) = reserved_for(&event_type, rules) {
        return Err(format!("its type is reserved for {owner}"));
    }
    let module = row.module.as_deref().map(ModuleName::parse).transpose();
    let record = row.record_id.as_deref().map(RecordId::parse).transpose();
    let (module, record) = (
        module.map_err(wrong("module"))?,
        record.map_err(wrong("record"))?,
    );
    if record.is_some() && module.is_none() {
        return Err("its record needs the module it belongs to".to_owned());
    }
    if row.version.is_some_and(|version| version < 0) {
        return Err("its version is below 0".to_owned());
    }
    let mut event = NewEvent {
        record: module.map(|module| (module, record)),
        // A user id that is not valid is left out.
        user: user(row.user_id.as_deref()),
        version: row.version,
        data: json("data", row.data.as_deref())?,
        changes: json("changes", row.changes.as_deref())?,
        private: json("private fields", row.private.as_deref())?.map(Private),
        owner: user(row.owner_id.as_deref()),
        is_new_owner: row.is_new_owner,
        previous: json("previous values", row.previous.as_deref())?,
        is_truncated: row.is_truncated,
        trace: rules.tracer.stored(row.traceparent.as_deref()),
        ..NewEvent::new(audience, event_type)
    };
    if let Some(names) = rules.private_fields.of(event.module(), &event.event_type) {
        set_aside(&mut event, names);
    }
    truncate(&mut event, rules.event_bytes);
    Ok((broker, event))
}

fn reserved_for(event_type: &EventType, rules: &RelayRules) -> Option<ReservedFor> {
    let of_signal = rules.signal_types.contains(event_type);
    let of_signal = of_signal.then_some(ReservedFor::Signals);
    event_type.reserved_for().or(of_signal)
}

fn needed<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, String> {
    value.ok_or_else(|| format!("it has no {name}"))
}

fn user(id: Option<&str>) -> Option<UserId> {
    id.and_then(|id| UserId::parse(id).ok())
}

fn wrong(what: &'static str) -> impl Fn(InvalidId) -> String {
    move |error| format!("its {what} {error}")
}

fn json(what: &str, text: Option<&str>) -> Result<Option<Arc<RawValue>>, String> {
    let raw: Option<Box<RawValue>> = text
        .map(serde_json::from_str)
        .transpose()
        .map_err(|_| format!("its {what} cannot be read as JSON"))?;
    Ok(raw.map(|raw| on_one_line(raw).into()))
}

/// Removes the data of an event that is too large or too deeply nested for clients.
fn truncate(event: &mut NewEvent, event_bytes: usize) {
    let private = event.private.as_ref().map(|private| &private.0);
    let parts = [event.data.as_ref(), event.changes.as_ref(), private];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let is_too_large = parts.iter().map(|raw| raw.get().len()).sum::<usize>() > event_bytes;
    if is_too_large || parts.iter().any(|raw| depth(raw) > DEEPEST) {
        (event.data, event.changes, event.private) = (None, None, None);
        event.is_truncated = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OutboxRow {
        let text = |text: &str| Some(text.to_owned());
        OutboxRow {
            id: 1,
            broker_id: text("b"),
            audience: text("team:a"),
            r#type: text("listing:updated"),
            module: text("listings"),
            record_id: text("l-1"),
            changes: text("{\"price\": 1,\n \"fee\":\"[REDACTED]\"}"),
            private: text("{\"fee\":2}"),
            owner_id: text("ann"),
            previous: text("{\"price\": 0}"),
            ..OutboxRow::default()
        }
    }

    #[derive(Debug)]
    struct NoneIsPrivate;

    impl PrivateFields for NoneIsPrivate {
        fn of(&self, _: Option<&ModuleName>, _: &EventType) -> Option<&BTreeSet<String>> {
            None
        }
    }

    #[derive(Debug)]
    struct OnCall;

    impl SignalTypes for OnCall {
        fn contains(&self, event_type: &EventType) -> bool {
            event_type.as_str() == "user:on-call"
        }
    }

    fn rules(event_bytes: usize) -> RelayRules {
        RelayRules {
            event_bytes,
            private_fields: Arc::new(NoneIsPrivate),
            signal_types: Arc::new(OnCall),
            tracer: Tracer::default(),
        }
    }

    #[test]
    fn a_row_becomes_an_event_on_one_line() {
        let (broker, event) = event(&row(), &rules(1_000)).unwrap();
        assert_eq!(broker.as_str(), "b");
        let changes = event.changes.unwrap();
        assert_eq!(changes.get(), r#"{"price":1,"fee":"[REDACTED]"}"#);
        assert!(event.private.is_some());
        assert_eq!(event.owner.unwrap().as_str(), "ann");
        assert_eq!(event.previous.unwrap().get(), r#"{"price":0}"#);
        assert!(!event.is_truncated);
    }

    #[test]
    fn a_bad_row_is_set_aside_with_a_reason() {
        type Spoil = fn(&mut OutboxRow);
        let spoilt: [(&str, Spoil); 11] = [
            ("broker", |row| row.broker_id = None),
            ("broker", |row| row.broker_id = Some("a b".to_owned())),
            ("audience", |row| row.audience = None),
            ("audience", |row| row.audience = Some("everyone".to_owned())),
            ("type", |row| row.r#type = Some(String::new())),
            ("reserved", |row| {
                row.r#type = Some("stream:closing".to_owned());
            }),
            ("reserved for tasks", |row| {
                row.r#type = Some("ai:task:completed".to_owned());
            }),
            ("reserved for signals", |row| {
                row.r#type = Some("user:on-call".to_owned());
            }),
            ("module", |row| row.module = None),
            ("record", |row| row.record_id = Some("é".to_owned())),
            ("version", |row| row.version = Some(-1)),
        ];
        for (word, spoil) in spoilt {
            let mut row = row();
            spoil(&mut row);
            let batch = RelayBatch::of(vec![row], &rules(1_000), None);
            let reason = &batch.poison[0].reason;
            assert!(reason.contains(word), "{word}: {reason}");
            assert_eq!(batch.event_count, 0);
        }
    }

    #[test]
    fn only_the_refused_row_is_set_aside() {
        let earlier = OutboxRow { id: 0, ..row() };
        let refusal = RowRefusal {
            row: row().place(),
            reason: "cursed".to_owned(),
        };
        for (row, events, poisoned) in [(earlier, 1, 0), (row(), 0, 1)] {
            let batch = RelayBatch::of(vec![row], &rules(1_000), Some(&refusal));
            assert_eq!((batch.event_count, batch.poison.len()), (events, poisoned));
        }
    }

    #[test]
    fn an_event_that_is_too_large_or_too_deep_loses_its_data() {
        let deep = "[".repeat(101) + &"]".repeat(101);
        let deep = OutboxRow {
            data: Some(deep),
            ..row()
        };
        for (row, bytes) in [(row(), 35), (deep, 1_000)] {
            let (_, event) = event(&row, &rules(bytes)).unwrap();
            assert!(event.is_truncated);
            assert!(event.data.is_none() && event.changes.is_none() && event.private.is_none());
        }
    }
}

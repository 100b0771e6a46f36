//! The types of events that only the service publishes. `porchlight.is_reserved_type` is the same in SQL.

use std::fmt;

use super::EventType;

/// The part of the service that publishes a reserved type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservedFor {
    /// Streams, and the browsers that read them.
    Streams,
    Locks,
    Tasks,
    Notifications,
    Presence,
    Signals,
}

impl fmt::Display for ReservedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Streams => "streams",
            Self::Locks => "locks",
            Self::Tasks => "tasks",
            Self::Notifications => "notifications",
            Self::Presence => "presence",
            Self::Signals => "signals",
        })
    }
}

const TYPES: &[(&str, ReservedFor)] = &[
    ("hb", ReservedFor::Streams),
    ("error", ReservedFor::Streams),
    ("open", ReservedFor::Streams),
    ("message", ReservedFor::Streams),
    ("user:typing", ReservedFor::Signals),
];
const PREFIXES: &[(&str, ReservedFor)] = &[
    ("stream:", ReservedFor::Streams),
    ("presence:", ReservedFor::Streams),
    ("locks:", ReservedFor::Streams),
    ("ai:task:", ReservedFor::Tasks),
    ("notification:", ReservedFor::Notifications),
    ("user:presence:", ReservedFor::Presence),
    ("user:viewing:", ReservedFor::Presence),
    ("user:editing:", ReservedFor::Presence),
    ("user:stopped_", ReservedFor::Signals),
];
/// The last parts of types about locks, for every module.
const LOCK_ACTIONS: &[&str] = &["locked", "unlocked", "lock_requested", "lock_available"];

impl EventType {
    #[must_use]
    pub fn reserved_for(&self) -> Option<ReservedFor> {
        let whole = TYPES.iter().find(|(name, _)| *name == self.as_str());
        let has_prefix = |(prefix, _): &&(&str, _)| self.as_str().starts_with(*prefix);
        let found = whole.or_else(|| PREFIXES.iter().find(has_prefix));
        let of_lock = LOCK_ACTIONS.contains(&self.action());
        found
            .map(|(_, owner)| *owner)
            .or(of_lock.then_some(ReservedFor::Locks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_the_service_publishes_are_reserved_and_no_others() {
        for (name, owner) in [
            ("hb", Some(ReservedFor::Streams)),
            ("stream:closing", Some(ReservedFor::Streams)),
            ("locks:snapshot", Some(ReservedFor::Streams)),
            ("ai:task:completed", Some(ReservedFor::Tasks)),
            ("notification:info", Some(ReservedFor::Notifications)),
            ("user:presence:online", Some(ReservedFor::Presence)),
            ("user:viewing:escrow", Some(ReservedFor::Presence)),
            ("user:typing", Some(ReservedFor::Signals)),
            ("user:stopped_on-call", Some(ReservedFor::Signals)),
            ("escrow:locked", Some(ReservedFor::Locks)),
            ("boat:lock_requested", Some(ReservedFor::Locks)),
            ("unlocked", Some(ReservedFor::Locks)),
            ("escrow:relocked", None),
            ("escrow:locked:twice", None),
            ("system:maintenance", None),
            ("ai:tasks", None),
            ("user:created", None),
            ("user:typing:fast", None),
            ("notifications:sent", None),
            ("hbo", None),
        ] {
            let event_type: EventType = name.parse().unwrap();
            assert_eq!(event_type.reserved_for(), owner, "{name}");
        }
    }
}

//! The ephemeral events of a change.

use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::group::{PresenceChange, PresenceGroup, PresentUser};
use super::sign_of_life::RecordInUse;
use crate::directory::Modules;
use crate::fanout::{BrokerageFanout, EphemeralEvent};
use crate::log::timestamp;
use crate::log::{Audience, Event, NewEvent};
use crate::platform::{EventType, RecordPath, UserId};

/// Makes the events of one change. `group` is as it is after the change.
pub struct ChangeEvents<'a> {
    pub group: &'a PresenceGroup,
    pub change: &'a PresenceChange,
    pub at: OffsetDateTime,
    /// Who reads the events. A stream that opens later gets a snapshot.
    pub log: &'a BrokerageFanout,
}

/// What a person does with a record.
#[derive(Clone, Copy)]
struct RecordUse {
    verb: &'static str,
    /// The field that has the number of people who do the same.
    counted: &'static str,
    records: fn(&PresentUser) -> &[RecordInUse],
}

const VIEWING: RecordUse = RecordUse {
    verb: "viewing",
    counted: "viewers",
    records: |user| &user.state.viewing,
};
const EDITING: RecordUse = RecordUse {
    verb: "editing",
    counted: "editors",
    records: |user| &user.state.editing,
};

impl ChangeEvents<'_> {
    #[must_use]
    pub fn all(&self, modules: &Modules) -> Vec<EphemeralEvent> {
        let mut events = Vec::new();
        events.extend(self.new_snapshots());
        // These wake no stream, so they come before those that do.
        events.extend(self.status_at_records());
        events.extend(self.status());
        events.extend(self.record_use(modules, VIEWING));
        events.extend(self.record_use(modules, EDITING));
        events
    }

    /// Crowds that became large or small, and teams that a present person joined or left, get a new
    /// snapshot.
    fn new_snapshots(&self) -> Option<EphemeralEvent> {
        let mut crowds: FxHashSet<_> = self.change.resized.iter().cloned().collect();
        if let (Some(before), Some(after)) = (&self.change.before, &self.change.after) {
            let (before, after): (FxHashSet<_>, FxHashSet<_>) =
                (before.crowds().collect(), after.crowds().collect());
            let changed = before.symmetric_difference(&after).cloned();
            crowds.extend(changed.filter(|crowd| !self.group.is_large(crowd)));
        }
        (!crowds.is_empty()).then(|| EphemeralEvent::new_snapshot(crowds))
    }

    /// Each crowd gets the number of its people who are online. A stream of several crowds gets the
    /// event of the largest one.
    fn status(&self) -> Option<EphemeralEvent> {
        let user = self.with_new_status()?;
        let own = Audience::User(self.change.user.clone());
        let crowds = user.crowds().filter(|crowd| !self.group.is_large(crowd));
        let audiences = crowds.chain([own]);
        let mut read = audiences
            .filter(|audience| self.log.has_readers(audience))
            .peekable();
        read.peek()?;
        let of_crowd = |audience: Audience| {
            let data = self.status_data(self.group.online(&audience), &named(&audience));
            self.event(NewEvent::new(audience, self.status_type()).with(&data))
        };
        Some(EphemeralEvent::each(read.map(of_crowd)))
    }

    /// Streams that are filtered by record get the status of the people who use the record, and how
    /// many of these are online.
    fn status_at_records(&self) -> Vec<EphemeralEvent> {
        let (Some(_), Some(before), Some(after)) = (
            self.with_new_status(),
            &self.change.before,
            &self.change.after,
        ) else {
            return Vec::new();
        };
        let stays = |in_use: &&RecordInUse| before.records_in_use().any(|known| known == *in_use);
        let mut known = FxHashSet::default();
        let records = after.records_in_use().filter(stays);
        let records = records.filter(|in_use| known.insert(&in_use.record));
        let at_record = |in_use: &RecordInUse| {
            let online = self.online_at(&in_use.record);
            let data = self.status_data(online, &json!({"record": in_use.record.to_string()}));
            let event = NewEvent::new(in_use.audience.clone(), self.status_type());
            let event = self.event(event.about(&in_use.record).with(&data));
            let audiences = audiences_of_use(&self.change.user, Some(after), in_use);
            EphemeralEvent::of(&event, &audiences).for_records_only()
        };
        records.map(at_record).collect()
    }

    /// The person after the change, or before it if they left. `None` if the status is the same.
    fn with_new_status(&self) -> Option<&PresentUser> {
        let status = |user: &Option<PresentUser>| user.as_ref().map(|user| user.state.status);
        if status(&self.change.before) == status(&self.change.after) {
            return None;
        }
        self.change.after.as_ref().or(self.change.before.as_ref())
    }

    fn status_name(&self) -> &'static str {
        let after = self.change.after.as_ref();
        after.map_or("offline", |user| user.state.status.as_str())
    }

    fn status_type(&self) -> EventType {
        let name = format!("user:presence:{}", self.status_name());
        name.parse().expect("a valid type")
    }

    fn status_data(&self, online: usize, of: &Value) -> Value {
        let since = self
            .change
            .after
            .as_ref()
            .map_or(self.at, |user| user.since);
        json!({"status": self.status_name(), "since": timestamp(since), "online": online, "of": of})
    }

    fn online_at(&self, record: &RecordPath) -> usize {
        let is_online = |user: &&UserId| self.group.find(user).is_some_and(PresentUser::is_online);
        self.group.users_of(record).filter(is_online).count()
    }

    /// An event for each record that the person opened or closed.
    fn record_use(&self, modules: &Modules, what: RecordUse) -> Vec<EphemeralEvent> {
        let before = self.change.before.as_ref().map_or(&[][..], what.records);
        let after = self.change.after.as_ref().map_or(&[][..], what.records);
        let closed = before.iter().filter(|in_use| !after.contains(in_use));
        let opened = after.iter().filter(|in_use| !before.contains(in_use));
        let closed = closed.filter_map(|in_use| self.use_event(modules, what, in_use, false));
        let opened = opened.filter_map(|in_use| self.use_event(modules, what, in_use, true));
        closed.chain(opened).collect()
    }

    fn use_event(
        &self,
        modules: &Modules,
        what: RecordUse,
        in_use: &RecordInUse,
        is_opened: bool,
    ) -> Option<EphemeralEvent> {
        let event_type = modules
            .get(&in_use.record.module)?
            .user_event_type(what.verb);
        let does_it = |user: &PresentUser| {
            let records = (what.records)(user);
            records.iter().any(|other| other.record == in_use.record)
        };
        let is_counted = |user: &&UserId| self.group.find(user).is_some_and(does_it);
        let count = self
            .group
            .users_of(&in_use.record)
            .filter(is_counted)
            .count();
        let data = json!({
            what.verb: is_opened,
            what.counted: count,
            "online": self.online_at(&in_use.record),
            "status": self.status_name(),
        });
        let event = NewEvent::new(in_use.audience.clone(), event_type);
        let event = self.event(event.about(&in_use.record).with(&data));
        Some(self.to_audiences(in_use, &event))
    }

    /// Large crowds get no event for each record that one of them opens, except on streams that are
    /// filtered by that record.
    fn to_audiences(&self, in_use: &RecordInUse, event: &Event) -> EphemeralEvent {
        let user = self.change.after.as_ref().or(self.change.before.as_ref());
        let audiences = audiences_of_use(&self.change.user, user, in_use);
        let is_large = audiences.iter().any(|crowd| self.group.is_large(crowd));
        let ephemeral = EphemeralEvent::of(event, &audiences);
        if is_large {
            ephemeral.for_records_only()
        } else {
            ephemeral
        }
    }

    fn event(&self, event: NewEvent) -> Event {
        unlogged(event.by(&self.change.user), self.at)
    }
}

/// An event that has no position because it is never logged.
fn unlogged(event: NewEvent, created_at: OffsetDateTime) -> Event {
    Event {
        position: 0,
        created_at,
        body: event,
    }
}

/// How many people of a large crowd are online.
#[must_use]
pub fn count(group: &PresenceGroup, crowd: Audience, at: OffsetDateTime) -> EphemeralEvent {
    let data = json!({"online": group.online(&crowd), "of": named(&crowd)});
    let event = NewEvent::new(crowd, "presence:count".parse().expect("a valid type"));
    EphemeralEvent::each([unlogged(event.with(&data), at)])
}

/// The audiences that may see that a user has a record open.
pub(super) fn audiences_of_use(
    user: &UserId,
    present: Option<&PresentUser>,
    in_use: &RecordInUse,
) -> Vec<Audience> {
    let mut audiences = vec![in_use.audience.clone()];
    if in_use.audience == Audience::Broker {
        let crowds = present.into_iter().flat_map(PresentUser::crowds);
        audiences.extend(crowds.skip(1));
    }
    audiences.push(Audience::User(user.clone()));
    audiences
}

fn named(audience: &Audience) -> Value {
    match audience {
        Audience::Broker => json!({"broker": true}),
        Audience::Team(team) => json!({"team": team.as_str()}),
        Audience::User(user) => json!({"user": user.as_str()}),
        Audience::Workers => json!({"workers": true}),
    }
}

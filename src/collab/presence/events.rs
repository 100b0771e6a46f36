//! What is told of people: changes as whispers, and the state as a whole.

use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::group::{PresenceChange, PresenceGroup, Shown};
use super::sign::RecordInUse;
use crate::directory::Modules;
use crate::fanout::EphemeralEvent;
use crate::log::timestamp;
use crate::log::{Audience, Event, NewEvent};
use crate::platform::{EventType, RecordPath, UserId};
use crate::platform::{PageItems, PageLimit};

/// People that one answer lists.
pub const MOST_USERS_LISTED: usize = 1_000;

/// The whispers that tell of a change; the room is as it is after it.
#[must_use]
pub fn ephemerals(
    group: &PresenceGroup,
    change: &PresenceChange,
    (modules, at): (&Modules, OffsetDateTime),
) -> Vec<EphemeralEvent> {
    let tell = ChangeEvents { group, change, at };
    let mut ephemerals = Vec::new();
    ephemerals.extend(tell.look_again());
    // First, for it wakes nobody: those who look at a record are woken by what follows.
    ephemerals.extend(tell.status_where_they_stay());
    ephemerals.extend(tell.status());
    ephemerals.extend(tell.places(("viewing", "viewers"), modules, |shown| &shown.seen.viewing));
    ephemerals.extend(tell.places(("editing", "editors"), modules, |shown| &shown.seen.editing));
    ephemerals
}

struct ChangeEvents<'a> {
    group: &'a PresenceGroup,
    change: &'a PresenceChange,
    at: OffsetDateTime,
}

impl ChangeEvents<'_> {
    /// Crowds that have grown too large or small again, and teams that somebody who stays has
    /// joined or left, are told who is here as a whole.
    fn look_again(&self) -> Option<EphemeralEvent> {
        let mut crowds: FxHashSet<_> = self.change.flipped.iter().cloned().collect();
        if let (Some(before), Some(after)) = (&self.change.before, &self.change.after) {
            let (before, after): (FxHashSet<_>, FxHashSet<_>) =
                (before.crowds().collect(), after.crowds().collect());
            let moved = before.symmetric_difference(&after).cloned();
            crowds.extend(moved.filter(|crowd| !self.group.is_large(crowd)));
        }
        (!crowds.is_empty()).then(|| EphemeralEvent::look_again(crowds))
    }

    /// Each crowd hears how many of it are online; who is in several hears the largest.
    fn status(&self) -> Option<EphemeralEvent> {
        let shown = self.with_new_status()?;
        let own = Audience::User(self.change.user.clone());
        let crowds = shown.crowds().filter(|crowd| !self.group.is_large(crowd));
        let of_crowd = |audience: Audience| {
            let data = self.status_data(self.group.online(&audience), &named(&audience));
            self.event(NewEvent::new(audience, self.status_type()).with(&data))
        };
        Some(EphemeralEvent::each(crowds.chain([own]).map(of_crowd)))
    }

    /// Who looks at certain records hears of the people there, and how many are online there.
    fn status_where_they_stay(&self) -> Vec<EphemeralEvent> {
        let (Some(_), Some(before), Some(after)) = (
            self.with_new_status(),
            &self.change.before,
            &self.change.after,
        ) else {
            return Vec::new();
        };
        let stays = |place: &&RecordInUse| before.places().any(|known| known == *place);
        let mut seen = FxHashSet::default();
        let places = after.places().filter(stays);
        let places = places.filter(|place| seen.insert(&place.record));
        let at_place = |place: &RecordInUse| {
            let online = self.online_at(&place.record);
            let data = self.status_data(online, &json!({"record": place.record.to_string()}));
            let told = NewEvent::new(place.audience.clone(), self.status_type());
            let event = self.event(told.about(&place.record).with(&data));
            let onlookers = onlookers(&self.change.user, Some(after), place);
            EphemeralEvent::of(&event, &onlookers).for_records_only()
        };
        places.map(at_place).collect()
    }

    /// Somebody whose status has changed, as they are shown now, or were.
    fn with_new_status(&self) -> Option<&Shown> {
        let status = |shown: &Option<Shown>| shown.as_ref().map(|shown| shown.seen.status);
        if status(&self.change.before) == status(&self.change.after) {
            return None;
        }
        self.change.after.as_ref().or(self.change.before.as_ref())
    }

    fn status_name(&self) -> &'static str {
        let after = self.change.after.as_ref();
        after.map_or("offline", |shown| shown.seen.status.as_str())
    }

    fn status_type(&self) -> EventType {
        let name = format!("user:presence:{}", self.status_name());
        name.parse().expect("a name of ours")
    }

    fn status_data(&self, online: usize, of: &Value) -> Value {
        let since = self.change.after.as_ref().map_or(self.at, |s| s.since);
        json!({"status": self.status_name(), "since": timestamp(since), "online": online, "of": of})
    }

    fn online_at(&self, record: &RecordPath) -> usize {
        let is_online = |user: &&UserId| self.group.find(user).is_some_and(Shown::is_online);
        self.group.visitors(record).filter(is_online).count()
    }

    fn places(
        &self,
        what: (&'static str, &'static str),
        modules: &Modules,
        of: fn(&Shown) -> &Vec<RecordInUse>,
    ) -> Vec<EphemeralEvent> {
        let none = Vec::new();
        let before = self.change.before.as_ref().map_or(&none, of);
        let after = self.change.after.as_ref().map_or(&none, of);
        let left = before.iter().filter(|place| !after.contains(place));
        let come = after.iter().filter(|place| !before.contains(place));
        let turns = left
            .map(|place| (place, false))
            .chain(come.map(|place| (place, true)));
        let told = |(place, comes): (&RecordInUse, bool)| {
            let event_type = modules.get(&place.record.module)?.done_by_user(what.0);
            let data = self.place_data(what, (place, comes), of);
            let told = NewEvent::new(place.audience.clone(), event_type);
            let event = self.event(told.about(&place.record).with(&data));
            Some(self.to_onlookers(place, &event))
        };
        turns.filter_map(told).collect()
    }

    fn place_data(
        &self,
        (verb, who): (&'static str, &'static str),
        (place, comes): (&RecordInUse, bool),
        of: fn(&Shown) -> &Vec<RecordInUse>,
    ) -> Value {
        let has_it_open = |shown: &Shown| of(shown).iter().any(|p| p.record == place.record);
        let is_at_it = |user: &&UserId| self.group.find(user).is_some_and(has_it_open);
        let count = self.group.visitors(&place.record).filter(is_at_it).count();
        let online = self.online_at(&place.record);
        json!({verb: comes, who: count, "online": online, "status": self.status_name()})
    }

    /// A large crowd is not told where each of it goes, but those who look at that record are.
    fn to_onlookers(&self, place: &RecordInUse, event: &Event) -> EphemeralEvent {
        let shown = self.change.after.as_ref().or(self.change.before.as_ref());
        let onlookers = onlookers(&self.change.user, shown, place);
        let is_large = onlookers.iter().any(|crowd| self.group.is_large(crowd));
        let ephemeral = EphemeralEvent::of(event, &onlookers);
        if is_large {
            ephemeral.for_records_only()
        } else {
            ephemeral
        }
    }

    fn event(&self, told: NewEvent) -> Event {
        Event {
            position: 0,
            created_at: self.at,
            told: told.by(&self.change.user),
        }
    }
}

/// How many of a large crowd are online.
#[must_use]
pub fn count(group: &PresenceGroup, crowd: Audience, at: OffsetDateTime) -> EphemeralEvent {
    let data = json!({"online": group.online(&crowd), "of": named(&crowd)});
    let told = NewEvent::new(crowd, "presence:count".parse().expect("a name of ours"));
    EphemeralEvent::each([Event {
        position: 0,
        created_at: at,
        told: told.with(&data),
    }])
}

/// Who may notice where somebody is.
fn onlookers(user: &UserId, shown: Option<&Shown>, place: &RecordInUse) -> Vec<Audience> {
    let mut onlookers = vec![place.audience.clone()];
    if place.audience == Audience::Broker {
        onlookers.extend(shown.into_iter().flat_map(Shown::crowds).skip(1));
    }
    onlookers.push(Audience::User(user.clone()));
    onlookers
}

fn named(audience: &Audience) -> Value {
    match audience {
        Audience::Broker => json!({"broker": true}),
        Audience::Team(team) => json!({"team": team.as_str()}),
        Audience::User(user) => json!({"user": user.as_str()}),
        Audience::Workers => json!({"workers": true}),
    }
}

/// Whose eyes, and what they look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub audiences: &'a [Audience],
    /// The only records that are looked at, if not all are.
    pub records: Option<&'a FxHashSet<RecordPath>>,
    /// Whether large crowds are shown by their number only.
    pub by_number: bool,
    /// Only people after this one; none: from the first on.
    pub after: Option<&'a UserId>,
    /// How many are listed at once.
    pub limit: PageLimit,
}

impl View<'_> {
    /// What they see: `users`, how many of them are `online`, whether that is all, and if not, after
    /// whom to go on.
    #[must_use]
    pub fn of(&self, group: &PresenceGroup) -> Value {
        let mut page = PageItems::new(self.limit);
        let (mut listed, mut last, mut next) = (Vec::new(), None, None);
        for user in self.people(group) {
            let Some(person) = group.find(user).and_then(|shown| self.listed(user, shown)) else {
                continue;
            };
            if !page.push(&person.to_string()) {
                next = last;
                break;
            }
            listed.push(person);
            last = Some(user);
        }
        let is_all = next.is_none() && self.after.is_none();
        let is_large = self.records.is_none() && self.hides_some(group);
        json!({
            "users": listed,
            "online": self.online(group),
            "complete": is_all && !is_large,
            "next": next.map(UserId::as_str),
        })
    }

    fn hides_some(&self, group: &PresenceGroup) -> bool {
        self.by_number
            && self
                .audiences
                .iter()
                .any(|audience| group.is_large(audience))
    }

    /// Everybody who may be listed one by one and comes after `self.after`, in order. There may be
    /// more than these where they fill the page.
    pub(super) fn people<'r>(&self, group: &'r PresenceGroup) -> Vec<&'r UserId> {
        if let Some(records) = self.records {
            let visitors = records.iter().flat_map(|record| group.visitors(record));
            let is_next = |user: &&UserId| self.after.is_none_or(|after| *user > after);
            return in_order(visitors.filter(is_next));
        }
        let most = usize::try_from(self.limit.rows()).unwrap_or(usize::MAX);
        let shown = |audience: &&Audience| !(self.by_number && group.is_large(audience));
        let everybody = self.audiences.iter().find(|all| **all == Audience::Broker);
        if let Some(everybody) = everybody.filter(shown) {
            return group
                .people_of(everybody, self.after)
                .take(most + 1)
                .collect();
        }
        // The first of all are among the first of each.
        let audiences = self.audiences.iter().filter(shown);
        in_order(
            audiences.flat_map(|audience| group.people_of(audience, self.after).take(most + 1)),
        )
    }

    fn online(&self, group: &PresenceGroup) -> usize {
        let is_online = |user: &&UserId| group.find(user).is_some_and(Shown::is_online);
        match (self.records, self.audiences) {
            (Some(records), _) => {
                let visitors = records.iter().flat_map(|record| group.visitors(record));
                let is_seen = |user: &&UserId| {
                    let shown = group.find(user);
                    shown.is_some_and(|shown| self.listed(user, shown).is_some())
                };
                let online = in_order(visitors).into_iter().filter(is_online);
                online.filter(is_seen).count()
            }
            (None, [one]) => group.online(one),
            (None, all) if all.contains(&Audience::Broker) => group.online(&Audience::Broker),
            (None, all) => {
                let people = all
                    .iter()
                    .flat_map(|audience| group.people_of(audience, None));
                in_order(people).into_iter().filter(is_online).count()
            }
        }
    }

    /// One person; `None` where the records that are looked at are none of theirs.
    fn listed(&self, user: &UserId, shown: &Shown) -> Option<Value> {
        let visible = |place: &&RecordInUse| {
            let is_asked = self
                .records
                .is_none_or(|records| records.contains(&place.record));
            let onlookers = onlookers(user, Some(shown), place);
            is_asked
                && onlookers
                    .iter()
                    .any(|audience| self.audiences.contains(audience))
        };
        let places = |places: &[RecordInUse]| -> Vec<Value> {
            let visible = places.iter().filter(visible);
            let named = |p: &RecordInUse| json!({"module": p.record.module.as_str(), "recordId": p.record.id.as_str()});
            visible.map(named).collect()
        };
        let (viewing, editing) = (places(&shown.seen.viewing), places(&shown.seen.editing));
        if self.records.is_some() && viewing.is_empty() && editing.is_empty() {
            return None;
        }
        Some(json!({
            "userId": user.as_str(),
            "status": shown.seen.status.as_str(),
            "since": timestamp(shown.since),
            "viewing": viewing,
            "editing": editing,
        }))
    }
}

fn in_order<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<&'a UserId> {
    let mut users: Vec<_> = users.collect();
    users.sort_unstable();
    users.dedup();
    users
}

//! The presence of a brokerage as a list.

use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::events::audiences_of_use;
use super::group::{PresenceGroup, PresentUser};
use super::sign_of_life::RecordInUse;
use crate::log::Audience;
use crate::log::timestamp;
use crate::platform::{PageItems, PageLimit};
use crate::platform::{RecordPath, UserId};

/// People that one answer lists.
pub const MOST_USERS_LISTED: usize = 1_000;

/// Which part of a brokerage's presence is listed, and for which audiences.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub audiences: &'a [Audience],
    /// With records, only people who have one of them open are listed.
    pub records: Option<&'a FxHashSet<RecordPath>>,
    /// Whether only the number of people is shown of large crowds.
    pub by_number: bool,
    /// The last user of the page before.
    pub after: Option<&'a UserId>,
    pub limit: PageLimit,
}

impl View<'_> {
    /// One page of people.
    #[must_use]
    pub fn of(&self, group: &PresenceGroup) -> PresenceList {
        let mut users = PageItems::new(self.limit);
        let (mut last, mut next) = (None, None);
        for user in self.people(group) {
            let plain = |present: &PresentUser| person_json(user, present, "[]", "[]");
            let shared = match self.records {
                None => group.listed(user, plain),
                Some(_) => None,
            };
            let is_on_page = match shared {
                Some(json) => users.push(json),
                None => match group.find(user).and_then(|found| self.listed(user, found)) {
                    Some(json) => users.push(&json),
                    None => continue,
                },
            };
            if !is_on_page {
                next = last;
                break;
            }
            last = Some(user);
        }
        let is_all = next.is_none() && self.after.is_none();
        let is_large = self.records.is_none() && self.has_large_crowd(group);
        PresenceList {
            users,
            online: self.online(group),
            is_complete: is_all && !is_large,
            next: next.cloned(),
            stale_since: None,
        }
    }

    fn has_large_crowd(&self, group: &PresenceGroup) -> bool {
        self.by_number
            && self
                .audiences
                .iter()
                .any(|audience| group.is_large(audience))
    }

    /// The people who can be on the page, in order. It is enough to have one more than fits on it.
    pub(super) fn people<'r>(&self, group: &'r PresenceGroup) -> Vec<&'r UserId> {
        if let Some(records) = self.records {
            let users = records.iter().flat_map(|record| group.users_of(record));
            let is_next = |user: &&UserId| self.after.is_none_or(|after| *user > after);
            return in_order(users.filter(is_next));
        }
        let most = usize::try_from(self.limit.rows()).unwrap_or(usize::MAX);
        let is_listed = |audience: &&Audience| !(self.by_number && group.is_large(audience));
        let everybody = self.audiences.iter().find(|all| **all == Audience::Broker);
        if let Some(everybody) = everybody.filter(is_listed) {
            return group
                .people_of(everybody, self.after)
                .take(most + 1)
                .collect();
        }
        // The first people of all audiences are among the first people of each.
        let audiences = self.audiences.iter().filter(is_listed);
        in_order(
            audiences.flat_map(|audience| group.people_of(audience, self.after).take(most + 1)),
        )
    }

    fn online(&self, group: &PresenceGroup) -> usize {
        let is_online = |user: &&UserId| group.find(user).is_some_and(PresentUser::is_online);
        match (self.records, self.audiences) {
            (Some(records), _) => {
                let users = records.iter().flat_map(|record| group.users_of(record));
                let is_visible = |user: &&UserId| {
                    let found = group.find(user);
                    found.is_some_and(|found| self.listed(user, found).is_some())
                };
                let online = in_order(users).into_iter().filter(is_online);
                online.filter(is_visible).count()
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

    /// One person as the list shows them. `None` if the view is of records and they use none that
    /// the view may show.
    fn listed(&self, user: &UserId, present: &PresentUser) -> Option<String> {
        let is_visible = |in_use: &&RecordInUse| {
            let records = self.records;
            let audiences = audiences_of_use(user, Some(present), in_use);
            records.is_none_or(|records| records.contains(&in_use.record))
                && audiences
                    .iter()
                    .any(|audience| self.audiences.contains(audience))
        };
        let visible = |records: &[RecordInUse]| -> Vec<Value> {
            let visible = records.iter().filter(is_visible);
            let path = |in_use: &RecordInUse| {
                let record = &in_use.record;
                json!({"module": record.module.as_str(), "recordId": record.id.as_str()})
            };
            visible.map(path).collect()
        };
        let state = &present.state;
        let (viewing, editing) = (visible(&state.viewing), visible(&state.editing));
        if self.records.is_some() && viewing.is_empty() && editing.is_empty() {
            return None;
        }
        let (viewing, editing) = (Value::from(viewing), Value::from(editing));
        let records = (viewing.to_string(), editing.to_string());
        Some(person_json(user, present, &records.0, &records.1))
    }
}

/// One person as lists show them, with these lists of records. It is no `Value`, and no formatter writes it,
/// because streams that open list everyone.
fn person_json(user: &UserId, present: &PresentUser, viewing: &str, editing: &str) -> String {
    let user = serde_json::to_string(user.as_str()).unwrap_or_default();
    let status = present.state.status.as_str();
    let since = timestamp(present.since);
    [
        r#"{"userId":"#,
        &user,
        r#","status":""#,
        status,
        r#"","since":""#,
        &since,
        r#"","viewing":"#,
        viewing,
        r#","editing":"#,
        editing,
        "}",
    ]
    .concat()
}

/// A page of people as JSON.
#[derive(Debug)]
pub struct PresenceList {
    users: PageItems,
    /// How many of all people are online.
    online: usize,
    /// Whether nobody is left out.
    is_complete: bool,
    next: Option<UserId>,
    /// When the table was last read, if that is too long ago.
    pub(super) stale_since: Option<OffsetDateTime>,
}

impl PresenceList {
    /// The answer to a request.
    #[must_use]
    pub fn json(&self) -> String {
        let next = json!(self.next.as_ref().map(UserId::as_str));
        self.with_fields(&format!(r#"{{"next":{next},"#))
    }

    /// The data of an event of this type. It has no further page.
    #[must_use]
    pub fn event_json(&self, event_type: &str) -> String {
        self.with_fields(&format!(r#"{{"type":"{event_type}","#))
    }

    /// An object that begins with `start`.
    fn with_fields(&self, start: &str) -> String {
        let (users, online) = (self.users.json(), self.online.to_string());
        let complete = if self.is_complete { "true" } else { "false" };
        let stale = self.stale_since.map(timestamp);
        let stale = stale.map(|since| format!(r#","stale":true,"staleSince":"{since}""#));
        [
            start,
            r#""users":["#,
            users,
            r#"],"online":"#,
            &online,
            r#","complete":"#,
            complete,
            stale.as_deref().unwrap_or_default(),
            "}",
        ]
        .concat()
    }
}

fn in_order<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<&'a UserId> {
    let mut users: Vec<_> = users.collect();
    users.sort_unstable();
    users.dedup();
    users
}

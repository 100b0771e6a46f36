//! The events of a lock.

use serde_json::{Value, json};

use super::holder::LockHolder;
use super::row::LockRow;
use super::viewers::RecordViewers;
use super::{Holder, Lock};
use crate::directory::Modules;
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, RecordPath, SessionName, UserId};

/// Why a grant has ended.
#[derive(Clone, Debug)]
pub(super) enum LockEnd {
    Released,
    Expired,
    TakenOver(Holder),
}

impl LockEnd {
    fn reason(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::TakenOver(_) => "taken_over",
        }
    }
}

/// A user who asks for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct LockRequester<'a> {
    pub(super) user: &'a UserId,
    pub(super) session: Option<&'a SessionName>,
}

/// Makes the events. The record's module decides their type: `escrow:locked`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LockEvents<'a>(pub(super) &'a Modules);

impl LockEvents<'_> {
    pub(super) fn locked(self, row: &LockRow, holder: &LockHolder) -> NewEvent {
        let lock = row.lock_of(holder);
        let mut data = fields(&lock);
        data["lockedUntil"] = json!(lock)["lockedUntil"].take();
        self.event(&row.record, "locked", holder.audience.clone())
            .by(&holder.user)
            .with(&data)
    }

    /// The end of a grant, for those who received its beginning. The record may have moved to another audience
    /// since; then they do not learn who took the lock over.
    pub(super) fn unlocked(
        self,
        row: &LockRow,
        former: &LockHolder,
        end: &LockEnd,
        now: &Audience,
    ) -> NewEvent {
        let is_seen = former.audience == *now || *now == Audience::Broker;
        let to = if is_seen { now } else { &former.audience };
        let mut data = fields(&row.lock_of(former));
        data["reason"] = json!(end.reason());
        let event = self.event(&row.record, "unlocked", to.clone());
        match end {
            LockEnd::Released => event.by(&former.user),
            LockEnd::TakenOver(by) if is_seen => {
                data["by"] = json!(by);
                event.by(&by.user_id)
            }
            LockEnd::Expired | LockEnd::TakenOver(_) => event,
        }
        .with(&data)
    }

    /// One event for each user who waits and may see the record.
    fn available(self, row: &LockRow, viewers: &RecordViewers) -> impl Iterator<Item = NewEvent> {
        let data = json!({"fence": row.fence});
        let waiting = row.waiting.users();
        let waiting = waiting.filter(|user| viewers.include(&row.record, user));
        waiting.map(move |user| {
            let audience = Audience::User(user.clone());
            self.event(&row.record, "lock_available", audience)
                .with(&data)
        })
    }

    /// The end of a grant after which nobody holds the lock. If the record has moved to another team since, this
    /// team has read of the lock in lists, and learns of its end, too.
    pub(super) fn freed(
        self,
        row: &LockRow,
        former: &LockHolder,
        end: &LockEnd,
        viewers: &RecordViewers,
    ) -> Vec<NewEvent> {
        let now = viewers.audience(&row.record);
        let unlocked = self.unlocked(row, former, end, now);
        let is_told = [now, &Audience::Broker].contains(&&unlocked.audience);
        let again = (!is_told).then(|| NewEvent {
            audience: now.clone(),
            ..unlocked.clone()
        });
        let events = [unlocked].into_iter().chain(again);
        events.chain(self.available(row, viewers)).collect()
    }

    /// Somebody asks the holder for the lock.
    pub(super) fn requested(
        self,
        record: &RecordPath,
        holder: &UserId,
        requester: LockRequester<'_>,
    ) -> NewEvent {
        let mut by = json!({"userId": requester.user});
        if let Some(session) = requester.session {
            by["session"] = json!(session);
        }
        self.event(record, "lock_requested", Audience::User(holder.clone()))
            .by(requester.user)
            .with(&json!({"by": by}))
    }

    fn event(self, record: &RecordPath, verb: &str, audience: Audience) -> NewEvent {
        NewEvent::new(audience, self.event_type(record, verb)).about(record)
    }

    /// The lock may be of a module that is no longer configured.
    fn event_type(self, record: &RecordPath, verb: &str) -> EventType {
        match self.0.get(&record.module) {
            Some(module) => module.event_type(verb),
            None => EventType::parse(&format!("record:{verb}")).expect("verbs are short"),
        }
    }
}

fn fields(lock: &Lock) -> Value {
    let mut lock = json!(lock);
    json!({
        "holder": lock["holder"].take(),
        "fence": lock["fence"].take(),
        "lockedAt": lock["lockedAt"].take(),
    })
}

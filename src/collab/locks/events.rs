//! What is told of a lock.

use serde_json::{Value, json};

use super::holder::LockHolder;
use super::row::LockRow;
use super::{Holder, Lock};
use crate::directory::Modules;
use crate::log::{Audience, NewEvent};
use crate::platform::{EventType, RecordPath, SessionName, UserId};

/// How a lock came to its end.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Its holder gave it back.
    Released,
    Expired,
    TakenOver(Holder),
}

impl End {
    fn reason(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Expired => "expired",
            Self::TakenOver(_) => "taken_over",
        }
    }
}

/// Finds the words for what happens to a record of one of these modules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a>(pub(super) &'a Modules);

impl Words<'_> {
    pub(super) fn locked(self, row: &LockRow, held: &LockHolder) -> NewEvent {
        let lock = row.shown(held);
        let mut data = fields(&lock);
        data["lockedUntil"] = json!(lock)["lockedUntil"].take();
        self.told(&row.record, "locked", held.audience.clone())
            .by(&held.user)
            .with(&data)
    }

    /// It was granted to `former`, and is no more.
    pub(super) fn unlocked(self, row: &LockRow, former: &LockHolder, end: &End) -> NewEvent {
        let mut data = fields(&row.shown(former));
        data["reason"] = json!(end.reason());
        if let End::TakenOver(by) = end {
            data["by"] = json!(by);
        }
        let told = self.told(&row.record, "unlocked", former.audience.clone());
        match end {
            End::Released => told.by(&former.user),
            End::Expired => told,
            End::TakenOver(by) => told.by(&by.user_id),
        }
        .with(&data)
    }

    /// It is free: everybody who waits is told so.
    pub(super) fn available(self, row: &LockRow) -> impl Iterator<Item = NewEvent> {
        let data = json!({"fence": row.fence});
        row.waiting.users().map(move |user| {
            let audience = Audience::User(user.clone());
            self.told(&row.record, "lock_available", audience)
                .with(&data)
        })
    }

    /// Its end, and those who wait for it.
    pub(super) fn freed(self, row: &LockRow, former: &LockHolder, end: &End) -> Vec<NewEvent> {
        let unlocked = self.unlocked(row, former, end);
        [unlocked].into_iter().chain(self.available(row)).collect()
    }

    /// Somebody asks its holder for it.
    pub(super) fn requested(
        self,
        record: &RecordPath,
        holder: &UserId,
        by: (&UserId, Option<&SessionName>),
    ) -> NewEvent {
        let mut asker = json!({"userId": by.0});
        if let Some(session) = by.1 {
            asker["session"] = json!(session);
        }
        self.told(record, "lock_requested", Audience::User(holder.clone()))
            .by(by.0)
            .with(&json!({"by": asker}))
    }

    fn told(self, record: &RecordPath, verb: &str, audience: Audience) -> NewEvent {
        NewEvent::new(audience, self.event_type(record, verb)).about(record)
    }

    /// Locks outlive a module that is no longer configured.
    fn event_type(self, record: &RecordPath, verb: &str) -> EventType {
        match self.0.get(&record.module) {
            Some(module) => module.told(verb),
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

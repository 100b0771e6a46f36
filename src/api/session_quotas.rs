//! The quotas of a caller, as `GET /session` shows them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::services::Services;
use crate::identity::{Caller, Role};
use crate::platform::{Principal, QuotaKind, QuotaScope, QuotaUse};
use crate::sessions::SessionUser;

/// A quota of the caller, if they have one of their own, and of their brokerage.
#[derive(Serialize)]
pub(super) struct QuotaJson {
    user: Option<QuotaLevel>,
    brokerage: QuotaLevel,
}

#[derive(Serialize)]
struct QuotaLevel {
    /// `None`: the database does not answer, or it is not for the caller to know.
    used: Option<i64>,
    /// `None`: there is no limit.
    most: Option<u32>,
}

/// What is known of a caller's use.
#[derive(Default)]
struct CallerUse {
    /// What the database counts.
    stored: Option<QuotaUse>,
    unread: Option<i64>,
    /// Streams at all instances.
    streams: Option<i64>,
}

/// All quotas, by name. Two small queries, and a third one where the presence of the brokerage is not in memory;
/// without the database the limits alone.
pub(super) async fn of(caller: &Caller, services: &Services) -> BTreeMap<&'static str, QuotaJson> {
    let known = CallerUse::read(caller, services).await;
    let named = QuotaKind::ALL.into_iter();
    let named = named.map(|kind| (kind.as_str(), quota(kind, caller, services, &known)));
    named
        .chain([("streams", streams(caller, services, &known))])
        .collect()
}

impl CallerUse {
    async fn read(caller: &Caller, services: &Services) -> Self {
        let read = async {
            let mut connection = services.pool.acquire().await?;
            QuotaUse::read(&mut connection, &caller.broker, &caller.user).await
        };
        let stored = read.await.ok();
        // It is not asked again for nothing.
        if stored.is_none() {
            return Self::default();
        }
        let presence = &services.collab.presence;
        let streams = presence.streams_of(&caller.broker, &caller.user).await;
        Self {
            stored,
            unread: services.inbox.notifications.unread(caller).await.ok(),
            streams: streams.ok().and_then(count),
        }
    }
}

fn quota(kind: QuotaKind, caller: &Caller, services: &Services, known: &CallerUse) -> QuotaJson {
    let stored = |scope| known.stored.as_ref().map(|stored| stored.of(kind, scope));
    let (user, brokerage) = match kind {
        QuotaKind::Polls => {
            let sessions = &services.callers.sessions;
            let own = sessions.open_of_user(&SessionUser::of(caller)).polls;
            let all = sessions.open_of_brokerage(&caller.broker).polls;
            (count(own), count(all))
        }
        QuotaKind::Unread => (known.unread, stored(QuotaScope::Brokerage)),
        _ => (stored(QuotaScope::User), stored(QuotaScope::Brokerage)),
    };
    let level = |used, scope| QuotaLevel {
        used,
        most: services.limits.quotas.most(kind, scope),
    };
    // What services do counts for their brokerage only.
    let is_person = caller.role.principal() == Principal::Person;
    QuotaJson {
        user: is_person.then(|| level(user, QuotaScope::User)),
        brokerage: level(visible(caller, brokerage), QuotaScope::Brokerage),
    }
}

/// Those of the user at all instances, as far as that is known; those of the brokerage at this one.
fn streams(caller: &Caller, services: &Services, known: &CallerUse) -> QuotaJson {
    let sessions = &services.callers.sessions;
    let own = sessions.open_of_user(&SessionUser::of(caller)).streams;
    let all = sessions.open_of_brokerage(&caller.broker).streams;
    let most = services.limits.quotas.streams_per_brokerage;
    QuotaJson {
        user: Some(QuotaLevel {
            used: known.streams.max(count(own)),
            most: Some(services.streams.settings.streams_per_user),
        }),
        brokerage: QuotaLevel {
            used: visible(caller, count(all)),
            most: (most > 0).then_some(most),
        },
    }
}

/// How much others have is for admins and services.
fn visible(caller: &Caller, used: Option<i64>) -> Option<i64> {
    used.filter(|_| matches!(caller.role, Role::Admin | Role::Service))
}

fn count(sessions: usize) -> Option<i64> {
    i64::try_from(sessions).ok()
}

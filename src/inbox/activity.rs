//! The activity list: sentences about events, such as "Josh changed the list price of 12 Oak St".
//!
//! [`action`] finds out what an event did, [`names`] looks up the names of people and records, and
//! [`text`] makes the sentence. Nothing is stored: each request makes its page from the log.

use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgConnection;
use std::sync::Arc;

use crate::directory::Modules;
use crate::identity::Caller;
use crate::log::heads;
use crate::log::timestamp;
use crate::log::{ActsQuery, acts};
use crate::log::{Audience, Cursor, Event, Rights};
use crate::platform::{Dice, Pool};
use crate::platform::{ModuleName, RecordId, UserId};
use crate::platform::{PageItems, PageLimit};

mod action;
pub mod names;
pub mod text;
mod values;

pub use names::Names;

/// The events of tasks that are activity.
const TASK_TYPES: [&str; 3] = ["ai:task:completed", "ai:task:failed", "ai:task:cancelled"];

#[derive(Clone, Debug)]
pub struct Activity {
    pool: Pool,
    modules: Modules,
    dice: Dice,
}

#[derive(Clone, Debug)]
pub struct ActivityListQuery {
    pub before: Option<Cursor>,
    pub module: Option<ModuleName>,
    pub record: Option<RecordId>,
    pub user: Option<UserId>,
    pub limit: PageLimit,
}

#[derive(Debug, thiserror::Error)]
pub enum ActivityError {
    /// With the head of this log.
    #[error("the position belongs to another log")]
    UnknownPosition(Cursor),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

#[derive(Debug)]
pub struct ActivityPage {
    /// The head of the log when the page was read.
    pub position: Cursor,
    /// From new to old.
    pub items: PageItems,
    /// The cursor of the next page; none at the beginning of the log.
    pub next: Option<Cursor>,
}

/// An item as JSON. `changes` is copied as published: not every parser accepts all of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ActivityItem {
    position: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    user_name: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<ModuleName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_id: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Arc<RawValue>>,
}

impl Activity {
    #[must_use]
    pub fn new(pool: Pool, modules: Modules, dice: Dice) -> Self {
        Self {
            pool,
            modules,
            dice,
        }
    }

    /// A page of the activity that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        query: &ActivityListQuery,
    ) -> Result<ActivityPage, ActivityError> {
        let audiences = audiences(caller);
        let events = ActsQuery {
            broker: &caller.broker,
            audiences: &audiences,
            before: query.before.as_ref().map_or(i64::MAX, |at| at.position),
            types: &self.types(),
            module: query.module.as_ref(),
            record: query.record.as_ref(),
            user: query.user.as_ref(),
            limit: query.limit.rows(),
            most_bytes: query.limit.bytes(),
        };
        let mut connection = self.pool.acquire().await?;
        let Some(page) = acts::list(&mut connection, &events).await? else {
            return Ok(self.empty(&mut connection, caller, query).await?);
        };
        let epoch = &page.head.epoch;
        let position = page.head.cursor();
        let given = query.before.as_ref().and_then(|at| at.epoch.as_ref());
        if given.is_some_and(|given| given != epoch) {
            return Err(ActivityError::UnknownPosition(position));
        }
        let names = Names::of(&page.events, &self.modules);
        let names = names.look_up(&mut connection, &caller.broker, &audiences);
        let names = names.await?;
        let rights = Rights {
            user: caller.user.clone(),
            sees_private: caller.may_administer(),
        };
        let mut items = PageItems::new(query.limit);
        let filled = items.fill(&page.events, |event| {
            let cursor = epoch.at(event.position);
            let item = self.item(&event.seen_with(&rights), &names, &cursor);
            serde_json::to_string(&item).unwrap_or_default()
        });
        let has_more = filled.has_more || page.has_more;
        let last = filled.last.map(|event| epoch.at(event.position));
        Ok(ActivityPage {
            items,
            next: last.filter(|_| has_more),
            position,
        })
    }

    /// The page of a brokerage that has no log yet.
    async fn empty(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        query: &ActivityListQuery,
    ) -> sqlx::Result<ActivityPage> {
        let brokers = std::slice::from_ref(&caller.broker);
        let known = heads::ensure(connection, &self.dice, brokers).await?;
        let (_, head) = known.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(ActivityPage {
            position: head.cursor(),
            items: PageItems::new(query.limit),
            next: None,
        })
    }

    /// The item of an event as the reader sees it.
    fn item(&self, event: &Event, names: &Names, cursor: &Cursor) -> ActivityItem {
        let told = &event.body;
        let record = told.record_path();
        ActivityItem {
            position: cursor.to_string(),
            at: timestamp(event.created_at),
            user_id: told.user.clone(),
            user_name: names.user(told.user.as_ref()).to_owned(),
            r#type: told.event_type.to_string(),
            module: told.module().cloned(),
            record_id: told.record_id().cloned(),
            label: record.and_then(|record| names.label(&record).map(ToOwned::to_owned)),
            text: names.text(event, &self.modules),
            version: told.version,
            changes: told.changes.clone(),
        }
    }

    /// The types of events that are activity: the verbs of all modules, lost locks, and ended tasks.
    fn types(&self) -> Vec<String> {
        let of_modules = self.modules.iter().flat_map(|module| {
            let verbs = module.verbs().map(|(verb, _)| verb).chain(["unlocked"]);
            verbs.map(|verb| module.event_type(verb).to_string())
        });
        let of_tasks = TASK_TYPES.iter().map(ToString::to_string);
        of_modules.chain(of_tasks).collect()
    }
}

fn audiences(caller: &Caller) -> Vec<Audience> {
    let own = [Audience::User(caller.user.clone()), Audience::Broker];
    let teams = caller.teams.iter().cloned().map(Audience::Team);
    own.into_iter().chain(teams).collect()
}

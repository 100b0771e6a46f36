//! What people did, in words, from the log: "Josh changed the list price of 12 Oak St".
//!
//! The log says what happened, [`names`] what people and records are called, and [`words`] how
//! one says it. Nothing is kept: a page is made when it is asked for.

use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

use crate::directory::Modules;
use crate::identity::Caller;
use crate::log::heads;
use crate::log::timestamp;
use crate::log::{ActsQuery, acts};
use crate::log::{Audience, Cursor, Event, Rights};
use crate::platform::Pool;
use crate::platform::{ModuleName, RecordId, UserId};
use crate::platform::{PageItems, PageLimit};

mod doing;
pub mod names;
pub mod text;
mod values;

pub use names::Names;

/// Words for what happens to tasks.
const TASK_TYPES: [&str; 3] = ["ai:task:completed", "ai:task:failed", "ai:task:cancelled"];

/// What was done, for those who ask.
#[derive(Clone, Debug)]
pub struct Activity {
    pool: Pool,
    modules: Modules,
    dice: crate::platform::Dice,
}

/// Which part of it is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Only before this place.
    pub before: Option<Cursor>,
    /// Only of this module.
    pub module: Option<ModuleName>,
    /// Only of this record of the module.
    pub record: Option<RecordId>,
    /// Only by this user.
    pub user: Option<UserId>,
    /// How long the page may be.
    pub limit: PageLimit,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ActivityError {
    /// The place is in another log; this one stands here.
    #[error("the place is in another log")]
    UnknownPlace(Cursor),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A page, true at a position.
#[derive(Debug)]
pub struct Listed {
    pub position: Cursor,
    /// What was done, from new to old.
    pub items: PageItems,
    /// Where the next page begins; none at the beginning of the log.
    pub next: Option<Cursor>,
}

/// Something that was done. Written as it is: JSON that was told to the letter need not be a value
/// to others.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
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
    /// The activity in the log of this database.
    #[must_use]
    pub fn new(pool: Pool, modules: Modules, dice: crate::platform::Dice) -> Self {
        Self {
            pool,
            modules,
            dice,
        }
    }

    /// A page of what the caller may know of.
    pub async fn list(&self, caller: &Caller, asked: &Asked) -> Result<Listed, ActivityError> {
        let audiences = audiences(caller);
        let wanted = ActsQuery {
            broker: &caller.broker,
            audiences: &audiences,
            before: asked.before.as_ref().map_or(i64::MAX, |at| at.position),
            types: &self.types(),
            module: asked.module.as_ref(),
            record: asked.record.as_ref(),
            user: asked.user.as_ref(),
            limit: asked.limit.rows(),
            most_bytes: asked.limit.bytes(),
        };
        let mut connection = self.pool.acquire().await?;
        let Some(page) = acts::list(&mut connection, &wanted).await? else {
            let brokers = std::slice::from_ref(&caller.broker);
            let known = heads::ensure(&mut connection, &self.dice, brokers).await?;
            let (_, head) = known.first().ok_or(sqlx::Error::RowNotFound)?;
            return Ok(Listed {
                position: head.epoch.at(head.head),
                items: PageItems::new(asked.limit),
                next: None,
            });
        };
        let epoch = &page.head.epoch;
        let position = epoch.at(page.head.head);
        let theirs = asked.before.as_ref().and_then(|at| at.epoch.as_ref());
        if theirs.is_some_and(|theirs| theirs != epoch) {
            return Err(ActivityError::UnknownPlace(position));
        }
        let names = Names::of(&page.events, &self.modules);
        let seen_by = Some(&audiences[..]);
        let names = names
            .looked_up(&mut connection, (&caller.broker, seen_by))
            .await?;
        let rights = Rights {
            user: caller.user.clone(),
            sees_private: caller.may_administer(),
        };
        let mut items = PageItems::new(asked.limit);
        let filled = items.fill(&page.events, |act| {
            let item = self.item(act, (&names, &rights), &epoch.at(act.position));
            serde_json::to_string(&item).unwrap_or_default()
        });
        let has_more = filled.has_more || page.has_more;
        let last = filled.last.map(|act| epoch.at(act.position));
        Ok(Listed {
            items,
            next: last.filter(|_| has_more),
            position,
        })
    }

    fn item(&self, act: &Event, (names, rights): (&Names, &Rights), at: &Cursor) -> Item {
        let event = act.seen_with(rights);
        let told = &event.told;
        let record = told.record_path();
        Item {
            position: at.to_string(),
            at: timestamp(event.created_at),
            user_id: told.user.clone(),
            user_name: names.user(told.user.as_ref()).to_owned(),
            r#type: told.event_type.to_string(),
            module: told.module().cloned(),
            record_id: told.record_id().cloned(),
            label: record.and_then(|record| names.label(&record).map(ToOwned::to_owned)),
            text: names.text(&event, &self.modules),
            version: told.version,
            changes: told.changes.clone(),
        }
    }

    /// What counts as done: all that modules say happens to records, locks that were taken over,
    /// and tasks that ended.
    fn types(&self) -> Vec<String> {
        let of_modules = self.modules.iter().flat_map(|module| {
            let verbs = module.verbs().map(|(verb, _)| verb).chain(["unlocked"]);
            verbs.map(|verb| module.told(verb).to_string())
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

//! Posting: somebody tells somebody something.

use super::notification::{Level, Notification, Said, System};
use super::sequence::{self, Draft, Times};
use super::{NotificationError, Notifications, list};
use crate::identity::{Caller, Role};
use crate::log::Appended;
use crate::log::{Audience, Epoch};
use crate::log::{IdempotencyKey, idempotency};
use crate::platform::{ModuleName, RecordId};

/// Characters of a title, and of a body.
const TITLE_CHARS: usize = 200;
const BODY_CHARS: usize = 4_000;

/// A text that people can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

/// A text that is empty, too long, or has characters in it that cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {0} characters, none of which is a control character")]
pub struct InvalidText(usize);

impl Text {
    pub fn title(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text, TITLE_CHARS, |c| !c.is_control())
    }

    pub fn body(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text, BODY_CHARS, |c| {
            !c.is_control() || matches!(c, '\n' | '\t')
        })
    }

    fn parse(text: &str, most: usize, is_fine: fn(char) -> bool) -> Result<Self, InvalidText> {
        let has_words = !text.trim().is_empty() && text.chars().count() <= most;
        if has_words && text.chars().all(is_fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidText(most))
        }
    }
}

/// What is to be told.
#[derive(Clone, Debug)]
pub struct Post {
    pub audience: Audience,
    pub level: Level,
    /// Whether it is a notice of those who run the brokerage.
    pub system: Option<System>,
    pub title: Text,
    pub body: Option<Text>,
    /// The record it leads to.
    pub record: Option<(ModuleName, Option<RecordId>)>,
    pub key: Option<IdempotencyKey>,
}

#[derive(Debug)]
pub struct Posted {
    pub notification: Notification,
    /// An earlier request with the same key made it.
    pub is_repeat: bool,
}

impl Notifications {
    /// Tells it, once per key.
    pub async fn post(&self, caller: &Caller, post: Post) -> Result<Posted, NotificationError> {
        may_post(caller, &post)?;
        let mut transaction = self.pool.begin().await?;
        if let Some(key) = &post.key {
            let is_free = idempotency::claim(&mut transaction, &[key]).await?;
            if is_free != [true] {
                let notification = repeated(&mut transaction, key).await?;
                return Ok(Posted {
                    notification,
                    is_repeat: true,
                });
            }
        }
        let key = post.key.clone();
        let drafts = vec![draft(caller, post)];
        let entered = sequence::enter(&mut transaction, &caller.broker, drafts).await?;
        let (notification, event) = entered.into_iter().next().ok_or(NotificationError::Busy)?;
        if let Some(key) = &key {
            keep(&mut transaction, key, &notification).await?;
        }
        self.committer
            .conclude(transaction, &caller.broker, vec![event])
            .await?;
        Ok(Posted {
            notification,
            is_repeat: false,
        })
    }
}

/// Those who run the brokerage, and its own backend, tell anybody; others themselves and their
/// teams.
fn may_post(caller: &Caller, post: &Post) -> Result<(), NotificationError> {
    if matches!(caller.role, Role::Admin | Role::Service) {
        return Ok(());
    }
    if post.system.is_some() {
        return Err(NotificationError::NotYourNotice);
    }
    let is_theirs = match &post.audience {
        Audience::User(user) => *user == caller.user,
        Audience::Team(team) => caller.is_on(team),
        Audience::Broker | Audience::Workers => false,
    };
    is_theirs
        .then_some(())
        .ok_or(NotificationError::NotYourAudience)
}

fn draft(caller: &Caller, post: Post) -> Draft {
    Draft {
        said: Said {
            audience: post.audience,
            level: post.level,
            kind: None,
            system: post.system,
            title: post.title.0,
            body: post.body.map(|body| body.0),
            record: post.record,
            user: Some(caller.user.clone()),
        },
        count: 1,
        subject: None,
        times: Times::Unsaid,
    }
}

/// The answer is kept as those of publishers are: in place of a position stands the number.
async fn keep(
    connection: &mut sqlx::PgConnection,
    key: &IdempotencyKey,
    notification: &Notification,
) -> sqlx::Result<()> {
    let answer = Appended {
        broker: key.id.broker.clone(),
        epoch: Epoch::stored(""),
        first: notification.id,
        at: notification.at,
        count: 1,
    };
    idempotency::keep(connection, &[(key, answer)]).await
}

async fn repeated(
    connection: &mut sqlx::PgConnection,
    key: &IdempotencyKey,
) -> Result<Notification, NotificationError> {
    let taken = idempotency::taken(connection, &key.id).await?;
    let taken = taken.ok_or(NotificationError::Busy)?;
    if taken.body_hash != key.body_hash {
        return Err(NotificationError::KeyReused);
    }
    let found = list::one(connection, &key.id.broker, taken.first).await?;
    found.ok_or(NotificationError::Unknown(taken.first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_can_be_read_and_have_an_end() {
        let (longest, too_long) = ("ä".repeat(TITLE_CHARS), "ä".repeat(TITLE_CHARS + 1));
        for good in ["a", "12 Oak St: sold!", "日本", &longest] {
            assert!(Text::title(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a\nb", "a\0", "\u{7f}", &too_long] {
            assert_eq!(Text::title(bad), Err(InvalidText(TITLE_CHARS)), "{bad:?}");
        }
        assert!(Text::body("two\nlines\tand").is_ok());
        for bad in ["\n", "a\rb", "a\0", &"x".repeat(BODY_CHARS + 1)] {
            assert_eq!(Text::body(bad), Err(InvalidText(BODY_CHARS)), "{bad:?}");
        }
    }
}

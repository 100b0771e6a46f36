//! Notifications that a client posts.

use super::notification::{Level, Notification, NotificationContent, RecordLink, SystemNotice};
use super::sequence::{self, NotificationDraft, Repetition};
use super::{NotificationError, Notifications, list};
use crate::identity::{Caller, Role};
use crate::log::{Audience, Epoch};
use crate::log::{IdempotencyKey, KeyAnswer, idempotency};

/// The most characters of a title, and of a body.
const TITLE_CHARS: usize = 200;
const BODY_CHARS: usize = 4_000;

/// A text of limited length without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationText(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {0} characters, none of which is a control character")]
pub struct InvalidText(usize);

impl NotificationText {
    pub fn title(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text, TITLE_CHARS, |c| !c.is_control())
    }

    pub fn body(text: &str) -> Result<Self, InvalidText> {
        Self::parse(text, BODY_CHARS, |c| {
            !c.is_control() || matches!(c, '\n' | '\t')
        })
    }

    fn parse(text: &str, most: usize, is_fine: fn(char) -> bool) -> Result<Self, InvalidText> {
        let has_length = !text.trim().is_empty() && text.chars().count() <= most;
        if has_length && text.chars().all(is_fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidText(most))
        }
    }
}

#[derive(Clone, Debug)]
pub struct NewNotification {
    pub audience: Audience,
    pub level: Level,
    pub system: Option<SystemNotice>,
    pub title: NotificationText,
    pub body: Option<NotificationText>,
    pub record: Option<RecordLink>,
    pub key: Option<IdempotencyKey>,
}

#[derive(Debug)]
pub struct PostedNotification {
    pub notification: Notification,
    /// An earlier request with the same key created it.
    pub is_repeat: bool,
}

impl Notifications {
    /// Creates a notification, once per key.
    pub async fn post(
        &self,
        caller: &Caller,
        new: NewNotification,
    ) -> Result<PostedNotification, NotificationError> {
        may_post(caller, &new)?;
        let mut transaction = self.pool.begin().await?;
        if let Some(key) = &new.key {
            let is_free = idempotency::claim(&mut transaction, &[key]).await?;
            if is_free != [true] {
                let notification = repeated(&mut transaction, key).await?;
                return Ok(PostedNotification {
                    notification,
                    is_repeat: true,
                });
            }
        }
        let key = new.key.clone();
        let drafts = vec![draft(caller, new)];
        let sent = sequence::send(&mut transaction, &caller.broker, drafts).await?;
        let sent = sent.into_iter().next().ok_or(NotificationError::Busy)?;
        let (notification, event) = (sent.notification, sent.event);
        if let Some(key) = &key {
            store_answer(&mut transaction, key, &notification).await?;
        }
        self.committer
            .conclude(transaction, &caller.broker, vec![event])
            .await?;
        Ok(PostedNotification {
            notification,
            is_repeat: false,
        })
    }
}

/// Admins and services may notify everyone; agents may notify themselves and their teams.
fn may_post(caller: &Caller, new: &NewNotification) -> Result<(), NotificationError> {
    if matches!(caller.role, Role::Admin | Role::Service) {
        return Ok(());
    }
    if new.system.is_some() {
        return Err(NotificationError::NotYourNotice);
    }
    let is_own = match &new.audience {
        Audience::User(user) => *user == caller.user,
        Audience::Team(team) => caller.is_on(team),
        Audience::Broker | Audience::Workers => false,
    };
    is_own
        .then_some(())
        .ok_or(NotificationError::NotYourAudience)
}

fn draft(caller: &Caller, new: NewNotification) -> NotificationDraft {
    NotificationDraft {
        content: NotificationContent {
            audience: new.audience,
            level: new.level,
            kind: None,
            system: new.system,
            title: new.title.0,
            body: new.body.map(|body| body.0),
            record: new.record,
            user: Some(caller.user.clone()),
        },
        count: 1,
        subject: None,
        repetition: Repetition::Unsaid,
    }
}

/// Stores the answer like that of a publisher: the id of the notification takes the place of the
/// position.
async fn store_answer(
    connection: &mut sqlx::PgConnection,
    key: &IdempotencyKey,
    notification: &Notification,
) -> sqlx::Result<()> {
    let answer = KeyAnswer {
        key,
        epoch: &Epoch::stored(""),
        first: notification.id,
        count: 1,
    };
    idempotency::keep(connection, &[answer]).await
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
    let found = list::by_id(connection, &key.id.broker, taken.first).await?;
    found.ok_or(NotificationError::Unknown(taken.first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_a_limit_and_no_control_characters() {
        let (longest, too_long) = ("ä".repeat(TITLE_CHARS), "ä".repeat(TITLE_CHARS + 1));
        for good in ["a", "12 Oak St: sold!", "日本", &longest] {
            assert!(NotificationText::title(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", "a\nb", "a\0", "\u{7f}", &too_long] {
            assert_eq!(
                NotificationText::title(bad),
                Err(InvalidText(TITLE_CHARS)),
                "{bad:?}"
            );
        }
        assert!(NotificationText::body("two\nlines\tand").is_ok());
        for bad in ["\n", "a\rb", "a\0", &"x".repeat(BODY_CHARS + 1)] {
            assert_eq!(
                NotificationText::body(bad),
                Err(InvalidText(BODY_CHARS)),
                "{bad:?}"
            );
        }
    }
}

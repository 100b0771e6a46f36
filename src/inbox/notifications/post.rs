//! Notifications that a client posts.

use super::notification::{Level, Notification, NotificationContent, RecordLink, SystemNotice};
use super::send::{NotificationDraft, Repetition, send};
use super::{NotificationError, Notifications, UnreadLimits, list};
use crate::identity::{Caller, Role};
use crate::log::{Answered, Audience, IdempotencyKey};
use crate::log::{claim_key, store_answer};
use crate::platform::{Principal, QuotaExceeded, QuotaKind, QuotaScope};

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

impl Notifications {
    /// Creates a notification, once per key.
    pub async fn post(
        &self,
        caller: &Caller,
        new: NewNotification,
    ) -> Result<Answered<Notification>, NotificationError> {
        may_post(caller, &new)?;
        let mut transaction = self.pool.begin().await?;
        let key = new.key.clone();
        if let Some(Answered { answer, .. }) = claim_key(&mut transaction, key.as_ref()).await? {
            let found = list::by_id(&mut transaction, &caller.broker, answer).await?;
            return Ok(Answered {
                answer: found.ok_or(NotificationError::Unknown(answer))?,
                is_repeat: true,
            });
        }
        let drafts = vec![draft(caller, new)];
        let sent = send(&mut transaction, &caller.broker, drafts, UnreadLimits::NONE).await?;
        let sent = sent.into_iter().next().ok_or(NotificationError::Busy)?;
        refuse_too_many_unread(self.unread_limits.per_user, sent.unread)?;
        let (notification, event) = (sent.notification, sent.event);
        store_answer(&mut transaction, key.as_ref(), notification.id).await?;
        self.committer
            .conclude(transaction, &caller.broker, vec![event])
            .await?;
        Ok(Answered {
            answer: notification,
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
    let is_person = caller.role.principal() == Principal::Person;
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
        posted_by: is_person.then(|| caller.user.clone()),
    }
}

/// Nobody reads so many: a user who has as many unread ones gets no further ones until some are read.
fn refuse_too_many_unread(most: Option<i64>, unread: Option<i64>) -> Result<(), NotificationError> {
    match (most, unread) {
        (Some(most), Some(unread)) if unread > most => {
            Err(NotificationError::Quota(QuotaExceeded {
                kind: QuotaKind::Unread,
                scope: QuotaScope::User,
                limit: most.unsigned_abs(),
            }))
        }
        _ => Ok(()),
    }
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

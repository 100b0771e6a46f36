//! Notifications, activity, and the names of people.

use super::Wiring;
use crate::api::InboxServices;
use crate::directory::{PeopleWriter, people};
use crate::identity::Verifier;
use crate::inbox::notifications::{Notifications, UnreadLimits};
use crate::inbox::{Activity, Notifier};
use crate::log::{ChangeHints, EventCommitter};
use crate::platform::BackgroundTask;

impl Wiring<'_> {
    pub(super) fn inbox(&self, committer: EventCommitter, hints: ChangeHints) -> InboxServices {
        InboxServices {
            notifications: self.notifications(committer, hints),
            activity: self.activity(),
        }
    }

    fn notifications(&self, committer: EventCommitter, hints: ChangeHints) -> Notifications {
        let notifier = Notifier {
            database: self.connection("notifier"),
            modules: self.modules(),
            committer,
            hints,
            unread_limits: UnreadLimits::of(&self.config.quotas),
            instances: self.instances.clone(),
            dice: self.dice(),
            stop: self.stop(),
        };
        let (notifications, task) = Notifications::start(self.database.pool.clone(), notifier);
        self.tasks.spawn(task);
        notifications
    }

    fn activity(&self) -> Activity {
        Activity::new(self.database.pool.clone(), self.modules(), self.dice())
    }

    /// Stores the names in tokens.
    pub(super) fn names(&self, verifier: &Verifier) {
        let queues = &self.metrics.queues;
        let (sender, profiles) = queues.channel("people", people::WAITING);
        verifier.send_profiles_to(sender);
        let writer = PeopleWriter {
            database: self.connection("people"),
            profiles,
            rush: self.rush(),
            stop: self.stop(),
        };
        self.tasks
            .spawn(BackgroundTask::new("the writer of names", writer.run()));
    }
}

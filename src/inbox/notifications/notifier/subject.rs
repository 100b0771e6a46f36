//! What a notification is about. Events of one subject and kind become one notification.

use std::fmt;

use crate::platform::{RecordPath, UserId};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Record(RecordPath),
    /// A task, by the id in its event.
    Task(String),
    /// The event at this position, which has no task id.
    Event(i64),
    /// Many records, changed by this user, or by an unknown one.
    ManyBy(Option<UserId>),
}

/// The form in the table. The text before the first colon is the kind of the subject, so no two
/// subjects have the same form.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record) => write!(f, "record:{record}"),
            Self::Task(task) => write!(f, "task:{task}"),
            Self::Event(position) => write!(f, "event:{position}"),
            Self::ManyBy(Some(user)) => write!(f, "many-by:{user}"),
            Self::ManyBy(None) => f.write_str("many"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::platform::ids::tests::{any_name, any_user};

    fn any_subject() -> impl Strategy<Value = Subject> {
        let record = (any_name(), any_name()).prop_map(|(module, id)| RecordPath { module, id });
        prop_oneof![
            record.prop_map(Subject::Record),
            "[0-9many:-]{0,3}".prop_map(Subject::Task),
            (0..20_i64).prop_map(Subject::Event),
            prop::option::of(any_user()).prop_map(Subject::ManyBy),
        ]
    }

    proptest! {
        #[test]
        fn no_two_subjects_have_the_same_form((one, other) in (any_subject(), any_subject())) {
            prop_assert_eq!(one == other, one.to_string() == other.to_string());
        }
    }

    #[test]
    fn a_task_and_a_position_of_the_same_digits_are_two_subjects() {
        let task = Subject::Task("7".to_owned());
        assert_ne!(task.to_string(), Subject::Event(7).to_string());
    }
}

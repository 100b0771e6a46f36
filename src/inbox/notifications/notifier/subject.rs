//! What a notification is about, within its kind: those of one subject are folded together.

use std::fmt;

use crate::platform::{RecordPath, UserId};

/// What a notification is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Record(RecordPath),
    /// A task, by the name that its event gives.
    Task(String),
    /// The event at this position, which names no task.
    Event(i64),
    /// Many records, changed by this user; none: nobody knows by whom.
    ManyBy(Option<UserId>),
}

/// As the table has it. What stands before the first colon tells the kinds of subject apart, so no
/// two subjects are written alike.
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
        fn no_two_subjects_are_written_alike((one, other) in (any_subject(), any_subject())) {
            prop_assert_eq!(one == other, one.to_string() == other.to_string());
        }
    }

    #[test]
    fn a_task_and_a_position_of_the_same_digits_are_two_subjects() {
        let task = Subject::Task("7".to_owned());
        assert_ne!(task.to_string(), Subject::Event(7).to_string());
    }
}

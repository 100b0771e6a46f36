//! The sentence of an action. Pure: names in, a sentence out.

/// The most fields that a sentence names; it counts the others.
const MOST_NAMED: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivitySentence<'a> {
    /// The name of the user.
    pub who: &'a str,
    /// The name of the record.
    pub label: &'a str,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Verb(String),
    Changed(Vec<FieldChange>),
    /// The record left the reader's team.
    MovedAway,
    /// With the user who lost the lock.
    TookLock(String),
    /// With the title of the task, as the next two, and how many rows of an import became no records.
    Completed(String, u64),
    /// With the reason.
    Failed(String, Option<String>),
    Cancelled {
        title: String,
        is_by_user: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The name of the field: "list price".
    pub field: String,
    /// The value before, if it is known and the reader may see it.
    pub from: Option<String>,
    /// The value after, if the reader may see it.
    pub to: Option<String>,
}

impl ActivitySentence<'_> {
    #[must_use]
    pub fn text(&self) -> String {
        let Self { who, label, action } = self;
        match action {
            Action::Verb(verb) => format!("{who} {verb} {label}"),
            Action::Changed(changes) => changed(who, label, changes),
            Action::MovedAway => format!("{label} is no longer with your team"),
            Action::TookLock(from) => format!("{who} took over the lock on {label} from {from}"),
            Action::Completed(title, 0) => format!("{title} is done"),
            Action::Completed(title, 1) => format!("{title} is done, but 1 row is bad"),
            Action::Completed(title, bad) => format!("{title} is done, but {bad} rows are bad"),
            Action::Failed(title, None) => format!("{title} failed"),
            Action::Failed(title, Some(why)) => format!("{title} failed: {why}"),
            Action::Cancelled {
                title,
                is_by_user: true,
            } => format!("{who} cancelled {title}"),
            Action::Cancelled {
                title,
                is_by_user: false,
            } => format!("{title} was cancelled"),
        }
    }
}

fn changed(who: &str, label: &str, changes: &[FieldChange]) -> String {
    match changes {
        [] => format!("{who} changed {label}"),
        [FieldChange { field, from, to }] => {
            let from = from.as_ref().map(|from| format!(" from {from}"));
            let to = to.as_ref().map(|to| format!(" to {to}"));
            // The old value means little without the new one.
            let from = from.filter(|_| to.is_some()).unwrap_or_default();
            let to = to.unwrap_or_default();
            format!("{who} changed the {field} of {label}{from}{to}")
        }
        many => format!("{who} changed {} of {label}", named(many)),
    }
}

/// "the list price, the status and 2 more"
fn named(changes: &[FieldChange]) -> String {
    let named = changes.iter().take(MOST_NAMED);
    let mut parts: Vec<_> = named
        .map(|change| format!("the {}", change.field))
        .collect();
    if changes.len() > MOST_NAMED {
        parts.push(format!("{} more", changes.len() - MOST_NAMED));
    }
    let last = parts.pop().unwrap_or_default();
    format!("{} and {last}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(field: &str, from: Option<&str>, to: Option<&str>) -> FieldChange {
        FieldChange {
            field: field.to_owned(),
            from: from.map(ToOwned::to_owned),
            to: to.map(ToOwned::to_owned),
        }
    }

    fn several(n: usize) -> Action {
        let fields = ["list price", "status", "agent", "beds", "baths"];
        let changes = fields.iter().take(n);
        Action::Changed(changes.map(|f| change(f, Some("1"), Some("2"))).collect())
    }

    fn sentence(action: Action) -> String {
        let sentence = ActivitySentence {
            who: "Josh",
            label: "12 Oak St",
            action,
        };
        sentence.text()
    }

    #[test]
    fn every_action_has_a_sentence() {
        let price = |from, to| Action::Changed(vec![change("list price", from, to)]);
        for (action, text) in [
            (Action::Verb("sold".to_owned()), "Josh sold 12 Oak St"),
            (
                price(Some("$400,000"), Some("$395,000")),
                "Josh changed the list price of 12 Oak St from $400,000 to $395,000",
            ),
            (
                price(Some("nothing"), Some("$395,000")),
                "Josh changed the list price of 12 Oak St from nothing to $395,000",
            ),
            (
                price(None, Some("$395,000")),
                "Josh changed the list price of 12 Oak St to $395,000",
            ),
            (
                price(None, None),
                "Josh changed the list price of 12 Oak St",
            ),
            (
                price(Some("1"), None),
                "Josh changed the list price of 12 Oak St",
            ),
            (several(0), "Josh changed 12 Oak St"),
            (
                several(2),
                "Josh changed the list price and the status of 12 Oak St",
            ),
            (
                several(3),
                "Josh changed the list price, the status and the agent of 12 Oak St",
            ),
            (
                several(5),
                "Josh changed the list price, the status, the agent and 2 more of 12 Oak St",
            ),
            (Action::MovedAway, "12 Oak St is no longer with your team"),
            (
                Action::TookLock("Ann".to_owned()),
                "Josh took over the lock on 12 Oak St from Ann",
            ),
        ] {
            assert_eq!(sentence(action), text);
        }
    }

    #[test]
    fn every_end_of_a_task_has_a_sentence() {
        let title = || "Import escrows".to_owned();
        for (action, text) in [
            (Action::Completed(title(), 0), "Import escrows is done"),
            (
                Action::Completed(title(), 1),
                "Import escrows is done, but 1 row is bad",
            ),
            (
                Action::Completed(title(), 7),
                "Import escrows is done, but 7 rows are bad",
            ),
            (Action::Failed(title(), None), "Import escrows failed"),
            (
                Action::Failed(title(), Some("no such column".to_owned())),
                "Import escrows failed: no such column",
            ),
            (
                Action::Cancelled {
                    title: title(),
                    is_by_user: true,
                },
                "Josh cancelled Import escrows",
            ),
            (
                Action::Cancelled {
                    title: title(),
                    is_by_user: false,
                },
                "Import escrows was cancelled",
            ),
        ] {
            assert_eq!(sentence(action), text);
        }
    }
}

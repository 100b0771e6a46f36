//! How one says what was done. Pure: names in, a sentence out.

/// Fields of one change that are named; of more, the number is told.
const MOST_NAMED: usize = 3;

/// Something that was done by somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// Who did it, as people call them.
    pub who: &'a str,
    /// The record, as people call it.
    pub label: &'a str,
    pub doing: Doing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    Did(String),
    Changed(Vec<Change>),
    /// The record is somebody else's now.
    MovedAway,
    /// The lock is not this user's any more.
    TookLock(String),
    /// A task of this title is done.
    Completed(String),
    /// A task of this title failed, and why.
    Failed(String, Option<String>),
    /// A task of this title was cancelled, by somebody who is known or not.
    Cancelled(String, bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What the field is called: "list price".
    pub field: String,
    /// What it was, where that is known and may be told.
    pub from: Option<String>,
    /// What it is, where that may be told.
    pub to: Option<String>,
}

impl Said<'_> {
    #[must_use]
    pub fn text(&self) -> String {
        let Self { who, label, doing } = self;
        match doing {
            Doing::Did(verb) => format!("{who} {verb} {label}"),
            Doing::Changed(changes) => changed(who, label, changes),
            Doing::MovedAway => format!("{label} is no longer with your team"),
            Doing::TookLock(from) => format!("{who} took over the lock on {label} from {from}"),
            Doing::Completed(title) => format!("{title} is done"),
            Doing::Failed(title, None) => format!("{title} failed"),
            Doing::Failed(title, Some(why)) => format!("{title} failed: {why}"),
            Doing::Cancelled(title, true) => format!("{who} cancelled {title}"),
            Doing::Cancelled(title, false) => format!("{title} was cancelled"),
        }
    }
}

fn changed(who: &str, label: &str, changes: &[Change]) -> String {
    match changes {
        [] => format!("{who} changed {label}"),
        [Change { field, from, to }] => {
            let from = from.as_ref().map(|from| format!(" from {from}"));
            let to = to.as_ref().map(|to| format!(" to {to}"));
            // From where means little without where to.
            let from = from.filter(|_| to.is_some()).unwrap_or_default();
            let to = to.unwrap_or_default();
            format!("{who} changed the {field} of {label}{from}{to}")
        }
        many => format!("{who} changed {} of {label}", named(many)),
    }
}

/// "the list price, the status and 2 more"
fn named(changes: &[Change]) -> String {
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

    fn change(field: &str, from: Option<&str>, to: Option<&str>) -> Change {
        Change {
            field: field.to_owned(),
            from: from.map(ToOwned::to_owned),
            to: to.map(ToOwned::to_owned),
        }
    }

    fn several(n: usize) -> Doing {
        let fields = ["list price", "status", "agent", "beds", "baths"];
        let changes = fields.iter().take(n);
        Doing::Changed(changes.map(|f| change(f, Some("1"), Some("2"))).collect())
    }

    #[test]
    fn everything_that_is_done_has_its_words() {
        let title = || "Import escrows".to_owned();
        let price = |from, to| Doing::Changed(vec![change("list price", from, to)]);
        for (doing, text) in [
            (Doing::Did("sold".to_owned()), "Josh sold 12 Oak St"),
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
            (Doing::MovedAway, "12 Oak St is no longer with your team"),
            (
                Doing::TookLock("Ann".to_owned()),
                "Josh took over the lock on 12 Oak St from Ann",
            ),
            (Doing::Completed(title()), "Import escrows is done"),
            (Doing::Failed(title(), None), "Import escrows failed"),
            (
                Doing::Failed(title(), Some("no such column".to_owned())),
                "Import escrows failed: no such column",
            ),
            (
                Doing::Cancelled(title(), true),
                "Josh cancelled Import escrows",
            ),
            (
                Doing::Cancelled(title(), false),
                "Import escrows was cancelled",
            ),
        ] {
            let said = Said {
                who: "Josh",
                label: "12 Oak St",
                doing,
            };
            assert_eq!(said.text(), text);
        }
    }
}

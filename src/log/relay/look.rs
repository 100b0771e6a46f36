//! Which brokerages have rows in a part of the outbox.

use super::outbox::{BrokerRow, RowPlace};

/// Rows that one look reads.
pub(super) const MOST_ROWS: u16 = 10_000;
/// Brokerages that one look gives.
const MOST_BROKERS: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct BrokerLook {
    /// In the order of their first rows. `None` stands for rows that name no brokerage.
    pub(super) brokers: Vec<Option<String>>,
    /// After which row the next look begins.
    pub(super) next: RowPlace,
}

impl BrokerLook {
    /// The next look begins at the front.
    pub(super) fn nothing() -> Self {
        Self {
            brokers: Vec::new(),
            next: RowPlace::START,
        }
    }

    /// What there is in rows that follow each other.
    pub(super) fn of(rows: Vec<BrokerRow>) -> Self {
        let mut look = Self::nothing();
        let mut is_end = rows.len() < usize::from(MOST_ROWS);
        for row in rows {
            let place = row.place();
            if !look.brokers.contains(&row.broker_id) {
                if look.brokers.len() == MOST_BROKERS {
                    is_end = false;
                    break;
                }
                look.brokers.push(row.broker_id);
            }
            look.next = place;
        }
        if is_end {
            look.next = RowPlace::START;
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(brokers: impl Iterator<Item = usize>) -> Vec<BrokerRow> {
        let row = |(n, broker): (usize, usize)| BrokerRow {
            broker_id: Some(broker.to_string()),
            id: i64::try_from(n).unwrap(),
            line: 0,
        };
        brokers.enumerate().map(row).collect()
    }

    fn at(id: i64) -> RowPlace {
        rows(0..=usize::try_from(id).unwrap())
            .pop()
            .unwrap()
            .place()
    }

    #[test]
    fn a_look_at_all_rows_is_followed_by_one_from_the_front() {
        let look = BrokerLook::of(rows([3, 1, 3].into_iter()));
        assert_eq!(look.brokers, [Some("3".to_owned()), Some("1".to_owned())]);
        assert_eq!(look.next, RowPlace::START);
        assert_eq!(BrokerLook::of(Vec::new()), BrokerLook::nothing());
    }

    #[test]
    fn a_look_that_saw_as_much_as_it_may_is_continued() {
        let look = BrokerLook::of(rows((0..usize::from(MOST_ROWS)).map(|n| n % 2)));
        assert_eq!(look.next, at(i64::from(MOST_ROWS) - 1));
        // Two rows each: the first row of the next brokerage is not looked at.
        let look = BrokerLook::of(rows((0..200).map(|n| n / 2)));
        assert_eq!(look.brokers.len(), MOST_BROKERS);
        assert_eq!(look.next, at(127));
    }
}

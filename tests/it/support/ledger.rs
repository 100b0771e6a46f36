//! What publishers sent and which answers they got, against what the log holds and what
//! clients have seen.

use std::collections::HashMap;

use sqlx::PgConnection;

use super::Returning;

/// A row of the log: position, audience, number.
type Row = (i64, String, i64);

#[derive(Default)]
pub struct Ledger {
    /// Numbers that were sent until they were acknowledged.
    pub sure: Vec<i64>,
    /// Numbers that were sent once, without an answer.
    pub unsure: Vec<i64>,
    /// Positions that were acknowledged for numbers.
    pub acknowledged: Vec<(i64, i64)>,
}

impl Ledger {
    /// Adds what was acknowledged for one request.
    pub fn acknowledge(&mut self, positions: &[String], numbers: &[i64]) {
        assert_eq!(positions.len(), numbers.len());
        let positions = positions.iter().map(|position| {
            let digits = position.split('-').next().expect("a position");
            digits.parse().expect("a number")
        });
        self.acknowledged
            .extend(positions.zip(numbers.iter().copied()));
        self.sure.extend(numbers);
    }

    /// Adds another publisher's.
    pub fn add(&mut self, other: Self) {
        self.sure.extend(other.sure);
        self.unsure.extend(other.unsure);
        self.acknowledged.extend(other.acknowledged);
    }
}

/// The log of broker `b`.
pub async fn log(connection: &mut PgConnection) -> Vec<Row> {
    let sql = "select position, audience, (data->>'n')::bigint from porchlight.events
               where broker_id = 'b' order by position";
    sqlx::query_as(sql)
        .fetch_all(connection)
        .await
        .expect("the log")
}

/// The log has no gap, what was acknowledged is where it was said to be, and nothing is
/// in it twice.
pub fn check_log(log: &[Row], acknowledgements: &Ledger) {
    let positions = log.iter().map(|(position, ..)| *position);
    assert!(positions.eq(1..=i64::try_from(log.len()).expect("a count")));
    let mut times: HashMap<i64, usize> = HashMap::new();
    for (.., n) in log {
        *times.entry(*n).or_default() += 1;
    }
    for n in &acknowledgements.sure {
        assert_eq!(times.remove(n), Some(1), "event {n}, which is to be there");
    }
    for n in &acknowledgements.unsure {
        assert!(times.remove(n).is_none_or(|times| times == 1), "event {n}");
    }
    assert!(times.is_empty(), "nobody published {times:?}");
    for (position, n) in &acknowledgements.acknowledged {
        let at = usize::try_from(position - 1).expect("a position");
        assert_eq!(log[at].2, *n, "at {position}");
    }
}

/// A client has seen exactly what the log holds for it, in order.
pub fn check_seen(log: &[Row], client: &Returning) {
    let mine = log.iter().filter(|(_, a, _)| client.audiences.contains(a));
    let mine: Vec<_> = mine.map(|(position, _, n)| (*position, *n)).collect();
    let differs = mine.iter().zip(&client.seen).find(|(a, b)| a != b);
    assert!(differs.is_none(), "the log has {differs:?} is seen");
    assert_eq!(mine.len(), client.seen.len());
}

//! What readers of output ask of the database, many in one statement.

use sqlx::PgConnection;

use super::reader::{OutputPosition, Position, Step};
use crate::tasks::State;

/// Chunks and bytes of one step; more come with the next.
const MOST_CHUNKS: i64 = 256;
const STEP_BYTES: usize = 16 * 1_024;

/// What there is at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Step(Step),
    Nothing,
    /// No task.
    NoTask,
}

/// Positions, as arrays for a statement.
struct Columns<'a> {
    brokers: Vec<&'a str>,
    tasks: Vec<&'a str>,
    attempts: Vec<i32>,
    bytes: Vec<i32>,
}

impl<'a> Columns<'a> {
    fn of(positions: &'a [Position]) -> Self {
        let keys = positions.iter().map(|position| &position.key);
        let (brokers, tasks) = keys
            .map(|key| (key.broker.as_str(), key.task.as_str()))
            .unzip();
        let places = positions.iter().map(|position| position.place);
        let (attempts, bytes) = places.map(|place| (place.attempt, place.byte)).unzip();
        Self {
            brokers,
            tasks,
            attempts,
            bytes,
        }
    }
}

struct OutputLook {
    n: i64,
    state: String,
    attempt: i32,
    output_bytes: i32,
    at_byte: Option<i32>,
    chunk: Option<String>,
}

/// What there is at each position. Task and chunks are of one moment, so an end is an end.
pub(super) async fn read(
    connection: &mut PgConnection,
    positions: &[Position],
) -> sqlx::Result<Vec<Found>> {
    let columns = Columns::of(positions);
    let step_bytes = i32::try_from(STEP_BYTES).unwrap_or(i32::MAX);
    let looks = sqlx::query_as!(
        OutputLook,
        r#"select p.n as "n!", t.state, t.attempt, t.output_bytes,
               o.at_byte as "at_byte?", o.chunk as "chunk?"
           from unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
               with ordinality as p(broker_id, task_id, attempt, byte, n)
           join porchlight.tasks t on t.broker_id = p.broker_id and t.id = p.task_id
           left join lateral (
               select at_byte, chunk from porchlight.task_output o
               where o.broker_id = t.broker_id and o.task_id = t.id and o.attempt = t.attempt
                   and o.attempt = p.attempt and t.output_bytes > p.byte
                   and o.at_byte < p.byte::bigint + $5 and o.at_byte >= coalesce((
                       select max(at_byte) from porchlight.task_output b
                       where b.broker_id = t.broker_id and b.task_id = t.id
                           and b.attempt = t.attempt and b.at_byte <= p.byte), 0)
               order by at_byte limit $6
           ) o on true
           order by p.n, o.at_byte"#,
        &columns.brokers as &[&str],
        &columns.tasks as &[&str],
        &columns.attempts,
        &columns.bytes,
        i64::from(step_bytes),
        MOST_CHUNKS,
    )
    .fetch_all(connection)
    .await?;
    let mut found = vec![Found::NoTask; positions.len()];
    for of_one in looks.chunk_by(|a, b| a.n == b.n) {
        let n = usize::try_from(of_one[0].n - 1).unwrap_or(usize::MAX);
        if let (Some(found), Some(position)) = (found.get_mut(n), positions.get(n)) {
            *found = at(of_one, position.place);
        }
    }
    Ok(found)
}

/// The positions at which there is something to tell, or no task.
/// The limit keeps Postgres from reading the whole table where many positions are asked for.
pub(super) async fn changed(
    connection: &mut PgConnection,
    positions: &[Position],
) -> sqlx::Result<Vec<usize>> {
    let columns = Columns::of(positions);
    let changed = sqlx::query_scalar!(
        r#"select p.n as "n!"
           from unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
               with ordinality as p(broker_id, task_id, attempt, byte, n)
           left join lateral (
               select id, attempt, output_bytes, ended_at from porchlight.tasks t
               where t.broker_id = p.broker_id and t.id = p.task_id limit 1
           ) t on true
           where t.id is null or t.attempt <> p.attempt or t.output_bytes <> p.byte
               or t.ended_at is not null"#,
        &columns.brokers as &[&str],
        &columns.tasks as &[&str],
        &columns.attempts,
        &columns.bytes,
    )
    .fetch_all(connection)
    .await?;
    let index = |n: i64| usize::try_from(n - 1).ok();
    Ok(changed.into_iter().filter_map(index).collect())
}

fn at(looks: &[OutputLook], place: OutputPosition) -> Found {
    let (attempt, end) = (looks[0].attempt, looks[0].output_bytes);
    if attempt != place.attempt || place.byte > end {
        return Found::Step(Step::Restart(OutputPosition { attempt, byte: 0 }));
    }
    let Ok(state) = looks[0].state.parse::<State>() else {
        return Found::NoTask;
    };
    let (from, text) = text(looks, place.byte);
    if !text.is_empty() {
        let byte = from + i32::try_from(text.len()).unwrap_or(0);
        let to = OutputPosition { attempt, byte };
        return Found::Step(Step::Text { from, text, to });
    }
    if state.is_over() {
        return Found::Step(Step::End(state, place));
    }
    Found::Nothing
}
/// The text from a byte on, or from the beginning of the character that it is in.
fn text(looks: &[OutputLook], byte: i32) -> (i32, String) {
    let mut text = String::new();
    let mut from = byte;
    for (at, chunk) in looks
        .iter()
        .filter_map(|look| Some((look.at_byte?, look.chunk.as_deref()?)))
    {
        let skipped = usize::try_from(byte - at).unwrap_or(0);
        let start = chunk.floor_char_boundary(skipped);
        if text.is_empty() {
            from = at + i32::try_from(start).unwrap_or(0);
        }
        let room = STEP_BYTES.saturating_sub(text.len());
        let rest = &chunk[start..];
        let fits = rest.floor_char_boundary(room.min(rest.len()));
        text.push_str(&rest[..fits]);
        if fits < rest.len() {
            break;
        }
    }
    (from, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: &[(i32, &str)]) -> Vec<OutputLook> {
        let look = |(at, chunk): &(i32, &str)| OutputLook {
            n: 1,
            state: "running".to_owned(),
            attempt: 1,
            output_bytes: 0,
            at_byte: Some(*at),
            chunk: Some((*chunk).to_owned()),
        };
        chunks.iter().map(look).collect()
    }

    #[test]
    fn every_byte_begins_at_its_character() {
        let looks = chunks(&[(0, "aé"), (3, "€"), (6, "z")]);
        for (byte, from, expected) in [(0, 0, "aé€z"), (1, 1, "é€z"), (2, 1, "é€z")] {
            assert_eq!(text(&looks, byte), (from, expected.to_owned()), "{byte}");
        }
        assert_eq!(text(&looks[1..], 5), (3, "€z".to_owned()));
        assert_eq!(text(&looks[2..], 7), (7, String::new()));
    }

    #[test]
    fn a_step_is_bounded_and_cuts_no_character() {
        let long = "€".repeat(STEP_BYTES);
        let (from, step) = text(&chunks(&[(0, &long), (9, "never")]), 0);
        assert_eq!(from, 0);
        assert!(step.len() <= STEP_BYTES && step.len() > STEP_BYTES - 3);
        assert!(step.chars().all(|c| c == '€'));
    }
}

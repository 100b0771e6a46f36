//! The queries of output readers. Each statement serves many readers.

use sqlx::PgConnection;

use super::reader::{OutputPosition, OutputStep, ReadPosition};
use crate::tasks::TaskState;

/// Chunks and bytes of one step. More come with the next step.
const MOST_CHUNKS: i64 = 256;
const STEP_BYTES: usize = 16 * 1_024;

/// The result of a read at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    Step(OutputStep),
    /// There is nothing new.
    Nothing,
    NoTask,
}

/// Positions, as arrays for a statement.
struct PositionColumns<'a> {
    brokers: Vec<&'a str>,
    tasks: Vec<&'a str>,
    attempts: Vec<i32>,
    bytes: Vec<i32>,
}

impl<'a> PositionColumns<'a> {
    fn of(positions: &'a [ReadPosition]) -> Self {
        let tasks = positions.iter().map(|position| &position.task);
        let at = positions.iter().map(|position| position.at);
        Self {
            brokers: tasks.clone().map(|task| task.broker.as_str()).collect(),
            tasks: tasks.map(|task| task.task.as_str()).collect(),
            attempts: at.clone().map(|at| at.attempt).collect(),
            bytes: at.map(|at| at.byte).collect(),
        }
    }
}

struct OutputChunkRow {
    n: i64,
    state: String,
    attempt: i32,
    output_bytes: i32,
    at_byte: Option<i32>,
    chunk: Option<String>,
}

/// Reads at each position. Task and chunks come from one snapshot, so no text follows an end.
pub(super) async fn read(
    connection: &mut PgConnection,
    positions: &[ReadPosition],
) -> sqlx::Result<Vec<ReadOutcome>> {
    let columns = PositionColumns::of(positions);
    let step_bytes = i32::try_from(STEP_BYTES).unwrap_or(i32::MAX);
    let rows = sqlx::query_as!(
        OutputChunkRow,
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
    let mut outcomes = vec![ReadOutcome::NoTask; positions.len()];
    for chunks in rows.chunk_by(|a, b| a.n == b.n) {
        let n = usize::try_from(chunks[0].n - 1).unwrap_or(usize::MAX);
        if let (Some(outcome), Some(position)) = (outcomes.get_mut(n), positions.get(n)) {
            *outcome = outcome_at(chunks, position.at);
        }
    }
    Ok(outcomes)
}

/// The indexes of positions at which there is something new, or no task. The limit in the statement
/// keeps Postgres from reading the whole table when there are many positions.
pub(super) async fn changed(
    connection: &mut PgConnection,
    positions: &[ReadPosition],
) -> sqlx::Result<Vec<usize>> {
    let columns = PositionColumns::of(positions);
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

fn outcome_at(chunks: &[OutputChunkRow], at: OutputPosition) -> ReadOutcome {
    let (attempt, end) = (chunks[0].attempt, chunks[0].output_bytes);
    if attempt != at.attempt || at.byte > end {
        return ReadOutcome::Step(OutputStep::Restart(OutputPosition { attempt, byte: 0 }));
    }
    let Ok(state) = chunks[0].state.parse::<TaskState>() else {
        return ReadOutcome::NoTask;
    };
    let (from, text) = text(chunks, at.byte);
    if !text.is_empty() {
        let byte = from + i32::try_from(text.len()).unwrap_or(0);
        let to = OutputPosition { attempt, byte };
        return ReadOutcome::Step(OutputStep::Text { from, text, to });
    }
    if state.is_over() {
        return ReadOutcome::Step(OutputStep::End(state, at));
    }
    ReadOutcome::Nothing
}

/// The text from a byte on, or from the beginning of the character with this byte.
fn text(chunks: &[OutputChunkRow], byte: i32) -> (i32, String) {
    let mut text = String::new();
    let mut from = byte;
    for (at, chunk) in chunks
        .iter()
        .filter_map(|row| Some((row.at_byte?, row.chunk.as_deref()?)))
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

    fn chunks(chunks: &[(i32, &str)]) -> Vec<OutputChunkRow> {
        let row = |(at, chunk): &(i32, &str)| OutputChunkRow {
            n: 1,
            state: "running".to_owned(),
            attempt: 1,
            output_bytes: 0,
            at_byte: Some(*at),
            chunk: Some((*chunk).to_owned()),
        };
        chunks.iter().map(row).collect()
    }

    #[test]
    fn every_byte_begins_at_its_character() {
        let rows = chunks(&[(0, "aé"), (3, "€"), (6, "z")]);
        for (byte, from, expected) in [(0, 0, "aé€z"), (1, 1, "é€z"), (2, 1, "é€z")] {
            assert_eq!(text(&rows, byte), (from, expected.to_owned()), "{byte}");
        }
        assert_eq!(text(&rows[1..], 5), (3, "€z".to_owned()));
        assert_eq!(text(&rows[2..], 7), (7, String::new()));
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

//! Reading output: from a byte to the end of the task, with no queue in between.

use std::time::Duration;

use sqlx::PgConnection;

use super::super::user::seen;
use super::hints::Listening;
use crate::database::{Limit, Pool, limited};
use crate::identity::Caller;
use crate::ids::{BrokerId, TaskId};
use crate::tasks::{State, TaskBook, TaskError};

/// Chunks and bytes of one step; more come with the next.
const MOST_CHUNKS: i64 = 256;
const STEP_BYTES: usize = 16 * 1_024;
/// Without a hint, for what other instances write.
const POLL: Duration = Duration::from_millis(500);

/// A place in the output of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which attempt.
    pub attempt: i32,
    /// What comes next, in bytes.
    pub byte: i32,
}

/// What a reader finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Another attempt has begun, or the place was none: the text so far counts no more.
    Restart(Place),
    /// More text.
    Text {
        /// Where it begins.
        from: i32,
        /// The text.
        text: String,
        /// The place behind it.
        to: Place,
    },
    /// The task has ended, and this was all.
    End(State, Place),
    /// There is no more yet.
    Nothing,
}

impl Step {
    /// What it is called on a stream.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Restart(_) => "restart",
            Self::Text { .. } => "output",
            Self::End(..) => "end",
            Self::Nothing => "",
        }
    }
}

/// Somebody who reads the output of one task.
#[derive(Debug)]
pub struct OutputReader {
    pool: Pool,
    broker: BrokerId,
    task: TaskId,
    place: Place,
    listening: Listening,
}

struct Look {
    state: String,
    attempt: i32,
    output_bytes: i32,
    at_byte: Option<i32>,
    chunk: Option<String>,
}

impl TaskBook {
    /// Opens the output of a task that the caller may see, at a byte of the newest attempt or
    /// where an earlier reader stood.
    pub async fn read_output(
        &self,
        (caller, task): (&Caller, &TaskId),
        byte: i32,
        stood: Option<Place>,
    ) -> Result<OutputReader, TaskError> {
        let listening = self.hints.listen(&caller.broker, task);
        let mut connection = self.pool.acquire().await?;
        let row = seen(&mut connection, caller, task).await?;
        let attempt = row.attempt;
        if stood.is_none() && byte > row.output_bytes {
            return Err(TaskError::WrongOffset(row.output_bytes));
        }
        Ok(OutputReader {
            pool: self.pool.clone(),
            broker: caller.broker.clone(),
            task: task.clone(),
            place: stood.unwrap_or(Place { attempt, byte }),
            listening,
        })
    }
}

impl OutputReader {
    /// What comes next.
    pub async fn step(&mut self) -> Result<Step, TaskError> {
        // Whoever reads a stream has no limit of a request's.
        let looks = limited(Limit::REQUEST, async {
            let mut connection = self.pool.acquire().await?;
            look(&mut connection, (&self.broker, &self.task), self.place).await
        });
        let looks = looks.await?;
        let Some(first) = looks.first() else {
            return Err(TaskError::Unknown(self.task.clone()));
        };
        let (attempt, end) = (first.attempt, first.output_bytes);
        if attempt != self.place.attempt || self.place.byte > end {
            self.place = Place { attempt, byte: 0 };
            return Ok(Step::Restart(self.place));
        }
        let state: State = first.state.parse().map_err(|_| TaskError::Busy)?;
        let (from, text) = text(&looks, self.place.byte);
        if text.is_empty() {
            let is_over = state.is_over();
            return Ok(if is_over {
                Step::End(state, self.place)
            } else {
                Step::Nothing
            });
        }
        self.place.byte = from + i32::try_from(text.len()).unwrap_or(0);
        let to = self.place;
        Ok(Step::Text { from, text, to })
    }

    /// Waits until there may be more.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = self.listening.changed() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// The task, beside the chunks from a place on: of one moment, so that an end is an end.
async fn look(
    connection: &mut PgConnection,
    (broker, task): (&BrokerId, &TaskId),
    place: Place,
) -> sqlx::Result<Vec<Look>> {
    sqlx::query_as!(
        Look,
        r#"select t.state, t.attempt, t.output_bytes, o.at_byte as "at_byte?", o.chunk as "chunk?"
           from porchlight.tasks t
           left join lateral (
               select at_byte, chunk from porchlight.task_output o
               where o.broker_id = t.broker_id and o.task_id = t.id and o.attempt = t.attempt
                   and o.attempt = $3 and t.output_bytes > $4 and o.at_byte >= coalesce((
                       select max(at_byte) from porchlight.task_output b
                       where b.broker_id = t.broker_id and b.task_id = t.id
                           and b.attempt = t.attempt and b.at_byte <= $4), 0)
               order by at_byte limit $5
           ) o on true
           where t.broker_id = $1 and t.id = $2 order by o.at_byte"#,
        broker.as_str(),
        task.as_str(),
        place.attempt,
        place.byte,
        MOST_CHUNKS,
    )
    .fetch_all(connection)
    .await
}

/// The text from a byte on, or from the beginning of the character that it is in.
fn text(looks: &[Look], byte: i32) -> (i32, String) {
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

    fn chunks(chunks: &[(i32, &str)]) -> Vec<Look> {
        let look = |(at, chunk): &(i32, &str)| Look {
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

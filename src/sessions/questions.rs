//! Questions to all other instances, and their answers: what is open there, and how they are doing.
//!
//! A question is a row that the others find as they find revocations: at once by a notice, or else within half a
//! second. So nothing is exchanged while nobody asks.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::Sessions;
use crate::platform::{BrokerId, Limit};

/// How long the others may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The time before the first look at the answers; it doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(80);
/// Questions that wait to be answered. Further ones are not answered.
const WAITING: usize = 256;
/// Nobody waits for the answer to an older question.
const MOST_SECONDS: f64 = 5.0;
/// Older questions are deleted, with their answers.
const KEPT_SECONDS: f64 = 60.0;

/// A question of another instance. Its text is what the asker and the answerer have agreed on.
#[derive(Debug)]
pub struct PeerQuestion {
    pub broker: BrokerId,
    pub text: String,
    number: i64,
}

#[derive(Debug)]
pub struct PeerAnswer {
    pub instance: String,
    pub text: String,
}

/// The answers that came in time.
#[derive(Debug, Default)]
pub struct PeerAnswers {
    pub answers: Vec<PeerAnswer>,
    /// Instances that should be alive and did not answer.
    pub silent: Vec<String>,
}

/// The questions that this instance has to answer.
pub type PeerQuestions = mpsc::Receiver<PeerQuestion>;

impl Sessions {
    /// Asks all other instances, until `is_enough` or all have answered.
    pub async fn ask(
        &self,
        broker: &BrokerId,
        text: &str,
        is_enough: impl Fn(&[PeerAnswer]) -> bool,
    ) -> sqlx::Result<PeerAnswers> {
        let parts = &self.0.parts;
        let until = Instant::now() + ANSWER_TIMEOUT;
        let instance = &parts.instance;
        let insert = async |c: &mut PgConnection| insert(c, instance, broker, text).await;
        let asked = parts
            .asks
            .lock()
            .await
            .run_within(Limit::LOOK, insert)
            .await?;
        let Some(number) = asked.first().map(|peer| peer.number) else {
            return Ok(PeerAnswers::default());
        };
        parts.peers.sessions();
        let (mut answers, mut pause) = (Vec::new(), FIRST_LOOK);
        while answers.len() < asked.len() && !is_enough(&answers) && Instant::now() < until {
            sleep(pause).await;
            pause = LONGEST_LOOK.min(pause * 2);
            let read = async |c: &mut PgConnection| read_answers(c, broker, number).await;
            answers = parts
                .asks
                .lock()
                .await
                .run_within(Limit::LOOK, read)
                .await?;
        }
        let has_answered =
            |instance: &str| answers.iter().any(|answer| answer.instance == instance);
        let silent = asked.into_iter().map(|peer| peer.instance);
        let silent = silent.filter(|instance| !has_answered(instance)).collect();
        Ok(PeerAnswers { answers, silent })
    }

    /// The questions of other instances, from now on.
    #[must_use]
    pub fn questions(&self) -> PeerQuestions {
        let queues = &self.0.parts.queues;
        let (sender, questions) = queues.channel("questions", WAITING);
        // Only the first channel gets questions.
        let _ = self.0.questions.set(sender);
        questions
    }

    /// Sends an answer to the instance that has asked.
    pub async fn answer(
        &self,
        connection: &mut PgConnection,
        question: &PeerQuestion,
        text: &str,
    ) -> sqlx::Result<()> {
        write_answer(connection, &self.0.parts.instance, question, text).await
    }

    /// Passes questions on to whoever answers them.
    pub(super) fn pass_on(&self, questions: Vec<PeerQuestion>) {
        if let Some(sender) = self.0.questions.get() {
            for question in questions {
                let _ = sender.try_send(question);
            }
        }
    }

    pub(super) fn instance(&self) -> &Arc<str> {
        &self.0.parts.instance
    }
}

/// An instance that was asked.
struct AskedPeer {
    instance: String,
    number: i64,
}

/// Writes a question, unless there is nobody else. Returns those who are to answer.
async fn insert(
    connection: &mut PgConnection,
    instance: &str,
    broker: &BrokerId,
    text: &str,
) -> sqlx::Result<Vec<AskedPeer>> {
    sqlx::query_as!(
        AskedPeer,
        r#"with peers as (
             select instance from porchlight.instances
             where instance <> $1 and live_until > clock_timestamp()),
         head as (
             update porchlight.session_head set head = head + 1
             where exists (select from peers) returning head),
         question as (
             insert into porchlight.peer_questions (broker_id, number, asked_by, question)
             select $2, head, $1, $3 from head
             returning number)
         select p.instance as "instance!", q.number as "number!" from peers p cross join question q"#,
        instance,
        broker.as_str(),
        text,
    )
    .fetch_all(connection)
    .await
}

async fn read_answers(
    connection: &mut PgConnection,
    broker: &BrokerId,
    number: i64,
) -> sqlx::Result<Vec<PeerAnswer>> {
    sqlx::query_as!(
        PeerAnswer,
        "select instance, answer as text from porchlight.peer_answers
         where broker_id = $1 and number = $2 order by instance",
        broker.as_str(),
        number,
    )
    .fetch_all(connection)
    .await
}

struct QuestionRow {
    broker_id: String,
    number: i64,
    question: String,
}

/// Questions of other instances after a number for which somebody may still wait.
pub(super) async fn questions_after(
    connection: &mut PgConnection,
    instance: &str,
    number: i64,
) -> sqlx::Result<Vec<PeerQuestion>> {
    let rows = sqlx::query_as!(
        QuestionRow,
        "select broker_id, number, question from porchlight.peer_questions
         where number > $2 and asked_by <> $1
             and created_at > clock_timestamp() - make_interval(secs => $3)",
        instance,
        number,
        MOST_SECONDS,
    )
    .fetch_all(connection)
    .await?;
    let questions = rows.into_iter().filter_map(|row| {
        Some(PeerQuestion {
            broker: row.broker_id.parse().ok()?,
            text: row.question,
            number: row.number,
        })
    });
    Ok(questions.collect())
}

/// Writes an answer, unless the question has been deleted.
async fn write_answer(
    connection: &mut PgConnection,
    instance: &str,
    question: &PeerQuestion,
    text: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into porchlight.peer_answers (broker_id, number, instance, answer)
         select broker_id, number, $3, $4 from porchlight.peer_questions
         where broker_id = $1 and number = $2
         on conflict do nothing",
        question.broker.as_str(),
        question.number,
        instance,
        text,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes questions that were asked long ago, with their answers.
pub(super) async fn delete_old(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from porchlight.peer_questions
         where created_at < clock_timestamp() - make_interval(secs => $1)",
        KEPT_SECONDS,
    )
    .execute(connection)
    .await
    .map(drop)
}

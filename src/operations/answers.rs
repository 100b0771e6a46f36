//! Questions between instances: what is asked, and what is answered.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use super::Operations;
use crate::platform::{BrokerId, DedicatedConnection, Limit};
use crate::sessions::PeerQuestions;
use crate::sessions::connections::ConnectionQuery;

/// A question about one brokerage. An instance that does not know it does not answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    /// Answered with a `BrokerageReport`.
    Report,
    /// Answered with a `ConnectionPage`.
    Connections(ConnectionQuery),
    /// Answered with whether the connection was there.
    Disconnect(String),
}

impl Operations {
    /// This instance's answer, as JSON.
    pub(super) async fn answer(&self, broker: &BrokerId, question: &Question) -> String {
        let sessions = &self.0.parts.sessions;
        let answer = match question {
            Question::Report => serde_json::to_string(&self.report(broker)),
            Question::Connections(query) => {
                serde_json::to_string(&sessions.connections(broker, query).await)
            }
            Question::Disconnect(id) => serde_json::to_string(&sessions.disconnect(broker, id)),
        };
        answer.unwrap_or_default()
    }
}

/// Answers the questions of other instances, one after the other.
pub(super) async fn run(
    operations: Operations,
    mut database: DedicatedConnection,
    mut questions: PeerQuestions,
    stop: CancellationToken,
) {
    loop {
        let question = tokio::select! {
            () = stop.cancelled() => return,
            // The sender is in the sessions, which this task has.
            Some(question) = questions.recv() => question,
        };
        let Ok(asked) = serde_json::from_str(&question.text) else {
            tracing::debug!("another version has asked something unknown");
            continue;
        };
        let text = operations.answer(&question.broker, &asked).await;
        let sessions = &operations.0.parts.sessions;
        let write = async |c: &mut PgConnection| sessions.answer(c, &question, &text).await;
        if let Err(error) = database.run_within(Limit::LOOK, write).await {
            tracing::debug!(%error, "another instance did not get an answer");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_read_back_as_they_were_written() {
        let query = ConnectionQuery {
            user: Some("u".parse().unwrap()),
            after: None,
            limit: 7,
        };
        for (question, json) in [
            (Question::Report, r#""report""#),
            (
                Question::Disconnect("k-1".to_owned()),
                r#"{"disconnect":"k-1"}"#,
            ),
            (
                Question::Connections(query),
                r#"{"connections":{"user":"u","after":null,"limit":7}}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&question).unwrap(), json);
            assert!(serde_json::from_str::<Question>(json).is_ok());
        }
        assert!(serde_json::from_str::<Question>(r#"{"later":1}"#).is_err());
    }
}

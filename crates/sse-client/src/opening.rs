//! The request for a stream.

use http_client::{Connection, ConnectionError, HttpAddress, TlsAuthorities};

use crate::cursor_file::readable;
use crate::state::Answer;

/// What a client sends to open a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamRequest<'a> {
    pub address: &'a HttpAddress,
    pub authorities: &'a TlsAuthorities,
    /// It must have no control characters.
    pub token: &'a str,
    /// Where to continue; empty for a beginning.
    pub cursor: &'a str,
    pub user_agent: &'a str,
}

impl StreamRequest<'_> {
    /// Sends the request and reads the head of the answer.
    ///
    /// # Errors
    /// The service cannot be reached, or does not speak HTTP/1.
    pub async fn open(self) -> Result<Connection, ConnectionError> {
        let request = http_client::Request {
            address: self.address,
            authorities: self.authorities,
            method: "GET",
            headers: &self.headers(),
            body: &[],
        };
        Connection::open(request).await
    }

    fn headers(self) -> String {
        let Self {
            token, user_agent, ..
        } = self;
        let cursor = match self.cursor {
            "" => String::new(),
            cursor => format!("last-event-id: {}\r\n", readable(cursor)),
        };
        format!(
            "user-agent: {user_agent}\r\naccept: text/event-stream\r\ncache-control: no-store\r\n\
             authorization: Bearer {token}\r\n{cursor}"
        )
    }
}

impl<'a> Answer<'a> {
    /// What the head of an answer says.
    #[must_use]
    pub fn of(connection: &'a Connection) -> Self {
        Self {
            status: connection.status(),
            content_type: connection.header("content-type"),
            retry_after: connection.header("retry-after"),
        }
    }
}

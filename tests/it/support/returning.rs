//! A client that comes back however often it is cut off, with the id of the last event
//! that it had whole.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::requests::client;
use super::wait::soon;
use super::{Message, Stream, Token, eventually, number};

/// The last event for a team in a test.
pub const END: &str = "test:end";
/// It does not come back faster than this.
const PAUSE: Duration = Duration::from_millis(20);

/// A client of one stream.
pub struct Returning {
    /// Whose events it must get, as the log names them.
    pub audiences: Vec<String>,
    /// Positions and numbers of what it has got.
    pub seen: Vec<(i64, i64)>,
    /// How often it cut the connection itself.
    pub cut: usize,
    /// How often it came back.
    pub opened: usize,
    /// Why the service said that its streams end.
    pub closed: Vec<String>,
    url: String,
    token: String,
    client: Client,
    cursor: String,
    ends: usize,
}

/// When a client cuts its connection: after so many events, and how much must then have been
/// acknowledged to publishers before it comes back.
pub type Cut = (usize, usize);

impl Returning {
    /// A client of `path`, which receives what is published to `audiences`.
    pub fn new(url: String, token: &Token, audiences: Vec<String>, gzip: bool) -> Self {
        Self {
            audiences,
            seen: Vec::new(),
            cut: 0,
            opened: 0,
            closed: Vec::new(),
            url,
            token: token.signed(),
            client: client(gzip),
            cursor: String::new(),
            ends: 0,
        }
    }

    /// Reads until the last event for each of its teams.
    pub async fn read(mut self, cuts: Vec<Cut>, mut acknowledged: watch::Receiver<usize>) -> Self {
        let teams = self.audiences.iter().filter(|a| a.starts_with("team:"));
        let teams = teams.count();
        let mut cuts = cuts.into_iter().peekable();
        let mut returns = tokio::time::interval(PAUSE);
        returns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.ends < teams {
            returns.tick().await;
            let mut stream = self.open().await;
            while self.ends < teams
                && let Some(message) = soon("an event or the end", stream.try_next()).await
            {
                self.take(&message);
                if message.name == "stream:closing" {
                    // The last event of a stream says when to come back.
                    let words = message.json();
                    let retry_ms = words["retryMs"].as_u64().expect("a time");
                    let reason = words["reason"].as_str().expect("a word");
                    self.closed.push(reason.to_owned());
                    tokio::time::sleep(Duration::from_millis(retry_ms)).await;
                }
                if let Some((_, enough)) = cuts.next_if(|(after, _)| *after < self.seen.len()) {
                    drop(stream);
                    self.cut += 1;
                    let met = acknowledged.wait_for(|n| *n >= enough);
                    soon("others go on", met).await.expect("they do");
                    break;
                }
            }
        }
        self
    }

    async fn open(&mut self) -> Stream {
        self.opened += 1;
        eventually("a stream opens", || async {
            let request = self.client.get(&self.url).bearer_auth(&self.token);
            let request = request.header("Last-Event-ID", &self.cursor);
            let stream = Stream::try_open(request).await.ok()?;
            assert_eq!(stream.status, StatusCode::OK);
            Some(stream)
        })
        .await
    }

    fn take(&mut self, message: &Message) {
        assert_ne!(message.name, "stream:reset", "{message:?}");
        if !message.id.is_empty() {
            self.cursor.clone_from(&message.id);
        }
        if message.is_logged() {
            let n = i64::try_from(number(message)).expect("a number");
            self.seen.push((message.position(), n));
            self.ends += usize::from(message.name == END);
        }
    }
}

//! Requests to the instances, over networks that fail.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::Value;

use crate::history::Outcome;
use crate::support::requests::client;
use crate::support::{Chance, Token};
use crate::world::World;

/// Nobody waits longer for an answer.
const LIMIT: Duration = Duration::from_secs(6);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// An answer that has arrived whole.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Reply {
    /// What became of a write: anything but a success, an unconfirmed commit or no answer at all means that
    /// it was not carried out.
    pub fn outcome(reply: Option<&Self>) -> Outcome {
        match reply {
            Some(reply) if reply.status < 300 => Outcome::Done,
            Some(reply) if reply.body["code"] == "unconfirmed" => Outcome::Unknown,
            Some(reply) if reply.status >= 500 && reply.status != 503 => Outcome::Unknown,
            Some(_) => Outcome::Refused,
            None => Outcome::Unknown,
        }
    }
}

/// A request without its place.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub body: Value,
    pub key: Option<&'a str>,
    /// The version that a record must have.
    pub version: Option<i64>,
}

impl<'a> Call<'a> {
    pub fn post(path: &'a str, body: Value) -> Self {
        Self {
            method: Method::POST,
            path,
            body,
            key: None,
            version: None,
        }
    }

    pub fn patch(path: &'a str, body: Value) -> Self {
        Self {
            method: Method::PATCH,
            ..Self::post(path, body)
        }
    }

    pub fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Value::Null,
            key: None,
            version: None,
        }
    }

    pub fn delete(path: &'a str) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }
}

/// Somebody with a token, who asks any instance.
pub struct Person {
    pub world: Arc<World>,
    pub chance: Chance,
    client: Client,
    token: String,
}

impl Person {
    pub fn new(world: &Arc<World>, chance: &mut Chance, token: &Token) -> Self {
        Self::bearing(world, chance, token.signed())
    }

    /// Somebody with a signed token.
    pub fn bearing(world: &Arc<World>, chance: &mut Chance, token: String) -> Self {
        Self {
            world: Arc::clone(world),
            chance: chance.fork(),
            client: client(false),
            token,
        }
    }

    /// The answer of some instance; `None` where none came.
    pub async fn ask(&mut self, call: &Call<'_>) -> Option<Reply> {
        let at = self.chance.below(self.world.instances.len());
        self.ask_at(at, call).await
    }

    pub async fn ask_at(&self, at: usize, call: &Call<'_>) -> Option<Reply> {
        let url = self.world.instances[at].url(call.path);
        let request = self.client.request(call.method.clone(), url);
        let request = request.bearer_auth(&self.token).timeout(LIMIT);
        let request = match call.key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let request = match call.version {
            Some(version) => request.header("If-Match", format!("\"{version}\"")),
            None => request,
        };
        let request = match &call.body {
            Value::Null => request,
            Value::String(text) => request
                .header("Content-Type", "text/csv; charset=utf-8")
                .body(text.clone()),
            body => request.json(body),
        };
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Some(Reply { status, body })
    }

    /// Asks until the answer is one of these statuses, or everything ends.
    pub async fn insist(&mut self, call: &Call<'_>, statuses: &[u16]) -> Option<Reply> {
        while !self.world.ended.is_cancelled() {
            let reply = self.ask(call).await;
            if let Some(reply) = reply.filter(|reply| statuses.contains(&reply.status)) {
                return Some(reply);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// Does nothing for a random time, or until all is to be calm.
    pub async fn rest(&mut self, most_ms: usize) {
        let ms = u64::try_from(self.chance.below(most_ms)).expect("a time");
        let rest = tokio::time::sleep(Duration::from_millis(ms));
        tokio::select! {
            () = rest => {}
            () = self.world.calm.cancelled() => {}
        }
    }
}

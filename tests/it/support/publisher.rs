//! A publisher that knows how to retry.

use reqwest::Client;
use serde_json::Value;

use super::requests::client;
use super::{Answer, Token, eventually};

/// The publishing service of broker `b`, somewhere on the network.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    url: String,
    token: String,
}

impl Publisher {
    /// One that posts to the service at `base`.
    pub fn new(base: &str) -> Self {
        let client = client(true);
        let (url, token) = (format!("{base}/events"), Token::service("b").signed());
        Self { client, url, token }
    }

    /// Posts under a key until it is acknowledged, and gives the positions.
    pub async fn insist(&self, key: &str, body: &Value) -> Vec<String> {
        eventually("an acknowledgement", || self.post(Some(key), body)).await
    }

    /// Posts once and without a key: positions only if it is acknowledged.
    pub async fn once(&self, body: &Value) -> Option<Vec<String>> {
        self.post(None, body).await
    }

    /// Posts once under a key: positions only if it is acknowledged.
    pub async fn attempt(&self, key: &str, body: &Value) -> Option<Vec<String>> {
        self.post(Some(key), body).await
    }

    /// Waits until the service answers and has its database.
    pub async fn wait_for_service(&self) {
        let url = self.url.replace("/events", "/health/ready");
        let ready = async || {
            let answer = Answer::try_to(self.client.get(&url)).await.ok()?;
            (answer.status == 200).then_some(())
        };
        eventually("the service is ready", ready).await;
    }

    async fn post(&self, key: Option<&str>, body: &Value) -> Option<Vec<String>> {
        let request = self.client.post(&self.url).bearer_auth(&self.token);
        let request = match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        };
        let answer = Answer::try_to(request.json(body)).await.ok()?;
        if answer.status == 503 {
            return None;
        }
        assert_eq!(answer.status, 201, "{}", answer.text);
        let answer = answer.json();
        let positions = answer["positions"].as_array().expect("positions").iter();
        Some(
            positions
                .map(|p| p.as_str().expect("text").to_owned())
                .collect(),
        )
    }
}

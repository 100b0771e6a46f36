//! Answers of the service.

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::openapi::{Received, Sent, assert_described, contradictions, note};
use super::wait::soon;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The answer to a request. Both must be described in openapi.yaml.
    pub async fn to(request: RequestBuilder) -> Self {
        soon("an answer", Self::try_to(request))
            .await
            .expect("an answer")
    }

    /// The same of a service that may be killed in the middle.
    pub async fn try_to(request: RequestBuilder) -> reqwest::Result<Self> {
        let (answer, sent) = Self::exchange(request).await?;
        assert_described(&sent, answer.received());
        Ok(answer)
    }

    /// An answer that an older version may give, which openapi.yaml does not describe.
    pub async fn of_any_version(request: RequestBuilder) -> reqwest::Result<Self> {
        Ok(Self::exchange(request).await?.0)
    }

    /// An answer, and where it and the document differ.
    pub async fn compared(request: RequestBuilder) -> (Self, Vec<String>) {
        let (answer, sent) = Self::exchange(request).await.expect("an answer");
        let faults = contradictions(&sent, answer.received());
        if faults.is_empty() {
            note(&sent, answer.received());
        }
        (answer, faults)
    }

    async fn exchange(request: RequestBuilder) -> reqwest::Result<(Self, Sent)> {
        let (client, request) = request.build_split();
        let request = request?;
        let sent = Sent::of(&request);
        let response = client.execute(request).await?;
        let answer = Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await?,
        };
        Ok((answer, sent))
    }

    fn received(&self) -> Received<'_> {
        Received {
            status: self.status,
            headers: &self.headers,
            body: Some(&self.text),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("JSON, not {:?}", self.text))
    }

    /// A header, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// Checks that this is a complete problem with this code, and gives the field that it names.
    pub fn refused(&self, status: u16, code: &str, what: &str) -> Option<String> {
        assert_eq!(self.status, status, "{what}: {}", self.text);
        let media_type = self.header("content-type");
        assert_eq!(media_type, "application/problem+json", "{what}");
        assert_eq!(self.header("cache-control"), "no-store", "{what}");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{what}: {problem}");
        assert_eq!(problem["status"], status, "{what}");
        assert_eq!(problem["type"], format!("urn:porchlight:problem:{code}"));
        for words in ["title", "detail"] {
            let words = problem[words].as_str().expect("words");
            assert!(!words.is_empty(), "{what}: {problem}");
        }
        if status == 401 {
            let challenge = self.header("www-authenticate");
            assert!(challenge.starts_with("Bearer"), "{what}: {challenge:?}");
        }
        problem["field"].as_str().map(ToOwned::to_owned)
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Way {
    Header,
    Parameter,
    Cookie,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Header, Self::Parameter, Self::Cookie];

    /// A GET with this token.
    pub fn get(self, client: &Client, url: &str, token: &str) -> RequestBuilder {
        self.carry(client.get(url), token)
    }

    /// The same request with this token.
    pub fn carry(self, request: RequestBuilder, token: &str) -> RequestBuilder {
        match self {
            Self::Header => request.bearer_auth(token),
            Self::Parameter => request.query(&[("access_token", token)]),
            Self::Cookie => request.header("cookie", format!("a=b; access_token={token}; c=d")),
        }
    }
}
